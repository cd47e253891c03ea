// Package programtest writes programs that tests start. It is for tests only;
// programs that are there already are started as they are.
//
// Linux refuses to start a file that somebody has open for writing (ETXTBSY, "text
// file busy"), and a test that starts programs in several goroutines is such a
// somebody without knowing: each new process has all files of this one until it
// becomes another program. So no process is started while a program is written.
package programtest

import (
	"os"
	"syscall"
	"testing"
)

// Write makes a program of its file's content.
func Write(t testing.TB, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock() // what os/exec holds for writing while it starts a process
	err := os.WriteFile(path, content, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}
