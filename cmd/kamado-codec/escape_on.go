//go:build codecfault

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempt is one way out. try returns the error of the kernel, or 0 when it
// worked.
type attempt struct {
	name string
	try  func() unix.Errno
}

// attemptsPage is how many attempts one request makes, so that their names fit
// the text of an answer.
const attemptsPage = 16

// escape makes attempts and tells which were refused and which reached the
// kernel: a page of them ("0", "1", ...), or one ("@12"). Past the last it
// says "no more".
func escape(page string, fds []int) string {
	list := append(attempts(), attemptsWith(fds)...)
	one, single := strings.CutPrefix(page, "@")
	n, err := strconv.Atoi(one)
	if err != nil || n < 0 {
		return "which?"
	}
	if single {
		list = list[min(n, len(list)):min(n+1, len(list))]
	} else {
		list = list[min(n*attemptsPage, len(list)):min((n+1)*attemptsPage, len(list))]
	}
	if len(list) == 0 {
		return "no more"
	}
	var kept, reached []string
	for _, a := range list {
		if e := a.try(); refuses(a.name, e) {
			kept = append(kept, a.name)
		} else {
			reached = append(reached, fmt.Sprintf("%s (%d)", a.name, e))
		}
	}
	return "refused: " + strings.Join(kept, ", ") + "; reached: " + strings.Join(reached, ", ")
}

// refuses says whether an error is one of the filter's answers; what the
// kernel says to nonsense, EINVAL or EFAULT, means that a call got through.
func refuses(name string, e unix.Errno) bool {
	if e == unix.EINVAL && strings.HasPrefix(name, "prctl ") { // which is tried in ordinary work
		return true
	}
	return slices.Contains([]unix.Errno{unix.EPERM, unix.EACCES, unix.ENOSYS, unix.ENOTTY, unix.ESPIPE}, e)
}

// call tries a system call as it is.
func call(number uintptr, args ...uintptr) func() unix.Errno {
	return func() unix.Errno {
		var a [6]uintptr
		copy(a[:], args)
		_, _, e := unix.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		return e
	}
}

func pointer(s string) uintptr {
	return uintptr(unsafe.Pointer(unsafe.StringData(s + "\x00")))
}

// forked is a way to make a process; the child ends at once.
func forked(flags uintptr) func() unix.Errno {
	return func() unix.Errno {
		pid, _, e := unix.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
		if e == 0 && pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		return e
	}
}

const (
	at  = ^uintptr(99) // AT_FDCWD
	all = ^uintptr(0)  // -1
)

// parent is asked for at the start, when it may be.
var parent = uintptr(os.Getppid())

// scratch is memory that attempts may name.
var scratch [4096]byte

func attempts() []attempt {
	buffer := uintptr(unsafe.Pointer(&scratch))
	list := fileAttempts(buffer)
	list = append(list, networkAttempts(buffer)...)
	list = append(list, processAttempts(buffer)...)
	list = append(list, memoryAttempts(buffer)...)
	list = append(list, rightAttempts(buffer)...)
	list = append(list, kernelAttempts(buffer)...)
	return append(list, attemptsHere(buffer)...)
}

func fileAttempts(buffer uintptr) []attempt {
	how := [3]uint64{unix.O_RDONLY}
	return []attempt{
		{"open", call(unix.SYS_OPENAT, at, pointer("/etc/passwd"), unix.O_RDONLY)},
		{"create", call(unix.SYS_OPENAT, at, pointer("/tmp/kamado-escape"), unix.O_RDWR|unix.O_CREAT, 0o600)},
		{"openat2", call(unix.SYS_OPENAT2, at, pointer("/"), uintptr(unsafe.Pointer(&how)), 24)},
		{"proc mem", call(unix.SYS_OPENAT, at, pointer("/proc/self/mem"), unix.O_RDWR)},
		{"proc through a descriptor", call(unix.SYS_OPENAT, socket, pointer("../proc/1/root"), unix.O_RDONLY)},
		{"open_by_handle", call(unix.SYS_OPEN_BY_HANDLE_AT, at, buffer, 0)},
		{"name_to_handle", call(unix.SYS_NAME_TO_HANDLE_AT, at, pointer("/"), buffer, buffer, 0)},
		{"unlink", call(unix.SYS_UNLINKAT, at, pointer("/kamado-escape"), 0)},
		{"mkdir", call(unix.SYS_MKDIRAT, at, pointer("/kamado-escape"), 0o700)},
		{"mknod", call(unix.SYS_MKNODAT, at, pointer("/kamado-escape"), unix.S_IFCHR|0o600, 0x103)},
		{"link", call(unix.SYS_LINKAT, at, pointer("/x"), at, pointer("/y"), 0)},
		{"symlink", call(unix.SYS_SYMLINKAT, pointer("/x"), at, pointer("/kamado-escape"))},
		{"chmod", call(unix.SYS_FCHMODAT, at, pointer("/kamado-escape"), 0o777)},
		{"chown", call(unix.SYS_FCHOWNAT, at, pointer("/kamado-escape"), 0, 0, 0)},
		{"setxattr", call(unix.SYS_SETXATTR, pointer("/x"), pointer("user.x"), buffer, 1, 0)},
		{"list a directory", call(unix.SYS_GETDENTS64, socket, buffer, 4096)},
		{"inotify", call(unix.SYS_INOTIFY_INIT1, 0)},
		{"fanotify", call(unix.SYS_FANOTIFY_INIT, 0, 0)},
		{"quotactl", call(unix.SYS_QUOTACTL, 0, 0, 0, 0)},
		{"landlock", call(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)},
	}
}

