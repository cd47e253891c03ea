package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk/disktest"
	"github.com/kamado/kamado/internal/unit"
)

// calm is a world without faults and with few segments.
func calm(t *testing.T) *world {
	w := newWorld(t, disktest.Faults{})
	w.cfg = small()
	w.cfg.SnapshotEvery = 1_000_000
	return w
}

// start opens the world's ledger.
func (w *world) start(t *testing.T) *running {
	t.Helper()
	l, err := open(t.Context(), w.dir, w.cfg, w.deps())
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	return l
}

// grants posts some grants under a name.
func (w *world) grants(t *testing.T, l *running, name string, n int) {
	t.Helper()
	for i := range n {
		if err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: fmt.Sprint(name, i), UID: game.UID(i%3 + 1), Amount: 10}); err != nil {
			t.Fatalf("grant %s%d: %v", name, i, err)
		}
	}
}

// whole judges a ledger and closes it.
func (w *world) whole(t *testing.T, l *running) {
	t.Helper()
	if err := w.gone(t.Context(), l); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if l.err != nil {
		t.Errorf("Run = %v", l.err)
	}
}

// killed ends a ledger as a kill would, and leaves what it had written.
func (w *world) killed(t *testing.T, l *running) {
	t.Helper()
	names, err := w.disk.Names("")
	if err != nil {
		t.Fatal(err)
	}
	index := w.index.CrashClone(vfs.CrashCloneCfg{})
	next := disktest.New(disktest.Faults{})
	for _, name := range names {
		next.Put(name, w.disk.Bytes(name))
	}
	l.Close()
	w.disk, w.index = next, index
}

// refuses opens a ledger that must be refused as damaged, and gives what people read.
func (w *world) refuses(t *testing.T, what string) string {
	t.Helper()
	l, err := open(t.Context(), w.dir, w.cfg, w.deps())
	if err == nil {
		l.Close()
		t.Errorf("%s: the ledger opened", what)
		return ""
	}
	var e *game.Error
	if !errors.As(err, &e) || e.Kind != game.Internal || !strings.Contains(e.Detail, ".log, offset ") || !strings.Contains(e.Detail, "backup") {
		t.Errorf("%s: Open = %v, want one that names file, offset and what to do", what, err)
		return ""
	}
	return err.Error()
}

// endOfLog is the offset behind the last byte that is not zero.
func (w *world) endOfLog() int {
	return len(bytes.TrimRight(w.disk.Bytes(segmentName(1)), "\x00"))
}

// durableEndNow is the end of what is durable.
func (r *running) durableEndNow() end {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.durableEnd
}

func TestTornEndIsCutAndKept(t *testing.T) {
	t.Parallel()
	w := calm(t)
	l := w.start(t)
	w.grants(t, l, "a", 5)
	w.killed(t, l)
	whole, acked := w.endOfLog(), len(w.acked)

	// Another batch is being written when the power goes: it is there in part.
	l = w.start(t)
	w.grants(t, l, "b", 1)
	before := int(l.durableEndNow().next.offset())
	w.grants(t, l, "c", 1)
	w.killed(t, l)
	delete(w.acked, "c0")
	b := w.disk.Bytes(segmentName(1))
	end := w.endOfLog()
	if end < before+100 || before < whole {
		t.Fatalf("the log ends at %d, %d, %d", whole, before, end)
	}
	clear(b[before+80 : end-20])
	w.disk.Put(segmentName(1), b)

	var log bytes.Buffer
	deps := w.deps()
	deps.Log = slog.New(slog.NewTextHandler(&log, nil))
	l, err := open(t.Context(), w.dir, w.cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "ledger had a torn end") || !strings.Contains(log.String(), fmt.Sprint("offset=", before)) {
		t.Errorf("the log says %s", log.String())
	}
	if kept := w.disk.Bytes(segmentName(1) + ".torn"); !bytes.Equal(kept, b[before:end]) {
		t.Errorf("%d bytes are kept of the torn end, want %d", len(kept), end-before)
	}
	if l.core.seq != uint64(acked+1) {
		t.Errorf("%d postings, want %d", l.core.seq, acked+1)
	}
	w.grants(t, l, "c", 1)
	w.whole(t, l)
}

