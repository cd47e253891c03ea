package audit_test

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points/audit"
	"github.com/kamado/kamado/game/points/ledger"
	"github.com/kamado/kamado/internal/unit"
)

// TestNoCodeOfTheLedgerIsUsed holds that this package knows the files by their document alone.
func TestNoCodeOfTheLedgerIsUsed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if strings.Contains(i.Path.Value, "points/ledger") {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}

// world is a ledger in a directory, with a clock.
type world struct {
	dir   string
	clock atomic.Int64
	l     *ledger.Ledger
	wg    sync.WaitGroup
	holds []uint64
	n     int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "ledger")}
	w.open(t)
	t.Cleanup(func() { w.close() })
	return w
}

var start = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

func (w *world) open(t *testing.T) {
	t.Helper()
	cfg := ledger.Default()
	cfg.SegmentBytes, cfg.SnapshotEvery, cfg.FilterBytes, cfg.IndexCacheBytes, cfg.FreeBytesMin = ledger.SegmentBytesMin, 150, 64*unit.KiB, unit.MiB, 0
	cfg.Rules.Transfers = true
	l, err := ledger.Open(context.WithoutCancel(t.Context()), w.dir, cfg, ledger.Deps{Clock: func() time.Time { return start.Add(time.Duration(w.clock.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	w.l = l
	w.wg.Go(func() { l.Run(context.Background()) }) //nolint:errcheck // asked for by what it does
}

func (w *world) close() {
	w.l.Close() //nolint:errcheck // closed twice by tests that close it
	w.wg.Wait()
}

// orders posts random orders of all kinds, one a second, from 16 callers.
func (w *world) orders(t *testing.T, r *rand.Rand, count int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				mu.Lock()
				if count--; count < 0 {
					mu.Unlock()
					return
				}
				o := w.order(r)
				mu.Unlock()
				a, err := w.l.Post(t.Context(), &o)
				mu.Lock()
				if err == nil && o.Op == game.OpReserve {
					w.holds = append(w.holds, a.Posting.Hold)
				}
				mu.Unlock()
				if game.KindOf(err) == game.Internal && err != nil || game.KindOf(err) == game.Unavailable {
					t.Errorf("%v: %v", o.Op, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if _, err := w.l.Sweep(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
}

func (w *world) order(r *rand.Rand) game.Order {
	w.n++
	w.clock.Add(int64(time.Second))
	o := game.Order{Op: game.Op(1 + r.IntN(7)), Tx: fmt.Sprintf("tx/%0180d", w.n), UID: game.UID(1 + r.IntN(12)), Amount: game.Amount(1 + r.IntN(50)), Reason: strings.Repeat("because ", 32), By: strings.Repeat("test", 24)}
	switch o.Op {
	case game.OpGrant:
		o.Kind, o.Amount = game.PointKind(r.IntN(2)), o.Amount*3
		if r.IntN(2) == 0 {
			o.Expires = (w.l.Now()/600_000_000 + game.Instant(1+r.IntN(6))) * 600_000_000
		}
	case game.OpTransfer:
		o.To = o.UID%12 + 1
	case game.OpReserve:
		o.Term = time.Duration(1+r.IntN(100)) * time.Second
	case game.OpConfirm, game.OpCancel:
		if len(w.holds) == 0 {
			return w.order(r)
		}
		o = game.Order{Op: o.Op, Tx: o.Tx, Hold: w.holds[r.IntN(len(w.holds))]}
	}
	return o
}

// segments posts until there are so many.
func (w *world) segments(t *testing.T, r *rand.Rand, count int) {
	t.Helper()
	for {
		files, err := filepath.Glob(filepath.Join(w.dir, "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) >= count {
			return
		}
		w.orders(t, r, 50)
	}
}

func verify(t *testing.T, dir string) *audit.Report {
	t.Helper()
	r, err := audit.Verify(t.Context(), dir, audit.VerifyConfig{Temp: t.TempDir()})
	if err != nil {
		t.Fatalf("Verify = %v", err)
	}
	return r
}

// good verifies a directory in which nothing is wrong.
func good(t *testing.T, dir string) *audit.Report {
	t.Helper()
	r := verify(t, dir)
	for _, p := range r.Problems {
		t.Errorf("problem: %v", p)
	}
	return r
}

func TestALedgerInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		w.orders(t, r, 300)
		good(t, w.dir) // while it runs
		w.close()
		w.open(t)
	}
	kept, err := w.l.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.close()
	got := good(t, w.dir)
	if got.Postings != kept.Postings || got.Classes != kept.Classes || got.Accounts != 12 || got.Sum != 0 || got.End != "clean" || got.Snapshots == 0 || got.Segments < 2 {
		t.Errorf("report %+v, the ledger says %+v", got, kept)
	}
}

func TestAnEmptyDirectoryIsNoLedger(t *testing.T) {
	t.Parallel()
	if r, err := audit.Verify(t.Context(), t.TempDir(), audit.VerifyConfig{}); err == nil {
		t.Errorf("Verify of an empty directory = %+v", r)
	}
}

// segment gives the file of the last segment but n.
func segment(t *testing.T, dir string, n int) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) <= n {
		t.Fatal(files, err)
	}
	return files[len(files)-1-n]
}

// TestAnyFlippedBitIsFound flips single bits of whole batches and of a snapshot.
func TestAnyFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := rand.New(rand.NewPCG(3, 4))
	w.segments(t, r, 2)
	w.orders(t, r, 50)
	w.close()
	whole := good(t, w.dir)
	snaps, err := filepath.Glob(filepath.Join(w.dir, "*.snap"))
	if err != nil || len(snaps) == 0 {
		t.Fatal(snaps, err)
	}
	tries := 25
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		tries = 2000
	}
	for _, name := range []string{segment(t, w.dir, 0), segment(t, w.dir, 1), snaps[0]} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		end := int64(len(data))
		if filepath.Base(name) == whole.EndFile {
			end = whole.EndAt
		} else if strings.HasSuffix(name, ".log") {
			for data[end-1] == 0 {
				end--
			}
		}
		for range tries {
			bit := r.Int64N(end * 8)
			data[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := verify(t, w.dir); got.OK() && got.End != "torn" {
				t.Errorf("bit %d of %s was flipped and not found", bit, filepath.Base(name))
			} else if got.OK() && bit/8 < end-200 { // the last batch is the seal, of 72 bytes
				t.Errorf("bit %d of %s was flipped, which was taken for a torn end at %d", bit, filepath.Base(name), got.EndAt)
			} else if !got.OK() && got.Problems[0].File != filepath.Base(name) {
				t.Errorf("bit %d of %s was flipped, the problem is %v", bit, filepath.Base(name), got.Problems[0])
			}
			data[bit/8] ^= 1 << (bit % 8)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good(t, w.dir)
}

func TestATornEndIsToldAndNoProblem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.orders(t, rand.New(rand.NewPCG(5, 6)), 100)
	w.close()
	whole := good(t, w.dir)
	f, err := os.OpenFile(filepath.Join(w.dir, whole.EndFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("KLB1 and half of a batch"), whole.EndAt); err != nil {
		t.Fatal(err)
	}
	if r := good(t, w.dir); r.End != "torn" || r.EndAt != whole.EndAt || r.Postings != whole.Postings {
		t.Errorf("report %+v, want a torn end at %d", r, whole.EndAt)
	}
}

func TestMissingAndMixedFilesAreFound(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	for _, w := range []*world{w, other} {
		r := rand.New(rand.NewPCG(7, 8))
		w.segments(t, r, 2)
		w.orders(t, r, 200) // and a snapshot
	}
	w.close()
	other.close()
	last := segment(t, w.dir, 0)
	first := segment(t, w.dir, 1)
	for what, change := range map[string]func(dir string) error{
		"a segment is missing":        func(dir string) error { return os.Remove(filepath.Join(dir, filepath.Base(first))) },
		"the last segment is missing": func(dir string) error { return os.Remove(filepath.Join(dir, filepath.Base(last))) },
		"a segment of another ledger": func(dir string) error {
			return os.Rename(segment(t, other.dir, 0), filepath.Join(dir, filepath.Base(last)))
		},
		"the last segment is repeated": func(dir string) error { return copyFile(last, filepath.Join(dir, "0000000009.log")) },
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
			t.Fatal(err)
		}
		good(t, dir)
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(t.Context(), dir, audit.VerifyConfig{})
		if err == nil && r.OK() {
			t.Errorf("%s, and nothing was found: %+v", what, r)
		}
	}
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}
