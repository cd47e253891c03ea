package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// people are an identity in which "user N" is a token.
type people struct{}

func (people) Authenticate(_ context.Context, token string) (p game.Principal, err error) {
	if name, ok := strings.CutPrefix(token, "service "); ok {
		return game.Principal{Kind: game.ByService, Service: name}, nil
	}
	if _, err := fmt.Sscanf(token, "user %d", &p.UID); err != nil {
		return p, game.Errorf(game.Unauthenticated, "credential is not valid")
	}
	p.Kind, p.Expires = game.ByUser, time.Now().Add(time.Hour)
	return p, nil
}

func (people) CreateGuest(context.Context, string, game.Client) (game.Login, error) {
	return game.Login{UID: 5001, Session: "s", Access: "user 5001", Refresh: "refresh", DeviceSecret: "secret"}, nil
}

func (people) LoginGuest(context.Context, string, game.Client) (game.Login, error) {
	return game.Login{}, game.Errorf(game.Unauthenticated, "no user has that secret")
}

func (people) LoginPassword(context.Context, string, string, game.Client) (game.Login, error) {
	return game.Login{}, game.Errorf(game.Unauthenticated, "wrong")
}

func (people) Refresh(context.Context, string, game.Client) (game.Login, error) {
	return game.Login{}, game.Errorf(game.Unauthenticated, "refresh token is not valid")
}

// place is a gateway with a host that answers.
type place struct {
	*gateway.Gateway
	t         *testing.T
	http, tcp string
	other     atomic.Pointer[wire.Place] // where the area "elsewhere" is

	mu     sync.Mutex
	said   []string // in the order in which they came
	closed []wire.Reason
}

func (p *place) Opened(*gateway.Session)  {}
func (p *place) Cut(*gateway.Session)     {}
func (p *place) Resumed(*gateway.Session) {}
func (p *place) Closed(_ *gateway.Session, why wire.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = append(p.closed, why)
}

func (p *place) Handle(s *gateway.Session, cmd wire.Command, body []byte) {
	switch cmd {
	case wire.CmdCall:
		p.call(s, body)
	case wire.CmdJoin:
		p.join(s, body)
	case wire.CmdSay:
		var say wire.Say
		parse(p.t, body, &say)
		p.mu.Lock()
		p.said = append(p.said, say.Text)
		p.mu.Unlock()
		s.Tell(wire.CmdSaid, body2(p.t, &wire.Said{Uid: uint64(s.UID()), Text: say.Text}))
	case wire.CmdMove:
		s.Show(wire.AppendFrame(nil, wire.CmdMoves, append([]byte{1, 0, 0, 0}, body...)))
	}
	s.Flush()
}

func (p *place) call(s *gateway.Session, body []byte) {
	var c wire.Call
	parse(p.t, body, &c)
	a := &wire.Answer{Id: c.Id, Body: c.Body}
	switch c.Method {
	case "test.never":
		return
	case "test.fail":
		a.Body, a.Fault = nil, &wire.Fault{Kind: "unavailable", Detail: "not now", Doubt: true, RetryMs: 1500}
	case "test.kick":
		s.Close(wire.Reason_REASON_KICKED, "rude", nil)
		return
	}
	s.Tell(wire.CmdAnswer, body2(p.t, a))
}

func (p *place) join(s *gateway.Session, body []byte) {
	var j wire.Join
	parse(p.t, body, &j)
	switch {
	case j.Area == "full":
		s.Tell(wire.CmdRefused, body2(p.t, &wire.Refused{Command: uint32(wire.CmdJoin), Fault: &wire.Fault{Kind: "exhausted", Detail: "it is full"}}))
	case j.Area == "elsewhere" && p.other.Load() != nil:
		s.Tell(wire.CmdRedirect, body2(p.t, &wire.Redirect{Place: p.other.Load(), Area: j.Area, Copy: 3}))
	default:
		s.Tell(wire.CmdEntered, body2(p.t, &wire.Entered{Area: j.Area, Copy: max(j.Copy, 1), Avatar: 7}))
	}
}

