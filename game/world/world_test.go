package world_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
)

// rig is a world in virtual time with what it stands on.
type rig struct {
	*world.World
	t        *testing.T
	entities *worldtest.Entities
	metrics  *prometheus.Registry
	log      strings.Builder
	mu       sync.Mutex
	events   []world.Event
	stop     func()
}

// inWorld runs a test in a bubble with virtual time.
func inWorld(t *testing.T, change func(*game.WorldConfig, *world.Deps), test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, entities: &worldtest.Entities{}, metrics: prometheus.NewRegistry()}
		cfg := game.DefaultWorld()
		deps := world.Deps{Registerer: r.metrics, Entities: r.entities, Node: "one", Events: r.hear}
		deps.Log = slog.New(slog.NewTextHandler(&r.log, nil))
		if change != nil {
			change(&cfg, &deps)
		}
		w, err := world.New(cfg, deps)
		if err != nil {
			t.Fatal(err)
		}
		r.World = w
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		r.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
		defer r.stop()
		test(t, r)
	})
}

func (r *rig) hear(e world.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// heard lists the types and subjects of events.
func (r *rig) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.events {
		list = append(list, e.Type+" "+e.Subject)
	}
	return list
}

// user opens a session.
func (r *rig) user(uid game.UID) *worldtest.Session {
	s := worldtest.User(uid)
	r.Opened(s)
	return s
}

// do gives a command with a message, and waits until all is quiet.
func (r *rig) do(s *worldtest.Session, cmd wire.Command, m proto.Message) {
	r.t.Helper()
	body, err := wire.Body(m)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Handle(s, cmd, body)
	synctest.Wait()
}

func (r *rig) join(s *worldtest.Session, area string, number uint32) {
	r.t.Helper()
	r.do(s, wire.CmdJoin, &wire.Join{Area: area, Copy: number})
}

func (r *rig) move(s *worldtest.Session, x, y, step uint16) {
	r.Handle(s, wire.CmdMove, wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: x, Y: y}, Step: step}))
}

// last is the last reliable frame of a session.
func last[M proto.Message](t *testing.T, s *worldtest.Session) M {
	t.Helper()
	v := s.Read()
	if len(v.Log) == 0 {
		t.Fatalf("session %s was told nothing", s.ID())
	}
	m, ok := v.Log[len(v.Log)-1].Message.(M)
	if !ok {
		t.Fatalf("the last frame of session %s is %v, want %T", s.ID(), v.Log[len(v.Log)-1].Message, m)
	}
	return m
}

// call calls a method, and waits for the answer.
func (r *rig) call(s *worldtest.Session, method string, m proto.Message) *wire.Answer {
	r.t.Helper()
	var body []byte
	if m != nil {
		body, _ = wire.Body(m)
	}
	r.do(s, wire.CmdCall, &wire.Call{Id: 7, Method: method, Body: body})
	a := last[*wire.Answer](r.t, s)
	if a.Id != 7 {
		r.t.Errorf("%s: answer %d, want 7", method, a.Id)
	}
	return a
}

// metric sums the values of a counter or gauge.
func (r *rig) metric(name string) (sum float64) {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kamado_game_world_"+name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (r *rig) fine(sessions ...*worldtest.Session) {
	r.t.Helper()
	for _, s := range sessions {
		if v := s.Read(); len(v.Faults) > 0 {
			r.t.Errorf("session %s: %v", s.ID(), v.Faults)
		}
	}
}

