package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/kvtest"
)

func open(t *testing.T, dir string, change ...func(*Config)) *Store {
	t.Helper()
	c := Default()
	c.FreeBytesMin = 0
	for _, f := range change {
		f(&c)
	}
	s, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(t *testing.T) kv.Store { return open(t, filepath.Join(t.TempDir(), "kv")) })
}

func TestReopen(t *testing.T) {
	t.Parallel()
	kvtest.RunReopen(t, func(t *testing.T, dir string) kv.Store { return open(t, dir) })
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	_, err := Open(t.TempDir(), Config{FreeBytesMin: -1})
	for _, name := range []string{"cache_bytes", "memtable_bytes", "queue =", "queue_bytes", "free_bytes_min"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Open with nothing set = %v, want a word on %s", err, name)
		}
	}
}

func TestOneProcessOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kv")
	open(t, dir)
	if s, err := Open(dir, Default()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second Open = %v, %v", s, err)
	}
}

var key = kv.Key{Group: "u1", Name: "a"}

// TestVersionsPassABackup: a store that is put back gives no version again that it
// gave after the backup.
func TestVersionsPassABackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "kv"))
	v, err := s.Put(t.Context(), key, []byte("1"), kv.Any)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Snapshot(t.Context(), filepath.Join(dir, "backup")); err != nil {
		t.Fatal(err)
	}
	later, err := s.Put(t.Context(), key, []byte("2"), v)
	if err != nil {
		t.Fatal(err)
	}
	back := open(t, filepath.Join(dir, "backup"))
	other, err := back.Put(t.Context(), key, []byte("other"), v)
	if err != nil || other <= later {
		t.Errorf("the store that was put back gives version %d (%v); %d was given before", other, err, later)
	}
}

// TestVersionsWhenTheClockGoesBack: they grow, over a restart too.
func TestVersionsWhenTheClockGoesBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kv")
	var last kv.Version
	for _, year := range []int{2030, 2020, 1960} {
		s := open(t, dir, func(c *Config) {
			c.Now = func() time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
		})
		for range 3 {
			v, err := s.Put(t.Context(), key, nil, kv.Any)
			if err != nil || v <= last {
				t.Fatalf("in %d: version %d, %v after %d", year, v, err, last)
			}
			last = v
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// faulty is a file system in memory that runs full, and whose syncs fail or wait.
type faulty struct {
	*vfs.MemFS
	bytes   *atomic.Int64 // that may still be written
	syncErr *atomic.Pointer[error]
	hold    *atomic.Pointer[chan struct{}] // a sync of the log waits for it
	lies    bool                           // a failed sync says that it did not fail
}

func newFaulty() *faulty {
	f := &faulty{MemFS: vfs.NewCrashableMem(), bytes: new(atomic.Int64), syncErr: new(atomic.Pointer[error]), hold: new(atomic.Pointer[chan struct{}])}
	f.bytes.Store(1 << 40)
	return f
}

func (f *faulty) set(c *Config) { c.fs = f }

func (f *faulty) fail(err error) { f.syncErr.Store(&err) }

// crash gives what a loss of power leaves.
func (f *faulty) crash(seed uint64) *faulty {
	g := newFaulty()
	g.MemFS = f.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed % 100), RNG: rand.New(rand.NewPCG(seed, 0))})
	return g
}

func (f *faulty) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(max(0, f.bytes.Load())), TotalBytes: 1 << 40}, nil
}

func (f *faulty) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, f: f, log: strings.HasSuffix(name, ".log")}, nil
}

func (f *faulty) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.MemFS.Create(name, c)
	return f.wrap(name, file, err)
}

func (f *faulty) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.MemFS.ReuseForWrite(from, to, c)
	return f.wrap(to, file, err)
}

type faultyFile struct {
	vfs.File
	f   *faulty
	log bool
}

func (f *faultyFile) Write(p []byte) (int, error) {
	room := f.f.bytes.Add(-int64(len(p)))
	if room >= 0 {
		return f.File.Write(p)
	}
	f.f.bytes.Add(int64(len(p)))
	n, err := f.File.Write(p[:max(0, len(p)+int(room))])
	f.f.bytes.Add(-int64(n))
	if err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *faultyFile) sync(do func() error) error {
	if f.log {
		if hold := f.f.hold.Load(); hold != nil {
			<-*hold
		}
	}
	if err := f.f.syncErr.Load(); err != nil && f.log {
		if f.f.lies {
			return nil
		}
		return *err
	}
	return do()
}

