package world_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
)

// TestManySessionsAtOnce has clients go from area to area, talk and walk, while copies are evicted and lose their claims. What each
// of them reads must make sense, and in the end it knows what is there.
func TestManySessionsAtOnce(t *testing.T) {
	t.Parallel()
	places := &worldtest.Places{}
	var h game.Handlers
	h.HandleInArea("app.slow", func(game.Scene, *game.Act) ([]byte, error) {
		time.Sleep(time.Millisecond)
		return nil, nil
	})
	for _, tick := range []time.Duration{50 * time.Millisecond, 0} {
		inWorld(t, func(c *game.WorldConfig, d *world.Deps) {
			c.Tick = tick
			c.Areas = map[string]game.AreaPlan{}
			for i := range 4 {
				c.Areas[fmt.Sprintf("room%d", i)] = game.AreaPlan{Width: 500, Height: 500, Capacity: 5}
			}
			c.IdleTerm = time.Second
			d.Places, d.Handlers = places, &h
		}, func(t *testing.T, r *rig) {
			users := make([]*worldtest.Session, 24)
			var clients sync.WaitGroup
			for i := range users {
				users[i] = r.user(game.UID(1001 + i))
				clients.Go(func() { r.live(users[i], uint64(i)) })
			}
			clients.Go(func() {
				for range 60 {
					time.Sleep(50 * time.Millisecond)
					for _, c := range r.Areas() {
						switch rand.IntN(10) {
						case 0:
							r.Evict(t.Context(), c.Copy, "") //nolint:errcheck // it may have closed by itself
						case 1:
							places.Lose(c.Copy)
						}
					}
				}
			})
			clients.Wait()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			fuzzCheck(t, r.World, users)
			in := 0
			for _, s := range r.Areas() {
				in += s.Avatars
			}
			seated := 0
			for _, u := range users {
				if where(u) != "" {
					seated++
				}
			}
			if in != seated || in == 0 {
				t.Errorf("%d avatars are in copies, and %d clients believe to be", in, seated)
			}
		})
	}
}

// live is a client that does this and that.
func (r *rig) live(s *worldtest.Session, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, rand.Uint64()))
	for range 300 {
		time.Sleep(time.Duration(dice.IntN(20)) * time.Millisecond)
		switch dice.IntN(12) {
		case 0, 1:
			r.Handle(s, wire.CmdJoin, bodyOf(&wire.Join{Area: fmt.Sprintf("room%d", dice.IntN(4))}))
		case 2:
			r.Handle(s, wire.CmdCall, bodyOf(&wire.Call{Method: "app.slow"}))
		case 3:
			r.Handle(s, wire.CmdSay, bodyOf(&wire.Say{Text: "x"}))
		case 4:
			r.Handle(s, wire.CmdSetThing, bodyOf(&wire.SetThing{Name: "x", Value: []byte{byte(dice.IntN(9))}}))
		case 5:
			s.Cut()
			r.Cut(s)
			time.Sleep(10 * time.Millisecond)
			s.Resume()
			r.Resumed(s)
		case 6:
			r.Handle(s, wire.CmdLeave, nil)
			s.Read().Leave()
		default:
			r.move(s, uint16(dice.IntN(600)), uint16(dice.IntN(600)), 1)
		}
	}
}
