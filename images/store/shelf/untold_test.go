package shelf

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
)

// TestChangeThatACrashLeftUntold: what was done and not told is told by the next
// process, also when the client never asks again. What was told is not.
func TestChangeThatACrashLeftUntold(t *testing.T) {
	t.Parallel()
	dir, staging := t.TempDir(), t.TempDir()
	origin, err := fs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { origin.Close() })
	var mu sync.Mutex
	process := func(changed func(context.Context, Change)) *Shelf {
		s, err := New(Config{Dir: staging}, Deps{Origins: map[string]blob.Store{"o": origin}, Changed: changed, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := process(nil)
	for _, key := range []string{"replaced", "deleted", "told"} {
		if _, err := first.Put(t.Context(), Ref{"o", key}, body("old"), Write{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := first.Put(t.Context(), Ref{"o", "told"}, body("new"), Write{}); err != nil {
		t.Fatal(err)
	}
	// The process that dies: it never comes back from telling.
	dead, release := make(chan string), make(chan struct{})
	dying := process(func(_ context.Context, c Change) {
		dead <- c.Key
		<-release
	})
	var done sync.WaitGroup
	done.Go(func() { _, _ = dying.Put(t.Context(), Ref{"o", "replaced"}, body("new"), Write{}) })
	<-dead
	done.Go(func() { _ = dying.Delete(t.Context(), Ref{"o", "deleted"}, Condition{}, Actor{}) })
	<-dead

	var told []string
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	next := process(func(_ context.Context, c Change) {
		mu.Lock()
		defer mu.Unlock()
		if told = append(told, c.Key+" "+c.How.String()); len(told) == 2 {
			cancel()
		}
	})
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		_ = next.Run(ctx)
	}()
	<-cancelled
	slices.Sort(told)
	if !slices.Equal(told, []string{"deleted deleted", "replaced replaced"}) {
		t.Errorf("told: %q", told)
	}
	close(release)
	done.Wait()
	if left, err := os.ReadDir(filepath.Join(staging, untoldDir)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
