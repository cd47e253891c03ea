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

	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/queue"
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