func start(t *testing.T, change func(*game.GatewayConfig)) *place {
	t.Helper()
	cfg := game.DefaultGateway()
	cfg.CommandsPerSecond, cfg.SaysPerTenSeconds = 100_000, 10_000
	if change != nil {
		change(&cfg)
	}
	p := &place{t: t}
	g, err := gateway.New(cfg, gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: p, Identity: people{}, Node: "here", Tick: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p.Gateway = g
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() { g.Run(ctx) })
	wg.Go(func() { g.ServeTCP(ctx, l) })
	mux := http.NewServeMux()
	mux.Handle("/v1/socket", g)
	server := httptest.NewServer(mux)
	p.http, p.tcp = "ws://"+server.Listener.Addr().String()+"/v1/socket", "tcp://"+l.Addr().String()
	t.Cleanup(func() {
		cancel()
		server.Close()
		wg.Wait()
	})
	return p
}

func (p *place) addresses() map[string]string {
	return map[string]string{"websocket": p.http, "tcp": p.tcp}
}

func (p *place) wire() *wire.Place {
	return &wire.Place{Node: "other", Websocket: p.http, Tcp: strings.TrimPrefix(p.tcp, "tcp://")}
}

// heard collects what a socket hears.
type heard struct {
	mu     sync.Mutex
	frames []string
	turns  []client.Turn
	more   chan struct{}
}

func listen(o *client.Options) *heard {
	h := &heard{more: make(chan struct{}, 1)}
	note := func(f func()) {
		h.mu.Lock()
		f()
		h.mu.Unlock()
		select {
		case h.more <- struct{}{}:
		default:
		}
	}
	o.Frame = func(cmd wire.Command, body []byte) {
		text := fmt.Sprint(cmd)
		var said wire.Said
		if cmd == wire.CmdSaid && wire.Parse(body, &said) == nil {
			text = "said " + said.Text
		}
		note(func() { h.frames = append(h.frames, text) })
	}
	o.Turned = func(turn client.Turn) { note(func() { h.turns = append(h.turns, turn) }) }
	return h
}

// until waits until what was heard is as wanted.
func (h *heard) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		h.mu.Lock()
		done := ok()
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-h.more:
		case <-limit:
			t.Fatalf("waited in vain until %s; heard %.50q, %v", what, h.frames, h.turns)
		}
	}
}

func (h *heard) has(text string) func() bool {
	return func() bool { return slices.Contains(h.frames, text) }
}

func dial(t *testing.T, address string, o client.Options) *client.Socket {
	t.Helper()
	if o.Token == "" && o.SignIn == nil {
		o.Token = "user 1001"
	}
	s, err := client.Dial(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // it has no error
	return s
}

func TestSocket(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	for transport, address := range p.addresses() {
		t.Run(transport, func(t *testing.T) {
			var o client.Options
			h := listen(&o)
			s := dial(t, address, o)
			if w := s.Welcome(); s.UID() != 1001 || w.Node != "here" || w.TickMs != 50 {
				t.Errorf("welcome %v", w)
			}
			answer, err := s.CallBytes(t.Context(), "test.echo", []byte("hello"))
			if err != nil || string(answer) != "hello" {
				t.Errorf("answer %q, %v", answer, err)
			}
			big := bytes.Repeat([]byte("x"), 400<<10)
			if answer, err = s.CallBytes(t.Context(), "test.echo", big); err != nil || !bytes.Equal(answer, big) {
				t.Errorf("a large answer of %d bytes, %v", len(answer), err)
			}
			var after game.RetryAfter
			var e *game.Error
			if err = s.Call(t.Context(), "test.fail", nil, nil); !errors.As(err, &e) || e.Kind != game.Unavailable || !e.Doubt || e.Detail != "not now" || !errors.As(err, &after) || after != game.RetryAfter(1500*time.Millisecond) {
				t.Errorf("fault %+v", err)
			}
			if in, err := s.Join(t.Context(), &wire.Join{Area: "plaza"}); err != nil || in.Area != "plaza" || in.Avatar != 7 {
				t.Errorf("entered %v, %v", in, err)
			}
			if _, err := s.Join(t.Context(), &wire.Join{Area: "full"}); game.KindOf(err) != game.Exhausted {
				t.Errorf("a full area: %v", err)
			}
			if err := errors.Join(s.Say("hi"), s.Move(wire.Move{Pose: game.Pose{X: 3}}), s.Whisper(7, "psst"), s.SetThing("door", nil)); err != nil {
				t.Error(err)
			}
			h.until(t, "said and moves came", func() bool { return h.has("said hi")() && h.has(fmt.Sprint(wire.CmdMoves))() })
			if err := s.Renew(t.Context(), "user 1001"); err != nil {
				t.Errorf("renew: %v", err)
			}
			if err := s.Tell(wire.CmdMove, nil); game.KindOf(err) != game.Invalid {
				t.Errorf("a move told as if it were reliable: %v", err)
			}
			if err := s.Tell(wire.CmdSay, make([]byte, wire.LimitClient)); game.KindOf(err) != game.TooLarge {
				t.Errorf("a body over the limit: %v", err)
			}
			s.Close() //nolint:errcheck // it has no error
			if err := s.Say("late"); !errors.Is(err, client.ErrLeft) || !errors.Is(s.Err(), client.ErrLeft) {
				t.Errorf("after the end: %v, %v", err, s.Err())
			}
		})
	}
}

func TestSocketSignsIn(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	guest := client.Options{SignIn: &wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}}}
	h := listen(&guest)
	s := dial(t, p.http, guest)
	if w := s.Welcome(); w.Uid != 5001 || w.GuestSecret != "secret" || w.Access != "user 5001" {
		t.Errorf("welcome %v", w)
	}
	s.Cut()
	h.until(t, "it goes on with the token that it got", func() bool { return slices.Contains(h.turns, client.TurnResumed) })
	for what, o := range map[string]client.Options{
		"a bad token":  {Token: "x"},
		"a bad secret": {SignIn: &wire.SignIn{How: &wire.SignIn_GuestSecret{GuestSecret: "x"}}},
	} {
		_, err := client.Dial(t.Context(), p.tcp, o)
		var closed *client.ClosedError
		if !errors.As(err, &closed) || closed.Reason != wire.Reason_REASON_TOKEN || closed.Text == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, address := range []string{"", "x", "http://127.0.0.1:1", "tcp://"} {
		if _, err := client.Dial(t.Context(), address, client.Options{Token: "x"}); game.KindOf(err) != game.Invalid {
			t.Errorf("address %q: %v", address, err)
		}
	}
	if _, err := client.Dial(t.Context(), "tcp://127.0.0.1:1", client.Options{Token: "x"}); game.KindOf(err) != game.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := client.Dial(t.Context(), p.tcp, client.Options{}); game.KindOf(err) != game.Invalid {
		t.Errorf("no token: %v", err)
	}
}

