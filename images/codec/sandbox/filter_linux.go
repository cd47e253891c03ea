package sandbox

import (
	"golang.org/x/sys/unix"
)

// Answers of the filter: linux/seccomp.h.
const (
	retKill  = unix.SECCOMP_RET_KILL_PROCESS
	retErrno = unix.SECCOMP_RET_ERRNO
	retAllow = unix.SECCOMP_RET_ALLOW
)

// Offsets into struct seccomp_data: nr (4), arch (4), instruction pointer (8),
// then six arguments of 8 bytes, low word first on little endian machines.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// newNamespaces are the clone flags that make a namespace (CLONE_NEWNS,
// CGROUP, UTS, IPC, USER, PID, NET).
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// condition holds when the low word of an argument, masked, is want; a wide
// condition also wants the high word to be zero.
type condition struct {
	arg  int
	mask uint32
	want uint32
	wide bool
}

// rule answers one system call: allowed when every condition of one
// alternative holds (no alternative: always), else refused with errno, or with
// the default answer when errno is 0.
type rule struct {
	number uint32
	errno  uint32
	any    [][]condition
}

// program is BPF under construction.
type program []unix.SockFilter

func (p *program) stmt(code uint16, k uint32) {
	*p = append(*p, unix.SockFilter{Code: code, K: k})
}

func (p *program) jump(code uint16, k uint32, yes, no uint8) {
	*p = append(*p, unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no})
}

func (p *program) load(offset uint32) { p.stmt(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset) }
func (p *program) ret(answer uint32)  { p.stmt(unix.BPF_RET|unix.BPF_K, answer) }

// check is a chain of conditions that ends in ALLOW, or falls through past
// itself when one does not hold.
func check(conditions []condition) program {
	type step struct {
		load uint32
		mask uint32
		want uint32
	}
	var steps []step
	for _, c := range conditions {
		low := uint32(offArgs + 8*c.arg)
		steps = append(steps, step{low, c.mask, c.want})
		if c.wide {
			steps = append(steps, step{low + 4, 0xFFFFFFFF, 0})
		}
	}
	const stepSize = 3 // load, and, jump
	var p program
	for i, s := range steps {
		p.load(s.load)
		p.stmt(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, s.mask)
		rest := (len(steps)-i-1)*stepSize + 1 // to just after the ALLOW
		p.jump(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, s.want, 0, uint8(rest))
	}
	p.ret(retAllow)
	return p
}

// assemble makes the filter. otherwise answers every call that no rule names.
func assemble(arch uint32, rules []rule, otherwise uint32) program {
	var p program
	p.load(offArch)
	p.jump(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, arch, 1, 0)
	p.ret(retKill) // a call by another machine's numbers: never by accident
	p.load(offNumber)
	for _, r := range rules {
		refusal := otherwise
		if r.errno != 0 {
			refusal = retErrno | r.errno
		}
		var body program
		if r.any == nil && r.errno == 0 {
			body.ret(retAllow)
		} else {
			for _, alternative := range r.any {
				body = append(body, check(alternative)...)
			}
			body.ret(refusal)
		}
		p.jump(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, r.number, 0, uint8(len(body)))
		p = append(p, body...)
	}
	p.ret(otherwise)
	return p
}

func is(arg int, value uint32) condition { return condition{arg: arg, mask: 0xFFFFFFFF, want: value} }
func no(arg int, bits uint32) condition  { return condition{arg: arg, mask: bits} }

