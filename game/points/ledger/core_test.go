package ledger

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/unit"
)

// TestEndsAgreeWithAList holds the heap against a plain list.
func TestEndsAgreeWithAList(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var e ends
	plain := map[uint32]game.Instant{}
	for range 20_000 {
		account, end := uint32(r.IntN(200)), game.Instant(r.IntN(1000))
		e.set(account, end)
		if plain[account] = end; end == 0 {
			delete(plain, account)
		}
		if len(e.heap) != len(plain) {
			t.Fatalf("%d entries for %d accounts that end", len(e.heap), len(plain))
		}
		if r.IntN(20) > 0 {
			continue
		}
		now, limit := game.Instant(r.IntN(1000)), 1+r.IntN(50)
		want := slices.SortedFunc(maps.Keys(plain), func(a, b uint32) int { return int(plain[a] - plain[b]) })
		want = slices.DeleteFunc(want, func(a uint32) bool { return plain[a] > now })
		want = want[:min(limit, len(want))]
		got := e.due(now, limit)
		if len(got) != len(want) {
			t.Fatalf("%d accounts are due, want %d", len(got), len(want))
		}
		for i := range got { // those of one moment in any order
			if plain[got[i]] != plain[want[i]] {
				t.Fatalf("account %d with %d is due at place %d, want one with %d", got[i], plain[got[i]], i, plain[want[i]])
			}
		}
	}
}

// TestFrozenTableStays changes a table behind a freeze.
func TestFrozenTableStays(t *testing.T) {
	t.Parallel()
	tab := newTable()
	put := func(uid game.UID, seq uint64) {
		i, _ := tab.find(uid)
		tab.set(i, slot{account: &game.Account{UID: uid, Seq: seq}})
	}
	const n = 3*chunkSlots + 7
	for i := range n {
		put(game.UID(i+1), 1)
	}
	f := tab.freeze()
	for i := range n + chunkSlots {
		put(game.UID(i+1), 2)
	}
	seen := 0
	err := f.each(func(s slot) error {
		seen++
		if s.account.Seq != 1 || s.account.UID != game.UID(seen) {
			return fmt.Errorf("account %d became %+v", seen, s.account)
		}
		return nil
	})
	if err != nil || seen != n {
		t.Errorf("%d accounts, %v; want %d", seen, err, n)
	}
	if s := tab.get(5); s.account.Seq != 2 || tab.n != n+chunkSlots {
		t.Errorf("the table has %+v and %d accounts", s.account, tab.n)
	}
}

// TestFilterForgetsNothing, and is wrong about few: one in 50 at 10 bits for each id.
func TestFilterForgetsNothing(t *testing.T) {
	t.Parallel()
	const n = 50_000
	f := newFilter(n * 10 / 8)
	for i := range n {
		k := keyOf(fmt.Sprint("in/", i))
		f.add(&k)
	}
	wrong := 0
	for i := range n {
		k := keyOf(fmt.Sprint("in/", i))
		if !f.may(&k) {
			t.Fatalf("id %d is forgotten", i)
		}
		if k = keyOf(fmt.Sprint("out/", i)); f.may(&k) {
			wrong++
		}
	}
	if wrong > n/50 {
		t.Errorf("wrong about %d of %d ids, want at most one in 50", wrong, n)
	}
}

func TestConfigIsJudged(t *testing.T) {
	t.Parallel()
	good := Default()
	if err := good.Validate(); err != nil {
		t.Errorf("Default: %v", err)
	}
	bad := Config{FreeBytesMin: -1}
	err := bad.Validate()
	if err == nil {
		t.Fatal("an empty Config is valid")
	}
	if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n != 7 { //nolint:errorlint // errors.Join
		t.Errorf("%d complaints, want 7: %v", n, err)
	}
	if _, err := Open(t.Context(), t.TempDir(), bad, Deps{}); game.KindOf(err) != game.Invalid {
		t.Errorf("Open = %v, want invalid", err)
	}
}

// TestRecentPostingsAreBounded decides orders while nobody feeds the index: the decider waits for it.
func TestRecentPostingsAreBounded(t *testing.T) {
	t.Parallel()
	cfg := small()
	const bound, each = 2000, 500
	cfg.BatchPostings, cfg.SegmentBytes, cfg.SnapshotEvery = each, 64*unit.MiB, 1_000_000
	l, err := Open(t.Context(), t.TempDir(), cfg, Deps{disk: unsynced{}})
	if err != nil {
		t.Fatal(err)
	}
	l.recentMax = bound
	d := l.newDecider()
	var decided atomic.Int64
	most := 0
	const orders = 10_000 // without a bound the batches on their way to the index would hold 8,500
	var wg, behind sync.WaitGroup
	wg.Go(func() {
		for i := range orders {
			r := request{order: game.Order{Op: game.OpGrant, Tx: strconv.Itoa(i), UID: game.UID(i%10 + 1), Amount: 1}}
			r.key = keyOf(r.order.Tx)
			if _, err := d.decide(&r); err != nil {
				t.Error(err)
				break
			}
			if most = max(most, len(d.order)); d.full() {
				d.handOver()
			}
			decided.Add(1)
		}
		d.handOver()
		close(l.toWrite)
	})
	behind.Go(l.writeLoop)
	for until := time.Now().Add(time.Minute); decided.Load() < bound && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	behind.Go(l.indexLoop)
	wg.Wait()
	for until := time.Now().Add(time.Minute); l.indexed.value() < orders && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	close(l.toIndex)
	behind.Wait()
	if most > bound+each || most < bound {
		t.Errorf("%d postings were kept for the index, want about %d", most, bound)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
