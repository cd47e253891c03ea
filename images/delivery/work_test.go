package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
)

func TestAHundredEqualRequestsAreOneRender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, func(_ *delivery.Config, d *delivery.Deps) { d.Memory = nil })
		b.double.hold = make(chan struct{})
		var wg sync.WaitGroup
		var ok atomic.Int32
		for range 100 {
			wg.Go(func() {
				if b.do(t, "GET", "/recipes/1/4x3").StatusCode == 200 {
					ok.Add(1)
				}
			})
		}
		synctest.Wait()
		close(b.double.hold)
		wg.Wait()
		if b.double.renders.Load() != 1 || ok.Load() != 100 {
			t.Errorf("%d renders and %d answers of 200, want 1 and 100", b.double.renders.Load(), ok.Load())
		}
		shared := 0
		for _, e := range b.events {
			if e.Outcome == delivery.OutcomeShared {
				shared++
			}
		}
		if shared != 99 {
			t.Errorf("%d events say shared, want 99", shared)
		}
	})
}

func TestAFullQueueSheds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		many := map[string]string{}
		for i := range 10 {
			many[fmt.Sprintf("many/%d.jpg", i)] = "photo"
		}
		b := newBench(t, many, func(_ *delivery.Config, d *delivery.Deps) { d.Places = queue.New(queue.Config{Places: 1, Waiting: 2}) })
		b.double.hold = make(chan struct{})
		var wg sync.WaitGroup
		var ok, shed atomic.Int32
		for i := range 10 {
			wg.Go(func() {
				switch r := b.do(t, "GET", fmt.Sprintf("/many/%d/9x9", i)); r.StatusCode {
				case 200:
					ok.Add(1)
				case 503:
					shed.Add(1)
					if r.Header.Get("Retry-After") == "" || r.Header.Get("Cache-Control") != "no-store" {
						t.Errorf("503 without Retry-After or with Cache-Control %q", r.Header.Get("Cache-Control"))
					}
				default:
					t.Errorf("status %d", r.StatusCode)
				}
			})
		}
		synctest.Wait()
		if shed.Load() != 7 {
			t.Errorf("%d shed while the queue is full, want 7 at once", shed.Load())
		}
		close(b.double.hold)
		wg.Wait()
		if ok.Load() != 3 {
			t.Errorf("%d answered, want 3", ok.Load())
		}
	})
}

func TestAClientThatLeftEndsItsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		places := queue.New(queue.Config{Places: 1, Waiting: 10})
		b := newBench(t, originals, func(_ *delivery.Config, d *delivery.Deps) { d.Places = places })
		b.double.hold = make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, url := range []string{"/recipes/1/4x3", "/recipes/2/4x3"} { // one renders, one waits
			wg.Go(func() {
				b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", url, nil))
			})
		}
		synctest.Wait()
		if st := places.Stats(); st.Busy != 1 || st.Waiting != 1 {
			t.Fatalf("before leaving: %+v", st)
		}
		leave()
		wg.Wait()
		synctest.Wait()
		if st := places.Stats(); st.Busy != 0 || st.Waiting != 0 {
			t.Errorf("after leaving: %+v, want no place taken", st)
		}
		for _, e := range b.events {
			if e.Outcome != delivery.OutcomeGone {
				t.Errorf("outcome %v, want gone", e.Outcome)
			}
		}
	})
}

func TestTheTimeForARenditionIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, func(c *delivery.Config, _ *delivery.Deps) { c.Time = 5 * time.Second })
		b.double.hold = make(chan struct{})
		start := time.Now()
		r := b.do(t, "GET", "/recipes/1/4x3")
		if r.StatusCode != 504 || time.Since(start) != 5*time.Second {
			t.Errorf("%d after %v, want 504 after 5s", r.StatusCode, time.Since(start))
		}
	})
}

func TestTheDiskCacheOutlivesTheHandler(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start := func() (*cache.Disk, func()) {
		d, err := cache.OpenDisk(cache.DiskConfig{Dir: dir, BytesMax: 1 << 20, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		for !d.Ready() {
			time.Sleep(time.Millisecond)
		}
		return d, func() { cancel(); <-done }
	}
	disk, stop := start()
	b := newBench(t, originals, func(_ *delivery.Config, d *delivery.Deps) { d.Disk = disk })
	first := b.do(t, "GET", "/recipes/1/4x3")
	want := body(t, first)
	stop()
	disk, stop = start()
	defer stop()
	store, err := fs.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c := newBench(t, nil, func(_ *delivery.Config, d *delivery.Deps) {
		d.Disk, d.Originals = disk, finder(t, origin.Source{Name: "default", Store: store})
	})
	second := c.do(t, "GET", "/recipes/1/4x3")
	if body(t, second) != want || c.double.renders.Load() != 0 || second.Header.Get("Etag") != first.Header.Get("Etag") {
		t.Errorf("after a restart: %d renders, ETag %q, want 0 and %q", c.double.renders.Load(), second.Header.Get("Etag"), first.Header.Get("Etag"))
	}
	for name := range first.Header {
		if name != "Server-Timing" && first.Header.Get(name) != second.Header.Get(name) {
			t.Errorf("%s = %q after the restart, %q before", name, second.Header.Get(name), first.Header.Get(name))
		}
	}
}

type changing struct{ blob.Store }

func (c changing) Stat(ctx context.Context, key string) (blob.Info, error) {
	info, err := c.Store.Stat(ctx, key)
	info.ETag = "older"
	return info, err
}

func TestAResultBelongsToWhatWasRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	store, err := fs.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	real := b.do(t, "GET", "/recipes/1/4x3").Header.Get("Etag")
	c := newBench(t, nil, func(_ *delivery.Config, d *delivery.Deps) {
		d.Originals = finder(t, origin.Source{Name: "default", Store: changing{store}})
	})
	if got := c.do(t, "GET", "/recipes/1/4x3").Header.Get("Etag"); got != real {
		t.Errorf("ETag %q, want that of the content that was read, %q", got, real)
	}
}

func BenchmarkHit(b *testing.B) {
	t := &testing.T{}
	dir := b.TempDir()
	_ = os.MkdirAll(filepath.Join(dir, "recipes"), 0o755)
	_ = os.WriteFile(filepath.Join(dir, "recipes/1.jpg"), bytes.Repeat([]byte("x"), 900), 0o644)
	store, err := fs.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	h := delivery.New(delivery.Config{Caching: images.Default().Caching}, delivery.Deps{
		Parse: parse, Originals: finder(t, origin.Source{Name: "default", Store: store}), Renderer: &double{},
		Places: queue.New(queue.Config{Places: 4}), Memory: cache.NewMemory[cache.Key, *delivery.Result](1 << 20),
		Log: slog.New(slog.DiscardHandler),
	})
	r := httptest.NewRequest("GET", "/recipes/1/4x3", nil)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
