package world_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
	"google.golang.org/protobuf/proto"
)

// FuzzHandle gives a world with three members whatever clients may send: a row of a member, a command (two bytes), a length, and a body.
// In the end all that are still connected know the same.
func FuzzHandle(f *testing.F) {
	f.Add(script(
		step(0, wire.CmdJoin, bodyOf(&wire.Join{Area: "plaza", Name: "Aki"})), step(1, wire.CmdJoin, bodyOf(&wire.Join{Area: "plaza"})),
		step(0, wire.CmdMove, wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: 5}})), step(1, wire.CmdSay, bodyOf(&wire.Say{Text: "x"})),
	))
	f.Add(script(
		step(0, wire.CmdCall, bodyOf(&wire.Call{Id: 1, Method: "friends.add", Body: bodyOf(&wire.FriendChange{Uid: 1001})})),
		step(1, wire.CmdJoin, bodyOf(&wire.Join{Area: "x", Copy: 3, At: true, X: 1 << 20})), step(1, 0, nil), step(1, 1, nil),
		step(1, wire.CmdSetThing, bodyOf(&wire.SetThing{Name: "x", Value: []byte("y")})), step(1, wire.CmdLeave, nil), step(2, 2, nil),
	))
	f.Add(script(step(2, wire.CmdJoin, bodyOf(&wire.Join{Area: "plaza"})), step(2, wire.CmdEmote, make([]byte, 8)), step(2, wire.CmdFace, make([]byte, 8)), step(2, 2000, []byte("x"))))
	f.Add(script(step(0, wire.CmdWhisper, bodyOf(&wire.Whisper{Uid: 1002, Text: "\u202e"})), step(0, wire.CmdMove, []byte{1}), step(0, wire.CmdJoin, []byte{0xff, 0xff})))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { fuzzWorld(t, data) })
	})
}

func bodyOf(m proto.Message) []byte {
	b, err := wire.Body(m)
	if err != nil {
		panic(err)
	}
	return b
}

// step is one frame. Commands 0 to 2 cut a session, resume it, and close it.
func step(who byte, cmd wire.Command, body []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{who}, uint16(cmd))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

func script(steps ...[]byte) (b []byte) {
	for _, s := range steps {
		b = append(b, s...)
	}
	return b
}

func fuzzWorld(t *testing.T, data []byte) {
	var h game.Handlers
	h.HandleCommand(2000, func(s game.Scene, a *game.Act) ([]byte, error) { return nil, s.SetObject(string(a.Body), a.Body) })
	cfg := game.DefaultWorld()
	cfg.Copies = 4
	w, err := world.New(cfg, world.Deps{Log: slog.New(slog.DiscardHandler), Entities: &worldtest.Entities{}, Node: "one", Handlers: &h})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	users := make([]*worldtest.Session, 3)
	cut := make([]bool, len(users))
	for i := range users {
		users[i] = worldtest.User(game.UID(1001 + i))
		w.Opened(users[i])
	}
	for range 200 {
		if len(data) < 5 {
			break
		}
		i, cmd, n := int(data[0])%len(users), wire.Command(binary.LittleEndian.Uint16(data[1:])), int(binary.LittleEndian.Uint16(data[3:]))
		body := data[5:min(5+n, len(data))]
		data = data[min(5+n, len(data)):]
		switch {
		case cmd == 0 && !cut[i]:
			cut[i] = true
			users[i].Cut()
			w.Cut(users[i])
		case cmd == 1 && cut[i]:
			cut[i] = false
			users[i].Resume()
			w.Resumed(users[i])
		case cmd == 2 || users[i].Closing() != nil:
			w.Closed(users[i], 0)
			users[i], cut[i] = worldtest.User(users[i].UID()), false
			w.Opened(users[i])
		case !cut[i]:
			w.Handle(users[i], cmd, body)
			synctest.Wait()
			if cmd == wire.CmdLeave {
				users[i].Read().Leave()
			}
		}
	}
	for i, u := range users {
		if cut[i] {
			u.Resume()
			w.Resumed(u)
		}
	}
	time.Sleep(time.Second)
	synctest.Wait()
	fuzzCheck(t, w, users)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// fuzzCheck compares what members know with each other, and with what the operator sees.
func fuzzCheck(t *testing.T, w *world.World, users []*worldtest.Session) {
	for _, u := range users {
		v := u.Read()
		if len(v.Faults) > 0 {
			t.Errorf("%v: %v", u, v.Faults)
		}
		if v.Area == "" || u.Closing() != nil {
			continue
		}
		at := game.Copy{Area: v.Area, Number: v.Copy}

		c, err := w.Copy(at)
		if err != nil || len(c.Members) != len(v.Avatars) || c.Things != len(v.Things) {
			t.Errorf("%v knows %d avatars and %d things in %v; there are %+v, %v", u, len(v.Avatars), len(v.Things), at, c, err)
			continue
		}
		for _, m := range c.Members {
			if seen := v.Avatars[m.Avatar]; seen == nil || seen.Pose.X != m.X || seen.Pose.Y != m.Y || seen.Name != m.Name {
				t.Errorf("%v sees %+v, and there is %+v", u, seen, m)
			}
		}
	}
}
