// Package program runs other people's programs for a bounded time: checks,
// hooks, notifications. There is no shell in between, so a word is an argument
// and nothing in it is interpreted.
//
// Vocabulary. A command is the path of a program and its arguments; Split reads
// one from text. A run is one execution: the program leads a process group of
// its own, and whatever of the group is left when the program ended, or when its
// time was over, is killed. What it said is kept up to a bound and the rest is
// thrown away, so that a program which talks without end costs nothing.
//
// A program gets a small environment (see Environment), not that of this
// process, which may hold secrets. Not for programs that outlive their run.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OutputMaxDefault bounds what is kept of what a program says, in bytes.
const OutputMaxDefault = 4096

// pipesMax is how long a run waits for those who still hold its output after the
// group was killed: processes that left the group.
const pipesMax = 100 * time.Millisecond

// Command is a program, its arguments, and what it finds around it.
type Command struct {
	Path string   // absolute, or looked up in PATH
	Args []string // without the program's own name
	// Env is added to Environment: "NAME=value".
	Env []string
	// Input is given to its standard input.
	Input []byte
	// OutputMax bounds what is kept of standard output and standard error together;
	// 0: OutputMaxDefault.
	OutputMax int
}

// Result is how a run ended.
type Result struct {
	Status int    // exit status; 128 + the signal for a program that was killed by one; -1: it did not start
	Output []byte // the beginning of what it said, standard output and error mixed
}

// ErrTime: the program was killed because its time was over.
var ErrTime = errors.New("took too long and was killed")

// passed are the variables of this process that a program sees.
var passed = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"}

// Environment is what every program finds in its environment: PATH, HOME, USER,
// LOGNAME, LANG, LC_ALL, TZ and TMPDIR of this process, as far as they are set.
func Environment() []string {
	var env []string
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Run runs a command until it ends or ctx does. The outcome is one of:
//  1. nil: it ended with status 0;
//  2. an error that wraps ErrTime: ctx ended before it did;
//  3. another error: it could not start, or its status was not 0.
//
// When Run returns, the program and what is left of its process group are gone.
func Run(ctx context.Context, c Command) (Result, error) {
	out := &bounded{max: c.OutputMax}
	if out.max <= 0 {
		out.max = OutputMaxDefault
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(Environment(), c.Env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	if c.Input != nil {
		cmd.Stdin = strings.NewReader(string(c.Input))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = pipesMax
	if err := ctx.Err(); err != nil {
		return Result{Status: -1}, fmt.Errorf("%s: not started: %w", c.Path, err)
	}
	if err := cmd.Start(); err != nil {
		return Result{Status: -1}, bare(err)
	}
	over := supervise(ctx, cmd.Process.Pid)
	err := cmd.Wait()
	r := Result{Status: status(cmd.ProcessState), Output: out.bytes()}
	switch {
	case over:
		return r, fmt.Errorf("%s: %w", c.Path, ErrTime)
	case r.Status != 0:
		return r, fmt.Errorf("exit status %d", r.Status)
	case errors.Is(err, exec.ErrWaitDelay): // somebody who left the group still holds the output
		return r, nil
	}
	return r, err
}

// supervise waits until the process ended or ctx did, then kills its group. The
// process is not reaped before that, so that its number means nobody else.
func supervise(ctx context.Context, pid int) (over bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		over = true
	}
	unix.Kill(-pid, unix.SIGKILL) //nolint:errcheck // nobody may be left
	<-ended
	return over
}

// status is the exit status as a shell would tell it.
func status(s *os.ProcessState) int {
	if s == nil {
		return -1
	}
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// bare drops "fork/exec": it says nothing to a person.
func bare(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Path, e.Err)
	}
	return err
}

// bounded keeps the beginning of what is written.
type bounded struct {
	max int

	mu   sync.Mutex
	kept []byte // Invariant: at most max bytes
}

var _ io.Writer = (*bounded)(nil)

// Write implements io.Writer; it takes everything.
func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, p[:min(len(p), b.max-len(b.kept))]...)
	return len(p), nil
}

func (b *bounded) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kept)
}