// TestLostAcknowledgedPostingsAreMissed: a log that lacks what the index or a snapshot knows is refused.
func TestLostAcknowledgedPostingsAreMissed(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"index", "snapshot"} {
		w := calm(t)
		l := w.start(t)
		w.grants(t, l, "a", 5)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		before := w.disk.Bytes(segmentName(1))
		if by == "snapshot" {
			w.cfg.SnapshotEvery = 1
		}
		l = w.start(t)
		w.grants(t, l, "b", 3)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if by == "snapshot" {
			w.index = vfs.NewCrashableMem()
		}
		w.disk.Put(segmentName(1), before)
		if text := w.refuses(t, by); !strings.Contains(text, by) {
			t.Errorf("%s: %s", by, text)
		}
		w.disk.Remove(segmentName(1)) //nolint:errcheck // it is there
		w.refuses(t, by+", and no log at all")
	}
}

// TestEachFlippedBitIsFound flips bits of a ledger that was closed in order. Whatever is
// opened then lacks nothing; what lacks something is refused, by file, offset and posting.
func TestEachFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	w := calm(t)
	l := w.start(t)
	w.grants(t, l, "a", 6)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	end := w.endOfLog()
	sealed := end - batchHeadBytes // where the seal begins
	image := w.disk.Bytes(segmentName(1))
	step := 149 // odd, so that each bit of a byte is met
	if long() {
		step = 1
	}
	refused := 0
	for bit := 0; bit < end*8+400; bit += step {
		// Without the index: the log must find it alone.
		next := &world{dir: w.dir, cfg: w.cfg, tried: w.tried, acked: w.acked, disk: disktest.New(disktest.Faults{}), index: vfs.NewCrashableMem()}
		next.disk.Put(segmentName(1), image)
		next.disk.Flip(segmentName(1), bit)
		flipped := next.disk.Bytes(segmentName(1))
		l, err := open(t.Context(), next.dir, next.cfg, next.deps())
		if err == nil {
			if bit/8 < sealed && bit/8 >= segmentHeadBytes {
				t.Errorf("bit %d of %d was flipped, and the ledger opened", bit, end*8)
			}
			if err := next.gone(t.Context(), l); err != nil {
				t.Errorf("bit %d: %v", bit, err)
			}
			l.Close()
			continue
		}
		refused++
		if game.KindOf(err) != game.Internal || !strings.Contains(err.Error(), segmentName(1)) || !strings.Contains(err.Error(), "offset") {
			t.Errorf("bit %d: Open = %v, want file and offset", bit, err)
		}
		if !bytes.Equal(next.disk.Bytes(segmentName(1)), flipped) {
			t.Errorf("bit %d: the damaged file was changed", bit)
		}
	}
	if refused < sealed*8/step-20 {
		t.Errorf("only %d flips were refused", refused)
	}
}

// TestBatchesThatAreMovedAreFound removes, doubles and swaps whole batches, whose own checksums stay right.
func TestBatchesThatAreMovedAreFound(t *testing.T) {
	t.Parallel()
	w := calm(t)
	l := w.start(t)
	w.grants(t, l, "a", 6)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	image := w.disk.Bytes(segmentName(1))
	var starts []int
	for off := segmentHeadBytes; ; {
		h, err := parseBatchHead(image[off:], &l.id)
		starts = append(starts, off)
		if err != nil {
			break
		}
		off += h.size
	}
	part := func(i int) []byte { return image[starts[i]:starts[i+1]] }
	rest := image[starts[3]:]
	for what, parts := range map[string][][]byte{
		"removed": {part(0), part(2), rest},
		"doubled": {part(0), part(1), part(1), part(2), rest},
		"swapped": {part(1), part(0), part(2), rest},
	} {
		b := append([]byte{}, image[:segmentHeadBytes]...)
		for _, p := range parts {
			b = append(b, p...)
		}
		b = append(b, make([]byte, len(image))...)[:len(image)]
		w.disk.Put(segmentName(1), b)
		w.index = vfs.NewCrashableMem()
		w.refuses(t, what)
	}
	// A posting is changed and both its checksum and its batch's are mended: the next batch's chain is not its own.
	b := bytes.Clone(image)
	rec := b[starts[1]+batchHeadBytes : starts[2]]
	le.PutUint64(rec[60:], 1_000_000)
	le.PutUint32(rec[4:], l.id.crcRecord(rec))
	w.disk.Put(segmentName(1), b)
	if text := w.refuses(t, "a changed amount"); !strings.Contains(text, "chain") || !strings.Contains(text, "posting 2") {
		t.Errorf("a changed amount: %s", text)
	}
	h, _ := parseBatchHead(b[starts[1]:], &l.id)
	first, _ := parseBatchHead(b[starts[0]:], &l.id)
	h.chain = chainOf(&first.chain, b[starts[1]:starts[2]])
	putBatchHead(b[starts[1]:], &l.id, &h)
	w.disk.Put(segmentName(1), b)
	if text := w.refuses(t, "a changed amount with a mended chain"); !strings.Contains(text, "posting 3") {
		t.Errorf("a changed amount with a mended chain: %s", text)
	}
}

