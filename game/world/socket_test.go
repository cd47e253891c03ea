package world_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
	"google.golang.org/protobuf/proto"
)

// behind is a world as the gateway wants it, with the gateway's own sessions.
type behind struct{ w *world.World }

func (b *behind) Opened(s *gateway.Session)                                { b.w.Opened(s) }
func (b *behind) Handle(s *gateway.Session, cmd wire.Command, body []byte) { b.w.Handle(s, cmd, body) }
func (b *behind) Cut(s *gateway.Session)                                   { b.w.Cut(s) }
func (b *behind) Resumed(s *gateway.Session)                               { b.w.Resumed(s) }
func (b *behind) Closed(s *gateway.Session, why wire.Reason)               { b.w.Closed(s, why) }

// tokens knows "user N".
type tokens struct{ gateway.Identity }

func (tokens) Authenticate(_ context.Context, token string) (game.Principal, error) {
	p := game.Principal{Kind: game.ByUser, Session: "s", Expires: time.Now().Add(time.Hour)}
	if _, err := fmt.Sscanf(token, "user %d", &p.UID); err != nil {
		return game.Principal{}, game.Errorf(game.Unauthenticated, "no token")
	}
	return p, nil
}

// socket is a client on a connection of its own.
type socket struct {
	t    *testing.T
	addr string
	uid  game.UID

	mu      sync.Mutex
	nc      net.Conn
	view    *worldtest.View
	welcome *wire.Welcome
	got     uint64 // last reliable frame
	sent    uint64
	reading chan struct{} // closed when the connection is over
}

// dial connects and logs in; with a Welcome it takes the lost session up again.
func (s *socket) dial() {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	hello := &wire.Hello{Protocol: 1, Token: fmt.Sprintf("user %d", s.uid)}
	s.mu.Lock()
	if s.welcome != nil {
		hello.Resume, hello.Received = s.welcome.Resume, s.got
	}
	s.nc, s.welcome, s.reading = nc, nil, make(chan struct{})
	s.mu.Unlock()
	b, err := wire.AppendMessage([]byte(wire.Magic), wire.CmdHello, 0, hello)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(b)
	go s.read(nc, s.reading)
	s.until("welcome", func(*worldtest.View) bool { return s.welcome != nil })
}

func (s *socket) write(b []byte) {
	s.t.Helper()
	if _, err := s.nc.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) read(nc net.Conn, over chan struct{}) {
	defer close(over)
	split := wire.Splitter{Limit: wire.LimitServer}
	b := make([]byte, 4096)
	for {
		n, err := nc.Read(b)
		if err != nil {
			return
		}
		for f, err := range split.Frames(b[:n]) {
			if err != nil {
				s.t.Errorf("user %v: %v", s.uid, err)
				return
			}
			s.frame(f)
		}
	}
}

func (s *socket) frame(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Command {
	case wire.CmdMoves, wire.CmdEmoted, wire.CmdFar:
		s.view.Shown(f.Command, f.Body)
	case wire.CmdWelcome:
		s.welcome = &wire.Welcome{}
		wire.Parse(f.Body, s.welcome) //nolint:errcheck // an empty one fails the test later
	default:
		if !f.Command.Reliable() {
			return
		}
		seq, body, err := wire.SplitSeq(f.Body)
		if err != nil || seq > s.got+1 {
			s.t.Errorf("user %v: frame %d after %d, %v", s.uid, seq, s.got, err)
		}
		if seq == s.got+1 {
			s.got = seq
			s.view.Told(f.Command, slices.Clone(body))
		}
	}
}

func (s *socket) tell(cmd wire.Command, m proto.Message) {
	s.t.Helper()
	s.sent++
	b, err := wire.AppendMessage(nil, cmd, s.sent, m)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(b)
}

func (s *socket) walk(x, step uint16) {
	s.t.Helper()
	s.write(wire.AppendFrame(nil, wire.CmdMove, wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: x, Y: 1}, Step: step})))
}

// until waits for what a client knows.
func (s *socket) until(what string, ok func(*worldtest.View) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		done := ok(s.view)
		s.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("user %v: no %s in 30 s", s.uid, what)
		}
	}
}

// TestOverSockets has two meet over the real gateway, one of which loses its connection.
func TestOverSockets(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	w, err := world.New(game.DefaultWorld(), world.Deps{Log: log, Entities: &worldtest.Entities{}, Node: "one"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(game.DefaultGateway(), gateway.Deps{Log: log, Host: &behind{w}, Identity: tokens{}, Node: "one"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{w.Run, g.Run, func(ctx context.Context) error { return g.ServeTCP(ctx, l) }} {
		parts.Go(func() { run(ctx) }) //nolint:errcheck // what matters is told to the clients
	}
	t.Cleanup(func() { cancel(); parts.Wait() })

	users := make([]*socket, 2)
	for i := range users {
		users[i] = &socket{t: t, addr: l.Addr().String(), uid: game.UID(1001 + i), view: worldtest.NewView()}
		users[i].dial()
		users[i].tell(wire.CmdJoin, &wire.Join{Area: "plaza", At: true})
		users[i].until("entry", func(v *worldtest.View) bool { return v.Area == "plaza" })
	}
	a, b := users[0], users[1]
	a.walk(100, 1)
	b.until("move", func(v *worldtest.View) bool { return v.Avatars[1].Pose.X == 100 })
	a.until("own move", func(v *worldtest.View) bool { return v.Avatars[1].Step == 1 })

	b.nc.Close()
	<-b.reading
	a.walk(200, 2)
	a.tell(wire.CmdSay, &wire.Say{Text: "one"})
	a.tell(wire.CmdSay, &wire.Say{Text: "two"})
	a.until("own words", func(v *worldtest.View) bool { return len(v.Heard) == 2 })
	a.until("own move", func(v *worldtest.View) bool { return v.Avatars[1].Step == 2 })
	b.dial()
	if !b.welcome.Resumed {
		t.Fatalf("the session was not taken up again: %v", b.welcome)
	}
	b.until("what it missed", func(v *worldtest.View) bool { return v.Avatars[1].Pose.X == 200 && len(v.Heard) == 2 })
	b.until("no entry anew", func(v *worldtest.View) bool {
		return len(v.Avatars) == 2 && v.Again == 0 && v.Heard[1] == "1001 says two"
	})
	for _, u := range users {
		u.mu.Lock()
		if len(u.view.Faults) > 0 {
			t.Errorf("user %v: %v", u.uid, u.view.Faults)
		}
		u.mu.Unlock()
	}
}
