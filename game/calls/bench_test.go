package calls_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/calls"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/core/coretest"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/wire"
)

// nullPoints answers every order with one posting, and takes no time.
type nullPoints struct {
	core.Points
	answer points.Answer
}

func (n *nullPoints) Post(context.Context, *game.Order) (points.Answer, error) { return n.answer, nil }

// nobody is an identity in which everybody is itself.
type nobody struct{ core.Identity }

func (nobody) Canonical(_ context.Context, uid game.UID) (game.UID, error) { return uid, nil }

func null() *calls.Calls {
	p := &game.Posting{Seq: 123456, Op: game.OpSpend, Amount: 5, Balance: 95, Time: 1_795_897_654_000_000}
	return calls.New(core.Core{Identity: nobody{}, Points: &nullPoints{answer: points.Answer{Posting: p}}}, calls.Default())
}

func body(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := wire.Body(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// hot are the calls that are asked most.
func hot(tb testing.TB) map[string][]byte {
	key := "0123456789abcdef0123456789abcdef"
	return map[string][]byte{
		"points.spend":    body(tb, &wire.PointsSpend{Key: key, Amount: 5}),
		"points.transfer": body(tb, &wire.PointsTransfer{Key: key, To: 1002, Amount: 5}),
		"points.confirm":  body(tb, &wire.PointsEnd{Key: key, Reservation: 77}),
	}
}

// BenchmarkDo is what a call costs beside the ledger.
func BenchmarkDo(b *testing.B) {
	c, who := null(), game.Principal{Kind: game.ByUser, UID: 1001}
	for method, body := range hot(b) {
		b.Run(method, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, found, err := c.Do(context.Background(), who, method, body); err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
	}
}

// TestAllocations holds what a hot call takes from memory: the order, its transaction id, the caller's name, the key that was read and
// the answer.
func TestAllocations(t *testing.T) {
	c, who := null(), game.Principal{Kind: game.ByUser, UID: 1001}
	for method, body := range hot(t) {
		n := testing.AllocsPerRun(200, func() {
			if _, found, err := c.Do(context.Background(), who, method, body); err != nil || !found {
				t.Fatal(found, err)
			}
		})
		if n > 5 {
			t.Errorf("%s: %v allocations, want at most 5", method, n)
		}
	}
}

// BenchmarkDurable has 1,024 callers that spend one after another, each durable in the ledger.
func BenchmarkDurable(b *testing.B) {
	s := coretest.Open(b, nil)
	c := calls.New(s.Core(), calls.Default())
	const callers = 1024
	for i := range callers {
		_, err := s.Points.Post(b.Context(), &game.Order{Op: game.OpGrant, Tx: fmt.Sprint("fund ", i), UID: game.UID(i + 1), Amount: 1 << 40})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			who := game.Principal{Kind: game.ByUser, UID: game.UID(i + 1)}
			for k := n.Add(1); k <= int64(b.N); k = n.Add(1) {
				in, err := wire.Body(&wire.PointsSpend{Key: fmt.Sprintf("%032d", k), Amount: 1})
				if err != nil {
					b.Error(err)
					return
				}
				if _, _, err := c.Do(context.Background(), who, "points.spend", in); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "spends/s")
}
