package world_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
)

// among makes a world among other nodes, with an area "hut" for two.
func among(places *worldtest.Places) func(*game.WorldConfig, *world.Deps) {
	return func(c *game.WorldConfig, d *world.Deps) {
		c.Areas = map[string]game.AreaPlan{"hut": {Width: 100, Height: 100, Capacity: 2}}
		c.Copies = 3
		d.Places = places
	}
}

func where(s *worldtest.Session) string {
	v := s.Read()
	if v.Area == "" {
		return ""
	}
	return game.Copy{Area: v.Area, Number: v.Copy}.String()
}

func TestTheFullestCopyWithRoomIsFilledFirst(t *testing.T) {
	t.Parallel()
	places := &worldtest.Places{}
	inWorld(t, among(places), func(t *testing.T, r *rig) {
		var users []*worldtest.Session
		for uid := range game.UID(5) {
			users = append(users, r.user(1001+uid))
			r.join(users[uid], "hut", 0)
		}
		var got []string
		for _, u := range users {
			got = append(got, where(u))
		}
		if want := []string{"hut.1", "hut.1", "hut.2", "hut.2", "hut.3"}; !slices.Equal(got, want) {
			t.Fatalf("five in huts for two are in %v, want %v", got, want)
		}
		r.Closed(users[0], 0)
		r.Closed(users[2], 0)
		r.Closed(users[3], 0) // 1 of hut.1 is left, none of hut.2, one of hut.3
		synctest.Wait()
		next := r.user(1010)
		r.join(next, "hut", 0)
		if where(next) != "hut.1" {
			t.Errorf("the next one is in %s, want the fullest with room, hut.1", where(next))
		}
		r.join(next, "hut", 3)
		if where(next) != "hut.3" || places.Full(game.Copy{Area: "hut", Number: 1}) != 1 {
			t.Errorf("who asks for a copy is in %s", where(next))
		}
		late := r.user(1011)
		r.join(late, "hut", 3)
		if f := last[*wire.Refused](t, late); f.Fault.Kind != game.Exhausted.String() {
			t.Errorf("a full copy that is asked for: %v", f)
		}
		r.join(r.user(1012), "hut", 2)
		r.join(late, "plaza", 0) // three copies run, and somebody is in each: the bound
		if f := last[*wire.Refused](t, late); f.Fault.Kind != game.Exhausted.String() {
			t.Errorf("a copy above the bound: %v", f)
		}
		r.fine(users[1], users[4], next)
		if at, online := places.At(1010); !online || at.Number != 3 {
			t.Errorf("other nodes were told that 1010 is in %v (%v)", at, online)
		}
		if at, online := places.At(1001); online {
			t.Errorf("other nodes were told that 1001 is in %v", at)
		}
	})
}

func TestEmptyCopiesMakeRoomForOthers(t *testing.T) {
	t.Parallel()
	inWorld(t, among(&worldtest.Places{}), func(t *testing.T, r *rig) {
		a := r.user(1001)
		for i := range 100 { // with room for three copies: somebody who opens and leaves does not lock the others out
			r.join(a, fmt.Sprintf("room%d", i), 0)
			if want := fmt.Sprintf("room%d.1", i); where(a) != want {
				t.Fatalf("join %d leads to %q: %v", i, where(a), a.Read().Log[len(a.Read().Log)-1])
			}
			time.Sleep(time.Millisecond)
		}
		var names []string
		for _, c := range r.Areas() {
			names = append(names, c.Copy.Area)
		}
		if want := []string{"room97", "room98", "room99"}; !slices.Equal(names, want) {
			t.Errorf("%v run, want those that were empty the shortest", names)
		}
		r.fine(a)
	})
}

func TestWhichCopyIsTheFullest(t *testing.T) {
	t.Parallel()
	there := &wire.Place{Node: "two"}
	places := &worldtest.Places{Copies: []world.CopyAt{
		{Copy: game.Copy{Area: "hall", Number: 7}, Place: there, Avatars: 2, Capacity: 4}, {Copy: game.Copy{Area: "hall", Number: 8}, Place: there, Avatars: 4, Capacity: 4},
	}}
	inWorld(t, func(c *game.WorldConfig, d *world.Deps) {
		c.Areas = map[string]game.AreaPlan{"hall": {Width: 100, Height: 100, Capacity: 4}}
		d.Places = places
	}, func(t *testing.T, r *rig) {
		uid := game.UID(1000)
		in := func(number uint32) *worldtest.Session {
			uid++
			s := r.user(uid)
			r.join(s, "hall", number)
			return s
		}
		for _, number := range []uint32{1, 2, 3, 4, 4, 4, 4} {
			in(number)
		}
		if to := last[*wire.Redirect](t, in(0)); to.Copy != 7 {
			t.Errorf("with one in each of ours and two in theirs, the join leads to %v", to)
		}
		in(2)
		if s := in(0); where(s) != "hall.2" {
			t.Errorf("with two in ours, the join leads to %q", where(s))
		}
		if s := in(0); where(s) != "hall.2" {
			t.Errorf("with three in hall.2, the join leads to %q", where(s))
		}
		if to := last[*wire.Redirect](t, in(0)); to.Copy != 7 {
			t.Errorf("with hall.2 full, the join leads to %v", to)
		}
	})
}