func (f *faultyFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *faultyFile) SyncData() error { return f.sync(f.File.SyncData) }
func (f *faultyFile) SyncTo(n int64) (full bool, err error) {
	err = f.sync(func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// TestFull: little space refuses writes, none at all keeps the log waiting, and
// space makes all well without a restart.
func TestFull(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	const least = 1 << 20
	s := open(t, "/kv", f.set, func(c *Config) { c.FreeBytesMin = least })
	sure, err := s.Put(t.Context(), key, []byte("before"), kv.Absent)
	if err != nil {
		t.Fatal(err)
	}
	f.bytes.Store(least - 1)
	eventually(t, func() bool { // the space is looked at every 50 ms
		_, err = s.Put(t.Context(), key, []byte("full"), kv.Any)
		return err != nil
	})
	if !errors.Is(err, kv.ErrFull) {
		t.Fatalf("Put on a full disk = %v, want ErrFull", err)
	}
	if sh, err := s.Shards(t.Context()); err != nil || len(sh) != 1 || len(sh[0].Warnings) != 1 {
		t.Errorf("Shards = %+v, %v, want a warning", sh, err)
	}
	if e, err := s.Get(t.Context(), key); err != nil || e.Version < sure {
		t.Errorf("Get on a full disk = %v, %v", e, err)
	}
	f.bytes.Store(1 << 40)
	if _, err := s.Put(t.Context(), key, []byte("after"), kv.Any); err != nil {
		t.Errorf("Put with space again = %v", err)
	}
}

func TestTheLogMeetsTheEnd(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	s := open(t, "/kv", f.set)
	if _, err := s.Put(t.Context(), key, []byte("before"), kv.Absent); err != nil {
		t.Fatal(err)
	}
	f.bytes.Store(100) // some of it fits
	ctx, cancel := context.WithCancel(t.Context())
	stuck := make(chan error, 1)
	other := kv.Key{Group: "u2", Name: "b"}
	go func() {
		_, err := s.Put(ctx, other, bytes.Repeat([]byte("x"), 1000), kv.Absent)
		stuck <- err
	}()
	eventually(t, func() bool { return s.disk.waiting.Load() > 0 })
	_, err := s.Put(t.Context(), kv.Key{Group: "u3", Name: "c"}, nil, kv.Any)
	if !errors.Is(err, kv.ErrFull) {
		t.Errorf("Put while the log waits = %v, want ErrFull", err)
	}
	cancel()
	if err := <-stuck; !errors.Is(err, kv.ErrDoubt) {
		t.Fatalf("the Put that met the end = %v, want ErrDoubt", err)
	}
	// Its value is in nobody's sight before it is durable, nor can it be built upon.
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e, err := s.Get(short, other); err == nil {
		t.Errorf("Get shows %d bytes that are not durable", len(e.Value))
	}
	if _, err := s.Put(short, other, nil, kv.Absent); err == nil {
		t.Error("a second create was accepted while the first may be")
	}
	f.bytes.Store(1 << 40)
	e, err := s.Get(t.Context(), other)
	if err != nil || len(e.Value) != 1000 {
		t.Fatalf("Get with space again = %d bytes, %v", len(e.Value), err)
	}
	if _, err := s.Put(t.Context(), other, []byte("after"), e.Version); err != nil {
		t.Errorf("Put with space again = %v", err)
	}
	again := open(t, "/kv", f.crash(0).set)
	if e, err := again.Get(t.Context(), other); err != nil || string(e.Value) != "after" {
		t.Errorf("after a loss of power: %q, %v", e.Value, err)
	}
}

// TestCloseOnAFullDisk: it does not wait for ever, and nothing acknowledged is lost.
func TestCloseOnAFullDisk(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	s := open(t, "/kv", f.set)
	s.closeWait = 50 * time.Millisecond
	sure, err := s.Put(t.Context(), key, []byte("sure"), kv.Absent)
	if err != nil {
		t.Fatal(err)
	}
	f.bytes.Store(0)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Put(short, kv.Key{Group: "u2", Name: "b"}, nil, kv.Absent); !errors.Is(err, kv.ErrDoubt) && !errors.Is(err, kv.ErrFull) {
		t.Errorf("Put = %v, want ErrDoubt or ErrFull", err)
	}
	if err := s.Close(); !errors.Is(err, kv.ErrStopped) {
		t.Errorf("Close = %v, want ErrStopped", err)
	}
	again := open(t, "/kv", f.crash(50).set)
	if e, err := again.Get(t.Context(), key); err != nil || e.Version != sure {
		t.Errorf("Get after it = %v, %v", e, err)
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) { // a condition is polled
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
}

// TestNothingIsShownBeforeItsSync: a value whose sync is under way is not read.
func TestNothingIsShownBeforeItsSync(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	s := open(t, "/kv", f.set)
	hold := make(chan struct{})
	f.hold.Store(&hold)
	put := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), key, []byte("x"), kv.Absent)
		put <- err
	}()
	eventually(t, func() bool { return s.group.Load() != nil })
	eventually(t, func() bool { v, err := s.versionOf(appendKey(nil, key)); return err == nil && v != 0 })
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if e, err := s.Get(short, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get = %q, %v, want to wait for the sync", e.Value, err)
	}
	if es, err := s.List(short, key.Group, "", 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("List = %v, %v, want to wait for the sync", es, err)
	}
	f.hold.Store(nil)
	close(hold)
	if err := <-put; err != nil {
		t.Fatal(err)
	}
	if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != "x" {
		t.Errorf("Get = %q, %v", e.Value, err)
	}
}

