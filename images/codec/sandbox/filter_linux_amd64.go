package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// allowedHere and refusedHere are calls that only this machine has. Numbers
// with bit 30 (the x32 form) match no rule and get the default answer.
var (
	allowedHere = []uint32{unix.SYS_EPOLL_WAIT, unix.SYS_TIME, unix.SYS_ARCH_PRCTL}
	refusedHere = []refusal{
		{unix.SYS_OPEN, unix.EACCES}, {unix.SYS_STAT, unix.EACCES}, {unix.SYS_LSTAT, unix.EACCES},
		{unix.SYS_ACCESS, unix.EACCES}, {unix.SYS_READLINK, unix.EACCES},
	}
)

const sysFstatat = unix.SYS_NEWFSTATAT
