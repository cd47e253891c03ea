package jetstream

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/kv/pebble"
)

// TestFigures measures what the documents promise, beside Pebble in the same run on
// the same disk. It is for a quiet machine: KAMADO_TEST_ALL=1.
func TestFigures(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("figures are of a quiet machine: KAMADO_TEST_ALL=1")
	}
	w := newWorld(t, 3)
	began := time.Now()
	ps := w.spawn(w.config(0), w.config(1), w.config(2))
	formed := time.Since(began)
	empty := rss(ps[0])
	t.Logf("six shards of three replicas formed in %v, RSS of an empty node %d MiB", formed.Round(10*time.Millisecond), empty>>20)
	local, err := pebble.Open(filepath.Join(w.dir, "pebble"), pebble.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	ratio := map[int]float64{1: 4, 16: 7, 64: 7} // of Pebble's to these, at least
	least := map[int]float64{1: 500, 16: 5000, 64: 10_000}
	keys := 0
	for _, callers := range []int{1, 16, 64} {
		r := w.do(ps[0], order{Do: "bench", Count: callers, Node: fmt.Sprint("b", callers)}).Bench
		c := w.do(ps[0], order{Do: "chains", Count: callers, Node: fmt.Sprint("h", callers)}).Bench
		p, err := bench(local, fmt.Sprint("b", callers), callers, false, benchTime)
		if err != nil {
			t.Fatal(err)
		}
		keys += r.Puts + callers
		t.Logf("%2d callers: creates %6.0f/s p50 %v p99 %v; compare-and-set %6.0f/s p99 %v; Pebble %6.0f/s p99 %v, %.1f times",
			callers, r.perSecond(), r.P50.Round(10*time.Microsecond), r.P99.Round(10*time.Microsecond), c.perSecond(), c.P99.Round(10*time.Microsecond),
			p.perSecond(), p.P99.Round(10*time.Microsecond), p.perSecond()/r.perSecond())
		if r.perSecond() < least[callers] {
			t.Errorf("%d callers: %.0f puts/s, want %.0f", callers, r.perSecond(), least[callers])
		}
		if got := p.perSecond() / r.perSecond(); got < ratio[callers] {
			t.Errorf("%d callers: Pebble reaches %.1f times as much, want %.0f", callers, got, ratio[callers])
		}
	}
	for i := range ps {
		w.kill(ps[i])
	}
	ps = w.spawn(ps[0].c, ps[1].c, ps[2].c)
	w.whole(ps[0], "")
	t.Logf("RSS of a node with %d keys after a kill of all: %d MiB", keys, rss(ps[0])>>20)
	if formed > 5*time.Second || empty > 45<<20 {
		t.Errorf("formed in %v with %d MiB, want at most 5s and 45 MiB", formed, empty>>20)
	}
}
