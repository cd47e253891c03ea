package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk"
	"github.com/kamado/kamado/internal/unit"
)

// unsynced is a disk whose syncs do nothing, to make ledgers fast.
type unsynced struct{ disk.OS }

type unsyncedFile struct{ disk.File }

func (unsyncedFile) Sync() error { return nil }

func (d unsynced) Create(path string) (disk.File, error) {
	f, err := d.OS.Create(path)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (d unsynced) Open(path string) (disk.File, error) {
	f, err := d.OS.Open(path)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// generate makes a ledger of postings between users, as fast as it can be decided: the
// parts of Run without queue, callers and syncs. It ends as after a kill: without seal or flush.
func generate(tb testing.TB, dir string, cfg Config, postings, users int) {
	tb.Helper()
	cfg.BatchPostings, cfg.Rules.Transfers = 64, true // batches as 64 callers make them
	l, err := Open(tb.Context(), dir, cfg, Deps{disk: unsynced{}})
	if err != nil {
		tb.Fatal(err)
	}
	d := l.newDecider()
	stop := make(chan struct{})
	var before, behind sync.WaitGroup
	before.Go(func() { l.spareLoop(stop) })
	before.Go(l.writeLoop)
	behind.Go(l.indexLoop)
	behind.Go(l.snapshotLoop)
	for i := range postings {
		u := game.UID(i%users + 1)
		o := game.Order{Op: game.OpTransfer, Tx: "generated/" + strconv.Itoa(i), UID: u, To: u%game.UID(users) + 1, Amount: 1, By: "generate"}
		if i < users {
			o = game.Order{Op: game.OpGrant, Tx: "generated/" + strconv.Itoa(i), UID: u, Amount: 1_000_000}
		}
		r := request{order: o, key: keyOf(o.Tx)}
		if a, err := d.decide(&r); err != nil || a.Posting == nil {
			tb.Fatalf("order %d: %v", i, err)
		}
		if d.full() {
			d.handOver()
		}
	}
	if d.b.count > 0 {
		d.handOver()
	}
	close(l.toWrite)
	close(stop)
	before.Wait()
	close(l.toIndex)
	close(l.toSnapshot)
	behind.Wait()
	if err := l.failed(); err != nil {
		tb.Fatal(err)
	}
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
}

// resident is the memory of this process, in MiB.
func resident(tb testing.TB) int {
	tb.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[1]))
	if err != nil {
		tb.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

// cpuTime is what this process used of all processors.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timeOpen opens a ledger, says how long that took, and leaves it as it was.
func timeOpen(t *testing.T, what, dir string, cfg Config, postings uint64) time.Duration {
	t.Helper()
	start, cpu := time.Now(), cpuTime(t)
	l, err := Open(t.Context(), dir, cfg, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("%s: %d postings, %d accounts, %v (%v of CPU); resident %d MiB", what, l.core.seq, l.core.table.n, took.Round(time.Millisecond), (cpuTime(t) - cpu).Round(time.Millisecond), resident(t))
	if l.core.seq != postings {
		t.Errorf("%d postings, want %d", l.core.seq, postings)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return took
}

// TestRecovery reads a great ledger back: with snapshot, without one, and without
// the index. KAMADO_LEDGER_POSTINGS says how many postings it has; 10 million is the promise. With
// KAMADO_LEDGER_DIR the ledger is made there once, stays, and is only read with its snapshot.
func TestRecovery(t *testing.T) {
	postings, users := 12_000, 2_000
	if text := os.Getenv("KAMADO_LEDGER_POSTINGS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		postings, users = n, n/10
	}
	cfg := Default()
	cfg.SnapshotEvery = min(cfg.SnapshotEvery, postings/4)
	cfg.FreeBytesMin = 0
	if postings < 1_000_000 {
		cfg.FilterBytes, cfg.SegmentBytes = unit.MiB, unit.MiB
	}
	dir, kept := os.Getenv("KAMADO_LEDGER_DIR"), true
	if dir == "" {
		dir, kept = benchDir(t), false
	}
	if _, err := os.Stat(filepath.Join(dir, segmentName(1))); err != nil {
		start := time.Now()
		generate(t, dir, cfg, postings, users)
		t.Logf("made in %v; resident %d MiB", time.Since(start).Round(time.Millisecond), resident(t))
	}

	took := timeOpen(t, "snapshot and the log behind it, as after a kill", dir, cfg, uint64(postings))
	for range 2 { // other work on the machine counts too, so the best of three
		took = min(took, timeOpen(t, "the same again", dir, cfg, uint64(postings)))
	}
	if postings >= 1_000_000 && took > 5*time.Second {
		t.Errorf("recovery took %v, want at most 5s", took)
	}
	if kept {
		return // the files stay as they are
	}
	snaps, err := filepath.Glob(filepath.Join(dir, "*.snap"))
	if err != nil || len(snaps) != snapshotsKept {
		t.Fatalf("snapshots %v, %v, want %d", snaps, err, snapshotsKept)
	}
	// The newest is damaged: the older one and more of the log.
	b, err := os.ReadFile(snaps[1])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2]++
	if err := os.WriteFile(snaps[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	timeOpen(t, "the older snapshot", dir, cfg, uint64(postings))
	for _, s := range snaps {
		if err := os.Remove(s); err != nil {
			t.Fatal(err)
		}
	}
	timeOpen(t, "the whole log without a snapshot", dir, cfg, uint64(postings))
	if err := os.Remove(filepath.Join(dir, filterName)); err != nil && !disk.Missing(err) {
		t.Fatal(err)
	}
	timeOpen(t, "without snapshot and filter", dir, cfg, uint64(postings))
	if err := os.RemoveAll(filepath.Join(dir, indexName)); err != nil {
		t.Fatal(err)
	}
	timeOpen(t, "without snapshot, filter and index", dir, cfg, uint64(postings))
	l, err := open(t.Context(), dir, cfg, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, users, postings / 2, postings - 1} {
		p, err := l.Posting(t.Context(), fmt.Sprint("generated/", i))
		if err != nil || p.Seq != uint64(i)+1 {
			t.Errorf("posting %d: %+v, %v", i, p, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