func TestEmptyCopiesCloseAndGiveTheirClaimBack(t *testing.T) {
	t.Parallel()
	places := &worldtest.Places{}
	inWorld(t, among(places), func(t *testing.T, r *rig) {
		a := r.user(1001)
		r.join(a, "hut", 2)
		time.Sleep(time.Minute)
		if len(r.Areas()) != 1 {
			t.Fatalf("a copy with somebody in it was closed")
		}
		r.do(a, wire.CmdLeave, &wire.Leave{})
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if len(r.Areas()) != 1 {
			t.Fatalf("a copy was closed before its time")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := places.Released(); len(r.Areas()) != 0 || !slices.Equal(got, []game.Copy{{Area: "hut", Number: 2}}) {
			t.Errorf("%d copies run, released %v", len(r.Areas()), got)
		}
		a.Read().Leave()
		r.join(a, "hut", 2)
		if where(a) != "hut.2" {
			t.Errorf("a copy cannot be opened again: %q", where(a))
		}
	})
}

func TestJoinsAreSentToWhereACopyRuns(t *testing.T) {
	t.Parallel()
	there := &wire.Place{Node: "two", Websocket: "ws://two/v1/socket"}
	hut := func(n uint32) game.Copy { return game.Copy{Area: "hut", Number: n} }
	places := &worldtest.Places{Copies: []world.CopyAt{{Copy: hut(1), Place: there, Avatars: 1, Capacity: 2}, {Copy: hut(7), Place: there, Avatars: 2, Capacity: 2}}}
	inWorld(t, among(places), func(t *testing.T, r *rig) {
		a := r.user(1001)
		for _, number := range []uint32{0, 1} {
			r.join(a, "hut", number)
			if to := last[*wire.Redirect](t, a); to.Place.GetNode() != "two" || to.Copy != 1 {
				t.Errorf("join %d: %v", number, to)
			}
		}
		places.Change(func() { places.Copies[0].Avatars = 2 })
		r.join(a, "hut", 0)
		if where(a) != "hut.2" {
			t.Errorf("with the others full, the join leads to %q, want the first number that is free", where(a))
		}
		b := r.user(1002)
		places.Change(func() {
			places.ClaimError = func(c game.Copy) error { return &world.ElsewhereError{Place: there, Copy: c} }
		})
		r.join(b, "hut", 5)
		if to := last[*wire.Redirect](t, b); to.Copy != 5 || to.Place.GetNode() != "two" {
			t.Errorf("a copy that another node has just claimed: %v", to)
		}
		places.Change(func() { places.ClaimError = func(game.Copy) error { return errors.New("no quorum") } })
		r.join(b, "hut", 6)
		if f := last[*wire.Refused](t, b); f.Fault.Kind != game.Unavailable.String() || f.Fault.RetryMs == 0 {
			t.Errorf("a claim that fails: %v", f)
		}
		if n := len(r.Areas()); n != 1 {
			t.Errorf("%d copies run, want 1", n)
		}
		r.do(b, wire.CmdWhisper, &wire.Whisper{Uid: 3001, Text: "x"})
		last[*wire.Refused](t, b)
		places.Say(world.Change{UID: 3001, Online: true})
		r.do(b, wire.CmdWhisper, &wire.Whisper{Uid: 3001, Text: "x"})
		last[*wire.Whispered](t, b)
		if got := places.Relayed(3001); !slices.Equal(got, []wire.Command{wire.CmdWhispered}) {
			t.Errorf("relayed %v", got)
		}
		places.Say(world.Change{UID: 1001, Online: true, Replaces: true})
		if c := a.Closing(); c == nil || c.Reason != wire.Reason_REASON_REPLACED {
			t.Errorf("a user that came in on another node: %v", c)
		}
	})
}

func TestALostClaimSendsEverybodyAway(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"lost", "fence"} {
		places := &worldtest.Places{}
		inWorld(t, among(places), func(t *testing.T, r *rig) {
			a, b := r.user(1001), r.user(1002)
			r.join(a, "hut", 0)
			r.join(b, "hut", 0)
			r.do(a, wire.CmdSetThing, &wire.SetThing{Name: "door", Value: []byte("open")})
			time.Sleep(2 * time.Second)
			synctest.Wait()
			puts := r.entities.Puts()
			if puts != 1 {
				t.Fatalf("%d writes of things, want 1", puts)
			}
			copy := game.Copy{Area: "hut", Number: 1}
			if how == "lost" {
				places.Lose(copy)
			} else { // another node has written with a newer fence
				_, err := r.entities.Put(t.Context(), entity.Write{UID: game.WorldUID, Name: "area.hut.1", Base: entity.AnyBase, Fence: 99})
				if err != nil {
					t.Fatal(err)
				}
				puts++
			}
			r.do(a, wire.CmdSetThing, &wire.SetThing{Name: "door", Value: []byte("shut")})
			time.Sleep(2 * time.Second)
			synctest.Wait()
			for _, s := range []*worldtest.Session{a, b} {
				found := false
				for _, f := range s.Read().Log {
					_, away := f.Message.(*wire.Away)
					found = found || away
				}
				if !found || where(s) != "" {
					t.Errorf("%s: %s is not told that it is nowhere", how, s.ID())
				}
			}
			if got := r.entities.Puts(); got != puts {
				t.Errorf("%s: %d writes after the claim was lost", how, got-puts)
			}
			if got := places.Released(); len(got) != 0 {
				t.Errorf("%s: a claim that is lost was given back", how)
			}
			if at, online := places.At(1001); !online || at != (game.Copy{}) {
				t.Errorf("%s: other nodes think that the user is in %v", how, at)
			}
			r.join(a, "hut", 2)
			if where(a) != "hut.2" {
				t.Errorf("%s: who joins anew is in %q", how, where(a))
			}
		})
	}
}

