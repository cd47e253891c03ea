package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is something that is measured, with all that descend from it.
type process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	said   *tail
	began  time.Time
}

// tail keeps the beginning and the end of what a process says, for the day it fails.
type tail struct {
	mu    sync.Mutex
	first []byte
	b     []byte
}

const tailBytes = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(b), tailBytes-len(t.first))
	t.first = append(t.first, b[:n]...)
	t.b = append(t.b, b[n:]...)
	t.b = t.b[max(0, len(t.b)-tailBytes):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := strings.TrimSpace(string(t.first) + string(t.b)); text != "" {
		return text
	}
	return "it said nothing"
}

// spawn starts a process in a group of its own, and waits for nothing.
func spawn(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, exited: make(chan struct{}), said: &tail{}}
	cmd.Stdout, cmd.Stderr = p.said, p.said
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	p.began = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is seen in what it said
		close(p.exited)
	}()
	return p, nil
}

// stopTimeout is how long a process may take to end before it is killed.
const stopTimeout = 20 * time.Second

// stop asks a process to end by a signal, and kills it when it does not.
func (p *process) stop(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
	}
	p.kill()
}

// kill ends a process and its group without warning.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // whoever is left
	<-p.exited
}

// pollEvery is how often something is asked for that will come.
const pollEvery = time.Millisecond

// until asks until the answer is yes, the process has ended, or it takes too long.
func (p *process) until(ctx context.Context, limit time.Duration, what string, ask func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ask() {
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended while %s was waited for: %s", p.name, what, p.said)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s of %s: %w: it said: %s", what, p.name, ctx.Err(), p.said)
		case <-tick.C:
		}
	}
	return nil
}

// why adds to an error what a process said, when it has ended.
func (p *process) why(err error) error {
	if p == nil || err == nil {
		return err
	}
	select {
	case <-p.exited:
		return fmt.Errorf("%w: %s ended (%s): it said: %s", err, p.name, p.cmd.ProcessState, p.said)
	default:
		return err
	}
}

// relative is a process of a tree.
type relative struct {
	pid   int
	ended time.Duration // processor time of its children that are gone
}

// tickTime is the unit of times in /proc: USER_HZ, which is 100 a second wherever Linux runs Go.
const tickTime = 10 * time.Millisecond

// tree lists a process and all that descend from it.
func tree(pid int) []relative {
	children, ended := map[int][]int{}, map[int]time.Duration{}
	entries, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, entry := range entries {
		b, err := os.ReadFile(entry)
		if err != nil {
			continue // it ended
		}
		// proc(5): the name in parentheses may hold anything; the parent is the second field after it, cutime and cstime are the
		// fourteenth and the one after.
		field := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(field) < 15 {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
		parent, _ := strconv.Atoi(field[1])
		children[parent] = append(children[parent], child)
		user, _ := strconv.Atoi(field[13])
		system, _ := strconv.Atoi(field[14])
		ended[child] = time.Duration(user+system) * tickTime
	}
	list := []relative{{pid, ended[pid]}}
	for i := 0; i < len(list); i++ {
		for _, child := range children[list[i].pid] {
			list = append(list, relative{child, ended[child]})
		}
	}
	return list
}

// cpuOf is the user and system time that a process and those below it took so far, those that are gone included.
func cpuOf(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	var sum time.Duration
	for _, p := range tree(pid) {
		sum += p.ended
		var ts unix.Timespec
		// The CPU-time clock of another process: clock_getcpuclockid(3) computes exactly this, with 2 for "scheduler precision".
		if unix.ClockGettime(int32(^p.pid<<3|2), &ts) == nil {
			sum += time.Duration(ts.Nano())
		}
	}
	return sum
}

// memoryOf is what a process and those below it have resident, in bytes; what they share is divided among them.
func memoryOf(pid int) (rss, pss int64) {
	for _, p := range tree(pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			continue // it ended
		}
		for line := range bytes.Lines(b) {
			for name, sum := range map[string]*int64{"Rss:": &rss, "Pss:": &pss} {
				if rest, ok := strings.CutPrefix(string(line), name); ok {
					kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
					*sum += kib << 10
				}
			}
		}
	}
	return rss, pss
}

