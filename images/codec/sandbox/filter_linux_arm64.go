package sandbox

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// allowedHere and refusedHere are calls that only this machine has: none.
var (
	allowedHere []uint32
	refusedHere []refusal
)

const sysFstatat = unix.SYS_FSTATAT
