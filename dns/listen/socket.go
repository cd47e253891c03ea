package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/dns"
)

// Buffers of a UDP socket in bytes, when the system allows it: room for a burst
// while a worker is not running. The kernel counts about 800 bytes for a small packet.
const (
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20
)

// parse reads an address; without a host it is all hosts of both families.
func parse(text string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil, &dns.Error{Op: "listen", Kind: dns.Invalid, Detail: fmt.Sprintf("%q is no address: want host:port", text)}
	}
	if host == "" {
		four, err := netip.ParseAddrPort("0.0.0.0:" + port)
		if err != nil {
			return nil, &dns.Error{Op: "listen", Kind: dns.Invalid, Detail: fmt.Sprintf("%q has no port", text)}
		}
		return []netip.AddrPort{four, netip.AddrPortFrom(netip.IPv6Unspecified(), four.Port())}, nil
	}
	a, err := net.ResolveUDPAddr("udp", text)
	if err != nil {
		return nil, &dns.Error{Op: "listen", Kind: dns.Invalid, Detail: fmt.Sprintf("%q is no address of this machine", text), Err: err}
	}
	ap := a.AddrPort()
	return []netip.AddrPort{netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}, nil
}

// portTries is how often a free port is looked for that is free for UDP and TCP.
const portTries = 20

// open opens n UDP sockets and a TCP listener on one address.
func open(ctx context.Context, addr netip.AddrPort, n int) (fds []int, l net.Listener, at netip.AddrPort, err error) {
	for try := 1; ; try++ {
		fds, at, err = openUDP(addr, n)
		if err != nil {
			return nil, nil, at, err
		}
		l, err = openTCP(ctx, at)
		if err == nil {
			return fds, l, at, nil
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		if addr.Port() != 0 || try == portTries || !errors.Is(err, unix.EADDRINUSE) {
			return nil, nil, at, err
		}
	}
}

func openTCP(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	network := "tcp4"
	if addr.Addr().Is6() {
		network = "tcp6"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, network, addr.String())
	if err != nil {
		return nil, taken("tcp", addr, err)
	}
	return l, nil
}

// openUDP opens sockets that share one address. The first takes it alone, so
// that an address which another process shares is taken, too; then it lets the others in.
func openUDP(addr netip.AddrPort, n int) (fds []int, at netip.AddrPort, err error) {
	at = addr
	for i := range n {
		fd, err := openSocket(at, i > 0)
		if err == nil && i == 0 {
			at, err = boundTo(fd, addr)
			if err == nil && n > 1 {
				err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
		}
		if fd >= 0 {
			fds = append(fds, fd)
		}
		if err != nil {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
			return nil, at, taken("udp", at, err)
		}
	}
	return fds, at, nil
}

// openSocket opens one socket; -1 when there is none.
func openSocket(addr netip.AddrPort, share bool) (fd int, err error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	set := func(level, option, value int) {
		if e := unix.SetsockoptInt(fd, level, option, value); err == nil && e != nil {
			err = os.NewSyscallError("setsockopt", e)
		}
	}
	if share {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	every := addr.Addr().IsUnspecified()
	if family == unix.AF_INET6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		if every {
			set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
		set(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE) // for the reason below
	} else {
		if every {
			set(unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		// Never a fragment, whatever a message of a router says, which can be forged (RFC 9715 3.1).
		set(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	}
	if err != nil {
		return fd, err
	}
	for _, b := range []struct{ force, ask, bytes int }{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.force, b.bytes) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, b.ask, b.bytes) // as much as an ordinary user gets
		}
	}
	return fd, os.NewSyscallError("bind", unix.Bind(fd, sockaddr(addr)))
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	s := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if zone := addr.Addr().Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			s.ZoneId = uint32(i.Index)
		}
	}
	return s
}

// boundTo is the address of a socket, whose port may have been chosen by the system.
func boundTo(fd int, addr netip.AddrPort) (netip.AddrPort, error) {
	s, err := unix.Getsockname(fd)
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(addr.Addr(), uint16(s.Port)), err
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(addr.Addr(), uint16(s.Port)), err
	}
	return addr, os.NewSyscallError("getsockname", err)
}