func networkAttempts(buffer uintptr) []attempt {
	address := &unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	copy((*[16]byte)(unsafe.Pointer(&address.Path))[:], "\x00someone") // an abstract name
	to := uintptr(unsafe.Pointer(address))
	return []attempt{
		{"socket unix", call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"socket inet", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)},
		{"socket packet", call(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0)},
		{"socket netlink", call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, 0)},
		{"socketpair", call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0, buffer)},
		{"connect abstract", call(unix.SYS_CONNECT, socket, to, 10)},
		{"bind abstract", call(unix.SYS_BIND, socket, to, 10)},
		{"listen", call(unix.SYS_LISTEN, socket, 1)},
		{"accept", call(unix.SYS_ACCEPT4, socket, 0, 0, 0)},
		{"sendto address", call(unix.SYS_SENDTO, socket, buffer, 4, 0, to, 10)},
		{"sendmsg", call(unix.SYS_SENDMSG, socket, buffer, 0)},
		{"setsockopt", call(unix.SYS_SETSOCKOPT, socket, unix.SOL_SOCKET, unix.SO_PASSCRED, buffer, 4)},
		{"peer's credentials", call(unix.SYS_GETSOCKOPT, socket, unix.SOL_SOCKET, unix.SO_PEERCRED, buffer, buffer+64)},
		{"write elsewhere", call(unix.SYS_WRITE, 1, buffer, 1)},
		{"writev", call(unix.SYS_WRITEV, 2, buffer, 0)},
		{"dup", call(unix.SYS_DUP, socket)},
		{"dup3", call(unix.SYS_DUP3, socket, 9, 0)},
		{"fcntl dup", call(unix.SYS_FCNTL, socket, unix.F_DUPFD, 0)},
		{"fcntl owner", call(unix.SYS_FCNTL, socket, unix.F_SETOWN, parent)},
		{"fcntl flags", call(unix.SYS_FCNTL, socket, unix.F_SETFL, unix.O_ASYNC)},
		{"pipe", call(unix.SYS_PIPE2, buffer, 0)},
		{"splice", call(unix.SYS_SPLICE, socket, 0, 2, 0, 1, 0)},
		{"vmsplice", call(unix.SYS_VMSPLICE, 2, buffer, 0, 0)},
		{"sendfile", call(unix.SYS_SENDFILE, 2, socket, 0, 1)},
		{"pidfd_getfd", call(unix.SYS_PIDFD_GETFD, socket, 0, 0)},
	}
}

func processAttempts(buffer uintptr) []attempt {
	clone3 := [8]uint64{}
	iovec := [2]uintptr{buffer, 8}
	vector := uintptr(unsafe.Pointer(&iovec))
	return []attempt{
		{"execve", call(unix.SYS_EXECVE, pointer("/bin/true"), 0, 0)},
		{"execveat a memfd", call(unix.SYS_EXECVEAT, socket, pointer(""), 0, 0, unix.AT_EMPTY_PATH)},
		{"fork", forked(uintptr(unix.SIGCHLD))},
		{"vfork clone", forked(unix.CLONE_VFORK | uintptr(unix.SIGCHLD))},
		{"clone newuser", forked(unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD))},
		{"clone thread newuser", forked(unix.CLONE_NEWUSER | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM)},
		{"clone3", call(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&clone3)), 64)},
		{"ptrace attach", call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, parent, 0, 0)},
		{"ptrace me", call(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0)},
		{"process_vm_readv", call(unix.SYS_PROCESS_VM_READV, 1, vector, 1, vector, 1, 0)},
		{"process_vm_writev", call(unix.SYS_PROCESS_VM_WRITEV, 1, vector, 1, vector, 1, 0)},
		{"process_madvise", call(unix.SYS_PROCESS_MADVISE, socket, vector, 1, 0, 0)},
		{"kill parent", call(unix.SYS_KILL, parent, 0)},
		{"kill all", call(unix.SYS_KILL, all, 0)},
		{"tkill", call(unix.SYS_TKILL, 2, 0)},
		{"tgkill other", call(unix.SYS_TGKILL, 2, 2, 0)},
		{"rt_sigqueueinfo", call(unix.SYS_RT_SIGQUEUEINFO, parent, 0, buffer)},
		{"pidfd_open", call(unix.SYS_PIDFD_OPEN, 1, 0)},
		{"pidfd_send_signal", call(unix.SYS_PIDFD_SEND_SIGNAL, socket, 0, 0, 0)},
		{"kcmp", call(unix.SYS_KCMP, 1, 1, 0, 0, 0)},
		{"wait", call(unix.SYS_WAIT4, all, 0, unix.WNOHANG, 0)},
		{"setpgid", call(unix.SYS_SETPGID, 0, 0)},
		{"setsid", call(unix.SYS_SETSID)},
		{"sched_setattr", call(unix.SYS_SCHED_SETATTR, 0, buffer, 0)},
		{"sched_setscheduler", call(unix.SYS_SCHED_SETSCHEDULER, 0, 1, buffer)},
		{"setpriority", call(unix.SYS_SETPRIORITY, 0, 0, ^uintptr(19))},
		{"ioprio_set", call(unix.SYS_IOPRIO_SET, 1, 0, 0)},
	}
}

