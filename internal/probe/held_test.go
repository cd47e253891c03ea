package probe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/probe"
)

// seen is a change, and when it came here.
type seen struct {
	probe.Update
	at time.Time
}

// hold runs a held check and gives its changes.
func hold(t *testing.T, spec string) (*probe.Runner, <-chan seen) {
	t.Helper()
	s, err := probe.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return holdSpec(t, s)
}

func holdSpec(t *testing.T, s probe.Spec) (*probe.Runner, <-chan seen) {
	t.Helper()
	changes := make(chan seen, 100)
	r := probe.NewRunner(probe.Check{Spec: s, Interval: 200 * time.Millisecond, Timeout: time.Second, Limits: probe.Limits{Healthy: 5, Unhealthy: 5}},
		probe.RunnerConfig{Report: func(u probe.Update) {
			if u.Changed {
				changes <- seen{u, time.Now()}
			}
		}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
	return r, changes
}

// next waits for a change.
func next(t *testing.T, changes <-chan seen, state probe.State, words string) seen {
	t.Helper()
	select {
	case s := <-changes:
		if s.State != state || !strings.Contains(s.Text, words) {
			t.Fatalf("%v %q, want %v %q", s.State, s.Text, state, words)
		}
		return s
	case <-time.After(30 * time.Second):
		t.Fatalf("no change, want %v %q", state, words)
	}
	return seen{}
}

// soon says that a change came in time: 100 ms, and more where tests share the machine.
func soon(t *testing.T, s seen, since time.Time) {
	t.Helper()
	if took := s.at.Sub(since); took > 100*time.Millisecond*slack {
		t.Errorf("seen after %v", took)
	}
}

// slack is by how much a machine that does other things too may be late; the
// long form of the tests runs on one that does not.
var slack = func() time.Duration {
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		return 2
	}
	return 100
}()

// keeper accepts connections and keeps them.
type keeper struct {
	l     net.Listener
	conns chan *net.TCPConn
}

func keep(t *testing.T, addr string) *keeper {
	t.Helper()
	var l net.Listener
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the port may still be in use
		if l, err = net.Listen("tcp", addr); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{l: l, conns: make(chan *net.TCPConn, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			k.conns <- c.(*net.TCPConn)
		}
	}()
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // over
		<-done
	})
	return k
}

func TestHeldTCP(t *testing.T) {
	t.Parallel()
	k := keep(t, closedPort(t))
	addr := k.l.Addr().String()
	r, changes := hold(t, "held:tcp:"+addr)
	next(t, changes, probe.Healthy, "connection holds")

	c := <-k.conns
	io.WriteString(c, "what it says does not matter") //nolint:errcheck // it is there
	begin := time.Now()
	k.l.Close() //nolint:errcheck // the service ends
	c.Close()   //nolint:errcheck // with a FIN
	soon(t, next(t, changes, probe.Unhealthy, "closed"), begin)

	k = keep(t, addr)
	next(t, changes, probe.Healthy, "connection holds")
	c = <-k.conns
	c.SetLinger(0) //nolint:errcheck // so that Close sends a RST
	begin = time.Now()
	c.Close() //nolint:errcheck // with a RST
	soon(t, next(t, changes, probe.Unhealthy, "reset"), begin)
	next(t, changes, probe.Healthy, "connection holds")
	if h := r.History(); len(h) != 5 {
		t.Errorf("history %+v", h)
	}
}

// Who accepts and closes at once never counts as alive, with any option.
func TestHeldTCPThatDoesNotSettle(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"", " reopen"} {
		var n atomic.Int32
		addr := serve(t, func(net.Conn) { n.Add(1) })
		s, err := probe.Parse("held:tcp:" + addr + option)
		if err != nil {
			t.Fatal(err)
		}
		_, changes := holdSpec(t, s.Settling(10*time.Second)) // far more than a busy machine needs to close
		next(t, changes, probe.Unhealthy, "closed")
		for deadline := time.Now().Add(10 * time.Second); n.Load() < 4 && time.Now().Before(deadline); time.Sleep(time.Millisecond) { // a condition is polled
		}
		select {
		case s := <-changes:
			t.Errorf("then %v %q", s.State, s.Text)
		default:
		}
	}
}