// rules is what a worker may do once it is shut in. socket is the one
// descriptor it talks through; pid is its own as it sees it; wakes are the
// descriptors by which the Go runtime wakes its poller.
func rules(socket, pid uint32, wakes []int) []rule {
	writable := [][]condition{{is(0, 2)}, {is(0, socket)}}
	for _, fd := range wakes {
		writable = append(writable, []condition{is(0, uint32(fd))})
	}
	list := []rule{
		// Arguments that decide.
		{number: unix.SYS_MMAP, any: [][]condition{{no(2, unix.PROT_EXEC)}}},
		{number: unix.SYS_MPROTECT, any: [][]condition{{no(2, unix.PROT_EXEC)}}},
		{number: unix.SYS_CLONE, any: [][]condition{{{arg: 0, mask: unix.CLONE_THREAD | newNamespaces, want: unix.CLONE_THREAD}}}},
		{number: unix.SYS_CLONE3, errno: uint32(unix.ENOSYS)}, // its flags lie in memory; glibc falls back to clone
		{number: unix.SYS_TGKILL, any: [][]condition{{is(0, pid)}}},
		{number: unix.SYS_WRITE, any: writable},
		// A destination address could reach sockets that others left lying about.
		{number: unix.SYS_SENDTO, any: [][]condition{{is(0, socket), {arg: 4, mask: 0xFFFFFFFF, wide: true}}}},
		{number: unix.SYS_RECVMSG, any: [][]condition{{is(0, socket)}}},
		{number: unix.SYS_PRCTL, errno: uint32(unix.EINVAL), any: [][]condition{{is(0, unix.PR_SET_NAME)}}},
		{number: unix.SYS_MADVISE},
		{number: unix.SYS_FCNTL, errno: uint32(unix.EPERM), any: [][]condition{{is(1, unix.F_GETFD)}, {is(1, unix.F_GETFL)}}},
	}
	for _, number := range allowed {
		list = append(list, rule{number: number})
	}
	for _, number := range allowedHere {
		list = append(list, rule{number: number})
	}
	for _, group := range [][]refusal{refused, refusedHere} {
		for _, r := range group {
			list = append(list, rule{number: r.number, errno: uint32(r.errno)})
		}
	}
	return list
}

// allowed are the calls that libraries and the Go runtime make in ordinary
// work and that reach nothing outside the process.
var allowed = []uint32{
	unix.SYS_FUTEX, unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_BRK,
	unix.SYS_READ, unix.SYS_CLOSE,
	unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETRANDOM,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL, unix.SYS_RESTART_SYSCALL,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
	unix.SYS_MINCORE, unix.SYS_GETCPU,
}

// refusal is a call that libraries try in ordinary work and live without: it
// gets an error even where the default answer is to end the process.
type refusal struct {
	number uint32
	errno  unix.Errno
}

var refused = []refusal{
	{unix.SYS_OPENAT, unix.EACCES}, {sysFstatat, unix.EACCES}, {unix.SYS_FSTAT, unix.EACCES}, {unix.SYS_STATX, unix.EACCES},
	{unix.SYS_FACCESSAT, unix.EACCES}, {unix.SYS_FACCESSAT2, unix.EACCES}, {unix.SYS_READLINKAT, unix.EACCES}, {unix.SYS_GETCWD, unix.EACCES},
	{unix.SYS_IOCTL, unix.ENOTTY}, {unix.SYS_LSEEK, unix.ESPIPE}, {unix.SYS_PREAD64, unix.EPERM},
	{unix.SYS_GET_MEMPOLICY, unix.EPERM}, {unix.SYS_SET_MEMPOLICY, unix.EPERM}, {unix.SYS_MBIND, unix.EPERM},
	{unix.SYS_SCHED_SETAFFINITY, unix.EPERM}, {unix.SYS_SCHED_GETSCHEDULER, unix.EPERM}, {unix.SYS_SCHED_SETSCHEDULER, unix.EPERM},
	{unix.SYS_SCHED_GETPARAM, unix.EPERM}, {unix.SYS_GETPRIORITY, unix.EPERM}, {unix.SYS_SETPRIORITY, unix.EPERM},
	{unix.SYS_TIMES, unix.EPERM}, {unix.SYS_GETRUSAGE, unix.EPERM}, {unix.SYS_SYSINFO, unix.EPERM}, {unix.SYS_UNAME, unix.EPERM},
	{unix.SYS_PRLIMIT64, unix.EPERM}, {unix.SYS_MEMBARRIER, unix.EPERM}, {unix.SYS_EVENTFD2, unix.EPERM}, {unix.SYS_EPOLL_CREATE1, unix.EPERM},
}