func TestTwoMeetWalkAndTalk(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(t *testing.T, r *rig) {
		a, b := r.user(1001), r.user(1002)
		r.do(a, wire.CmdJoin, &wire.Join{Area: "plaza", Name: " Aki ", At: true, X: 100, Y: 9999})
		r.join(b, "plaza", 0)
		v := a.Read()
		if v.Area != "plaza" || v.Copy != 1 || len(v.Avatars) != 2 {
			t.Fatalf("the first sees %d avatars in %s.%d", len(v.Avatars), v.Area, v.Copy)
		}
		if own := v.Avatars[v.Own]; own.Name != "Aki" || own.Pose.X != 100 || own.Pose.Y != 1199 {
			t.Errorf("the first is %q at %v", own.Name, own.Pose)
		}
		if e := last[*wire.Entered](t, b); e.Width != 1600 || e.TickMs != 50 || e.Members[1].Name != "guest 1002" || e.Again {
			t.Errorf("the second is told %v", e)
		}
		for step := range uint16(10) {
			r.move(a, 200+step, 300, step)
		}
		r.Handle(a, wire.CmdEmote, wire.AppendEmote(nil, wire.Emote{Emote: 2}))
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		for _, s := range []*worldtest.Session{a, b} {
			seen := s.Read().Avatars[v.Own]
			if seen.Pose.X != 209 || seen.Step != 9 || len(s.Read().Emotes) != 1 {
				t.Errorf("%s sees %v, step %d, emotes %v", s.ID(), seen.Pose, seen.Step, s.Read().Emotes)
			}
		}
		if n := b.Read().Changes; n != 1 && n != 2 {
			t.Errorf("ten moves were told in %d changes: the last one of a tick wins", n)
		}
		r.do(b, wire.CmdSay, &wire.Say{Text: "  hello "})
		for _, s := range []*worldtest.Session{a, b} {
			if said := last[*wire.Said](t, s); said.Text != "hello" || said.Uid != 1002 || said.Name != "guest 1002" {
				t.Errorf("%s hears %v", s.ID(), said)
			}
		}
		r.do(b, wire.CmdWhisper, &wire.Whisper{Uid: 1001, Text: "psst"})
		if got := last[*wire.Whispered](t, a); got.Text != "psst" || got.From != 1002 {
			t.Errorf("the first hears %v", got)
		}
		last[*wire.Whispered](t, b)
		r.do(b, wire.CmdLeave, &wire.Leave{})
		b.Read().Leave()
		if last[*wire.Gone](t, a); len(a.Read().Avatars) != 1 {
			t.Errorf("somebody who has left is still seen")
		}
		r.fine(a, b)
		for name, want := range map[string]float64{"copies": 1, "avatars": 1, "enters_total": 2, "chat_total": 2, "moves_total": 1, "deliveries_total": 1, "rounds_total": 1} {
			if got := r.metric(name); got != want {
				t.Errorf("metric %s is %v, want %v", name, got, want)
			}
		}
		want := []string{"world.enter 1001", "world.enter 1002", "chat.say 1002", "chat.whisper 1002", "world.leave 1002"}
		if got := r.heard(); !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *game.WorldConfig, d *world.Deps) {
		c.Open = false
		c.HiddenWords = []string{"darn"}
	}, func(t *testing.T, r *rig) {
		a, b := r.user(1001), r.user(1002)
		r.join(b, "plaza", 0)
		muted := worldtest.As(game.Principal{Kind: game.ByUser, UID: 1003, MutedUntil: time.Now().Add(time.Hour)})
		r.Opened(muted)
		r.join(muted, "plaza", 0)
		service := worldtest.As(game.Principal{Kind: game.ByService, Service: "shop"})
		r.Opened(service)
		for _, c := range []struct {
			name string
			s    *worldtest.Session
			cmd  wire.Command
			m    proto.Message
			kind game.Kind
		}{
			{"an area that is none", a, wire.CmdJoin, &wire.Join{Area: "nowhere"}, game.NotFound},
			{"an area with an odd name", a, wire.CmdJoin, &wire.Join{Area: "../x"}, game.Invalid},
			{"a copy that cannot be", a, wire.CmdJoin, &wire.Join{Area: "plaza", Copy: game.CopiesMax + 1}, game.Invalid},
			{"a name that is too long", a, wire.CmdJoin, &wire.Join{Area: "plaza", Name: strings.Repeat("x", 25)}, game.Invalid},
			{"a look that is too large", a, wire.CmdJoin, &wire.Join{Area: "plaza", Look: make([]byte, game.LookBytesMax+1)}, game.Invalid},
			{"talk from nowhere", a, wire.CmdSay, &wire.Say{Text: "x"}, game.NotFound},
			{"nothing said", b, wire.CmdSay, &wire.Say{Text: " "}, game.Invalid},
			{"a leave from nowhere", a, wire.CmdLeave, &wire.Leave{}, game.NotFound},
			{"a whisper to nobody", b, wire.CmdWhisper, &wire.Whisper{Uid: 9999, Text: "x"}, game.NotFound},
			{"a whisper to no user", b, wire.CmdWhisper, &wire.Whisper{Text: "x"}, game.Invalid},
			{"talk of a muted user", muted, wire.CmdSay, &wire.Say{Text: "x"}, game.Denied},
			{"a whisper of a muted user", muted, wire.CmdWhisper, &wire.Whisper{Uid: 1002, Text: "x"}, game.Denied},
			{"a thing without a name", b, wire.CmdSetThing, &wire.SetThing{Value: []byte("x")}, game.Invalid},
			{"a thing from nowhere", a, wire.CmdSetThing, &wire.SetThing{Name: "x"}, game.NotFound},
			{"a service that joins", service, wire.CmdJoin, &wire.Join{Area: "plaza"}, game.Denied},
			{"a command that nobody knows", b, 5000, &wire.Leave{}, game.Invalid},
		} {
			r.do(c.s, c.cmd, c.m)
			got := last[*wire.Refused](t, c.s)
			if got.Fault.GetKind() != c.kind.String() || got.Command != uint32(c.cmd) || got.Fault.Detail == "" {
				t.Errorf("%s: %v, want %v", c.name, got, c.kind)
			}
		}
		r.do(b, wire.CmdSay, &wire.Say{Text: "darn it"})
		if said := last[*wire.Said](t, b); said.Text != "**** it" {
			t.Errorf("a hidden word is said: %v", said)
		}
		r.do(b, wire.CmdJoin, &wire.Join{Area: "plaza", Name: "darn"})
		if v := b.Read(); v.Avatars[v.Own].Name != "****" {
			t.Errorf("a hidden word is a name: %v", v.Avatars[v.Own].Name)
		}
		r.Handle(b, wire.CmdMove, []byte{1, 2})
		if c := b.Closing(); c == nil || c.Reason != wire.Reason_REASON_INVALID {
			t.Errorf("a move of two bytes: %v", c)
		}
		r.Handle(a, wire.CmdJoin, []byte{0xff})
		if c := a.Closing(); c == nil || c.Reason != wire.Reason_REASON_INVALID {
			t.Errorf("a join that is none: %v", c)
		}
	})
}

func TestFaultsAreComplete(t *testing.T) {
	t.Parallel()
	for _, kind := range game.Kinds() {
		f := world.FaultOf(fmt.Errorf("do: %w", &game.Error{Op: "op", Kind: kind, Detail: "detail", Err: game.RetryAfter(3 * time.Second), Doubt: true}))
		if f.Kind != kind.String() || !f.Doubt || f.RetryMs != 3000 {
			t.Errorf("%v: %v", kind, f)
		}
		if (kind == game.Internal) == (f.Detail == "detail") {
			t.Errorf("%v: detail %q", kind, f.Detail)
		}
		if plain := world.FaultOf(game.Errorf(kind, "x")); (plain.RetryMs > 0) != (kind == game.Limited || kind == game.Unavailable) {
			t.Errorf("%v: retry after %d ms", kind, plain.RetryMs)
		}
	}
	if f := world.FaultOf(context.DeadlineExceeded); f.Kind != "unavailable" || !f.Doubt {
		t.Errorf("a timeout is %v", f)
	}
}