func TestMissingSegmentIsRefused(t *testing.T) {
	t.Parallel()
	for _, number := range []uint32{1, 2} {
		w := newWorld(t, disktest.Faults{}) // its segments are small
		l := w.start(t)
		w.grants(t, l, "a", 60)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l.w.number < 3 {
			t.Fatalf("%d segments", l.w.number)
		}
		w.disk.Remove(segmentName(number)) //nolint:errcheck // it is there
		w.refuses(t, segmentName(number))
	}
}

// TestDiskFull fills the disk, and gives it space again: nothing is lost, and no restart is needed.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, disktest.Faults{Space: 10 * 4096})
	w.cfg.SnapshotEvery = 1_000_000
	l := w.start(t)
	n := 0
	var err error
	for ; n < 1000; n++ {
		if err = w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: fmt.Sprint("a", n), UID: 1, Amount: 1}); err != nil {
			break
		}
	}
	if game.KindOf(err) != game.Exhausted || n < 50 {
		t.Fatalf("order %d on a full disk = %v (%v), want Exhausted", n, err, game.KindOf(err))
	}
	if a, err := l.Account(t.Context(), 1); err != nil || a.Balance(l.Now()) != game.Amount(n) {
		t.Errorf("Account on a full disk = %+v, %v", a, err)
	}
	w.disk.Set(disktest.Faults{})
	until := time.Now().Add(20 * time.Second)
	for {
		err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: "again", UID: 1, Amount: 1})
		if err == nil {
			break
		}
		if game.KindOf(err) != game.Exhausted || time.Now().After(until) {
			t.Fatalf("an order with space again = %v", err)
		}
	}
	w.grants(t, l, "b", 40)
	w.whole(t, l)
	l = w.start(t)
	w.whole(t, l)
}

// TestFreeSpaceIsLow refuses orders before the disk is full.
func TestFreeSpaceIsLow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, disktest.Faults{})
	w.cfg.FreeBytesMin = 64 * unit.KiB
	l := w.start(t)
	w.grants(t, l, "a", 3)
	w.disk.Set(disktest.Faults{Space: 80 << 10})
	w.clock.Add(10_000_000)
	if err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: "x", UID: 1, Amount: 1}); err != nil && game.KindOf(err) != game.Exhausted {
		t.Errorf("Post = %v", err)
	}
	w.disk.Set(disktest.Faults{Space: 65 << 10})
	w.clock.Add(10_000_000)
	if err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: "y", UID: 1, Amount: 1}); game.KindOf(err) != game.Exhausted {
		t.Errorf("Post with little space = %v, want Exhausted", err)
	}
	w.disk.Set(disktest.Faults{})
	w.grants(t, l, "b", 3)
	w.whole(t, l)
}

