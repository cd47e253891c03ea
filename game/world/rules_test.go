package world_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
)

// rules makes a world with handlers.
func rules(h *game.Handlers) func(*game.WorldConfig, *world.Deps) {
	return func(_ *game.WorldConfig, d *world.Deps) {
		d.Handlers = h
		d.CallsEach = 2
		d.Calls = func(_ context.Context, who game.Principal, method string, body []byte) ([]byte, bool, error) {
			switch method {
			case "points.account":
				return append([]byte(who.Name()+" "), body...), true, nil
			case "points.spend":
				return nil, true, game.Errorf(game.Insufficient, "you have 3")
			}
			return nil, false, nil
		}
	}
}

func (r *rig) asks(s *worldtest.Session, method string, want string, kind string) {
	r.t.Helper()
	a := r.call(s, method, &wire.Say{Text: "x"})
	if string(a.Body) != want || a.Fault.GetKind() != kind {
		r.t.Errorf("%s: %q, %v; want %q, kind %q", method, a.Body, a.Fault, want, kind)
	}
}

// dressing are rules that do all that rules may, and some that they may not.
func dressing() *game.Handlers {
	var h game.Handlers
	h.HandleInArea("dress.up", func(s game.Scene, a *game.Act) ([]byte, error) {
		s.Dress(a.Avatar.ID, "Hatter", []byte("hat"))
		s.Place(a.Avatar.ID, game.Pose{X: 7, Y: 8})
		return []byte(fmt.Sprint(s.Copy(), a.Who.UID, len(a.Body))), s.SetObject("rack", []byte("empty"))
	})
	h.HandleInArea("dress.torn", func(s game.Scene, a *game.Act) ([]byte, error) {
		s.Tell("rip", nil)
		panic("torn")
	})
	h.HandleInArea("dress.no", func(game.Scene, *game.Act) ([]byte, error) { return nil, game.Errorf(game.Denied, "no") })
	h.HandleInArea("dress.bad", func(game.Scene, *game.Act) ([]byte, error) { return nil, errors.New("secret") })
	h.Handle("app.where", func(_ context.Context, a *game.Act) ([]byte, error) { return []byte(a.Copy.Area + a.Avatar.Name), nil })
	h.Handle("app.panic", func(context.Context, *game.Act) ([]byte, error) { panic("torn") })
	h.Handle("app.slow", func(ctx context.Context, _ *game.Act) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
	h.Handle("app.large", func(context.Context, *game.Act) ([]byte, error) { return make([]byte, wire.LimitServer), nil })
	h.HandleCommand(2000, func(s game.Scene, a *game.Act) ([]byte, error) {
		if len(a.Body) == 0 {
			return nil, game.Errorf(game.Invalid, "empty")
		}
		s.Tell("poke", bytes.Clone(a.Body))
		return []byte("dropped"), nil
	})
	return &h
}

func TestRulesAnswerCalls(t *testing.T) {
	t.Parallel()
	inWorld(t, rules(dressing()), func(t *testing.T, r *rig) {
		a, b := r.user(1001), r.user(1002)
		r.asks(a, "dress.up", "", "not found")
		r.asks(a, "app.where", "", "")
		r.join(a, "plaza", 0)
		r.join(b, "plaza", 0)
		r.asks(a, "dress.up", "plaza.1 1001 3", "")
		time.Sleep(time.Second)
		synctest.Wait()
		v := b.Read()
		if seen := v.Avatars[1]; seen.Name != "Hatter" || string(seen.Look) != "hat" || seen.Pose.X != 7 || v.Things["rack"] != "empty" {
			t.Errorf("the other one sees %+v, %v", seen, v.Things)
		}
		r.asks(a, "app.where", "plazaHatter", "")
		r.asks(a, "dress.no", "", "denied")
		r.asks(a, "dress.bad", "", "internal")
		r.asks(a, "dress.torn", "", "internal")
		r.asks(a, "app.panic", "", "internal")
		r.asks(a, "dress.up", "plaza.1 1001 3", "")
		r.asks(a, "points.account", "user 1001 \n\x01x", "")
		r.asks(a, "points.spend", "", "insufficient")
		r.asks(a, "no.method", "", "not found")
		r.asks(a, "app.large", "", "too large")
		r.Handle(a, 2000, []byte("nose"))
		synctest.Wait()
		if heard := b.Read().Heard; len(heard) != 2 || heard[0] != "event rip " || heard[1] != "event poke nose" {
			t.Errorf("the other one hears %q", heard)
		}
		a.Receive(42)
		r.Handle(a, 2000, nil)
		synctest.Wait()
		if f := last[*wire.Refused](t, a); f.Command != 2000 || f.Fault.Kind != "invalid" || f.Seq != 0 {
			t.Errorf("a command whose rule refuses: %v", f)
		}
		r.do(a, wire.CmdSay, &wire.Say{})
		if f := last[*wire.Refused](t, a); f.Seq != 42 {
			t.Errorf("a reliable command that is refused: %v, want its number 42", f)
		}
		r.fine(a, b)
		if n := r.metric("rule_panics_total"); n != 2 {
			t.Errorf("%v panics are counted, want 2", n)
		}
		log := r.log.String()
		for what, want := range map[string]int{"a rule of the application panicked": 2, "rule=dress.torn": 1, "a method failed": 1, "secret": 1} {
			if got := strings.Count(log, what); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", what, got, want, log)
			}
		}
	})
}

