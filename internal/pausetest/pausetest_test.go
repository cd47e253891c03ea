package pausetest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/kamado/kamado/internal/pausetest"
)

const childEnv = "KAMADO_TEST_PAUSE_CHILD"

func TestMain(m *testing.M) {
	if file := os.Getenv(childEnv); file != "" {
		count(file)
		return
	}
	os.Exit(m.Run())
}

// counters are memory that two processes share, by a file.
type counters [4]atomic.Uint64

func shared(name string) (*counters, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, int(unsafe.Sizeof(counters{})), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*counters)(unsafe.Pointer(&b[0])), nil
}

// count counts in several threads as fast as it can.
func count(name string) {
	all, err := shared(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			for {
				all[i].Add(1)
			}
		})
	}
	wg.Wait()
}

// TestPause: a process does nothing after Pause has returned, and goes on after Resume.
func TestPause(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "counters")
	if err := os.WriteFile(file, make([]byte, unsafe.Sizeof(counters{})), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := shared(file)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env, child.Stderr = append(os.Environ(), childEnv+"="+file), os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()         //nolint:errcheck // it is killed
	defer child.Process.Kill() //nolint:errcheck // it may be gone
	for range 100 {
		moved(t, all)
		pausetest.Pause(t, child.Process.Pid)
		var before [len(all)]uint64
		for i := range all {
			before[i] = all[i].Load()
		}
		time.Sleep(2 * time.Millisecond)
		for i := range all {
			if now := all[i].Load(); now != before[i] {
				t.Fatalf("thread %d counted from %d to %d while the process stood still", i, before[i], now)
			}
		}
		pausetest.Resume(t, child.Process.Pid)
	}
	moved(t, all)
}

// moved waits until all threads have counted.
func moved(t *testing.T, all *counters) {
	t.Helper()
	began := time.Now()
	for i := range all {
		for before := all[i].Load(); all[i].Load() == before; time.Sleep(time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("thread %d does not count", i)
			}
		}
	}
}
