package dnspeer

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Need skips the test unless all programs are installed. packages are their names in Debian.
func Need(t testing.TB, packages string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if find(p) == "" {
			t.Skipf("needs %s (./setup test installs %s)", p, packages)
		}
	}
}

// find gives the path of a program: servers lie where the PATH of plain users does not look. Empty: it is not installed.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if path, err := exec.LookPath("/usr/sbin/" + program); err == nil {
		return path
	}
	return ""
}

// Run runs a program with some input and gives what it says, and its error.
func Run(t testing.TB, input, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return string(out), err
}

// Dig asks a server and gives the answer in the words of dig +short, sorted as it came.
// UDP may lose questions and answers: dig asks up to five times, 2 s apart, and what it
// says of those that had no answer is left out.
func Dig(t testing.TB, server netip.AddrPort, args ...string) string {
	t.Helper()
	args = append([]string{"@" + server.Addr().String(), "-p", fmt.Sprint(server.Port()), "+short", "+tries=5", "+time=2"}, args...)
	out, err := Run(t, "", "dig", args...)
	if err != nil {
		return err.Error()
	}
	var answer strings.Builder
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, ";; communications error") {
			answer.WriteString(line)
		}
	}
	return strings.TrimSpace(answer.String())
}

// Eventually waits until done says so, and fails with its last words otherwise.
func Eventually(t testing.TB, what string, done func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		ok, words := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen: %s", what, words)
		}
		wait := time.NewTimer(20 * time.Millisecond)
		select {
		case <-t.Context().Done():
		case <-wait.C:
		}
	}
}

// start runs a server until the test ends. Its output is shown when the test fails.
func start(t testing.TB, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(find(program), args...)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, out.String())
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 1<<20 {
		return len(p), nil
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