// TestFailuresOfTheDisk: after a failed write or sync nothing is answered; the next
// Open has what was acknowledged, and what was in doubt it has or has not.
func TestFailuresOfTheDisk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault func(fail func() error) disktest.Faults
		err   error
		kind  game.Kind
	}{
		"sync":       {func(f func() error) disktest.Faults { return disktest.Faults{SyncErr: f} }, syscall.EIO, game.Unavailable},
		"write":      {func(f func() error) disktest.Faults { return disktest.Faults{WriteErr: f} }, syscall.EIO, game.Unavailable},
		"full write": {func(f func() error) disktest.Faults { return disktest.Faults{WriteErr: f} }, syscall.ENOSPC, game.Exhausted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := calm(t)
			l := w.start(t)
			w.grants(t, l, "a", 5)
			var failed atomic.Bool
			w.disk.Set(c.fault(func() error {
				if failed.CompareAndSwap(false, true) {
					return c.err
				}
				return nil // the kernel calls the next one a success
			}))
			err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: "b", UID: 1, Amount: 1})
			var e *game.Error
			if !errors.As(err, &e) || e.Kind != c.kind || !e.Doubt || !errors.Is(err, c.err) {
				t.Errorf("Post = %v (%+v), want %v in doubt", err, e, c.kind)
			}
			syncs := w.disk.Syncs()
			if err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: "c", UID: 1, Amount: 1}); game.KindOf(err) != c.kind || w.disk.Syncs() != syncs {
				t.Errorf("a later Post = %v, %d more syncs, want %v and none", err, w.disk.Syncs()-syncs, c.kind)
			}
			if _, err := l.Account(t.Context(), 1); game.KindOf(err) != c.kind {
				t.Errorf("Account = %v, want %v", err, c.kind)
			}
			if _, err := l.Totals(t.Context()); game.KindOf(err) != c.kind {
				t.Errorf("Totals = %v, want %v", err, c.kind)
			}
			l.Close()
			if game.KindOf(l.err) != c.kind {
				t.Errorf("Run = %v, want %v", l.err, c.kind)
			}
			l = w.start(t)
			w.grants(t, l, "d", 5)
			if err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: "b", UID: 1, Amount: 1}); err != nil {
				t.Errorf("the order in doubt again: %v", err)
			}
			w.whole(t, l)
		})
	}
}

// TestQueueIsBounded holds the disk, and fills the queue.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := calm(t)
	w.cfg.Queue, w.cfg.BatchPostings = 4, 1
	l := w.start(t)
	w.grants(t, l, "a", 1)
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.disk.Set(disktest.Faults{Syncing: func() { once.Do(func() { close(held) }); <-hold }})
	var wg sync.WaitGroup
	var full, done atomic.Int64
	post := func(n int) {
		wg.Go(func() {
			err := w.post(context.WithoutCancel(t.Context()), l, game.Order{Op: game.OpGrant, Tx: fmt.Sprint("b", n), UID: 1, Amount: 1})
			var e *game.Error
			switch {
			case err == nil:
				done.Add(1)
			case errors.As(err, &e) && e.Kind == game.Unavailable && !e.Doubt && strings.Contains(e.Detail, "game.points.queue"):
				full.Add(1)
			default:
				t.Errorf("Post = %v", err)
			}
		})
	}
	post(0)
	<-held // a sync waits: of this order, or of the spare, and then this order's will
	until := time.Now().Add(20 * time.Second)
	n := 1
	for ; full.Load() == 0 && time.Now().Before(until); n++ {
		post(n)
		time.Sleep(time.Millisecond) // let it come to the queue
	}
	close(hold)
	wg.Wait()
	if full.Load() == 0 || done.Load()+full.Load() != int64(n) {
		t.Errorf("of %d orders %d were carried out and %d refused", n, done.Load(), full.Load())
	}
	w.whole(t, l)
}

func TestOneProcessHasTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := open(t.Context(), dir, small(), Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, small(), Deps{}); game.KindOf(err) != game.Conflict || !strings.Contains(err.Error(), "process") {
		t.Errorf("a second Open = %v, want Conflict with the process", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = open(t.Context(), dir, small(), Deps{}); err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// TestScrubFindsOldDamage flips a bit in a segment that a start does not read.
func TestScrubFindsOldDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, disktest.Faults{})
	l := w.start(t)
	for i := 0; ; i++ { // without the filter of ids, which is saved when nobody is in the way, the next start reads everything
		w.grants(t, l, fmt.Sprint("a", i, "-"), 100)
		for !l.snapshotIdle.Load() {
			time.Sleep(time.Millisecond)
		}
		if names, err := w.disk.Names(l.dir); err != nil || i == 20 {
			t.Fatal("the filter is not saved", names, err)
		} else if slices.Contains(names, filterName) {
			break
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w.disk.Flip(segmentName(2), 8*700)
	l = w.start(t)
	until := time.Now().Add(20 * time.Second)
	for !l.damaged.Load() && time.Now().Before(until) {
		time.Sleep(time.Millisecond)
	}
	if !l.damaged.Load() {
		t.Error("a flipped bit in an old segment was not found")
	}
	if _, err := l.TotalsAt(t.Context(), l.Now()); game.KindOf(err) != game.Internal || !strings.Contains(err.Error(), segmentName(2)) {
		t.Errorf("TotalsAt = %v, want the file's name", err)
	}
	l.Close()
}

// TestIndexIsMadeAnew takes the index away, damages it, and says that it is bad.
func TestIndexIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, disktest.Faults{})
	w.cfg.FilterBytes = 4 * unit.KiB // little enough to be kept
	l := w.start(t)
	w.grants(t, l, "a", 100)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w.index = vfs.NewCrashableMem()
	l = w.start(t)
	w.whole(t, l)
	names, err := w.index.List(filepath.Join(w.dir, indexName))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST") {
			f, err := w.index.Create(filepath.Join(w.dir, indexName, name), vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			f.Write([]byte("damaged")) //nolint:errcheck // in memory
			f.Close()
		}
	}
	l = w.start(t)
	w.whole(t, l)
	w.disk.Put(indexBadName, nil)
	l = w.start(t)
	w.whole(t, l)
	if w.disk.Bytes(indexBadName) != nil {
		t.Error("the mark of a bad index stayed")
	}
	w.disk.Flip(filterName, 8*3000)
	l = w.start(t)
	w.whole(t, l)
}

// TestManySegments reads histories through more segments than may be open.
func TestManySegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, disktest.Faults{})
	w.cfg.SnapshotEvery = 300
	l := w.start(t)
	w.grants(t, l, "a", 1500)
	if l.w.number <= segmentsOpenMax {
		t.Fatalf("%d segments, want more than %d", l.w.number, segmentsOpenMax)
	}
	var pages []*game.Posting
	for before := uint64(0); ; {
		page, err := l.History(t.Context(), 2, before, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		pages, before = append(pages, page...), page[len(page)-1].Seq
	}
	if len(pages) != 500 || pages[0].Seq != 1499 || pages[499].Seq != 2 {
		t.Errorf("a history of %d postings, want 500", len(pages))
	}
	// From before a posting of somebody else.
	if page, err := l.History(t.Context(), 2, 1000, 2); err != nil || len(page) != 2 || page[0].Seq != 998 {
		t.Errorf("History before 1000 = %+v, %v", page, err)
	}
	if open := len(l.segs.open); open > segmentsOpenMax {
		t.Errorf("%d segments are open, want at most %d", open, segmentsOpenMax)
	}
	w.whole(t, l)
	l = w.start(t)
	w.whole(t, l)
}

// TestNoPostingIsBeforeWhatWasShown: who saw a lot end does not see it spent later.
func TestNoPostingIsBeforeWhatWasShown(t *testing.T) {
	t.Parallel()
	w := calm(t)
	l := w.start(t)
	o := game.Order{Op: game.OpGrant, Tx: "g", UID: 1, Amount: 5, Expires: game.Instant(w.clock.Load() + 1e6)}
	if err := w.post(t.Context(), l, o); err != nil {
		t.Fatal(err)
	}
	w.clock.Add(3_600_000_000)
	shown := l.Now()
	w.clock.Add(-3_600_000_000)
	if err := w.post(t.Context(), l, game.Order{Op: game.OpSpend, Tx: "s", UID: 1, Amount: 5}); game.KindOf(err) != game.Insufficient {
		t.Errorf("a spend of points that were shown as over = %v, want Insufficient", err)
	}
	if err := w.post(t.Context(), l, game.Order{Op: game.OpGrant, Tx: "h", UID: 1, Amount: 5}); err != nil || w.acked["h"].Time < shown {
		t.Errorf("a posting at %v behind %v, %v", w.acked["h"].Time.Time(), shown.Time(), err)
	}
	w.whole(t, l)
}
