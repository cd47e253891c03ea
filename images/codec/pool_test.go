package codec_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/codectest"
	"github.com/kamado/kamado/internal/programtest"
)

// photo is a PNG without large even areas.
func photo(w, h int) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	v := uint32(1)
	for y := range h {
		for x := range w {
			v = v*1664525 + 1013904223
			n := uint8(v >> 28)
			copy(m.Pix[y*m.Stride+4*x:], []byte{uint8(x*240/w) + n, uint8(y*240/h) + n, uint8((x+y)*120/(w+h)) + n, 255})
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// wide is a black PNG of one bit a pixel, which Go writes quickly.
func wide(w, h int) []byte {
	var pixels bytes.Buffer
	z, _ := zlib.NewWriterLevel(&pixels, zlib.BestSpeed)
	z.Write(make([]byte, h*(1+(w+7)/8)))
	z.Close()
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, body []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		at := len(b)
		b = append(append(b, kind...), body...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(w))
	header = append(binary.BigEndian.AppendUint32(header, uint32(h)), 1, 0, 0, 0, 0)
	chunk("IHDR", header)
	chunk("IDAT", pixels.Bytes())
	chunk("IEND", nil)
	return b
}

var small = sync.OnceValue(func() []byte { return photo(200, 150) })

func load(ctx context.Context, p *codec.Pool, data []byte) error {
	_, _, err := p.Load(ctx, codec.LoadRequest{Data: data, Format: images.PNG,
		Geometry: func(codec.Info) (codec.Target, error) { return codec.Target{Width: 40, Height: 30}, nil }})
	return err
}

// fault asks a faulty worker for a fault.
func fault(ctx context.Context, p *codec.Pool, kind string) error {
	return load(ctx, p, []byte("KAMADO-FAULT:"+kind+"\x00"))
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never came: %s", what)
		}
	}
}

func TestNoWorkerWithoutRequest(t *testing.T) {
	p := newPool(t, nil)
	if _, err := p.Probe(t.Context(), []byte("BM"), images.BMP); !errors.Is(err, codec.ErrFormat) {
		t.Errorf("probe of a format that workers do not know: %v", err)
	}
	if s := p.Stats(); s.Started+s.Failed > 0 || s.Starting > 0 || len(p.Pids()) > 0 {
		t.Fatalf("workers without a request: %+v", s)
	}
	if err := load(t.Context(), p, small()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a warm spare beside the worker", func() bool { s := p.Stats(); return s.Idle >= 1 && s.Starting == 0 })
}

func TestIdleWorkersEnd(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Idle = 100 * time.Millisecond })
	for round := range 2 {
		if err := load(t.Context(), p, small()); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("the end of all workers, round %d", round), func() bool { return len(p.Pids()) == 0 && p.Stats().Starting == 0 })
	}
	if s := p.Stats(); s.Died+s.Killed > 0 {
		t.Errorf("ending is not dying: %+v", s)
	}
}

