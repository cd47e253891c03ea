package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a QEMU process, ours or one that an earlier engine started.
type process struct {
	pid    int
	fd     int    // pidfd: names this process even when its pid is used again
	cgroup string // directory, empty when it has none of its own

	mu     sync.Mutex
	users  int  // who uses fd now
	closed bool // fd is closed when nobody uses it
}

// use takes the descriptor; false when it was let go of.
func (p *process) use() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.users++
	return true
}

// unuse ends a use.
func (p *process) unuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	if p.closed && p.users == 0 {
		_ = unix.Close(p.fd)
	}
}

// close lets go of the process.
func (p *process) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && p.users == 0 {
		_ = unix.Close(p.fd)
	}
	p.closed = true
}

// openProcess takes hold of a pid; the caller then checks that it is still what
// it was looked up for.
func openProcess(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &process{pid: pid, fd: fd}, nil
}

// kill ends the process at once. One that is gone is no error.
func (p *process) kill() error {
	if !p.use() {
		return nil
	}
	defer p.unuse()
	err := unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// pollStep is how long one look at a process waits, so that a context is seen in time.
const pollStep = 20 * time.Millisecond

// wait returns when the process is dead (and buries it when it is our child), or
// when ctx ends.
func (p *process) wait(ctx context.Context) error {
	if !p.use() {
		return nil
	}
	defer p.unuse()
	for {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(pollStep/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", p.pid, err)
		}
		if n > 0 {
			p.bury()
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for process %d: %w", p.pid, err)
		}
	}
}

// dead says whether the process ended.
func (p *process) dead() bool {
	if !p.use() {
		return true
	}
	defer p.unuse()
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 0)
	return n > 0
}

// bury reaps a child; somebody else's child is its parent's. Preconditions: the
// process is dead.
func (p *process) bury() {
	_ = unix.Waitid(unix.P_PIDFD, p.fd, nil, unix.WEXITED|unix.WNOHANG, nil) // ECHILD: not ours
	if p.cgroup != "" {
		_ = os.Remove(p.cgroup) // empty now; one that is not will be used again
		_ = os.Remove(filepath.Dir(p.cgroup))
	}
}

// launch is how a process is to be started.
type launch struct {
	binary string
	args   []string
	files  []*os.File // descriptors from 3 on
	log    *os.File   // its standard output and error
	uid    uint32     // 0: ours
	groups []uint32   // beside the group of the uid's number
	netns  bool       // in an empty network namespace
	cgroup string     // directory; empty: ours
}

// start spawns the process. It is not in our session, gets an empty environment
// and no privileges that ours has beyond its uid's.
func (l launch) start() (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	attr := &syscall.SysProcAttr{Setsid: true}
	if l.uid != 0 {
		attr.Credential = &syscall.Credential{Uid: l.uid, Gid: l.uid, Groups: l.groups}
	}
	if l.netns {
		attr.Cloneflags |= unix.CLONE_NEWNET
	}
	if l.cgroup != "" {
		dir, err := os.Open(l.cgroup)
		if err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		defer dir.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	}
	p := &process{fd: -1, cgroup: l.cgroup}
	attr.PidFD = &p.fd
	files := append([]*os.File{null, l.log, l.log}, l.files...)
	child, err := startUnprivileged(l.binary, append([]string{l.binary}, l.args...),
		&os.ProcAttr{Dir: "/", Env: []string{"LANG=C"}, Files: files, Sys: attr})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.binary, err)
	}
	p.pid = child.Pid
	_ = child.Release() // p buries it
	if p.fd < 0 {
		p.fd, err = unix.PidfdOpen(p.pid, 0)
		if err != nil {
			return nil, fmt.Errorf("open process %d: %w", p.pid, err)
		}
	}
	limit(p.pid, l.uid)
	return p, nil
}

// startUnprivileged starts a process that can never gain privileges: no file
// that it executes gives it any. The mark is inherited from the thread that
// starts it, which is thrown away.
func startUnprivileged(name string, argv []string, attr *os.ProcAttr) (child *os.Process, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return
		}
		child, err = os.StartProcess(name, argv, attr)
	}()
	<-done
	return child, err
}

// Bounds of a QEMU process beside its cgroup's.
const (
	filesMax   = 4096
	threadsMax = 1024 // virtual CPUs, 64 of I/O for each disk, VNC
)

// limit sets bounds that QEMU needs no more than. Only a thread with the process's
// own uid may do that on every host (root in a container often has no
// CAP_SYS_RESOURCE), so one takes it for good and is thrown away.
func limit(pid int, uid uint32) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if uid != 0 {
			runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
			// The raw calls change this thread alone, those of package syscall every one.
			for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
				if _, _, errno := unix.RawSyscall(call, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
					return
				}
			}
		}
		set := func(what int, n uint64) {
			_ = unix.Prlimit(pid, what, &unix.Rlimit{Cur: n, Max: n}, nil) // best effort: a stricter one stays
		}
		set(unix.RLIMIT_CORE, 0) // a core is the guest's memory
		set(unix.RLIMIT_NOFILE, filesMax)
		if uid != 0 {
			set(unix.RLIMIT_NPROC, threadsMax) // counts per uid, and each has its own
		}
	}()
	<-done
}

// processes finds QEMU processes of domains of dir by their command line: the
// domain's directory follows -L. Several of one domain are all given.
func processes(dir string) (map[string][]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	found := map[string][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if id, ok := domainOf(pid, dir); ok {
			found[id] = append(found[id], pid)
		}
	}
	return found, nil
}

// domainOf tells whose process pid is, of the domains of dir: the domain's id, or
// its id and "/worker" for one that only reads its disks.
func domainOf(pid int, dir string) (name string, ok bool) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil { // it ended, or is not ours to see
		return "", false
	}
	_, rest, ok := bytes.Cut(b, []byte("\x00-L\x00"+dir+"/"))
	if !ok {
		return "", false
	}
	name, _, _ = strings.Cut(string(rest), "\x00")
	return name, name != ""
}

// exhausted says whether err is the host's want of room.
func exhausted(err error) bool {
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.EAGAIN, unix.EFBIG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
