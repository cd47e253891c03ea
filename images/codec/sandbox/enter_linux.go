package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Config says how a process shuts itself in.
type Config struct {
	// EmptyRoot makes an empty directory the root; it is called where the
	// process has a mount namespace of its own. Nil: that wall is left out.
	EmptyRoot func() error

	Socket    int    // the descriptor it talks through; 0, 1, 2 and this one stay open
	DataBytes uint64 // RLIMIT_DATA: heap and private mappings; 0 leaves it
	Files     uint64 // RLIMIT_NOFILE; 0 means defaultFiles
	// Kill ends the process at a call that nobody foresaw, instead of
	// answering EPERM: for tests, which want to see it.
	Kill bool
}

// defaultFiles is room for standard descriptors, the socket, two memfds of a
// request and what the Go runtime keeps.
const defaultFiles = 16

// Enter shuts the calling process in and says which walls hold. The process
// must have loaded every library and warmed up every code path that opens
// files, and must have one timer running or run (the Go runtime opens its
// poller with the first). Enter keeps what it promises on all threads.
//
// It fails when the filter cannot be set or does not hold; then the process
// must end. Weaker walls that the machine refuses are only left out of Layers.
func Enter(c Config) (Layers, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	startPoller()
	others, wakes, err := descriptors(c.Socket)
	if err != nil {
		return 0, fmt.Errorf("list descriptors: %w", err)
	}
	layers := namespaces()
	if unprivileged() {
		layers |= Unprivileged
	}
	// Last of all that needs /proc.
	if layers&MountNS != 0 && c.EmptyRoot != nil && c.EmptyRoot() == nil {
		layers |= EmptyRoot
	}
	for _, fd := range others {
		unix.Close(fd)
	}
	if err := limit(c); err != nil {
		return 0, err
	}
	layers |= Rlimits
	if err := install(c, wakes); err != nil {
		return 0, err
	}
	layers |= Seccomp | NoNewPrivs
	return layers, selfTest()
}

// startPoller makes the Go runtime open its poller now: later it could not.
func startPoller() {
	time.AfterFunc(time.Hour, func() {}).Stop()
}

// descriptors lists those that the parent left open by mistake or that are
// not needed any longer, and those by which the Go runtime wakes its poller,
// to which it must be able to write.
func descriptors(socket int) (others, wakes []int, err error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 || fd == socket {
			continue
		}
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		switch {
		case err != nil: // the directory that was just read
		case target == "anon_inode:[eventpoll]":
		case target == "anon_inode:[eventfd]":
			wakes = append(wakes, fd)
		default:
			others = append(others, fd)
		}
	}
	return others, wakes, nil
}

// namespaces finds which namespaces are not those of the parent, by the
// environment variable that Command sets; the parent's own numbers are in it.
func namespaces() Layers {
	var layers Layers
	theirs := strings.Fields(os.Getenv(envNamespaces))
	for i, ns := range namespaceFiles {
		mine, err := os.Readlink("/proc/self/ns/" + ns.file)
		if err == nil && i < len(theirs) && mine != theirs[i] {
			layers |= ns.layer
		}
	}
	return layers
}

// unprivileged says whether no thread has a capability and the user is not
// root. Rights belong to threads, so each is asked.
func unprivileged() bool {
	if os.Geteuid() == 0 {
		return false
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(text)) {
			field, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			if (field == "CapPrm" || field == "CapEff") && strings.Trim(value, "0") != "" {
				return false
			}
		}
	}
	return true
}

func limit(c Config) error {
	files := c.Files
	if files == 0 {
		files = defaultFiles
	}
	type entry struct {
		name     string
		resource int
		value    uint64
	}
	list := []entry{
		{"core", unix.RLIMIT_CORE, 0},
		{"fsize", unix.RLIMIT_FSIZE, 0},
		{"nofile", unix.RLIMIT_NOFILE, files},
		{"msgqueue", unix.RLIMIT_MSGQUEUE, 0},
		{"memlock", unix.RLIMIT_MEMLOCK, 0},
	}
	if c.DataBytes > 0 {
		list = append(list, entry{"data", unix.RLIMIT_DATA, c.DataBytes})
	}
	for _, e := range list {
		if err := unix.Setrlimit(e.resource, &unix.Rlimit{Cur: e.value, Max: e.value}); err != nil {
			return fmt.Errorf("limit %s to %d: %w", e.name, e.value, err)
		}
	}
	return nil
}

// install sets no_new_privs and the filter on every thread at once (TSYNC
// carries both).
func install(c Config, wakes []int) error {
	otherwise := uint32(retErrno | uint32(unix.EPERM))
	if c.Kill {
		otherwise = retKill
	}
	p := assemble(auditArch, rules(uint32(c.Socket), uint32(os.Getpid()), wakes), otherwise)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	tid, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p)
	if e != 0 {
		return fmt.Errorf("set seccomp filter: %w", e)
	}
	if tid != 0 {
		return fmt.Errorf("set seccomp filter: thread %d did not follow", tid)
	}
	return nil
}

// selfTest asks for a file; the answer must be the filter's.
func selfTest() error {
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
		return errors.New("sandbox self-test: a directory could be opened")
	}
	if err != unix.EACCES {
		return fmt.Errorf("sandbox self-test: opening a directory answered %w, want EACCES", err)
	}
	return nil
}
