package world_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
)

// sink is a session that costs nothing, so that what is measured is the world.
type sink struct {
	uid     game.UID
	value   any
	rows    atomic.Int64
	flushes atomic.Int64
}

func (s *sink) ID() string                { return "sink" }
func (s *sink) UID() game.UID             { return s.uid }
func (s *sink) Principal() game.Principal { return game.Principal{Kind: game.ByUser, UID: s.uid} }
func (s *sink) Tell(wire.Command, []byte) {}
func (s *sink) Show(frames []byte) bool {
	s.rows.Add(int64(len(frames) / wire.MovedBytes))
	return true
}
func (s *sink) Flush()                                 { s.flushes.Add(1) }
func (s *sink) Close(wire.Reason, string, *wire.Place) {}
func (s *sink) Value() any                             { return s.value }
func (s *sink) SetValue(v any)                         { s.value = v }

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u) //nolint:errcheck // of this process; it cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRooms is rooms of 30 in which everybody moves ten times a second, for two seconds of real time: deliveries for a second
// of processor time, without connections.
func BenchmarkRooms(b *testing.B) {
	for _, tick := range []time.Duration{50 * time.Millisecond, 0} {
		b.Run(fmt.Sprintf("tick=%v", tick), func(b *testing.B) { benchRooms(b, tick, 40, 30) })
	}
}

func benchRooms(b *testing.B, tick time.Duration, rooms, each int) {
	cfg := game.DefaultWorld()
	cfg.Tick = tick
	cfg.Areas = map[string]game.AreaPlan{"room": {Width: 1000, Height: 1000, Capacity: each}}
	w, err := world.New(cfg, world.Deps{Log: slog.New(slog.DiscardHandler), Entities: &worldtest.Entities{}, Node: "one"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	sinks := make([]*sink, rooms*each)
	join, _ := wire.Body(&wire.Join{Area: "room"})
	for i := range sinks {
		sinks[i] = &sink{uid: game.UID(2000 + i)}
		w.Opened(sinks[i])
		w.Handle(sinks[i], wire.CmdJoin, join)
	}
	rows := func() (n int64) {
		for _, s := range sinks {
			n += s.rows.Load()
		}
		return n
	}
	for b.Loop() {
		before, used, moves := rows(), cpu(), 0
		for start := time.Now(); time.Since(start) < 2*time.Second; {
			for turn := range 100 { // a hundredth of all of them each millisecond: ten moves a second each
				for i := turn; i < len(sinks); i += 100 {
					moves++
					w.Handle(sinks[i], wire.CmdMove, wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: uint16(moves)}, Step: uint16(moves)}))
				}
				time.Sleep(time.Millisecond)
			}
		}
		used = cpu() - used
		shown := float64(rows()-before) * float64(each-1) / float64(each)
		b.ReportMetric(shown/used.Seconds(), "deliveries/cpu-s")
		b.ReportMetric(float64(moves)*float64(each-1)/shown, "wanted/shown")
		b.ReportMetric(float64(used.Nanoseconds())/float64(moves), "cpu-ns/move")
	}
	cancel()
	<-done
}

// BenchmarkCall is a built-in method of another package, called by 64 sessions at once, without connections.
func BenchmarkCall(b *testing.B) {
	w, err := world.New(game.DefaultWorld(), world.Deps{
		Log: slog.New(slog.DiscardHandler), Entities: &worldtest.Entities{}, Node: "one",
		Calls: func(context.Context, game.Principal, string, []byte) ([]byte, bool, error) { return nil, true, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	body, _ := wire.Body(&wire.Call{Id: 1, Method: "points.spend", Body: make([]byte, 40)})
	var uid atomic.Uint64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		s := &sink{uid: game.UID(uid.Add(1))}
		w.Opened(s)
		for pb.Next() {
			w.Handle(s, wire.CmdCall, body)
		}
	})
}
