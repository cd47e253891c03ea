package render

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/jpeg"
)

// grown is a workspace that holds some bytes already.
func grown(ws *workspace, bytes int) *workspace {
	ws.out = make([]byte, 0, bytes)
	return ws
}

func TestScratchIsBoundedForAllTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scratch{limit: 100, keep: 2}
		first, err := s.take(t.Context(), 60)
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 2)
		var wg sync.WaitGroup
		for i, need := range []int{500, 10} { // the small one fits, and still waits for its turn
			wg.Go(func() {
				ws, err := s.take(t.Context(), need)
				if err != nil {
					t.Error(err)
					return
				}
				order <- need
				s.give(ws)
			})
			synctest.Wait()
			if len(order) != 0 {
				t.Fatalf("picture %d did not wait while 60 of 100 bytes were taken", i)
			}
		}
		s.give(first)
		wg.Wait()
		if a, b := <-order, <-order; a != 500 || b != 10 {
			t.Errorf("the turn came for %d, then %d; want first come first served", a, b)
		}
		if s.used != 0 {
			t.Errorf("%d bytes are still taken in the end", s.used)
		}
	})
}

func TestScratchOfWhoLeavesGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scratch{limit: 100, keep: 2}
		first, _ := s.take(t.Context(), 60)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := s.take(ctx, 100)
			left <- err
		}()
		synctest.Wait()
		next := make(chan *workspace, 1)
		go func() {
			ws, _ := s.take(t.Context(), 40)
			next <- ws
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want context.Canceled", err)
		}
		s.give(<-next)
		s.give(first)
		if s.used != 0 {
			t.Errorf("%d bytes are still taken in the end", s.used)
		}
	})
}

func TestIdleScratchMakesRoom(t *testing.T) {
	s := scratch{limit: 100, keep: 2}
	a, _ := s.take(t.Context(), 40)
	b, _ := s.take(t.Context(), 40)
	s.give(grown(a, 40))
	s.give(grown(b, 30))
	if len(s.idle) != 2 {
		t.Fatalf("%d workspaces are kept, want both", len(s.idle))
	}
	small, _ := s.take(t.Context(), 10)
	if small != b {
		t.Error("a small picture does not get the smallest workspace")
	}
	s.give(small)
	large, _ := s.take(t.Context(), 90)
	if large != a || len(s.idle) != 0 {
		t.Errorf("beside 90 of 100 bytes %d idle workspaces stay, want none", len(s.idle))
	}
	s.give(grown(large, 90))
	if len(s.idle) != 0 {
		t.Error("a workspace beyond its share of the bound is kept")
	}
}

func TestScratchOfAnExceptionIsLetGo(t *testing.T) {
	s := scratch{limit: 100, keep: 1}
	ws, _ := s.take(t.Context(), 80)
	s.give(grown(ws, 80))
	for range looseMax {
		if len(s.idle) != 1 {
			t.Fatal("a workspace is let go before it was too large often enough")
		}
		ws, _ = s.take(t.Context(), 10)
		s.give(ws)
	}
	if len(s.idle) != 0 {
		t.Errorf("a workspace of 80 bytes is kept though %d pictures in a row needed 10", looseMax)
	}
}

// The large parts of a full-size progressive 12 megapixel picture: 18 MB of
// planes, 36 MB of coefficients and 2 MB of bits beside them.
func TestScratchOfJPEGKnowsProgressiveFiles(t *testing.T) {
	info := jpeg.Info{Width: 4000, Height: 3000, Components: 3, SubX: 2, SubY: 2}
	plan := images.Plan{Width: 10, Height: 10, CanvasWidth: 10, CanvasHeight: 10}
	if got := scratchOfJPEG(info, 8, 12e6, plan); got < 18e6 || got > 20e6 {
		t.Errorf("baseline at full size takes %d bytes, want 18 MB", got)
	}
	if got := scratchOfJPEG(info, 1, 12e6, plan); got > 2e6 {
		t.Errorf("baseline at 1/8 takes %d bytes, want less than 2 MB", got)
	}
	info.Progressive = true
	if got := scratchOfJPEG(info, 8, 12e6, plan); got < 56e6 || got > 60e6 {
		t.Errorf("progressive at full size takes %d bytes, want 56 MB", got)
	}
}