// syncFails runs writers until the sync of the log fails, loses the power and
// gives the acknowledged writes that are gone.
func syncFails(t *testing.T, f *faulty, seed uint64) (lost int) {
	t.Helper()
	s := open(t, "/kv", f.set)
	var mu sync.Mutex
	sure := map[kv.Key]kv.Version{}
	var wg sync.WaitGroup
	for id := range 8 {
		wg.Go(func() {
			for n := range 200 {
				k := kv.Key{Group: fmt.Sprint("u", id), Name: fmt.Sprint("n", n)}
				v, err := s.Put(t.Context(), k, []byte(k.String()), kv.Absent)
				if err != nil {
					if !errors.Is(err, kv.ErrDoubt) && !errors.Is(err, kv.ErrStopped) {
						t.Errorf("Put = %v, want ErrDoubt or ErrStopped", err)
					}
					return
				}
				mu.Lock()
				sure[k] = v
				if len(sure) == 100 {
					f.fail(syscall.EIO)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if !f.lies {
		stoppedStore(t, s)
	}
	_ = s.Close()
	again := open(t, "/kv", f.crash(seed).set)
	for k, v := range sure {
		if e, err := again.Get(t.Context(), k); err != nil || e.Version != v || string(e.Value) != k.String() {
			lost++
		}
	}
	if len(sure) < 100 {
		t.Errorf("only %d writes were acknowledged", len(sure))
	}
	return lost
}

// stoppedStore looks at a store whose disk has failed.
func stoppedStore(t *testing.T, s *Store) {
	t.Helper()
	select {
	case <-s.Stopped():
	default:
		t.Fatal("the store goes on after a failed sync")
	}
	if !errors.Is(s.Fault(), syscall.EIO) {
		t.Errorf("Fault = %v, want EIO", s.Fault())
	}
	if _, err := s.Get(t.Context(), key); !errors.Is(err, kv.ErrStopped) {
		t.Errorf("Get = %v, want ErrStopped", err)
	}
	if _, err := s.Put(t.Context(), key, nil, kv.Any); !errors.Is(err, kv.ErrStopped) {
		t.Errorf("Put = %v, want ErrStopped", err)
	}
	if err := s.Scan(t.Context(), func(kv.Entry) error { return nil }); !errors.Is(err, kv.ErrStopped) {
		t.Errorf("Scan = %v, want ErrStopped", err)
	}
	if sh, err := s.Shards(t.Context()); err != nil || len(sh) != 1 || len(sh[0].Warnings) == 0 {
		t.Errorf("Shards = %v, %v, want a warning", sh, err)
	}
}

// TestFailedSync: the store stops, and loses nothing that it has acknowledged. The
// control is a disk that hides the failure.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		if lost := syncFails(t, newFaulty(), seed*23); lost != 0 {
			t.Errorf("seed %d: %d acknowledged writes are gone", seed, lost)
		}
	}
	f := newFaulty()
	f.lies = true
	if lost := syncFails(t, f, 0); lost == 0 {
		t.Error("a disk that lies loses nothing: this test sees nothing")
	}
}

// TestTheListOfFilesFails: the engine gives up in a goroutine of its own.
func TestTheListOfFilesFails(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	s := open(t, "/kv", f.set)
	go words{s}.Fatalf("MANIFEST sync failed: %v", syscall.EIO)
	<-s.Stopped()
	if _, err := s.Put(t.Context(), key, nil, kv.Any); !errors.Is(err, kv.ErrStopped) {
		t.Errorf("Put = %v, want ErrStopped", err)
	}
	if err := s.Close(); !errors.Is(err, kv.ErrStopped) {
		t.Errorf("Close = %v, want ErrStopped", err)
	}
}

// TestSnapshotElsewhereFails: it is no fault of the store's disk.
func TestSnapshotElsewhereFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "kv"))
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Snapshot(t.Context(), filepath.Join(dir, "file", "copy")); err == nil {
		t.Error("a snapshot went below a file")
	}
	if _, err := s.Put(t.Context(), key, nil, kv.Any); err != nil {
		t.Errorf("Put after a failed snapshot = %v", err)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	f := newFaulty()
	s := open(t, "/kv", f.set, func(c *Config) { c.Queue, c.QueueBytes = 3, kv.ValueBytesMax })
	hold := make(chan struct{})
	f.hold.Store(&hold)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if _, err := s.Put(t.Context(), kv.Key{Group: "q", Name: fmt.Sprint(i)}, nil, kv.Absent); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, func() bool { return s.writes.Load() == 3 })
	var what *kv.ExhaustedError
	if _, err := s.Put(t.Context(), key, nil, kv.Absent); !errors.As(err, &what) || what.Setting != "queue" {
		t.Errorf("Put into a full queue = %v, want it exhausted", err)
	}
	f.hold.Store(nil)
	close(hold)
	wg.Wait()
	s.bytes.Store(1)
	if _, err := s.Put(t.Context(), key, make([]byte, kv.ValueBytesMax), kv.Any); !errors.As(err, &what) || what.Setting != "queue_bytes" {
		t.Errorf("Put of too many bytes = %v, want it exhausted", err)
	}
	s.bytes.Store(0)
	if _, err := s.Put(t.Context(), key, nil, kv.Any); err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	s := open(t, filepath.Join(t.TempDir(), "kv"))
	if err := s.Register(r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), key, []byte("x"), kv.Any); err != nil {
		t.Fatal(err)
	}
	fams, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range fams {
		for _, m := range f.GetMetric() {
			got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if got["kamado_kv_pebble_writes_total"] != 1 || got["kamado_kv_pebble_disk_bytes"] == 0 || got["kamado_kv_pebble_stopped"] != 0 {
		t.Errorf("metrics = %v", got)
	}
}

// TestTheEngineSpeaksIntoTheLog: at Debug what it does, at Warn what it complains of.
func TestTheEngineSpeaksIntoTheLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(locked{&mu, &b}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := open(t, filepath.Join(t.TempDir(), "kv"), func(c *Config) { c.Log = log })
	words{s}.Errorf("bad %d", 7)
	mu.Lock()
	defer mu.Unlock()
	if got := b.String(); !strings.Contains(got, `level=WARN msg="engine of entities complains" said="bad 7"`) || strings.Count(got, "level=WARN") != 1 {
		t.Errorf("log = %s", got)
	}
}

type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// FuzzRecord: what is not a record of ours is told, and nothing else happens.
func FuzzRecord(f *testing.F) {
	f.Add(appendKey(nil, key), []byte("\x00\x00\x00\x00\x00\x00\x00\x01value"))
	f.Add([]byte("v"), []byte("short"))
	f.Add([]byte("d\x00"), []byte{})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if got, err := parseKey(k); err == nil && !bytes.Equal(appendKey(nil, got), k) {
			t.Errorf("parseKey(%q) = %v", k, got)
		}
		if version, value, err := parseValue(v); err == nil && (len(value) != len(v)-8 || version == 0 && !bytes.HasPrefix(v, make([]byte, 8))) {
			t.Errorf("parseValue(%q) = %d, %q", v, version, value)
		}
	})
}

// BenchmarkPut is beside what the engine does alone, without versions.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("200-bytes/callers-%d", callers), func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "kv"), Default())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := make([]byte, 200)
			callTogether(b, callers, func(n int64) error {
				_, err := s.Put(context.Background(), kv.Key{Group: fmt.Sprint("u", n%1000), Name: fmt.Sprint("n", n)}, value, kv.Absent)
				return err
			})
		})
		b.Run(fmt.Sprintf("200-bytes/callers-%d-engine-alone", callers), func(b *testing.B) {
			db, err := pebble.Open(filepath.Join(b.TempDir(), "kv"), &pebble.Options{Logger: words{&Store{log: slog.New(slog.DiscardHandler)}}})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			value := make([]byte, 200)
			callTogether(b, callers, func(n int64) error { return db.Set(fmt.Appendf(nil, "u%d/n%d", n%1000, n), value, pebble.Sync) })
		})
	}
}

// callTogether shares b.N calls among callers.
func callTogether(b *testing.B, callers int, call func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := call(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
}
