package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/eventlog"
)

// fullDisk has room for a number of bytes; a write beyond it is cut short, as
// write(2) does it. Further faults can be switched on.
type fullDisk struct {
	mu         sync.Mutex
	room       int
	noTruncate bool
	noSync     bool
}

func (d *fullDisk) set(f func(*fullDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *fullDisk) Create(path string) (eventlog.File, error) {
	f, err := eventlog.OSDisk.Create(path)
	return &fullFile{f, d}, err
}

type fullFile struct {
	eventlog.File
	disk *fullDisk
}

func (f *fullFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if len(p) <= f.disk.room {
		f.disk.room -= len(p)
		return f.File.Write(p)
	}
	n, err := f.File.Write(p[:f.disk.room])
	f.disk.room = 0
	return n, errors.Join(syscall.ENOSPC, err)
}

func (f *fullFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.noTruncate {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

func (f *fullFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.noSync {
		return syscall.EIO
	}
	return f.File.Sync()
}

func TestFullDisk(t *testing.T) {
	for _, noTruncate := range []bool{false, true} {
		t.Run(fmt.Sprintf("truncate fails: %v", noTruncate), func(t *testing.T) {
			dir := t.TempDir()
			d := &fullDisk{room: 1000, noTruncate: noTruncate}
			var log syncBuffer
			l, err := eventlog.OpenOn(dir, downStore{}, config(), slog.New(slog.NewTextHandler(&log, nil)), d)
			must(t, err)
			stop := running(t, l)
			kept := 0
			for ; kept < 100; kept++ {
				if err = l.Append(t.Context(), event(kept)); err != nil {
					break
				}
			}
			if !errors.Is(err, syscall.ENOSPC) || kept == 0 {
				t.Fatalf("after %d events: %v, want ENOSPC", kept, err)
			}
			for range 3 {
				if err := l.Append(t.Context(), event(kept)); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("Append on a full disk = %v, want ENOSPC", err)
				}
			}
			wantEvents(t, l, 0, kept)
			d.set(func(d *fullDisk) { d.room = 1 << 20 })
			for i := kept; i < kept+5; i++ {
				if err := l.Append(t.Context(), event(i)); err != nil {
					t.Fatalf("Append when there is room again = %v", err)
				}
			}
			wantEvents(t, l, 0, kept+5)
			stop()
			if s := log.String(); strings.Count(s, "cannot write") != 1 || strings.Count(s, "writes again") != 1 {
				t.Errorf("the log says the failure and the recovery other than once:\n%s", s)
			}
			l, err = eventlog.Open(dir, newStore(t), config(), quiet())
			must(t, err)
			must(t, l.Compact(t.Context()))
			wantEvents(t, l, 0, kept+5)
			if n := len(segments(t, dir)); n != 0 {
				t.Errorf("%d segments are left", n)
			}
		})
	}
}

func TestFailedSyncIsNotAcknowledged(t *testing.T) {
	dir := t.TempDir()
	d := &fullDisk{room: 1 << 20}
	l, err := eventlog.OpenOn(dir, downStore{}, config(), quiet(), d)
	must(t, err)
	stop := running(t, l)
	must(t, l.Append(t.Context(), event(0)))
	d.set(func(d *fullDisk) { d.noSync = true })
	if err := l.Append(t.Context(), event(1)); !errors.Is(err, syscall.EIO) {
		t.Errorf("Append without a sync = %v, want EIO", err)
	}
	d.set(func(d *fullDisk) { d.noSync = false })
	must(t, l.Append(t.Context(), event(2)))
	stop()
	if n := len(segments(t, dir)); n != 2 {
		t.Errorf("%d segments, want another one after the failed sync", n)
	}
	found := map[string]bool{}
	l, err = eventlog.Open(dir, newStore(t), config(), quiet())
	must(t, err)
	for _, e := range all(t, l) {
		found[e.Subject] = true
	}
	if !found["s0"] || !found["s2"] {
		t.Errorf("found %v, want both acknowledged events", found)
	}
}

func TestDamageInTheMiddleIsReportedAndKept(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0, 10)
	fill(t, dir, 10, 12) // so that the damaged segment is not the last
	first := segments(t, dir)[0]
	b, err := os.ReadFile(first)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(first, b, 0o600))
	var log syncBuffer
	l, err := eventlog.Open(dir, newStore(t), config(), slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	before := len(all(t, l))
	must(t, l.Compact(t.Context()))
	if got := len(all(t, l)); got != before || got < 5 || got > 11 {
		t.Errorf("%d events after compaction, %d before", got, before)
	}
	if !strings.Contains(log.String(), "damaged") || l.Stats().Torn != 1 {
		t.Errorf("the damage was not reported: %q, %+v", log.String(), l.Stats())
	}
	torn, err := os.ReadFile(first + ".torn")
	if err != nil || !bytes.HasSuffix(b, torn) || len(torn) == 0 {
		t.Errorf("the damaged bytes were not kept: %d, %v", len(torn), err)
	}
}

// crashStore is a store behind which the process dies after some Puts: each
// further call fails and nothing is done any more.
type crashStore struct {
	*fs.Store
	left int
}

var errCrash = errors.New("crashed")

func (s *crashStore) Put(ctx context.Context, key string, r io.Reader, size int64, opt blob.PutOptions) (blob.Info, error) {
	if s.left == 0 {
		return blob.Info{}, errCrash
	}
	s.left--
	return s.Store.Put(ctx, key, r, size, opt)
}

// TestCompactionIsExactlyOnceThroughCrashes ends the process after every Put of a
// compaction and at both steps of its commit, and starts it again.
func TestCompactionIsExactlyOnceThroughCrashes(t *testing.T) {
	const events, files = 130, 8 // 2 segments * 2 rooms * 2 days
	for puts := 0; puts <= files; puts++ {
		for _, step := range []string{"", "manifest lost", "removal lost"} {
			t.Run(fmt.Sprintf("after %d files, %s", puts, step), func(t *testing.T) {
				dir := t.TempDir()
				fill(t, dir, 0, events/2+20)
				fill(t, dir, events/2+20, events)
				store := newStore(t)
				before := snapshot(t, dir)
				l, err := eventlog.Open(dir, &crashStore{store, puts}, config(), quiet())
				must(t, err)
				if err := l.Compact(t.Context()); puts < files-2 && !errors.Is(err, errCrash) {
					t.Fatalf("Compact = %v, want the crash", err)
				}
				wantEvents(t, l, 0, events) // also in the middle of a compaction
				running(t, l)()
				restore(t, dir, before, step)

				l, err = eventlog.Open(dir, store, config(), quiet())
				must(t, err)
				wantEvents(t, l, 0, events)
				must(t, l.Compact(t.Context()))
				wantEvents(t, l, 0, events)
				if n := countRows(t, store); n != events {
					t.Errorf("the store has %d rows, want each of %d events once", n, events)
				}
				if left := segments(t, dir); len(left) != 0 {
					t.Errorf("segments %v are left", left)
				}
			})
		}
	}
}

func snapshot(t *testing.T, dir string) map[string][]byte {
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		files[e.Name()] = b
	}
	return files
}

// restore undoes what a crash loses: the removal of segments, and before that
// the manifest (never the other way round).
func restore(t *testing.T, dir string, before map[string][]byte, step string) {
	if step == "" {
		return
	}
	// The identity of the log was durable before the compaction began.
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	must(t, err)
	for name := range maps.Keys(before) {
		if strings.HasSuffix(name, ".seg") {
			must(t, os.WriteFile(filepath.Join(dir, name), before[name], 0o600))
		}
	}
	if step == "manifest lost" {
		manifest = before["manifest.json"]
	}
	must(t, os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o600))
}

// syncBuffer is a log that two goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
