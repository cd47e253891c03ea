// Package pausetest lets a process of a test stand still, and go on. Not for
// production code.
//
// Invariant: when Pause returns, no thread of the process runs. The signal alone
// does not give that: a program of several threads may answer for some
// milliseconds after kill(2) has returned, while its threads are told one by one.
package pausetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// stopMax is how long the threads of a process may take to stand still; it is
// microseconds on a machine with nothing else to do.
const stopMax = 20 * time.Second

// Pause stops a process, and returns when all its threads stand still.
func Pause(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stop process %d: %v", pid, err)
	}
	for began := time.Now(); !still(pid); time.Sleep(time.Millisecond) {
		if time.Since(began) > stopMax {
			t.Fatalf("process %d does not stand still after %v", pid, stopMax)
		}
	}
}

// Resume lets a process go on; one that is gone by now is no failure.
func Resume(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && err != syscall.ESRCH {
		t.Fatalf("let process %d go on: %v", pid, err)
	}
}

// still says whether no thread runs, by proc(5); where that is missing it believes the signal.
func still(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return true
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		// "pid (name) state …": a name may have parentheses and spaces in it.
		if i := bytes.LastIndexByte(text, ')'); i < 0 || i+2 >= len(text) || !bytes.ContainsRune([]byte("TtZX"), rune(text[i+2])) {
			return false
		}
	}
	return true
}
