package bombtest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/bombtest"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/purego"
	"github.com/kamado/kamado/images/render"
)

// What a bomb may cost: the promise, held in the long form, and what a loaded
// machine under the race detector is held to.
const (
	promisedCPU    = 50 * time.Millisecond
	shortCPU       = 2 * time.Second
	promisedMemory = 64 << 20
)

// bombsLeast is the promise of the issue.
const bombsLeast = 60

func long() bool { return os.Getenv("KAMADO_TEST_ALL") == "1" }

// TestBombs gives each bomb to a renderer with workers and to one without.
func TestBombs(t *testing.T) {
	bombs := bombtest.All(t)
	real := 0
	for _, b := range bombs {
		if !b.Harmless {
			real++
		}
	}
	if real < bombsLeast {
		t.Fatalf("%d bombs that must be refused, want at least %d", real, bombsLeast)
	}
	t.Run("pure Go", func(t *testing.T) {
		r := newRenderer(nil, purego.New(purego.Config{}))
		for _, b := range bombs {
			t.Run(b.Name, func(t *testing.T) { throw(t, r, nil, b, images.GIF) })
		}
	})
	t.Run("workers", func(t *testing.T) {
		pool := newPool(t)
		r := newRenderer(pool, purego.New(purego.Config{}))
		warm(t, r, pool)
		for _, b := range bombs {
			t.Run(b.Name, func(t *testing.T) { throw(t, r, pool, b, images.WebP) })
		}
		if s := pool.Stats(); s.Died+s.Killed > 0 {
			t.Errorf("workers died of bombs: %+v", s)
		}
	})
}

func newRenderer(pool *codec.Pool, pure *purego.Codec) *render.Renderer {
	codecs := []render.Codec{pure}
	if pool != nil {
		codecs = []render.Codec{pool, pure}
	}
	return render.New(render.Config{Limits: images.DefaultLimits(), Qualities: images.Qualities{JPEG: 80, WebP: 80, AVIF: 60}, Codecs: codecs, Workspaces: 1})
}

// newPool starts workers of this checkout that die at every system call
// nobody foresaw.
func newPool(t *testing.T) *codec.Pool {
	t.Helper()
	if exec.Command("pkg-config", "--exists", "vips").Run() != nil {
		t.Skip("needs libvips-dev (./setup test installs it)")
	}
	dir, err := os.MkdirTemp("", "kamado-bomb-test") // workers may run as another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kamado-codec")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/kamado/kamado/cmd/kamado-codec").CombinedOutput(); err != nil {
		t.Fatalf("build kamado-codec: %v\n%s", err, out)
	}
	pool, err := codec.NewPool(codec.Config{Path: path, Workers: 1, Kill: true, SVG: true, Idle: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return pool
}

// warm waits for the worker and its spare.
func warm(t *testing.T, r *render.Renderer, pool *codec.Pool) {
	t.Helper()
	for _, b := range bombtest.All(t) {
		if b.Name == "png: EXIF with entries of 4 GiB" {
			if _, err := r.Render(t.Context(), b.Make(), images.Rendition{Width: 8, Format: images.WebP}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		if s := pool.Stats(); s.Idle == 2 && s.Starting == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no worker and spare: %+v", pool.Stats())
		}
	}
}

// throw renders one bomb and looks at what it came to and what it cost.
func throw(t *testing.T, r *render.Renderer, pool *codec.Pool, b bombtest.Bomb, to images.Format) {
	data := b.Make()
	want := images.Rendition{Width: 480, Format: to}
	workers := children(t)
	before := measure(t, workers)
	res, err := r.Render(t.Context(), data, want)
	cost := measure(t, workers).minus(before)
	var known *images.Error
	switch kind := images.KindOf(err); {
	case err == nil && b.Harmless:
		if res.Width > 1<<14 || len(res.Data) == 0 {
			t.Errorf("shown as %dx%d in %d bytes", res.Width, res.Height, len(res.Data))
		}
	case err == nil:
		t.Errorf("was shown: %dx%d, %d frames", res.Width, res.Height, res.Frames)
	case kind != images.TooLarge && kind != images.Unprocessable:
		t.Errorf("kind %v: %v", kind, err)
	case errors.Is(err, codec.ErrCrashed), errors.Is(err, codec.ErrMemory) && pool != nil && pool.Stats().Died > 0:
		t.Errorf("a worker died of it: %v", err)
	case !errors.As(err, &known) || known.Detail == "":
		t.Errorf("no words for the client: %v", err)
	}
	limit := shortCPU
	if long() {
		limit = promisedCPU
	}
	if cost.cpu > limit {
		t.Errorf("%v of processor time, more than %v", cost.cpu, limit)
	}
	if cost.here > promisedMemory || cost.there > promisedMemory {
		t.Errorf("%d MiB allocated here and %d MiB more in a worker", cost.here>>20, cost.there>>20)
	}
	t.Logf("%d bytes: %v, %d KiB here, %d KiB in a worker: %v", len(data), cost.cpu, cost.here>>10, cost.there>>10, err)
}

// cost is processor time of this process and its workers, bytes allocated
// here, and the most resident bytes of a worker beyond those it had.
type cost struct {
	cpu         time.Duration
	here, there int64
}

func (c cost) minus(d cost) cost {
	return cost{c.cpu - d.cpu, c.here - d.here, c.there - d.there}
}

func measure(t *testing.T, workers []int) (c cost) {
	t.Helper()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	c.here = int64(stats.TotalAlloc)
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	c.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	for _, pid := range workers {
		c.cpu += clock(t, pid)
		c.there += peak(pid)
		// From here on the peak is the present; not everybody may ask for it.
		os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
	return c
}

// clock is the processor time of another process (clock_getcpuclockid(3)).
func clock(t *testing.T, pid int) time.Duration {
	t.Helper()
	const schedule = 2
	var at unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|schedule, &at); err != nil {
		t.Errorf("processor time of worker %d: %v", pid, err)
	}
	return time.Duration(at.Nano())
}

// peak is the most resident memory that a process had.
func peak(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}

// children are the processes that this one started.
func children(t *testing.T) (pids []int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skip("needs /proc")
	}
	for _, task := range tasks {
		list, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(list)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