func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	var h game.Handlers
	release := make(chan struct{})
	h.Handle("app.wait", func(ctx context.Context, _ *game.Act) ([]byte, error) {
		select {
		case <-release:
			return []byte("done"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	inWorld(t, rules(&h), func(t *testing.T, r *rig) {
		release = make(chan struct{}) // of the bubble
		a := r.user(1001)
		body, _ := wire.Body(&wire.Call{Id: 1, Method: "app.wait"})
		handled := make(chan int, 3)
		go func() {
			for i := range 3 {
				r.Handle(a, wire.CmdCall, body)
				handled <- i
			}
		}()
		synctest.Wait()
		if len(handled) != 2 {
			t.Fatalf("%d calls of a session that may have two are in work", len(handled))
		}
		close(release)
		synctest.Wait()
		if len(handled) != 3 || len(a.Read().Log) != 3 {
			t.Errorf("%d calls were taken, %d answered", len(handled), len(a.Read().Log))
		}
		release = make(chan struct{})
		b := r.user(1002)
		r.do(b, wire.CmdCall, &wire.Call{Id: 1, Method: "app.wait"})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if f := last[*wire.Answer](t, b); f.Fault.GetKind() != "unavailable" || !f.Fault.Doubt {
			t.Errorf("a call that takes too long: %v", f)
		}
	})
}

func TestCallsOfAllSessionsAreBounded(t *testing.T) {
	t.Parallel()
	var h game.Handlers
	h.Handle("app.wait", func(ctx context.Context, _ *game.Act) ([]byte, error) { <-ctx.Done(); return nil, nil })
	inWorld(t, func(_ *game.WorldConfig, d *world.Deps) { d.Handlers, d.CallsEach = &h, 10_000 }, func(t *testing.T, r *rig) {
		a := r.user(1001)
		most := int(r.metric("calls_max"))
		body := bodyOf(&wire.Call{Id: 1, Method: "app.wait"})
		for range most {
			r.Handle(a, wire.CmdCall, body)
		}
		synctest.Wait()
		if len(a.Read().Log) != 0 || int(r.metric("calls")) != most {
			t.Fatalf("%d of %d calls are answered, %v in work", len(a.Read().Log), most, r.metric("calls"))
		}
		r.do(a, wire.CmdCall, &wire.Call{Id: 7, Method: "app.wait"})
		if f := last[*wire.Answer](t, a); f.Id != 7 || f.Fault.GetKind() != "unavailable" || f.Fault.RetryMs == 0 {
			t.Errorf("a call above the bound: %v", f)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(a.Read().Log); n != most+1 || r.metric("calls") != 0 {
			t.Errorf("%d answers, %v calls in work", n, r.metric("calls"))
		}
	})
}

// tally counts what became of calls and words.
func tally(t *testing.T, users []*worldtest.Session) (answers, faults, said, refused int) {
	t.Helper()
	for _, u := range users {
		for _, f := range u.Read().Log {
			switch m := f.Message.(type) {
			case *wire.Answer:
				if answers++; m.Fault != nil {
					faults++
				}
			case *wire.Said:
				said++
			case *wire.Refused:
				if refused++; m.Fault.Kind != "unavailable" {
					t.Fatalf("refused: %v", m)
				}
			}
		}
	}
	return answers, faults, said, refused
}

// TestOverload gives an area three times what it can do: calls that take it 10 ms each, and moves.
func TestOverload(t *testing.T) {
	t.Parallel()
	var h game.Handlers
	h.HandleInArea("app.work", func(game.Scene, *game.Act) ([]byte, error) {
		time.Sleep(10 * time.Millisecond) // of virtual time: what a rule must not do
		return nil, nil
	})
	inWorld(t, rules(&h), func(t *testing.T, r *rig) {
		const people, steps = 10, 5000
		var users []*worldtest.Session
		for uid := range game.UID(people) {
			users = append(users, r.user(1001+uid))
			r.join(users[uid], "plaza", 0)
		}
		call, _ := wire.Body(&wire.Call{Id: 1, Method: "app.work"})
		say, _ := wire.Body(&wire.Say{Text: "x"})
		calls, says := 0, 0
		for i := range steps { // 17 s with 300 calls a second, and 10 moves a second of each
			u := users[i%people]
			r.Handle(u, wire.CmdCall, call)
			calls++
			if i%30 == 0 {
				r.Handle(u, wire.CmdSay, say)
				says++
			}
			r.move(u, uint16(i), 5, uint16(i))
			time.Sleep(time.Second / 300)
		}
		for range 10 { // so that nothing is free at this very moment
			r.Handle(users[0], wire.CmdCall, call)
			calls++
		}
		if told := users[9].Read(); told.Avatars[1].Step < steps-100 {
			t.Errorf("while the area has too much to do, moves are told that are old: step %d of %d", told.Avatars[1].Step, steps)
		}
		late := r.user(2001)
		r.Handle(late, wire.CmdJoin, bodyOf(&wire.Join{Area: "plaza"}))
		if f := last[*wire.Refused](t, late); f.Fault.Kind != "unavailable" {
			t.Errorf("a join into an area that has too much to do: %v", f)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		answers, faults, said, refused := tally(t, users)
		for i, u := range users {
			seen := u.Read().Avatars[game.AvatarID(i+1)]
			if want := uint16(steps - people + i); seen.Pose.X != min(want, 1599) || seen.Step != want {
				t.Errorf("after the overload the last move of %d is not known: %v", i, seen)
			}
		}
		if answers != calls || faults == 0 || faults == calls {
			t.Errorf("%d calls, %d answers, %d refused", calls, answers, faults)
		}
		if said/people+refused != says || refused == 0 {
			t.Errorf("%d said, heard %d times by each, %d refused", says, said/people, refused)
		}
		r.do(users[0], wire.CmdSay, &wire.Say{Text: "again"})
		if s := last[*wire.Said](t, users[9]); s.Text != "again" {
			t.Errorf("after the overload: %v", s)
		}
		r.asks(users[0], "app.where", "", "not found")
		r.fine(users...)
	})
}

func TestAdmitJudgesWhoEnters(t *testing.T) {
	t.Parallel()
	inWorld(t, func(_ *game.WorldConfig, d *world.Deps) {
		d.Admit = func(_ context.Context, act *game.Act, avatar *game.Avatar) error {
			if act.Copy.Area == "garden" {
				return game.Errorf(game.Denied, "the garden is closed to %v", act.Who.UID)
			}
			avatar.Name, avatar.Look = "Sir "+avatar.Name, []byte("crown")
			return nil
		}
	}, func(t *testing.T, r *rig) {
		a := r.user(1001)
		r.do(a, wire.CmdJoin, &wire.Join{Area: "plaza", Name: "Aki", Look: []byte("rags")})
		if e := last[*wire.Entered](t, a).Members[0]; e.Name != "Sir Aki" || string(e.Look) != "crown" {
			t.Errorf("entered as %v", e)
		}
		r.join(a, "shop", 0)
		if e := last[*wire.Entered](t, a).Members[0]; e.Name != "Sir Aki" {
			t.Errorf("entered another area as %v: the name that was asked for is admitted anew", e)
		}
		r.join(a, "plaza", 0)
		r.join(a, "garden", 0)
		if f := last[*wire.Refused](t, a); f.Fault.Kind != "denied" || where(a) != "plaza.1" {
			t.Errorf("a garden that is closed: %v, in %q", f, where(a))
		}
	})
}

func TestALaterSessionReplacesAndACutOneGoesOn(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(t *testing.T, r *rig) {
		a, b := r.user(1001), r.user(1002)
		r.do(a, wire.CmdJoin, &wire.Join{Area: "plaza", Name: "Aki"})
		r.join(b, "plaza", 0)
		a.Read()
		a.Cut()
		r.Cut(a)
		r.move(b, 9, 9, 1)
		r.do(b, wire.CmdSay, &wire.Say{Text: "are you there"})
		time.Sleep(time.Second)
		a.Resume()
		r.Resumed(a)
		time.Sleep(time.Second)
		synctest.Wait()
		v := a.Read()
		if v.Avatars[2].Pose.X != 9 || len(v.Heard) != 1 || v.Again != 0 {
			t.Errorf("after a resume: %+v, heard %q", v.Avatars[2], v.Heard)
		}
		r.join(a, "garden", 0)
		if v := a.Read(); where(a) != "garden.1" || v.Avatars[v.Own].Name != "Aki" {
			t.Errorf("in another area as %v in %q", v.Avatars[v.Own], where(a))
		}
		last[*wire.Gone](t, b)
		again := r.user(1001)
		if c := a.Closing(); c == nil || c.Reason != wire.Reason_REASON_REPLACED {
			t.Errorf("the earlier session: %v", c)
		}
		r.Closed(a, wire.Reason_REASON_REPLACED)
		r.join(again, "garden", 0)
		if v := again.Read(); len(v.Avatars) != 1 || r.Online(1001) != world.Member(again) {
			t.Errorf("the later session sees %d avatars", len(v.Avatars))
		}
		r.Closed(again, 0)
		if r.Online(1001) != nil {
			t.Errorf("a user who has gone is online")
		}
		r.fine(a, b, again)
	})
}
