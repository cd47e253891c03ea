package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// subject is a server that is measured.
type subject struct {
	name   string
	port   int
	other  int // what {free} stood for
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	said   *tail
}

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailBytes = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-tailBytes):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}

// start runs a command on the servers' core and waits until it answers.
func start(ctx context.Context, cfg Config, name string, c Command, f files) (*subject, error) {
	dir, err := os.MkdirTemp(place(), "kamado-dns-bench-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	other, err := freePort()
	if err != nil {
		return nil, err
	}
	args := fill(c.Args, port, other, dir, f)
	s := &subject{name: name, port: port, other: other, dir: dir, exited: make(chan struct{}), said: &tail{}}
	s.cmd = exec.Command(c.Program, args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, s.said, s.said
	s.cmd.Env = append(os.Environ(), fill(c.Env, port, other, dir, f)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := startOn(cfg.ServerCore, s.cmd); err != nil {
		_ = os.RemoveAll(dir) // nothing is in it
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is seen in what it said
		close(s.exited)
	}()
	if c.API {
		return s, nil // it has no names yet
	}
	if err := s.ready(ctx, cfg.Timeout); err != nil {
		s.stop()
		return nil, err
	}
	return s, s.pinThreads(cfg.ServerCore)
}

// pinThreads binds all threads of the subject to a core: Knot chooses others by itself.
func (s *subject) pinThreads(core int) error {
	var set unix.CPUSet
	set.Set(core)
	for _, pid := range s.pids() {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			continue // it ended
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("run %s on core %d: %w", s.name, core, err)
			}
		}
	}
	return nil
}

// place is where subjects have their directories: in memory where that can be, as
// disks are not what is measured; else where temporary files go.
func place() string {
	const memory = "/dev/shm"
	if os.Getenv("TMPDIR") == "" && unix.Access(memory, unix.W_OK) == nil {
		return memory
	}
	return ""
}

func fill(args []string, port, other int, dir string, f files) []string {
	r := strings.NewReplacer("{dns}", fmt.Sprint("127.0.0.1:", port), "{port}", strconv.Itoa(port), "{free}", fmt.Sprint("127.0.0.1:", other),
		"{dir}", dir, "{file}", f.zone, "{zone}", Zone)
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = r.Replace(a)
	}
	return out
}

// startOn starts a process that runs on one core, with all its threads: the
// mask is inherited from the thread that forks.
func startOn(core int, cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := pin(core)
		if err == nil {
			cmd.SysProcAttr.Pdeathsig = 0 // which would come when this thread ends
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// pin binds the calling thread to a core.
func pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("run on core %d: %w", core, err)
	}
	return nil
}

// freePort gives a port that is free for UDP and TCP at this moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// ready waits until the server answers for host0.
func (s *subject) ready(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := net.Dial("udp", fmt.Sprint("127.0.0.1:", s.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 512)
	for {
		_, _ = conn.Write(packet(0)) // nobody may be there yet
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		if err == nil && n > 12 && buf[3]&15 == 0 && buf[7] > 0 {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil { // refused at once
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended before it answered: %s", s.name, s.said)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w: it said: %s", s.name, ctx.Err(), s.said)
		default:
		}
	}
}

// stop ends the process with its children, and removes its directory.
func (s *subject) stop() {
	group := -s.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM) // it may have ended
	select {
	case <-s.exited:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // whoever is left
	<-s.exited
	_ = os.RemoveAll(s.dir) // in a temporary place
}

// cpu is the time that the processes of the subject have taken.
func (s *subject) cpu() time.Duration {
	var sum time.Duration
	for _, pid := range s.pids() {
		var ts unix.Timespec
		// The CPU-time clock of another process: clock_getcpuclockid(3) computes exactly this, with 2 for "scheduler precision".
		if unix.ClockGettime(int32(^pid<<3|2), &ts) == nil {
			sum += time.Duration(ts.Nano())
		}
	}
	return sum
}

// memory is the proportional memory of the processes of the subject in bytes, and what they have resident.
func (s *subject) memory() (pss, rss int64) {
	for _, pid := range s.pids() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it ended
		}
		for line := range bytes.Lines(b) {
			for key, sum := range map[string]*int64{"Pss:": &pss, "Rss:": &rss} {
				if rest, ok := strings.CutPrefix(string(line), key); ok {
					kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
					*sum += kib << 10
				}
			}
		}
	}
	return pss, rss
}

// pids are the processes of the subject's group.
func (s *subject) pids() []int {
	var list []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// proc(5): the name in parentheses may hold anything; the group is the third field after it.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(f) > 2 && f[2] == strconv.Itoa(s.cmd.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			list = append(list, pid)
		}
	}
	return list
}