func TestThingsAreKept(t *testing.T) {
	t.Parallel()
	places := &worldtest.Places{}
	inWorld(t, among(places), func(t *testing.T, r *rig) {
		a := r.user(1001)
		r.join(a, "hut", 0)
		for i := range byte(100) {
			r.do(a, wire.CmdSetThing, &wire.SetThing{Name: "lamp", Value: []byte{i + 1}})
			time.Sleep(10 * time.Millisecond)
		}
		if n := r.entities.Puts(); n > 2 {
			t.Errorf("a hundred changes in a second made %d writes", n)
		}
		r.entities.FailWith(func(string) error { return game.Errorf(game.Unavailable, "away") })
		time.Sleep(3 * time.Second)
		r.entities.FailWith(nil)
		r.do(a, wire.CmdSetThing, &wire.SetThing{Name: "door", Value: []byte("open")})
		if err := r.Evict(t.Context(), game.Copy{Area: "hut", Number: 1}, "repairs"); err != nil {
			t.Fatal(err)
		}
		if away := last[*wire.Away](t, a); away.Text != "repairs" {
			t.Errorf("the member is told %v", away)
		}
		r.join(a, "hut", 1)
		if v := a.Read(); v.Things["lamp"] != "d" || v.Things["door"] != "open" {
			t.Errorf("after the copy was opened again it has %q", v.Things)
		}
		r.do(a, wire.CmdSetThing, &wire.SetThing{Name: "door"})
		if v := a.Read(); len(v.Things) != 1 {
			t.Errorf("a thing that was forgotten: %q", v.Things)
		}
		r.stop()
		e, err := r.entities.Get(t.Context(), game.WorldUID, "area.hut.1")
		if err != nil || e.Fence != 2 {
			t.Errorf("kept at the end: %+v, %v", e, err)
		}
		r.fine(a)
	})
}

func TestAreasForOperators(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(t *testing.T, r *rig) {
		a := r.user(1001)
		r.join(a, "plaza", 0)
		r.move(a, 5, 6, 1)
		time.Sleep(time.Second)
		list := r.Areas()
		if len(list) != 1 || list[0].Avatars != 1 || list[0].Capacity != 50 || list[0].Moves != 1 || list[0].Node != "one" {
			t.Errorf("Areas() = %+v", list)
		}
		c, err := r.Copy(game.Copy{Area: "plaza", Number: 1})
		if err != nil || len(c.Members) != 1 || c.Members[0].X != 5 || c.Members[0].Session != "s1001" {
			t.Errorf("Copy() = %+v, %v", c, err)
		}
		for _, err := range []error{r.Evict(t.Context(), game.Copy{Area: "plaza", Number: 2}, ""), func() error { _, err := r.Copy(game.Copy{}); return err }()} {
			if game.KindOf(err) != game.NotFound {
				t.Errorf("a copy that does not run: %v", err)
			}
		}
		if n, err := r.metrics.Gather(); err != nil || len(n) < 18 {
			t.Errorf("%d metrics, %v", len(n), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.CloseAll(ctx); err != nil {
			t.Fatal(err)
		}
		r.join(a, "plaza", 0)
		if f := last[*wire.Refused](t, a); f.Fault.Kind != game.Unavailable.String() {
			t.Errorf("a join after everything was closed: %v", f)
		}
	})
}
