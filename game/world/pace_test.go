package world_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
)

// TestMovesAreToldWithinATick measures, in virtual time, from a move to when the other one can read it.
func TestMovesAreToldWithinATick(t *testing.T) {
	t.Parallel()
	for _, tick := range []time.Duration{50 * time.Millisecond, 0} {
		inWorld(t, func(c *game.WorldConfig, _ *world.Deps) { c.Tick = tick }, func(t *testing.T, r *rig) {
			a, b := r.user(1001), r.user(1002)
			r.join(a, "plaza", 0)
			r.join(b, "plaza", 0)
			b.Read()
			var took []time.Duration
			for step := range uint16(200) {
				time.Sleep(time.Duration(rand.Int64N(int64(150 * time.Millisecond))))
				moved := time.Now()
				r.move(a, step+1, 1, step)
				synctest.Wait()
				for b.Waiting() == 0 && time.Since(moved) < time.Second {
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				took = append(took, time.Since(moved))
				if x := b.Read().Avatars[1].Pose.X; x != step+1 {
					t.Fatalf("tick %v: after %v the other one sees step %d, want %d", tick, took[step], x, step+1)
				}
			}
			slices.Sort(took)
			if worst := took[len(took)-1]; worst > tick+time.Millisecond {
				t.Errorf("tick %v: a move took %v", tick, worst)
			}
			if median := took[len(took)/2]; median > 0 && tick == 0 {
				t.Errorf("without a tick half of the moves took %v", median)
			}
		})
	}
}

func TestAnAreaInWhichNobodyMovesDoesNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(t *testing.T, r *rig) {
		a := r.user(1001)
		r.join(a, "plaza", 0)
		r.move(a, 5, 5, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		before := r.Areas()[0]
		told, shown, flushes := a.Counts()
		time.Sleep(time.Hour)
		synctest.Wait()
		after := r.Areas()[0]
		again, shownAgain, flushesAgain := a.Counts()
		if before.Rounds != after.Rounds || told != again || shown != shownAgain || flushes != flushesAgain || after.Load != 0 {
			t.Errorf("in an hour without a move: %d rounds, %d frames, %d flushes, load %v", after.Rounds-before.Rounds, again-told, flushesAgain-flushes, after.Load)
		}
	})
}

func TestAMemberThatIsBehindIsOfferedAgainInTime(t *testing.T) {
	t.Parallel()
	for _, tick := range []time.Duration{50 * time.Millisecond, 0} {
		inWorld(t, func(c *game.WorldConfig, _ *world.Deps) { c.Tick = tick }, func(t *testing.T, r *rig) {
			a, b := r.user(1001), r.user(1002)
			r.join(a, "plaza", 0)
			r.join(b, "plaza", 0)
			b.Refuse(true)
			r.move(a, 77, 5, 1)
			time.Sleep(time.Second)
			synctest.Wait()
			if c, err := r.Copy(game.Copy{Area: "plaza", Number: 1}); err != nil || !c.Members[1].Behind || c.Members[0].Behind || c.Rounds > 30 {
				t.Errorf("tick %v: %+v, %v", tick, c, err)
			}
			b.Refuse(false)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if b.Read().Avatars[1].Pose.X != 77 {
				t.Errorf("tick %v: a member that takes again was not offered what it missed", tick)
			}
		})
	}
}

// TestManyFollowTheirNeighbours has 120 in an open area, whose plan has a view.
func TestManyFollowTheirNeighbours(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(t *testing.T, r *rig) {
		var users []*worldtest.Session
		for i := range uint32(120) {
			u := r.user(game.UID(1001 + i))
			users = append(users, u)
			r.do(u, wire.CmdJoin, &wire.Join{Area: "meadow", At: true, X: i * 16, Y: 100})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		far := func(i int) (n int) {
			for _, seen := range users[i].Read().Avatars {
				if seen.Far {
					n++
				}
			}
			return n
		}
		if far(0) != 70 || far(60) != 45 { // cells of 400: 25 avatars each, and two or three cells are seen
			t.Errorf("%d of 120 are far for the first, %d for the middle one", far(0), far(60))
		}
		r.move(users[0], 1900, 100, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		if users[119].Read().Avatars[1].Far || !users[1].Read().Avatars[1].Far || !users[0].Read().Avatars[2].Far {
			t.Errorf("one that went from end to end is not followed where it is")
		}
		r.fine(users...)
	})
}

// TestACopyThatTellsAtOnceRests has writes cost time: what moves while a copy rests shares the next ones.
func TestACopyThatTellsAtOnceRests(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *game.WorldConfig, _ *world.Deps) { c.Tick = 0 }, func(t *testing.T, r *rig) {
		var users []*worldtest.Session
		for i := range game.UID(10) {
			users = append(users, r.user(1001+i))
			users[i].FlushTakes = 100 * time.Microsecond
			r.join(users[i], "plaza", 0)
		}
		time.Sleep(time.Second)
		before := r.Areas()[0].Rounds
		for i := range 1000 { // in a second; a round takes 1 ms, and the rest is 5 ms
			r.move(users[i%10], uint16(i), 5, uint16(i))
			time.Sleep(time.Millisecond)
		}
		if rounds := r.Areas()[0].Rounds - before; rounds < 100 || rounds > 200 {
			t.Errorf("1000 moves in a second made %d rounds, want about 160", rounds)
		}
		time.Sleep(time.Second)
		r.move(users[0], 1, 5, 1)
		time.Sleep(2 * time.Millisecond) // told, and the copy rests
		users[1].Read()
		r.move(users[0], 2, 5, 2)
		r.do(users[2], wire.CmdSay, &wire.Say{Text: "x"})
		time.Sleep(2 * time.Millisecond) // less than the rest
		if v := users[1].Read(); v.Avatars[1].Pose.X != 2 || len(v.Heard) != 1 {
			t.Errorf("what moved does not go along with what is said: %+v, %q", v.Avatars[1], v.Heard)
		}
	})
}
