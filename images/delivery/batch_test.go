package delivery_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
)

func onePlace(_ *delivery.Config, d *delivery.Deps) {
	d.Places = queue.New(queue.Config{Places: 1, Waiting: 200})
}

// ask requests pictures at the same time and counts the answers of 200.
func (b *bench) ask(t *testing.T, ok *atomic.Int32, urls ...string) *sync.WaitGroup {
	var wg sync.WaitGroup
	for _, url := range urls {
		wg.Go(func() {
			if b.do(t, "GET", url).StatusCode == 200 {
				ok.Add(1)
			}
		})
	}
	return &wg
}

func sizes(from, to int) (urls []string) {
	for i := from; i < to; i++ {
		urls = append(urls, fmt.Sprintf("/recipes/1/%dx9", i))
	}
	return urls
}

func TestSizesThatWaitAreMadeFromOneRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, onePlace)
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		first := b.ask(t, &ok, "/recipes/2/4x3") // takes the place
		synctest.Wait()
		rest := b.ask(t, &ok, sizes(1, 11)...)
		synctest.Wait()
		close(b.double.hold)
		first.Wait()
		rest.Wait()
		if sets, renders := b.double.sets.Load(), b.double.renders.Load(); sets != 2 || renders != 11 || ok.Load() != 11 {
			t.Errorf("%d reads for %d renditions and %d answers of 200, want 2, 11 and 11", sets, renders, ok.Load())
		}
	})
}

func TestABatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, onePlace)
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		first := b.ask(t, &ok, "/recipes/2/4x3")
		synctest.Wait()
		rest := b.ask(t, &ok, sizes(1, 41)...)
		synctest.Wait()
		close(b.double.hold)
		first.Wait()
		rest.Wait()
		if sets := b.double.sets.Load(); sets != 1+3 || ok.Load() != 41 { // 16, 16 and 8
			t.Errorf("%d reads and %d answers, want 4 and 41", sets, ok.Load())
		}
	})
}

// TestSizesThatComeAtOnceAreMadeFromOneDecode: with places free for all, what comes while the first one's decode has just begun
// is made together with it, and what comes later is not.
func TestSizesThatComeAtOnceAreMadeFromOneDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		original string
		after    time.Duration
		sets     int32 // one of them is ended where it is begun anew
		anew     float64
	}{
		"at once":         {"young", 0, 2, 1},
		"in its youth":    {"young", 800 * time.Nanosecond, 2, 1},
		"later":           {"young", time.Microsecond, 2, 0},
		"no JPEG":         {"1", 0, 2, 0},
		"no JPEG, longer": {"1", 800 * time.Nanosecond, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				metrics := delivery.NewMetrics()
				b := newBench(t, originals, func(_ *delivery.Config, d *delivery.Deps) { d.Metrics = metrics })
				b.double.hold = make(chan struct{})
				var ok atomic.Int32
				first := b.ask(t, &ok, "/recipes/"+c.original+"/100x9")
				synctest.Wait()
				if c.after > 0 {
					time.Sleep(c.after)
				}
				second := b.ask(t, &ok, "/recipes/"+c.original+"/1x9")
				synctest.Wait()
				if c.anew > 0 { // and more come while it gathers
					for i := range 3 {
						more := b.ask(t, &ok, fmt.Sprintf("/recipes/%s/%dx9", c.original, 2+i))
						defer more.Wait()
					}
					synctest.Wait()
				}
				time.Sleep(time.Second)
				close(b.double.hold)
				first.Wait()
				second.Wait()
				synctest.Wait()
				if got := b.double.sets.Load(); got != c.sets {
					t.Errorf("%d decodes were begun, want %d", got, c.sets)
				}
				if want := int32(2 + 3*c.anew); ok.Load() != want {
					t.Errorf("%d answers of 200, want %d", ok.Load(), want)
				}
				if got := counted(t, metrics, "kamado_images_batches_anew_total"); got != c.anew {
					t.Errorf("batches_anew = %v, want %v", got, c.anew)
				}
			})
		})
	}
}

// counted gives a counter without labels.
func counted(t *testing.T, m *delivery.Metrics, name string) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// TestABatchBeginsAnewOnce: who comes after that waits for no third begin, and is not forgotten.
func TestABatchBeginsAnewOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals)
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		all := []*sync.WaitGroup{b.ask(t, &ok, "/recipes/young/1x9")}
		synctest.Wait()
		for i := range 2 {
			all = append(all, b.ask(t, &ok, fmt.Sprintf("/recipes/young/%dx9", 2+i)))
			time.Sleep(time.Millisecond) // it gathers for half of that
		}
		close(b.double.hold)
		for _, wg := range all {
			wg.Wait()
		}
		if sets := b.double.sets.Load(); sets != 3 || ok.Load() != 3 { // ended, two together, one alone
			t.Errorf("%d decodes were begun for %d answers of 200, want 3 and 3", sets, ok.Load())
		}
	})
}

// slowStore lets reads wait.
type slowStore struct {
	*fs.Store
	hold chan struct{}
	gets atomic.Int32
}