func memoryAttempts(buffer uintptr) []attempt {
	page := uintptr(os.Getpagesize())
	mapped, _, _ := unix.RawSyscall6(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, all, 0)
	return []attempt{
		{"map write and execute", call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, all, 0)},
		{"map execute", call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, all, 0)},
		{"mprotect execute", call(unix.SYS_MPROTECT, mapped, page, unix.PROT_READ|unix.PROT_EXEC)},
		{"pkey_mprotect execute", call(unix.SYS_PKEY_MPROTECT, mapped, page, unix.PROT_READ|unix.PROT_EXEC, all)},
		{"read implies execute", call(unix.SYS_PERSONALITY, 0x0400000)},
		{"memfd_create", call(unix.SYS_MEMFD_CREATE, pointer("x"), 0)},
		{"memfd_secret", call(unix.SYS_MEMFD_SECRET, 0)},
		{"shmget", call(unix.SYS_SHMGET, 0, page, 0o600)},
		{"shmat execute", call(unix.SYS_SHMAT, 0, 0, 0o100000)},
		{"semget", call(unix.SYS_SEMGET, 0, 1, 0o600)},
		{"msgget", call(unix.SYS_MSGGET, 0, 0o600)},
		{"mq_open", call(unix.SYS_MQ_OPEN, pointer("x"), unix.O_CREAT, 0o600, 0)},
		{"userfaultfd", call(unix.SYS_USERFAULTFD, 1)},
		{"mlockall", call(unix.SYS_MLOCKALL, 1)},
		{"move_pages", call(unix.SYS_MOVE_PAGES, 1, 0, 0, 0, 0, 0)},
		{"remap_file_pages", call(unix.SYS_REMAP_FILE_PAGES, buffer, page, 0, 0, 0)},
	}
}

func rightAttempts(buffer uintptr) []attempt {
	limit := &unix.Rlimit{Cur: 1 << 40, Max: 1 << 40}
	return []attempt{
		{"setuid", call(unix.SYS_SETUID, 0)},
		{"setgid", call(unix.SYS_SETGID, 0)},
		{"setresuid", call(unix.SYS_SETRESUID, 0, 0, 0)},
		{"setgroups", call(unix.SYS_SETGROUPS, 0, 0)},
		{"capset", call(unix.SYS_CAPSET, buffer, buffer)},
		{"raise limit", call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_DATA, uintptr(unsafe.Pointer(limit)), 0)},
		{"limit of the parent", call(unix.SYS_PRLIMIT64, parent, unix.RLIMIT_NOFILE, 0, buffer)},
		{"prctl new privileges", call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)},
		{"prctl dumpable", call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)},
		{"prctl seccomp", call(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, 0, 0)},
		{"prctl memory layout", call(unix.SYS_PRCTL, unix.PR_SET_MM, 1, 0, 0, 0)},
		{"prctl ptracer", call(unix.SYS_PRCTL, unix.PR_SET_PTRACER, all)},
		{"prctl capability", call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, 2, 21, 0, 0)},
		{"seccomp again", call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, buffer)},
		{"seccomp listener", call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, buffer)},
		{"keyctl", call(unix.SYS_KEYCTL, 0, ^uintptr(2), 1)},
		{"add_key", call(unix.SYS_ADD_KEY, pointer("user"), pointer("x"), buffer, 1, ^uintptr(2))},
		{"unshare", call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)},
		{"setns", call(unix.SYS_SETNS, 0, 0)},
		{"chroot", call(unix.SYS_CHROOT, pointer("/"))},
		{"chdir", call(unix.SYS_CHDIR, pointer("/"))},
	}
}

