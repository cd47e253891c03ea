package world_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
	"google.golang.org/protobuf/proto"
)

// told lists what a session was told of its friends.
func told(s *worldtest.Session) (list []string) {
	for _, f := range s.Read().Log {
		if p, ok := f.Message.(*wire.Presence); ok {
			list = append(list, fmt.Sprintf("%d %v %s", p.Uid, p.Online, p.Area))
		}
	}
	return list
}

func friends(t *testing.T, a *wire.Answer, m proto.Message) {
	t.Helper()
	if a.Fault != nil {
		t.Fatalf("fault: %v", a.Fault)
	}
	if err := wire.Parse(a.Body, m); err != nil {
		t.Fatal(err)
	}
}

func TestFriendsKnowOfEachOther(t *testing.T) {
	t.Parallel()
	places := &worldtest.Places{}
	inWorld(t, among(places), func(t *testing.T, r *rig) {
		a, b, c := r.user(1001), r.user(1002), r.user(1003)
		add := func(s *worldtest.Session, friend uint64) *wire.Friend {
			t.Helper()
			var f wire.Friend
			friends(t, r.call(s, "friends.add", &wire.FriendChange{Uid: friend}), &f)
			return &f
		}
		if f := add(a, 1002); f.Mutual || f.Online {
			t.Errorf("a friend who has not added the user: %v", f)
		}
		add(c, 1001) // one-sided: it is never told anything
		r.join(a, "plaza", 0)
		r.join(b, "plaza", 0)
		if got := append(append(told(a), told(b)...), told(c)...); len(got) != 0 {
			t.Fatalf("without mutual friends %v is told", got)
		}
		if f := add(b, 1001); !f.Mutual || !f.Online || f.Area != "plaza" {
			t.Errorf("a friend who has added the user, and is in the plaza: %v", f)
		}
		add(b, 1001)
		r.join(b, "garden", 0)
		r.do(b, wire.CmdLeave, &wire.Leave{})
		r.Closed(b, 0)
		synctest.Wait()
		want := "[1002 true plaza 1002 true garden 1002 true  1002 false ]"
		if got := fmt.Sprint(told(a)); got != want {
			t.Errorf("told %s\nwant %s", got, want)
		}
		if got := told(c); len(got) != 0 {
			t.Errorf("one who added somebody, and was not added, is told %v", got)
		}
		a.Read().Log = nil
		places.Say(world.Change{UID: 1002, Online: true, Copy: game.Copy{Area: "shop", Number: 4}})
		synctest.Wait()
		if got := fmt.Sprint(told(a)); got != "[1002 true shop]" {
			t.Errorf("of a friend on another node: %s", got)
		}
		b = r.user(1002) // comes back here
		time.Sleep(time.Second)
		synctest.Wait()
		var list wire.Friends
		friends(t, r.call(b, "friends.list", nil), &list)
		if len(list.Friends) != 1 || !list.Friends[0].Mutual || list.Friends[0].Area != "plaza" {
			t.Errorf("friends.list: %v", list.Friends)
		}
		r.call(a, "friends.remove", &wire.FriendChange{Uid: 1002})
		a.Read().Log = nil
		r.join(b, "garden", 0)
		if got := told(a); len(got) != 0 {
			t.Errorf("after the friend was removed, %v is told", got)
		}
		friends(t, r.call(b, "friends.list", nil), &list)
		if list.Friends[0].Mutual || list.Friends[0].Online {
			t.Errorf("a friend who took it back: %v", list.Friends)
		}
		r.fine(a, b, c)
	})
}

func TestFriendsAreBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(t *testing.T, r *rig) {
		a := r.user(1001)
		for _, uid := range []uint64{0, 1001, 1 << 63} {
			if f := r.call(a, "friends.add", &wire.FriendChange{Uid: uid}); f.Fault.GetKind() != "invalid" {
				t.Errorf("user %d as a friend: %v", uid, f)
			}
		}
		have := make([]game.UID, 499)
		for i := range have {
			have[i] = game.UID(5000 + i)
		}
		value, err := json.Marshal(have)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.entities.Put(t.Context(), entity.Write{UID: 1001, Name: "owned.friends", Value: value, Base: entity.AnyBase}); err != nil {
			t.Fatal(err)
		}
		for i := range uint64(2) {
			f := r.call(a, "friends.add", &wire.FriendChange{Uid: 9000 + i})
			if (f.Fault.GetKind() == "exhausted") != (i == 1) {
				t.Fatalf("friend %d: %v", 500+i, f.Fault)
			}
		}
		var list wire.Friends
		friends(t, r.call(a, "friends.list", nil), &list)
		if len(list.Friends) != 500 {
			t.Errorf("%d friends", len(list.Friends))
		}
		service := worldtest.As(game.Principal{Kind: game.ByService, Service: "shop"})
		r.Opened(service)
		for _, method := range []string{"friends.add", "friends.remove", "friends.list"} {
			if f := r.call(service, method, &wire.FriendChange{Uid: 1001}); f.Fault.GetKind() != "denied" {
				t.Errorf("%s of a service: %v", method, f)
			}
		}
		r.entities.FailWith(func(op string) error {
			if op == "put" {
				return game.Errorf(game.Conflict, "others write")
			}
			return nil
		})
		if f := r.call(a, "friends.remove", &wire.FriendChange{Uid: 5000}); f.Fault.GetKind() != "conflict" {
			t.Errorf("friends that others change all the time: %v", f)
		}
	})
}

// TestFriendsAreChangedAgainstOthers has somebody else write the list in between.
func TestFriendsAreChangedAgainstOthers(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(t *testing.T, r *rig) {
		a := r.user(1001)
		once := false
		r.entities.FailWith(func(op string) error {
			if op == "put" && !once {
				once = true
				_, err := r.entities.Put(t.Context(), entity.Write{UID: 1001, Name: "owned.friends", Value: []byte(`["7"]`), Base: entity.AnyBase})
				return err
			}
			return nil
		})
		r.call(a, "friends.add", &wire.FriendChange{Uid: 8})
		e, err := r.entities.Get(t.Context(), 1001, "owned.friends")
		if err != nil || string(e.Value) != `["7","8"]` {
			t.Errorf("friends %s, %v", e.Value, err)
		}
	})
}

func TestAreasList(t *testing.T) {
	t.Parallel()
	places := &worldtest.Places{Copies: []world.CopyAt{{Copy: game.Copy{Area: "plaza", Number: 9}, Place: &wire.Place{}, Avatars: 50, Capacity: 50}}}
	inWorld(t, among(places), func(t *testing.T, r *rig) {
		a := r.user(1001)
		r.join(a, "plaza", 0)
		r.join(r.user(1002), "made-up", 0)
		var list wire.Areas
		friends(t, r.call(a, "areas.list", nil), &list)
		got := ""
		for _, i := range list.Areas {
			got += fmt.Sprintf("%s %d %d/%d, ", i.Area, i.Copies, i.Avatars, i.Capacity)
		}
		if want := "garden 0 0/50, hut 0 0/2, made-up 1 1/1000, plaza 2 51/50, shop 0 0/50, "; got != want {
			t.Errorf("areas.list: %s\nwant %s", got, want)
		}
	})
}