func (s *slowStore) Get(ctx context.Context, key string) (*blob.Object, error) {
	s.gets.Add(1)
	<-s.hold
	return s.Store.Get(ctx, key)
}

// TestWhoComesDuringTheReadIsMadeWithTheOthers: of whatever format, since nothing is lost then.
func TestWhoComesDuringTheReadIsMadeWithTheOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, body string
		ok        int32
		sets      int32
	}{{"/recipes/young/", "", 6, 2}, {"/recipes/1/", "", 6, 1}, {"/recipes/large/", "", 0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			store, err := fs.Open(newBench(t, originals).dir)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			slow := &slowStore{Store: store, hold: make(chan struct{})}
			b := newBench(t, nil, func(_ *delivery.Config, d *delivery.Deps) {
				d.Originals = finder(t, origin.Source{Name: "default", Store: slow})
			})
			var ok atomic.Int32
			var all []*sync.WaitGroup
			for i := range 6 {
				all = append(all, b.ask(t, &ok, fmt.Sprintf("%s%dx9", c.url, i+1)))
				synctest.Wait()
			}
			close(slow.hold)
			for _, wg := range all {
				wg.Wait()
			}
			if ok.Load() != c.ok || b.double.sets.Load() != c.sets || slow.gets.Load() > 1 {
				t.Errorf("%s: %d answers of 200 from %d reads and %d decodes, want %d, 1 and %d", c.url, ok.Load(), slow.gets.Load(), b.double.sets.Load(), c.ok, c.sets)
			}
		})
	}
}

func TestABatchThatBeginsAnewMayFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals)
		if r := b.do(t, "GET", "/recipes/youngpanic/1x1"); r.StatusCode != 500 {
			t.Errorf("a panic in the youth of a batch: %d, want 500", r.StatusCode)
		}
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		first := b.ask(t, &ok, "/recipes/youngpanic/1x1")
		synctest.Wait()
		second := b.ask(t, &ok, "/recipes/youngpanic/2x2")
		synctest.Wait()
		close(b.double.hold)
		first.Wait()
		second.Wait()
		if took := b.double.sets.Load(); took != 3 || ok.Load() != 0 {
			t.Errorf("%d decodes, %d answers of 200, want 3 and none", took, ok.Load())
		}
		if r := b.do(t, "GET", "/recipes/1/5x5"); r.StatusCode != 200 {
			t.Errorf("after the panics: %d", r.StatusCode)
		}
	})
}

func TestAllMayLeaveABatchThatBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, onePlace)
		b.double.hold = make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		var gone sync.WaitGroup
		for i := range 3 {
			gone.Go(func() {
				b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", fmt.Sprintf("/recipes/young/%dx1", i+1), nil))
			})
			synctest.Wait()
		}
		leave()
		gone.Wait()
		synctest.Wait()
		var ok atomic.Int32
		next := b.ask(t, &ok, "/recipes/1/2x2")
		close(b.double.hold)
		next.Wait()
		if ok.Load() != 1 {
			t.Error("the place is not free after all have left")
		}
	})
}

func TestTheFirstOfABatchMayLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, onePlace)
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		busy := b.ask(t, &ok, "/recipes/2/4x3")
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		var gone sync.WaitGroup
		gone.Go(func() {
			b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/recipes/1/1x1", nil))
		})
		synctest.Wait()
		rest := b.ask(t, &ok, "/recipes/1/2x2")
		synctest.Wait()
		leave()
		gone.Wait()
		close(b.double.hold)
		busy.Wait()
		rest.Wait()
		if ok.Load() != 2 {
			t.Errorf("%d answers of 200, want those of the two who stayed", ok.Load())
		}
	})
}

func TestAFaultInABatchIsOneOfItsMembersOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, onePlace)
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		busy := b.ask(t, &ok, "/recipes/2/4x3")
		synctest.Wait()
		broken := b.ask(t, &ok, "/recipes/panic/1x1", "/recipes/panic/2x2")
		sound := b.ask(t, &ok, "/recipes/1/1x1", "/recipes/1/2x2")
		synctest.Wait()
		close(b.double.hold)
		for _, wg := range []*sync.WaitGroup{busy, broken, sound} {
			wg.Wait()
		}
		if ok.Load() != 3 {
			t.Errorf("%d answers of 200, want 3", ok.Load())
		}
		if r := b.do(t, "GET", "/recipes/1/5x5"); r.StatusCode != 200 {
			t.Errorf("after a panic the place is not free: %d", r.StatusCode)
		}
	})
}

func TestWhoCameLaterHasTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, onePlace, func(c *delivery.Config, _ *delivery.Deps) { c.Time = 10 * time.Second })
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		busy := b.ask(t, &ok, "/recipes/2/4x3")
		synctest.Wait()
		first := b.ask(t, &ok, "/recipes/1/1x1")
		time.Sleep(8 * time.Second)
		second := b.ask(t, &ok, "/recipes/1/2x2")
		time.Sleep(3 * time.Second) // the first one's time is over, and the busy one's
		busy.Wait()
		first.Wait()
		close(b.double.hold)
		second.Wait()
		if ok.Load() != 1 {
			t.Errorf("%d answers of 200, want that of the one that came later", ok.Load())
		}
	})
}