// TestSocketResumes: whatever is cut, what was said arrives once and in order, both ways.
func TestSocketResumes(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	for transport, address := range p.addresses() {
		t.Run(transport, func(t *testing.T) {
			var o client.Options
			h := listen(&o)
			s := dial(t, address, o)
			var want []string
			p.mu.Lock()
			p.said = nil
			p.mu.Unlock()
			for i := range 300 {
				text := fmt.Sprint(i)
				want = append(want, "said "+text)
				if err := s.Say(text); err != nil {
					t.Fatal(err)
				}
				if i%60 == 59 {
					s.Cut()
					if i%120 == 59 { // while it is cut more is said; at other times it is back before
						h.until(t, "it is back", func() bool { return len(h.turns) > 0 && h.turns[len(h.turns)-1] == client.TurnResumed })
					}
				}
			}
			var got []string
			h.until(t, "all came back", func() bool {
				got = nil
				for _, f := range h.frames {
					if strings.HasPrefix(f, "said ") {
						got = append(got, f)
					}
				}
				return len(got) >= len(want)
			})
			if !slices.Equal(got, want) {
				t.Errorf("heard %d, want %d: %.300q", len(got), len(want), got)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.said) != len(want) {
				t.Errorf("the server heard %d, want %d", len(p.said), len(want))
			}
			if slices.Contains(h.turns, client.TurnAnew) {
				t.Errorf("turns %v", h.turns)
			}
		})
	}
}

// TestSocketManyCalls: calls share a connection, and each gets its own answer, also over a cut.
func TestSocketManyCalls(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	s := dial(t, p.http, client.Options{})
	var wg sync.WaitGroup
	for i := range 400 {
		wg.Go(func() {
			want := fmt.Sprint("body ", i)
			got, err := s.CallBytes(t.Context(), "test.echo", []byte(want))
			if err != nil || string(got) != want {
				t.Errorf("call %d: %q, %v", i, got, err)
			}
		})
		if i == 200 {
			s.Cut()
		}
	}
	wg.Wait()
}

