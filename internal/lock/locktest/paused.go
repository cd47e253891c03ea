package locktest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/pausetest"
)

// pausedTerm is long enough for a child on a busy machine to renew in time.
const pausedTerm = 1200 * time.Millisecond

// Child is the whole of the other process of Paused: it takes the lock and renews it until it is
// lost. It says on out "granted" and its token, "renewed" each time, "lost" at the end.
func Child(ctx context.Context, p lock.Place, out io.Writer) error {
	r, err := lock.NewRegistry(p, lock.Default(), nil)
	if err != nil {
		return err
	}
	h, err := r.Acquire(ctx, "paused", "child", pausedTerm)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "granted", h.Token)
	for {
		time.Sleep(pausedTerm / 8)
		_, err := r.Renew(ctx, h.Name, h.Token, h.Session)
		switch {
		case err == nil:
			fmt.Fprintln(out, "renewed")
		case errors.Is(err, lock.ErrLost):
			fmt.Fprintln(out, "lost")
			return nil
		default:
			return err
		}
	}
}

// Paused stops a process that has a lock, until another one has taken over: its late
// renewal is refused, and so is what it writes under its token. child calls Child on the same place.
func Paused(t *testing.T, p Open, child *exec.Cmd) {
	r := server(t, p, nil)
	pipe, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = t.Output()
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.Process.Kill() //nolint:errcheck // it may have ended
		child.Wait()         //nolint:errcheck // it may have been killed
	})
	says := bufio.NewScanner(pipe)
	line := func() string {
		t.Helper()
		if !says.Scan() {
			t.Fatalf("the child ended: %v", says.Err())
		}
		return says.Text()
	}
	var token uint64
	if _, err := fmt.Sscanf(line(), "granted %d", &token); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := line(); got != "renewed" {
			t.Fatalf("the child says %q, want renewed", got)
		}
	}
	if _, err := r.Acquire(t.Context(), "paused", "parent", time.Hour); !errors.Is(err, lock.ErrHeld) {
		t.Fatalf("Acquire while the child renews = %v, want ErrHeld", err)
	}
	pausetest.Pause(t, child.Process.Pid)
	next, err := r.AcquireWait(t.Context(), "paused", "parent", time.Hour, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fence, err := lock.Fence(token).Admit(next.Token)
	if err != nil || next.Token <= token {
		t.Fatalf("token %d after %d: %v", next.Token, token, err)
	}
	pausetest.Resume(t, child.Process.Pid)
	last := line()
	for strings.HasPrefix(last, "renewed") { // it had been told before it was stopped
		last = line()
	}
	if last != "lost" {
		t.Errorf("the child says %q, want lost", last)
	}
	if _, err := fence.Admit(token); !errors.Is(err, lock.ErrStale) {
		t.Errorf("its late write: %v, want ErrStale", err)
	}
	if _, err := r.Renew(t.Context(), next.Name, next.Token, next.Session); err != nil {
		t.Errorf("Renew of who took over = %v", err)
	}
}
