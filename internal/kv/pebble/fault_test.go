package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kamado/kamado/internal/kv"
)

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

// TestPowerLoss: at any moment under load, what was acknowledged before is there,
// and the versions after it are greater than all that were seen.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	rounds := 4
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		rounds = 200
	}
	f := newFaulty()
	s := open(t, "/kv", f.set, func(c *Config) { c.MemTableBytes = 2 << 20 }) // tables are written too
	var mu sync.Mutex
	sure := map[kv.Key]kv.Version{}
	const each = 400
	allowed := make(chan struct{}, each) // writes of a round
	var wg sync.WaitGroup
	for id := range 4 {
		wg.Go(func() {
			value := bytes.Repeat([]byte("x"), 2000)
			n := 0
			for range allowed {
				k := kv.Key{Group: fmt.Sprint("u", id), Name: fmt.Sprint("n", n)}
				n++
				v, err := s.Put(t.Context(), k, value, kv.Absent)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				sure[k] = v
				mu.Unlock()
			}
		})
	}
	for round := range rounds {
		for range each {
			allowed <- struct{}{}
		}
		eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(sure) > each*round+each/4 })
		mu.Lock()
		before := maps.Clone(sure)
		mu.Unlock()
		afterPowerLoss(t, f.crash(uint64(round)), before)
	}
	close(allowed)
	wg.Wait()
}

func afterPowerLoss(t *testing.T, f *faulty, sure map[kv.Key]kv.Version) {
	t.Helper()
	s := open(t, "/kv", f.set)
	var newest kv.Version
	for k, v := range sure {
		newest = max(newest, v)
		if e, err := s.Get(t.Context(), k); err != nil || e.Version != v || len(e.Value) != 2000 {
			t.Fatalf("%s version %d is gone: %v, version %d", k, v, err, e.Version)
		}
	}
	if v, err := s.Put(t.Context(), key, nil, kv.Absent); err != nil || v <= newest {
		t.Fatalf("version %d, %v after a loss of power, and %d before", v, err, newest)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
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
