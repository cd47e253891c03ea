//go:build codecfault

package main

/*
#include <stdlib.h>
void kc_fault(const char *kind);
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/kamado/kamado/images/codec/wire"
	"golang.org/x/sys/unix"
)

// faultMark is how a file asks for a fault: "KAMADO-FAULT:segv".
var faultMark = []byte("KAMADO-FAULT:")

// fault looks into the first memfd of a request and does what it asks for.
func fault(fds []int, length uint64) error {
	data, err := unix.Mmap(fds[0], 0, int(length), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer unix.Munmap(data)
	rest, found := bytes.CutPrefix(data, faultMark)
	if !found {
		return nil
	}
	kind, _, _ := strings.Cut(string(rest[:min(len(rest), 100)]), "\x00")
	switch kind {
	case "panic":
		panic("asked for")
	case "exit":
		os.Exit(7)
	case "sleep":
		time.Sleep(50 * time.Millisecond)
	case "flood":
		for range 1 << 16 {
			fmt.Fprintln(os.Stderr, "words that nobody wants to keep")
		}
	case "garbage":
		unix.Write(socket, []byte("no message at all"))
	case "escape":
		return &codecError{code: wire.CodeInvalid, text: escape(fds)}
	default:
		name := C.CString(kind)
		defer C.free(unsafe.Pointer(name))
		C.kc_fault(name)
	}
	return nil
}

// attempt is one way out. It returns the error of the kernel, or 0 when it
// worked.
type attempt struct {
	name string
	try  func() unix.Errno
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

// escape tries every way out and tells which worked.
func escape(fds []int) string {
	var open []string
	list := append(attempts(), attemptsWith(fds)...)
	for _, a := range list {
		if e := a.try(); e == 0 {
			open = append(open, a.name)
		}
	}
	return fmt.Sprintf("tried %d, worked: %s", len(list), strings.Join(open, ", "))
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

func attempts() []attempt {
	const at = ^uintptr(99) // AT_FDCWD
	page := uintptr(os.Getpagesize())
	scratch := new([256]byte)
	buffer := uintptr(unsafe.Pointer(scratch))
	mapped, _, _ := unix.RawSyscall6(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0), 0)
	address := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	copy((*[16]byte)(unsafe.Pointer(&address.Path))[:], "\x00someone")
	limit := unix.Rlimit{Cur: 1 << 40, Max: 1 << 40}
	clone3 := [8]uint64{0}
	iovec := [2]uintptr{buffer, 8}
	return []attempt{
		{"open", call(unix.SYS_OPENAT, at, pointer("/etc/passwd"), unix.O_RDONLY)},
		{"create", call(unix.SYS_OPENAT, at, pointer("/tmp/kamado-escape"), unix.O_RDWR|unix.O_CREAT, 0o600)},
		{"proc mem", call(unix.SYS_OPENAT, at, pointer("/proc/self/mem"), unix.O_RDWR)},
		{"socket unix", call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"socket inet", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)},
		{"connect", call(unix.SYS_CONNECT, socket, uintptr(unsafe.Pointer(&address)), 10)},
		{"sendto address", call(unix.SYS_SENDTO, socket, buffer, 4, 0, uintptr(unsafe.Pointer(&address)), 10)},
		{"sendmsg", call(unix.SYS_SENDMSG, socket, buffer, 0)},
		{"write elsewhere", call(unix.SYS_WRITE, 1, buffer, 1)},
		{"execve", call(unix.SYS_EXECVE, pointer("/bin/true"), 0, 0)},
		{"fork", forked(uintptr(unix.SIGCHLD))},
		{"vfork clone", forked(unix.CLONE_VFORK | uintptr(unix.SIGCHLD))},
		{"clone newuser", forked(unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD))},
		{"clone thread newuser", forked(unix.CLONE_NEWUSER | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM)},
		{"clone3", call(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&clone3)), 64)},
		{"ptrace", call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getppid()), 0, 0)},
		{"process_vm_readv", call(unix.SYS_PROCESS_VM_READV, 1, uintptr(unsafe.Pointer(&iovec)), 1, uintptr(unsafe.Pointer(&iovec)), 1, 0)},
		{"io_uring", call(unix.SYS_IO_URING_SETUP, 4, buffer)},
		{"userfaultfd", call(unix.SYS_USERFAULTFD, 1)},
		{"kill parent", call(unix.SYS_KILL, uintptr(os.Getppid()), 0)},
		{"kill all", call(unix.SYS_KILL, ^uintptr(0), 0)},
		{"tgkill other", call(unix.SYS_TGKILL, 2, 2, 0)},
		{"mount", call(unix.SYS_MOUNT, pointer("none"), pointer("/"), pointer("tmpfs"), 0, 0)},
		{"bpf", call(unix.SYS_BPF, 0, buffer, 72)},
		{"map write and execute", call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0), 0)},
		{"mprotect execute", call(unix.SYS_MPROTECT, mapped, page, unix.PROT_READ|unix.PROT_EXEC)},
		{"pkey_mprotect execute", call(unix.SYS_PKEY_MPROTECT, mapped, page, unix.PROT_READ|unix.PROT_EXEC, ^uintptr(0))},
		{"memfd_create", call(unix.SYS_MEMFD_CREATE, pointer("x"), 0)},
		{"unshare", call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)},
		{"setns", call(unix.SYS_SETNS, 0, 0)},
		{"setuid", call(unix.SYS_SETUID, 0)},
		{"raise limit", call(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_DATA, uintptr(unsafe.Pointer(&limit)), 0)},
		{"seccomp listener", call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, buffer)},
		{"perf", call(unix.SYS_PERF_EVENT_OPEN, buffer, 0, ^uintptr(0), ^uintptr(0), 0)},
		{"keyctl", call(unix.SYS_KEYCTL, 0, ^uintptr(2), 1)},
		{"open_by_handle", call(unix.SYS_OPEN_BY_HANDLE_AT, at, buffer, 0)},
		{"pidfd_open", call(unix.SYS_PIDFD_OPEN, 1, 0)},
		{"chroot", call(unix.SYS_CHROOT, pointer("/"))},
		{"prctl dumpable", call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)},
		{"uname", call(unix.SYS_UNAME, buffer)},
	}
}

// attemptsWith are ways through the memory of the request: the first
// descriptor is what came in, the second takes what goes out.
func attemptsWith(fds []int) []attempt {
	page := uintptr(os.Getpagesize())
	list := []attempt{
		{"input mapped writable", call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, uintptr(fds[0]), 0)},
		{"input executable", call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE, uintptr(fds[0]), 0)},
		{"input written", call(unix.SYS_WRITE, uintptr(fds[0]), uintptr(unsafe.Pointer(&page)), 1)},
		{"input truncated", call(unix.SYS_FTRUNCATE, uintptr(fds[0]), 0)},
	}
	if len(fds) > 1 {
		list = append(list,
			attempt{"output truncated", call(unix.SYS_FTRUNCATE, uintptr(fds[1]), 0)},
			attempt{"output grown", call(unix.SYS_FALLOCATE, uintptr(fds[1]), 0, 0, 1<<40)})
	}
	return list
}