// TestSocketBegunAnew: when nothing can be resumed, a call without answer is in doubt, and the socket can be used again.
func TestSocketBegunAnew(t *testing.T) {
	t.Parallel()
	p := start(t, func(c *game.GatewayConfig) { c.ResumeTerm = 0 })
	var o client.Options
	h := listen(&o)
	s := dial(t, p.http, o)
	ended := make(chan error, 1)
	go func() { ended <- s.Call(t.Context(), "test.never", nil, nil) }()
	if _, err := s.CallBytes(t.Context(), "test.echo", nil); err != nil { // behind the other one
		t.Fatal(err)
	}
	s.Cut()
	var e *game.Error
	if err := <-ended; !errors.As(err, &e) || e.Kind != game.Unavailable || !e.Doubt {
		t.Errorf("the call ended with %+v, want doubt", err)
	}
	h.until(t, "it begins anew", func() bool { return slices.Contains(h.turns, client.TurnAnew) })
	if _, err := s.Join(t.Context(), &wire.Join{Area: "plaza"}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Call(ctx, "test.never", nil, nil); !errors.As(err, &e) || !e.Doubt {
		t.Errorf("a call whose wait ended: %+v, want doubt", err)
	}
}

// TestSocketCloses: why the server ends a connection is what the socket says, and it does not come again by itself.
func TestSocketCloses(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	first := dial(t, p.http, client.Options{})
	second := dial(t, p.tcp, client.Options{})
	var closed *client.ClosedError
	<-first.Done()
	if !errors.As(first.Err(), &closed) || closed.Reason != wire.Reason_REASON_REPLACED {
		t.Errorf("replaced: %v", first.Err())
	}
	if err := second.Call(t.Context(), "test.kick", nil, nil); game.KindOf(err) != game.Unavailable {
		t.Errorf("a call at the end: %v", err)
	}
	<-second.Done()
	if !errors.As(second.Err(), &closed) || closed.Reason != wire.Reason_REASON_KICKED || closed.Text != "rude" {
		t.Errorf("kicked: %v", second.Err())
	}
	third := dial(t, p.tcp, client.Options{NoResume: true})
	third.Cut()
	<-third.Done()
	if third.Err() == nil {
		t.Error("it ended without an error")
	}
}

// TestSocketFollows: a redirect leads to the other node and into the area there, and a server that is emptied to another.
func TestSocketFollows(t *testing.T) {
	t.Parallel()
	here, there := start(t, nil), start(t, nil)
	here.other.Store(there.wire())
	for transport, address := range here.addresses() {
		t.Run(transport, func(t *testing.T) {
			s := dial(t, address, client.Options{Token: "user 1"})
			var redirect *client.RedirectError
			if _, err := s.Join(t.Context(), &wire.Join{Area: "elsewhere"}); !errors.As(err, &redirect) || redirect.Place.Node != "other" {
				t.Errorf("without following: %v", err)
			}
			s = dial(t, address, client.Options{Token: "user 2", Follow: true})
			in, err := s.Join(t.Context(), &wire.Join{Area: "elsewhere"})
			if err != nil || in.Copy != 3 {
				t.Fatalf("entered %v, %v", in, err)
			}
			if there.Session(2) == nil {
				t.Error("the other node does not know the user")
			}
		})
	}
	there.other.Store(there.wire()) // and so on
	lost := dial(t, here.http, client.Options{Token: "user 3", Follow: true})
	var redirect *client.RedirectError
	if _, err := lost.Join(t.Context(), &wire.Join{Area: "elsewhere"}); !errors.As(err, &redirect) {
		t.Errorf("redirects without end: %v", err)
	}
	var o client.Options
	o.Token, o.Follow = "user 4", true
	h := listen(&o)
	moved := dial(t, here.tcp, o)
	if err := here.Drain(t.Context(), func(*gateway.Session) *wire.Place { return there.wire() }, 1000); err != nil {
		t.Fatal(err)
	}
	h.until(t, "it is at the other node", func() bool { return slices.Contains(h.turns, client.TurnAnew) })
	if there.Session(4) == nil || moved.Err() != nil {
		t.Errorf("after the drain: %v", moved.Err())
	}
}

// TestSocketKeepsAlive: a connection on which nobody says anything stays.
func TestSocketKeepsAlive(t *testing.T) {
	t.Parallel()
	p := start(t, func(c *game.GatewayConfig) { c.KeepAlive = time.Second })
	var o client.Options
	h := listen(&o)
	s := dial(t, p.http, o)
	<-time.After(4 * time.Second) // silence is what is tested: twice what ends a connection
	if _, err := s.CallBytes(t.Context(), "test.echo", nil); err != nil || len(h.turns) > 0 {
		t.Errorf("after a silence: %v, %v", err, h.turns)
	}
}
