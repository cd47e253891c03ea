package queue_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images/queue"
)

func TestAcquireBoundsWorkAndShedsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(queue.Config{Places: 2, Waiting: 3})
		var atOnce, most, done, full atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := q.Acquire(t.Context())
				if errors.Is(err, queue.ErrFull) {
					full.Add(1)
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), atOnce.Add(1)))
				time.Sleep(time.Second)
				atOnce.Add(-1)
				q.Release()
				done.Add(1)
			})
		}
		wg.Wait()
		if most.Load() != 2 || done.Load() != 5 || full.Load() != 5 {
			t.Errorf("at once %d, done %d, shed %d, want 2, 5, 5", most.Load(), done.Load(), full.Load())
		}
		if st := q.Stats(); st.Busy != 0 || st.Waiting != 0 || st.Shed != 5 || st.Admitted != 5 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestTurnsComeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(queue.Config{Places: 1, Waiting: 10})
		if err := q.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if err := q.Acquire(t.Context()); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				q.Release()
			})
			synctest.Wait()
		}
		q.Release()
		wg.Wait()
		for i, v := range order {
			if i != v {
				t.Fatalf("order of turns %v, want that of arrival", order)
			}
		}
	})
}

func TestWhoLeavesFreesHisPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(queue.Config{Places: 1, Waiting: 1})
		if err := q.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		got := make(chan error, 1)
		go func() { got <- q.Acquire(ctx) }()
		synctest.Wait()
		if err := q.Acquire(t.Context()); !errors.Is(err, queue.ErrFull) {
			t.Fatalf("Acquire with a full queue = %v, want ErrFull", err)
		}
		leave()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Fatalf("Acquire of the one that left = %v, want context.Canceled", err)
		}
		go func() { got <- q.Acquire(t.Context()) }()
		synctest.Wait()
		q.Release()
		if err := <-got; err != nil {
			t.Fatalf("Acquire after one left = %v", err)
		}
		q.Release()
	})
}

func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := queue.New(queue.Config{Places: 1, Waiting: 1, WaitMax: time.Second})
		if err := q.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := q.Acquire(t.Context()); !errors.Is(err, queue.ErrLate) || time.Since(start) != time.Second {
			t.Errorf("Acquire = %v after %v, want ErrLate after 1s", err, time.Since(start))
		}
		q.Release()
		if st := q.Stats(); st.Busy != 0 || st.Waiting != 0 || st.Late != 1 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestGoodputHoldsUnderOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// 2 places of 10 ms: 200 a second can be done. 2000 a second arrive
		// for a second, each wanted for 100 ms.
		q := queue.New(queue.Config{Places: 2, Waiting: 16})
		var good, wasted atomic.Int32
		var wg sync.WaitGroup
		for range 2000 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if q.Acquire(ctx) != nil {
					return
				}
				defer q.Release()
				time.Sleep(10 * time.Millisecond)
				if ctx.Err() == nil {
					good.Add(1)
				} else {
					wasted.Add(1)
				}
			})
			time.Sleep(500 * time.Microsecond)
		}
		wg.Wait()
		if good.Load() < 195 || wasted.Load() > 2 {
			t.Errorf("%d done in time and %d too late at ten times the load, want about 200 and 0", good.Load(), wasted.Load())
		}
	})
}

func TestTryAcquireNeverWaits(t *testing.T) {
	t.Parallel()
	q := queue.New(queue.Config{Places: 1})
	if !q.TryAcquire() || q.TryAcquire() {
		t.Fatal("TryAcquire does not follow the places")
	}
	q.Release()
	if !q.TryAcquire() {
		t.Fatal("TryAcquire after Release refused")
	}
	defer func() {
		if recover() == nil {
			t.Error("Release without Acquire did not panic")
		}
	}()
	q.Release()
	q.Release()
}
