package qemu

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The path of a UNIX socket has at most 107 bytes (unix(7)), and a data
// directory may be deeper: sockets are named through a descriptor of their
// directory.

// listen makes a socket file in dir and gives the listening descriptor, which a
// QEMU process inherits. A file that an earlier process left is replaced.
func listen(dir, name string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if err := ignoreMissing(os.Remove(filepath.Join(dir, name))); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: through(d, name)}); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("bind %s: %w", name, err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("listen on %s: %w", name, err)
	}
	return f, nil
}

// dial connects to a socket file of dir.
func dial(ctx context.Context, dir, name string) (*net.UnixConn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", through(d, name))
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// through names a file by a descriptor of its directory.
func through(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}
