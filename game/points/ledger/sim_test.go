package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk/disktest"
	"github.com/kamado/kamado/internal/unit"
)

// long says whether the long forms of tests are asked for.
func long() bool { return os.Getenv("KAMADO_TEST_ALL") != "" }

// world is a machine with a ledger, which loses power, and what its callers know.
type world struct {
	dir   string // for the lock alone
	disk  *disktest.Disk
	index *vfs.MemFS
	clock atomic.Int64 // microseconds
	cfg   Config
	early bool

	mu      sync.Mutex // guards what follows
	tried   map[string]game.Order
	acked   map[string]*game.Posting
	refused map[string]error // without doubt, and never in doubt before
	doubted map[string]bool
	holds   []uint64
}

func newWorld(t *testing.T, f disktest.Faults) *world {
	w := &world{dir: t.TempDir(), disk: disktest.New(f), index: vfs.NewCrashableMem(), cfg: small(), tried: map[string]game.Order{}, acked: map[string]*game.Posting{}, refused: map[string]error{}, doubted: map[string]bool{}}
	w.clock.Store(1_790_000_000_000_000)
	w.cfg.SnapshotEvery = 20
	w.cfg.FilterBytes = 4 * unit.KiB
	w.cfg.SegmentBytes, w.cfg.segmentBytesMin = 4096, 4096 // about 17 postings
	return w
}

func (w *world) deps() Deps {
	return Deps{disk: w.disk, indexFS: w.index, early: w.early, Clock: func() time.Time { return time.UnixMicro(w.clock.Load()) }, Log: slog.New(slog.DiscardHandler)}
}

// crash cuts the power and gives the machine as it comes back.
func (w *world) crash(r *rand.Rand) {
	w.disk.CutPower()
	w.disk = w.disk.Restart(r)
	w.index = w.index.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
}

// order makes a random order.
func (w *world) order(r *rand.Rand, name string) game.Order {
	w.clock.Add(int64(r.IntN(3_000_000)))
	if r.IntN(20) == 0 {
		w.clock.Add(-3_600_000_000) // the clock is set back by an hour
	}
	o := game.Order{Tx: name, Op: game.Op(1 + r.IntN(7)), UID: game.UID(1 + r.IntN(5)), Amount: game.Amount(1 + r.IntN(40)), By: "sim"}
	switch o.Op {
	case game.OpGrant:
		o.Amount *= 4
		o.Kind = game.PointKind(r.IntN(2))
		if r.IntN(2) == 0 {
			o.Expires = game.Instant(w.clock.Load() + int64(1+r.IntN(60))*1e6)
		}
	case game.OpTransfer:
		o.To = o.UID%5 + 1
	case game.OpReserve:
		o.Term = time.Duration(1+r.IntN(30)) * time.Second
	case game.OpConfirm, game.OpCancel:
		w.mu.Lock()
		defer w.mu.Unlock()
		o.UID, o.Amount = 0, 0
		if len(w.holds) > 0 {
			o.Hold = w.holds[r.IntN(len(w.holds))]
		}
	}
	return o
}

// post posts an order and notes what it came to.
func (w *world) post(ctx context.Context, l *running, o game.Order) error {
	w.mu.Lock()
	w.tried[o.Tx] = o
	w.mu.Unlock()
	a, err := l.Post(ctx, &o)
	w.mu.Lock()
	defer w.mu.Unlock()
	var e *game.Error
	switch {
	case err == nil && a.Posting.Tx == o.Tx:
		w.acked[o.Tx] = a.Posting
		delete(w.refused, o.Tx) // it was refused before, perhaps
		if o.Op == game.OpReserve {
			w.holds = append(w.holds, a.Posting.Hold)
		}
	case err == nil: // the end of a reservation again
		w.refused[o.Tx] = nil
	case errors.As(err, &e) && e.Doubt:
		w.doubted[o.Tx] = true
		delete(w.refused, o.Tx)
	case !w.doubted[o.Tx] && w.acked[o.Tx] == nil:
		w.refused[o.Tx] = err
	}
	return err
}

