package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errEnded: the process is no more.
var errEnded = errors.New("ended")

// attach gets hold of a process and tells its start, in ticks since the boot; 0
// when /proc hides it. A pidfd means one process for ever, whatever happens to
// its number; the start is read after the pidfd was opened, and is that of the
// same process as long as the pidfd does not say that it ended.
func attach(pid int) (f *os.File, start uint64, err error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, 0, fmt.Errorf("process %d does not exist", pid)
	case err != nil: // EINVAL: the number of a thread, or a kernel before 5.10; EMFILE …
		return nil, 0, fmt.Errorf("process %d: %w", pid, err)
	}
	f = os.NewFile(uintptr(fd), "pidfd")
	start, err = startTime(pid)
	if exited(fd) {
		f.Close() //nolint:errcheck // nothing was written
		return nil, 0, fmt.Errorf("process %d %w", pid, errEnded)
	}
	if err != nil {
		start = 0
	}
	return f, start, nil
}

// exited says whether a pidfd tells the end of its process.
func exited(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

// await waits for the end of a process, without a thread of its own; nil means
// that it ended, an error that ctx did.
func await(ctx context.Context, f *os.File) error {
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a pidfd can be polled
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool { return exited(int(fd)) })
}

// startTime is field 22 of /proc/PID/stat (proc(5)), ticks since the boot.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat reads the start. The second field is a name in parentheses, which
// may hold anything; the fields after the last parenthesis begin with the third.
func parseStat(stat []byte) (uint64, error) {
	i := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[i+1:])
	if i < 0 || len(fields) < 20 {
		return 0, errors.New("malformed stat of a process")
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// heldPID watches one process. When that ended it never lives again: another
// process with its number is another one.
type heldPID struct {
	pid   int
	start uint64 // that it must have; 0: whatever it has at the first look
}

func (c heldPID) hold(ctx context.Context, t timing, say func(Result)) {
	s := &sayer{say: say}
	var pause backoff
	for ctx.Err() == nil {
		f, start, err := attach(c.pid)
		if err == nil && c.start != 0 && start != 0 && start != c.start {
			err = errors.Join(f.Close(), fmt.Errorf("process %d is another one: its number was given again", c.pid))
		}
		if err == nil {
			s.result(fmt.Sprintf("process %d runs", c.pid), nil)
			err = watch(ctx, f, c.pid)
		}
		if ctx.Err() != nil {
			return
		}
		s.result("", err)
		if errors.Is(err, errEnded) {
			<-ctx.Done()
			return
		}
		if !pause.wait(ctx, t.interval) {
			return
		}
	}
}

// watch waits for the end of a process, and says it.
func watch(ctx context.Context, f *os.File, pid int) error {
	defer f.Close()
	if err := await(ctx, f); err != nil {
		return err
	}
	return fmt.Errorf("process %d %w", pid, errEnded)
}

// heldPIDFile watches the process whose number a file holds. After its end the
// file is looked at again; the number of the process that ended is believed
// again only from a file that was written again.
type heldPIDFile struct{ path string }

// pidFileMax bounds what is read of the file, in bytes.
const pidFileMax = 64

// pidFileWait is the longest wait between two looks at the file.
const pidFileWait = 100 * time.Millisecond

// pidFile is what the file said.
type pidFile struct {
	pid      int
	modified int64 // Unix time in nanoseconds
	inode    uint64
}

func (c heldPIDFile) hold(ctx context.Context, t timing, say func(Result)) {
	s := &sayer{say: say}
	var dead pidFile // the file whose process was seen to end
	var pause backoff
	for ctx.Err() == nil {
		f, now, err := c.follow(dead)
		if err == nil {
			pause.next = 0
			s.result(fmt.Sprintf("process %d runs", now.pid), nil)
			err = watch(ctx, f, now.pid)
			dead = now
		}
		if ctx.Err() != nil {
			return
		}
		s.result("", err)
		if !pause.wait(ctx, min(t.interval, pidFileWait)) {
			return
		}
	}
}

// follow reads the file and gets hold of its process.
func (c heldPIDFile) follow(dead pidFile) (*os.File, pidFile, error) {
	now, err := c.read()
	if err != nil {
		return nil, now, err
	}
	if now == dead {
		return nil, now, fmt.Errorf("process %d %w", now.pid, errEnded)
	}
	f, _, err := attach(now.pid)
	return f, now, err
}

func (c heldPIDFile) read() (pidFile, error) {
	f, info, err := openFile(c.path)
	if err != nil {
		return pidFile{}, err
	}
	defer f.Close()
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	buf := make([]byte, pidFileMax)
	n, _ := f.Read(buf) // an empty file holds no number
	line, _, _ := strings.Cut(strings.TrimSpace(string(buf[:n])), "\n")
	pid, err := parsePID(strings.TrimSpace(line))
	if err != nil {
		return pidFile{}, fmt.Errorf("%s: %w", c.path, err)
	}
	return pidFile{pid: pid, modified: info.ModTime().UnixNano(), inode: inode}, nil
}
