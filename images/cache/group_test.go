package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images/cache"
)

func TestGroupDoesEqualWorkOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g cache.Group[string, int]
		var runs, shared atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				v, sh, err := g.Do(t.Context(), "k", func(context.Context) (int, error) {
					runs.Add(1)
					<-release
					return 7, nil
				})
				if v != 7 || err != nil {
					t.Errorf("Do = %v, %v, want 7", v, err)
				}
				if sh {
					shared.Add(1)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if runs.Load() != 1 || shared.Load() != 99 {
			t.Errorf("100 equal calls: %d runs, %d shared, want 1 and 99", runs.Load(), shared.Load())
		}
		if g.Len() != 0 {
			t.Errorf("Len after all = %d, want 0", g.Len())
		}
	})
}

func TestGroupWorkOutlivesItsStarterWhileOneWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g cache.Group[string, int]
		first, leave := context.WithCancel(t.Context())
		work := func(ctx context.Context) (int, error) {
			select {
			case <-time.After(time.Second):
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := g.Do(first, "k", work); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that left got %v, want context.Canceled", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, shared, err := g.Do(t.Context(), "k", work); v != 1 || !shared || err != nil {
				t.Errorf("the one that stayed got %v, %v, %v, want 1, true, nil", v, shared, err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
	})
}

func TestGroupEndsWorkThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g cache.Group[string, int]
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			_, _, _ = g.Do(ctx, "k", func(ctx context.Context) (int, error) {
				<-ctx.Done()
				close(ended)
				return 0, ctx.Err()
			})
		}()
		synctest.Wait()
		leave()
		<-ended
		// The next caller starts afresh and does not inherit the end.
		v, shared, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 2, nil })
		if v != 2 || shared || err != nil {
			t.Errorf("Do after an abandoned one = %v, %v, %v, want 2, false, nil", v, shared, err)
		}
	})
}

func TestGroupTurnsAPanicIntoAnError(t *testing.T) {
	t.Parallel()
	var g cache.Group[string, int]
	_, _, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { panic("broken") })
	var p *cache.PanicError
	if !errors.As(err, &p) || p.Value != "broken" || len(p.Stack) == 0 {
		t.Errorf("Do = %v, want a PanicError with its stack", err)
	}
}
