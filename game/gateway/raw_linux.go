package gateway

import (
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// iovecsMax is how many pieces one writev takes (IOV_MAX of Linux is 1024).
const iovecsMax = 1024

// iovecs are the pieces of one write, as the kernel takes them.
type iovecs = []unix.Iovec

// rawOf gives the way around the poller of a connection; nil: only calls that wait.
func rawOf(nc net.Conn) syscall.RawConn {
	c, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readNow reads what is there. again: nothing is, and that is no error.
func readNow(fd uintptr, b []byte) (n int, again bool, err error) {
	for {
		n, err = unix.Read(int(fd), b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, true, nil
		case err != nil:
			return 0, false, err
		case n == 0:
			return 0, false, io.EOF
		default:
			return n, false, nil
		}
	}
}

// writeNow writes as much of the pieces as the socket takes at once: 0 when it takes nothing.
func writeNow(fd uintptr, pieces [][]byte, vec *iovecs) (int, error) {
	for {
		n, err := writeOnce(fd, pieces, vec)
		switch err {
		case 0:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

func writeOnce(fd uintptr, pieces [][]byte, vec *iovecs) (int, syscall.Errno) {
	if len(pieces) == 1 {
		n, _, err := unix.Syscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(pieces[0]))), uintptr(len(pieces[0])))
		return int(n), err
	}
	v := (*vec)[:0]
	for _, p := range pieces {
		i := unix.Iovec{Base: unsafe.SliceData(p)}
		i.SetLen(len(p))
		v = append(v, i)
	}
	n, _, err := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v)))
	clear(v)
	*vec = v
	return int(n), err
}