func TestHeldTCPReopens(t *testing.T) {
	t.Parallel()
	k := keep(t, closedPort(t))
	r, changes := hold(t, "held:tcp:"+k.l.Addr().String()+" reopen")
	next(t, changes, probe.Healthy, "connection holds")
	var c *net.TCPConn
	for range 3 {
		c = <-k.conns
		time.Sleep(80 * time.Millisecond) // it has settled: a service that closes what is idle
		c.Close()                         //nolint:errcheck // the check connects again
	}
	c = <-k.conns
	time.Sleep(80 * time.Millisecond)
	if h := r.History(); len(h) != 1 {
		t.Errorf("history %+v", h)
	}
	begin := time.Now()
	k.l.Close() //nolint:errcheck // now it does not accept again
	c.Close()   //nolint:errcheck // the service ended
	soon(t, next(t, changes, probe.Unhealthy, "refused"), begin)
}

// process starts a process that waits; end kills it and waits for it.
func process(t *testing.T) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			cmd.Process.Kill() //nolint:errcheck // it is there
			cmd.Wait()         //nolint:errcheck // killed
			ended = true
		}
	}
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

func TestHeldPID(t *testing.T) {
	t.Parallel()
	pid, end := process(t)
	_, changes := hold(t, fmt.Sprintf("held:pid:%d", pid))
	next(t, changes, probe.Healthy, fmt.Sprintf("process %d runs", pid))
	begin := time.Now()
	end()
	soon(t, next(t, changes, probe.Unhealthy, "ended"), begin)
	// It never lives again: its number, given again, would be another process.
	select {
	case s := <-changes:
		t.Errorf("then %v %q", s.State, s.Text)
	case <-time.After(300 * time.Millisecond):
	}
}

func TestHeldPIDOfAnother(t *testing.T) {
	t.Parallel()
	pid, _ := process(t)
	_, changes := hold(t, fmt.Sprintf("held:pid:%d start=1", pid))
	next(t, changes, probe.Unhealthy, "its number was given again")
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, changes = hold(t, fmt.Sprintf("held:pid:%d start=%s", pid, strings.Fields(string(stat))[21]))
	next(t, changes, probe.Healthy, "runs")
	_, changes = hold(t, "held:pid:4194304") // above every kernel's pid_max of today, or not there
	next(t, changes, probe.Unhealthy, "does not exist")
}

// A zombie has a number and a pidfd, and does not live.
func TestHeldPIDOfAZombie(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()                                                                                              //nolint:errcheck // reaps it at the end
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) { // a condition is polled
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(stat), ") Z ") {
			break
		}
	}
	_, changes := hold(t, fmt.Sprintf("held:pid:%d", cmd.Process.Pid))
	next(t, changes, probe.Unhealthy, "ended")
}

func TestHeldPIDFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	write := func(text string) {
		t.Helper()
		tmp := path + ".new"
		if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, path); err != nil {
			t.Fatal(err)
		}
	}
	_, changes := hold(t, "held:pidfile:"+path)
	next(t, changes, probe.Unhealthy, "no such file")
	first, endFirst := process(t)
	write(fmt.Sprintf("%d\n", first))
	next(t, changes, probe.Healthy, "runs")
	begin := time.Now()
	endFirst()
	soon(t, next(t, changes, probe.Unhealthy, "ended"), begin)
	write("not a number")
	second, _ := process(t)
	write(fmt.Sprintf(" %d\nmore lines\n", second))
	next(t, changes, probe.Healthy, fmt.Sprintf("process %d runs", second))
}

// The file of a process that ended, left as it was, is not believed again though
// somebody else has the number now; written again, it is.
func TestHeldPIDFileGuardsAgainstReuse(t *testing.T) {
	t.Parallel()
	pid, _ := process(t)
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, fmt.Append(nil, pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := probe.FollowPIDFile(path, true); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("an unchanged file whose process was seen to end: %v", err)
	}
	if err := probe.FollowPIDFile(path, false); err != nil {
		t.Errorf("a file that was not seen before: %v", err)
	}
}