func TestMissingExecutable(t *testing.T) {
	if _, err := codec.NewPool(codec.Config{Path: filepath.Join(t.TempDir(), "kamado-codec")}); !errors.Is(err, codec.ErrNoWorker) {
		t.Errorf("missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "kamado-codec")
	for text, mode := range map[string]os.FileMode{"#!/bin/false\n": 0o600, "#!/bin/true\n": 0o755, "not a program": 0o755} {
		os.Remove(path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		p, err := codec.NewPool(codec.Config{Path: path})
		if err == nil {
			err = load(t.Context(), p, small())
			p.Close()
		}
		if !errors.Is(err, codec.ErrNoWorker) {
			t.Errorf("%q with mode %v: %v, want ErrNoWorker", text, mode, err)
		}
	}
}

// TestAStartThatFailsOnceIsNobodysLoss: a worker killed while it starts is
// started again for whoever waits for it.
func TestAStartThatFailsOnceIsNobodysLoss(t *testing.T) {
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o777} { // workers may run as another user
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	path, fail := filepath.Join(dir, "kamado-codec"), filepath.Join(dir, "fail")
	script := fmt.Sprintf("#!/bin/sh\nif [ -e %[1]s ]; then /bin/rm %[1]s; exit 1; fi\nexec %[2]s \"$@\"\n", fail, workerPath)
	programtest.Write(t, path, []byte(script))
	p := newPool(t, func(c *codec.Config) { c.Path, c.Workers = path, 1 })
	if err := load(t.Context(), p, small()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no start is under way", func() bool { s := p.Stats(); return s.Idle > 0 && s.Starting == 0 })
	if err := os.WriteFile(fail, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	killed := p.Pids()
	for _, pid := range killed {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	eventually(t, "the worker is gone", func() bool { pids := p.Pids(); return len(pids) == 0 || !slices.Contains(killed, pids[0]) })
	if err := load(t.Context(), p, small()); err != nil {
		t.Errorf("the request whose worker failed to start once got %v", err)
	}
	if s := p.Stats(); s.Failed != 1 {
		t.Errorf("%d starts failed, want 1", s.Failed)
	}
}

// TestFaults: each way to go wrong costs its own request, with an error that
// says what happened, and the next request is answered by the warm spare.
func TestFaults(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Path, c.Workers, c.Memory = faultyPath, 1, 300<<20 })
	if err := load(t.Context(), p, small()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind string
		want error
		is   images.Kind
	}{
		{"segv", codec.ErrCrashed, images.Unprocessable},
		{"abort", codec.ErrCrashed, images.Unprocessable},
		{"stack", codec.ErrCrashed, images.Unprocessable},
		{"panic", codec.ErrCrashed, images.Unprocessable},
		{"exit", codec.ErrCrashed, images.Unprocessable},
		{"memory", codec.ErrMemory, images.TooLarge},
		{"loop", context.DeadlineExceeded, images.Timeout},
		{"garbage", nil, images.Internal},
		{"stale", nil, images.Internal},
		{"liar", nil, images.Internal},
	} {
		t.Run(c.kind, func(t *testing.T) {
			eventually(t, "a spare", func() bool { return p.Stats().Idle >= 1 && p.Stats().Starting == 0 })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if c.kind == "loop" {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			err := fault(ctx, p, c.kind)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || images.KindOf(err) != c.is {
				t.Errorf("got kind %v: %v; want %v: %v", images.KindOf(err), err, c.is, c.want)
			}
			began := time.Now()
			if err := load(t.Context(), p, small()); err != nil {
				t.Errorf("the next request: %v", err)
			}
			t.Logf("next answer after %v", time.Since(began))
		})
	}
	if err := fault(t.Context(), p, "flood"); images.KindOf(err) != images.Unprocessable {
		t.Errorf("a flood of words is no fault: %v", err)
	}
	if err := load(t.Context(), p, small()); err != nil {
		t.Error(err)
	}
}

// TestKillUnderLoad kills workers with signal 9 again and again while requests
// come: only requests that a killed worker had may fail.
func TestKillUnderLoad(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Path = faultyPath })
	var kills, failed, good atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for range 4 {
		group.Go(func() {
			for time.Now().Before(end) {
				err := fault(t.Context(), p, "sleep")
				switch {
				case images.KindOf(err) == images.Unprocessable && !errors.Is(err, codec.ErrCrashed):
					good.Add(1) // "not a PNG" is what the file is
				case errors.Is(err, codec.ErrKilled) && images.KindOf(err) == images.Unavailable:
					failed.Add(1)
				default:
					t.Errorf("kind %v: %v", images.KindOf(err), err)
				}
			}
		})
	}
	group.Go(func() {
		for time.Now().Before(end) {
			before := p.Stats().Requests
			if pids := p.Pids(); len(pids) > 0 {
				if syscall.Kill(pids[0], syscall.SIGKILL) == nil {
					kills.Add(1)
				}
			}
			for p.Stats().Requests < before+6 && time.Now().Before(end) {
				runtime.Gosched()
			}
		}
	})
	group.Wait()
	if failed.Load() > kills.Load() || good.Load() == 0 || kills.Load() < 3 {
		t.Errorf("%d kills, %d requests failed, %d good", kills.Load(), failed.Load(), good.Load())
	}
	if err := load(t.Context(), p, small()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	t.Logf("%d kills, %d requests failed, %d good, %+v", kills.Load(), failed.Load(), good.Load(), p.Stats())
}

func TestQueueIsBounded(t *testing.T) {
	// Long enough for a worker to start on a machine under load, short
	// enough to tell being refused at once from having waited.
	const wait = 2 * time.Second
	p := newPool(t, func(c *codec.Config) { c.Path, c.Workers, c.Queue, c.Wait = faultyPath, 1, 1, wait })
	if err := load(t.Context(), p, small()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*wait)
	var group sync.WaitGroup
	group.Go(func() { fault(ctx, p, "loop") })
	eventually(t, "the worker is busy", func() bool { return p.Stats().Busy == 1 })
	late := make(chan error, 1)
	group.Go(func() { late <- load(t.Context(), p, small()) })
	eventually(t, "one request waits", func() bool { return p.Stats().Waiting == 1 })
	began := time.Now()
	err := load(t.Context(), p, small())
	if !errors.Is(err, codec.ErrBusy) || images.KindOf(err) != images.Exhausted || time.Since(began) >= wait {
		t.Errorf("beyond the queue: %v after %v", err, time.Since(began))
	}
	if err := <-late; !errors.Is(err, codec.ErrBusy) || images.KindOf(err) != images.Exhausted {
		t.Errorf("waited too long: %v", err)
	}
	cancel()
	group.Wait()
	eventually(t, "the end of the loop", func() bool { return p.Stats().Busy == 0 })
	if err := load(t.Context(), p, small()); err != nil {
		t.Errorf("after the queue: %v", err)
	}
}

// TestCancelled: the caller has its answer at once, whatever the worker does;
// a worker that finishes soon is kept.
func TestCancelled(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Path, c.Workers = faultyPath, 1 })
	cancelled := func(kind string) {
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		before := p.Stats().Requests
		go func() { answer <- fault(ctx, p, kind) }()
		eventually(t, "the worker is busy", func() bool { return p.Stats().Busy == 1 || p.Stats().Requests > before })
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) && kind == "loop" {
			t.Errorf("%s: %v", kind, err)
		}
		eventually(t, "the worker is settled", func() bool { return p.Stats().Requests > before })
		if err := load(t.Context(), p, small()); err != nil {
			t.Errorf("%s: the next request: %v", kind, err)
		}
	}
	for range 5 {
		cancelled("sleep")
	}
	if s := p.Stats(); s.Killed+s.Died > 0 {
		t.Errorf("workers that finish soon were killed: %+v", s)
	}
	// A cancellation may come before the request is with the worker.
	for try := 0; p.Stats().Killed == 0 && try < 20; try++ {
		cancelled("loop")
	}
	if p.Stats().Killed == 0 {
		t.Error("an endless loop was not killed")
	}
}

func TestCloseUnderLoad(t *testing.T) {
	p := newPool(t, nil)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				if err := load(t.Context(), p, small()); err != nil {
					return
				}
			}
		})
	}
	eventually(t, "some requests", func() bool { return p.Stats().Requests > 5 })
	p.Close()
	group.Wait()
	if len(p.Pids()) > 0 {
		t.Error("processes after Close")
	}
	if err := load(t.Context(), p, small()); !errors.Is(err, codec.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWorkersAreReplacedAfterSoManyRequests(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Requests, c.Workers = 3, 1 })
	for range 10 {
		if err := load(t.Context(), p, small()); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s.Started < 4 || s.Died+s.Killed > 0 {
		t.Errorf("%+v", s)
	}
}

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	return len(list)
}