// gone reports what the ledger lost of what it had promised, and what is wrong in it.
func (w *world) gone(ctx context.Context, l *running) error {
	var all []*game.Posting
	for {
		after := uint64(len(all))
		page, err := l.Postings(ctx, after, 7)
		if err != nil {
			return fmt.Errorf("Postings: %w", err)
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
	}
	accounts := map[game.UID]*game.Account{}
	var totals game.Totals
	byTx := map[string]*game.Posting{}
	for i, p := range all {
		o, tried := w.tried[p.Tx]
		switch {
		case p.Seq != uint64(i)+1:
			return fmt.Errorf("posting %d at place %d", p.Seq, i+1)
		case i > 0 && p.Time < all[i-1].Time:
			return fmt.Errorf("posting %d goes back in time", p.Seq)
		case byTx[p.Tx] != nil:
			return fmt.Errorf("%q was carried out twice", p.Tx)
		case p.Op != game.OpExpire && (!tried || !p.Same(&o)):
			return fmt.Errorf("posting %+v was never asked for", p)
		}
		if err, ok := w.refused[p.Tx]; ok {
			return fmt.Errorf("%q was refused (%v), and is there", p.Tx, err)
		}
		byTx[p.Tx] = p
		totals.Add(p.Entries)
		for _, uid := range []game.UID{p.UID, p.To} {
			if uid == 0 {
				continue
			}
			if accounts[uid] == nil {
				accounts[uid] = &game.Account{UID: uid}
			}
			if err := accounts[uid].Apply(p); err != nil {
				return err
			}
		}
	}
	for tx, p := range w.acked {
		if !reflect.DeepEqual(byTx[tx], p) {
			return fmt.Errorf("posting %d (%q) was acknowledged as %+v, and is %+v", p.Seq, tx, p, byTx[tx])
		}
		if found, err := l.Posting(ctx, tx); err != nil || found.Seq != p.Seq {
			return fmt.Errorf("Posting(%q) = %+v, %w", tx, found, err)
		}
	}
	return w.agree(ctx, l, all, accounts, totals)
}

// agree holds what the ledger keeps against its postings.
func (w *world) agree(ctx context.Context, l *running, all []*game.Posting, accounts map[game.UID]*game.Account, totals game.Totals) error {
	kept, err := l.Totals(ctx)
	if err != nil || kept.Classes != totals || kept.Postings != uint64(len(all)) || totals.Sum() != 0 {
		return fmt.Errorf("totals %+v (%w) of %d postings that come to %v", kept, err, len(all), totals)
	}
	list, err := l.Accounts(ctx, 0, 1000)
	if err != nil || len(list) != len(accounts) {
		return fmt.Errorf("%d accounts, %w: want %d", len(list), err, len(accounts))
	}
	for _, a := range list {
		if got, want := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", accounts[a.UID]); got != want {
			return fmt.Errorf("account %s, and its postings make %s", got, want)
		}
		history, err := l.History(ctx, a.UID, 0, 1000)
		if err != nil {
			return fmt.Errorf("History: %w", err)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(p *game.Posting) bool { return p.UID != a.UID && p.To != a.UID })
		slices.Reverse(want)
		if len(want) > 1000 {
			want = want[:1000]
		}
		if !reflect.DeepEqual(history, want) {
			return fmt.Errorf("the history of user %v has %d postings, want %d", a.UID, len(history), len(want))
		}
	}
	return nil
}

// TestPowerIsLostAtEachStep takes the power away at every operation of a story.
func TestPowerIsLostAtEachStep(t *testing.T) {
	t.Parallel()
	step := 9
	if long() {
		step = 1
	}
	for at := 1; ; at += step {
		w := newWorld(t, disktest.Faults{PowerAt: at})
		r := rand.New(rand.NewPCG(uint64(at), 1))
		l, err := open(t.Context(), w.dir, w.cfg, w.deps())
		if err == nil {
			for n := range 150 {
				w.post(t.Context(), l, w.order(r, fmt.Sprint("a", n))) //nolint:errcheck // noted by it
			}
			l.Close()
		}
		off := w.disk.Off()
		w.crash(r)
		l, err = open(t.Context(), w.dir, w.cfg, w.deps())
		if err != nil {
			t.Fatalf("power lost at operation %d: Open = %v", at, err)
		}
		if err := w.gone(t.Context(), l); err != nil {
			t.Fatalf("power lost at operation %d: %v", at, err)
		}
		for n := range 5 {
			w.post(t.Context(), l, w.order(r, fmt.Sprint("b", n))) //nolint:errcheck // noted by it
		}
		if err := w.gone(t.Context(), l); err != nil {
			t.Fatalf("power lost at operation %d, and then some orders: %v", at, err)
		}
		if err := l.Close(); err != nil {
			t.Fatalf("Close = %v", err)
		}
		if !off {
			t.Logf("the story has %d operations", at)
			return
		}
	}
}

// simulate lets callers post until the power goes, several times over.
func simulate(t *testing.T, seed uint64, early bool) error {
	w := newWorld(t, disktest.Faults{})
	w.early = early
	r := rand.New(rand.NewPCG(seed, 2))
	for round := range 4 {
		l, err := open(t.Context(), w.dir, w.cfg, w.deps())
		if err != nil {
			return fmt.Errorf("round %d: Open = %w", round, err)
		}
		if err := w.gone(t.Context(), l); err != nil {
			l.Close()
			return fmt.Errorf("round %d: %w", round, err)
		}
		w.disk.Set(disktest.Faults{PowerAt: w.disk.Ops() + 1 + r.IntN(150)})
		var wg sync.WaitGroup
		for caller := range 6 {
			own := rand.New(rand.NewPCG(seed, uint64(10*round+caller)))
			wg.Go(func() {
				for n := 0; !w.disk.Off() && n < 2000; n++ {
					o := w.order(own, fmt.Sprintf("%d.%d.%d", round, caller, n))
					w.post(t.Context(), l, o) //nolint:errcheck // noted by it
					if own.IntN(5) == 0 {
						w.post(t.Context(), l, o) //nolint:errcheck // once more
					}
					if own.IntN(10) == 0 {
						l.Sweep(t.Context(), 3) //nolint:errcheck // its postings are looked at later
					}
				}
			})
		}
		wg.Wait()
		l.Close()
		w.crash(r)
	}
	l, err := open(t.Context(), w.dir, w.cfg, w.deps())
	if err != nil {
		return fmt.Errorf("at the end: Open = %w", err)
	}
	defer l.Close()
	return w.gone(t.Context(), l)
}

// TestSimulation loses power under many callers. KAMADO_TEST_SEED runs one seed.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, count := uint64(1), uint64(3)
	if long() {
		first, count = uint64(time.Now().UnixNano()), 300
	}
	if text := os.Getenv("KAMADO_TEST_SEED"); text != "" {
		first, _ = strconv.ParseUint(text, 10, 64)
		count = 1
	}
	for seed := first; seed < first+count; seed++ {
		if err := simulate(t, seed, false); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestSimulationControl answers before the sync: the same must find that something is lost.
func TestSimulationControl(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 20; seed++ {
		if err := simulate(t, seed, true); err != nil {
			t.Logf("seed %d: %v", seed, err)
			return
		}
	}
	t.Error("a ledger that answers before it syncs lost nothing: the simulation finds nothing")
}
