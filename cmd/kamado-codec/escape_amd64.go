//go:build codecfault

package main

import "golang.org/x/sys/unix"

// oldFork makes a process by the call without flags; the child ends at once.
func oldFork() unix.Errno {
	pid, _, e := unix.RawSyscall(unix.SYS_FORK, 0, 0, 0)
	if e == 0 && pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return e
}

// attemptsHere are calls that only this machine has.
func attemptsHere(buffer uintptr) []attempt {
	return []attempt{
		{"old open", call(unix.SYS_OPEN, pointer("/etc/passwd"), unix.O_RDONLY)},
		{"creat", call(unix.SYS_CREAT, pointer("/tmp/kamado-escape"), 0o600)},
		{"old fork", oldFork},
		{"rename", call(unix.SYS_RENAME, pointer("/x"), pointer("/y"))},
		{"iopl", call(unix.SYS_IOPL, 3)},
		{"ioperm", call(unix.SYS_IOPERM, 0x60, 1, 1)},
		{"modify_ldt", call(unix.SYS_MODIFY_LDT, 1, buffer, 16)},
		{"x32 open", call(1<<30|unix.SYS_OPEN, pointer("/etc/passwd"), unix.O_RDONLY)},
		{"x32 execve", call(1<<30|520, pointer("/bin/true"), 0, 0)},
	}
}
