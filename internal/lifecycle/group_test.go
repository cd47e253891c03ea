package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/internal/lifecycle"
)

// journal notes what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) untilCancelled(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		j.note(name)
		return ctx.Err()
	}
}

func TestMembersStopInReverseOrder(t *testing.T) {
	var j journal
	var g lifecycle.Group
	for _, name := range []string{"store", "service", "listener"} {
		g.Add(name, j.untilCancelled(name))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Fatalf("Run = %v, want nil", err)
	}
	if want := []string{"listener", "service", "store"}; !slices.Equal(j.lines, want) {
		t.Errorf("members stopped as %q, want %q", j.lines, want)
	}
}

func TestFirstFailureStopsTheOthersAndIsReported(t *testing.T) {
	var j journal
	var g lifecycle.Group
	broken := errors.New("disk is gone")
	g.Add("store", j.untilCancelled("store"))
	g.Add("writer", func(context.Context) error { return broken })
	g.Add("closer", func(ctx context.Context) error { <-ctx.Done(); return errors.New("late trouble") })
	err := g.Run(t.Context())
	if !errors.Is(err, broken) {
		t.Fatalf("Run = %v, want %v", err, broken)
	}
	if want := "writer: disk is gone\ncloser: late trouble"; err.Error() != want {
		t.Errorf("Run = %q, want %q", err, want)
	}
	if !slices.Equal(j.lines, []string{"store"}) {
		t.Errorf("stopped %q, want the store", j.lines)
	}
}

func TestAFinishedMemberStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g lifecycle.Group
		g.Add("once", func(context.Context) error { return nil })
		g.Add("always", func(ctx context.Context) error { <-ctx.Done(); return nil })
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- g.Run(ctx) }()
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("Run returned %v after one member finished, want it to go on", err)
		default:
		}
		cancel()
		if err := <-result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

func TestAllFinishedEndsTheRun(t *testing.T) {
	var g lifecycle.Group
	g.Add("once", func(context.Context) error { return nil })
	if err := g.Run(t.Context()); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestAMemberThatDoesNotStopIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := lifecycle.Group{StopTimeout: time.Second}
		g.Add("deaf", func(context.Context) error { <-release; return nil })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := g.Run(ctx)
		if !errors.Is(err, lifecycle.ErrStuck) || !strings.Contains(err.Error(), "deaf") {
			t.Errorf("Run = %v, want ErrStuck naming the member", err)
		}
		close(release)
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	var j journal
	var g lifecycle.Group
	g.Add("store", j.untilCancelled("store"))
	g.Add("bomb", func(context.Context) error { panic("boom") })
	err := g.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "bomb: panic: boom") {
		t.Errorf("Run = %v, want the panic of bomb", err)
	}
	if !slices.Equal(j.lines, []string{"store"}) {
		t.Errorf("stopped %q, want the store", j.lines)
	}
}