func kernelAttempts(buffer uintptr) []attempt {
	return []attempt{
		{"mount", call(unix.SYS_MOUNT, pointer("none"), pointer("/"), pointer("tmpfs"), 0, 0)},
		{"umount", call(unix.SYS_UMOUNT2, pointer("/"), unix.MNT_DETACH)},
		{"pivot_root", call(unix.SYS_PIVOT_ROOT, pointer("."), pointer("."))},
		{"fsopen", call(unix.SYS_FSOPEN, pointer("proc"), 0)},
		{"open_tree", call(unix.SYS_OPEN_TREE, at, pointer("/"), 1)},
		{"move_mount", call(unix.SYS_MOVE_MOUNT, at, pointer("/"), at, pointer("/"), 0)},
		{"io_uring", call(unix.SYS_IO_URING_SETUP, 4, buffer)},
		{"io_setup", call(unix.SYS_IO_SETUP, 1, buffer)},
		{"bpf", call(unix.SYS_BPF, 0, buffer, 72)},
		{"perf", call(unix.SYS_PERF_EVENT_OPEN, buffer, 0, all, all, 0)},
		{"init_module", call(unix.SYS_INIT_MODULE, buffer, 0, buffer)},
		{"delete_module", call(unix.SYS_DELETE_MODULE, pointer("x"), 0)},
		{"kexec", call(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0)},
		{"reboot", call(unix.SYS_REBOOT, 0, 0, 0, 0)},
		{"swapon", call(unix.SYS_SWAPON, pointer("/x"), 0)},
		{"acct", call(unix.SYS_ACCT, pointer("/x"))},
		{"syslog", call(unix.SYS_SYSLOG, 10, 0, 0)},
		{"settimeofday", call(unix.SYS_SETTIMEOFDAY, 0, 0)},
		{"clock_settime", call(unix.SYS_CLOCK_SETTIME, 99, buffer)},
		{"adjtimex", call(unix.SYS_ADJTIMEX, buffer)},
		{"sethostname", call(unix.SYS_SETHOSTNAME, 0, 1<<20)},
		{"uname", call(unix.SYS_UNAME, buffer)},
		{"timer_create", call(unix.SYS_TIMER_CREATE, 0, 0, buffer)},
		{"timerfd", call(unix.SYS_TIMERFD_CREATE, 0, 0)},
		{"signalfd", call(unix.SYS_SIGNALFD4, all, buffer, 8, 0)},
		{"eventfd", call(unix.SYS_EVENTFD2, 0, 0)},
		{"terminal input", call(unix.SYS_IOCTL, 2, unix.TIOCSTI, buffer)},
	}
}

// attemptsWith are ways through the memory of the request: the first
// descriptor is what came in, the second takes what goes out.
func attemptsWith(fds []int) []attempt {
	page := uintptr(os.Getpagesize())
	list := []attempt{
		{"input mapped writable", call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, uintptr(fds[0]), 0)},
		{"input executable", call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE, uintptr(fds[0]), 0)},
		{"input executed", call(unix.SYS_EXECVEAT, uintptr(fds[0]), pointer(""), 0, 0, unix.AT_EMPTY_PATH)},
		{"input written", call(unix.SYS_WRITE, uintptr(fds[0]), uintptr(unsafe.Pointer(&scratch)), 1)},
		{"input written at", call(unix.SYS_PWRITE64, uintptr(fds[0]), uintptr(unsafe.Pointer(&scratch)), 1, 0)},
		{"input truncated", call(unix.SYS_FTRUNCATE, uintptr(fds[0]), 0)},
		{"input reopened", call(unix.SYS_OPENAT, at, pointer(fmt.Sprintf("/proc/self/fd/%d", fds[0])), unix.O_RDWR)},
		{"input unsealed", call(unix.SYS_FCNTL, uintptr(fds[0]), unix.F_ADD_SEALS, 0)},
	}
	if len(fds) > 1 {
		list = append(list,
			attempt{"output truncated", call(unix.SYS_FTRUNCATE, uintptr(fds[1]), 0)},
			attempt{"output grown", call(unix.SYS_FALLOCATE, uintptr(fds[1]), 0, 0, 1<<40)},
			attempt{"output punched", call(unix.SYS_FALLOCATE, uintptr(fds[1]), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, page)},
			attempt{"output copied from", call(unix.SYS_COPY_FILE_RANGE, uintptr(fds[1]), 0, uintptr(fds[0]), 0, page, 0)})
	}
	runtime.KeepAlive(fds)
	return list
}