// freeAddress is an address of the loopback that nobody listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// server is the game's server, as a process of its own or where a URL says.
type server struct {
	*process        // nil: it runs already
	api      *api   // for what is not measured
	address  string // host and port
	tcp      string // of the game's protocol over TCP; empty: not there
	admin    string // where profiles are read; empty: nowhere
	pid      int    // 0: not known
}

// tokenFile is where the server keeps the credential of services in its data directory.
const tokenFile = "service.token"

// startServer starts the program on a directory, and waits until it is ready.
func startServer(ctx context.Context, cfg *Config, dir string, more ...string) (*server, error) {
	s, err := launch(cfg, dir, more...)
	if err != nil {
		return nil, err
	}
	if err := s.untilReady(ctx, cfg.Timeout); err != nil {
		s.kill()
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, tokenFile))
	if err != nil {
		s.kill()
		return nil, fmt.Errorf("read the credential of a service: %w", err)
	}
	s.api.service = strings.TrimSpace(string(b))
	return s, nil
}

// launch starts the program and does not wait.
func launch(cfg *Config, dir string, more ...string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin := ""
	if cfg.Profiles != "" {
		if admin, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	args := append(append([]string{}, cfg.Serve.Args...), more...)
	tcp := ""
	if slices.Contains(args, "{tcp}") {
		if tcp, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	r := strings.NewReplacer("{http}", address, "{data}", dir, "{tcp}", tcp)
	for i, a := range args {
		args[i] = r.Replace(a)
	}
	if admin != "" {
		args = append(args, "--admin", admin)
	}
	cmd := exec.Command(cfg.Serve.Program, args...)
	cmd.Env = append(os.Environ(), cfg.Serve.Env...)
	p, err := spawn(subjectKamado, cmd)
	if err != nil {
		return nil, err
	}
	return &server{process: p, api: newAPI("http://"+address, ""), address: address, tcp: tcp, admin: admin, pid: cmd.Process.Pid}, nil
}

// untilReady waits until /readyz says yes.
func (s *server) untilReady(ctx context.Context, limit time.Duration) error {
	return s.until(ctx, limit, "/readyz", func() bool {
		return s.api.call(ctx, http.MethodGet, "/readyz", "", "", nil, nil) == nil
	})
}

// end stops a server that this run started.
func (s *server) end() {
	s.api.close()
	if s.process != nil {
		s.stop(syscall.SIGTERM)
	}
}

// profile writes a profile of the processor time of the server's inside while work is done.
func (s *server) profile(dir, name string, length time.Duration, work func() error) error {
	if s.admin == "" || dir == "" {
		return work()
	}
	done := make(chan error, 1)
	go func() {
		done <- s.fetch(fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(length.Seconds()))), filepath.Join(dir, name+".cpu"))
	}()
	return errors.Join(work(), <-done)
}

func (s *server) fetch(path, file string) error {
	res, err := http.Get("http://" + s.admin + path)
	if err != nil {
		return fmt.Errorf("read a profile: %w", err)
	}
	defer res.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, res.Body)
	return errors.Join(err, f.Close())
}

// inMemory says whether a directory lies in memory, where a write to the disk proves nothing.
func inMemory(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && (s.Type == unix.TMPFS_MAGIC || s.Type == unix.RAMFS_MAGIC)
}

// diskDir is where a run has its directories when nothing else is said: where temporary files are, unless that is memory.
func diskDir() string {
	for _, dir := range []string{os.TempDir(), "/var/tmp", "."} {
		if unix.Access(dir, unix.W_OK) == nil && !inMemory(dir) {
			return dir
		}
	}
	return os.TempDir()
}

// forget drops what the system keeps of the files below a directory, as after a start of the machine, and gives their bytes.
func forget(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			bytes += info.Size()
		}
		return errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)) // only what is on the disk can be dropped
	})
	return bytes, err
}