// TestNothingLeaks: descriptors, processes and goroutines are as before after
// good, bad and deadly requests.
func TestNothingLeaks(t *testing.T) {
	descriptorsBefore, goroutines := descriptors(t), runtime.NumGoroutine()
	p := newPool(t, func(c *codec.Config) { c.Path = faultyPath })
	for i := range 60 {
		load(t.Context(), p, small())
		load(t.Context(), p, small()[:300])
		if i%20 == 0 {
			fault(t.Context(), p, "segv")
		}
	}
	eventually(t, "rest", func() bool { s := p.Stats(); return s.Busy == 0 && s.Starting == 0 })
	// Each worker holds one socket, one pidfd and the pipe of its words here.
	if n, most := descriptors(t), descriptorsBefore+4*len(p.Pids())+4; n > most {
		t.Errorf("%d descriptors, want at most %d", n, most)
	}
	p.Close()
	eventually(t, "as few goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines+1 })
	if n := descriptors(t); n > descriptorsBefore+3 { // the runtime's poller
		t.Errorf("%d descriptors after Close, %d before", n, descriptorsBefore)
	}
}

// resident is the memory of a process that is in use, in bytes: PSS.
func resident(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Skipf("needs smaps_rollup: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no Pss")
	return 0
}

// TestMemoryIsGivenBack: after large pictures a worker is about as small as
// before.
func TestMemoryIsGivenBack(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Workers, c.Spare = 1, -1 })
	if err := load(t.Context(), p, small()); err != nil {
		t.Fatal(err)
	}
	pids := p.Pids()
	before := resident(t, pids[0])
	large := photo(2000, 1500)
	for _, f := range []images.Format{images.WebP, images.AVIF} {
		r, _, err := p.Load(t.Context(), codec.LoadRequest{Data: large, Format: images.PNG})
		if err != nil {
			t.Fatal(err)
		}
		file, err := p.Save(t.Context(), codec.SaveRequest{Raster: r, Format: f, Effort: 1, Quality: 40})
		if err != nil {
			t.Fatal(err)
		}
		// A small file with many pixels, and a small result.
		if _, _, err := p.Load(t.Context(), codec.LoadRequest{Data: file, Format: f,
			Geometry: func(codec.Info) (codec.Target, error) { return codec.Target{Width: 40, Height: 30}, nil }}); err != nil {
			t.Fatal(err)
		}
	}
	if err := load(t.Context(), p, small()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Pids(), pids) {
		t.Fatal("another worker")
	}
	after := resident(t, pids[0])
	t.Logf("PSS %d KiB before, %d KiB after", before>>10, after>>10)
	if after > before+24<<20 {
		t.Errorf("the worker grew from %d to %d bytes", before, after)
	}
}

// TestMemoryLimit: a picture that needs more than a worker may have is
// refused, or costs one worker; never more.
func TestMemoryLimit(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Memory, c.Workers = 240<<20, 1 })
	data := wide(12_000, 12_000)
	err := load(t.Context(), p, data) // streams: fits
	if err != nil {
		t.Errorf("a large picture that streams: %v", err)
	}
	_, _, err = p.Load(t.Context(), codec.LoadRequest{Data: codectest.Turned(data, 6), Format: images.PNG})
	if k := images.KindOf(err); k != images.TooLarge && k != images.Unprocessable {
		t.Errorf("a large picture to be turned: kind %v, %v", k, err)
	}
	if err := load(t.Context(), p, small()); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// processCPU is the processor time that a process has taken, to 10 ms.
func processCPU(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // from field 3, the state, on
	var ticks [2]int64
	for i := range ticks {
		fmt.Sscan(fields[11+i], &ticks[i])
	}
	return time.Duration(ticks[0]+ticks[1]) * 10 * time.Millisecond // USER_HZ is 100
}
