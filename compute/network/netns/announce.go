package netns

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// htons turns a number into network byte order, as sockaddr_ll wants it.
func htons(v uint16) uint16 { return v<<8 | v>>8 }

// packetSocket opens a socket for whole frames of a link (packet(7)).
func packetSocket(ns *namespace, l netlink.Link, ethertype uint16) (int, error) {
	var fd int
	err := ns.do(func() error {
		var err error
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(ethertype), Ifindex: l.Attrs().Index}); err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("bind packet socket to %s: %w", l.Attrs().Name, err)
		}
		return nil
	})
	return fd, err
}

// announce tells the neighbours who has addresses now (RFC 5227 §3), because
// they may remember somebody else.
func announce(ns *namespace, l netlink.Link, mac net.HardwareAddr, addrs []netip.Prefix) error {
	if len(addrs) == 0 || len(mac) != 6 {
		return nil
	}
	fd, err := packetSocket(ns, l, etherARP)
	if err != nil {
		return fmt.Errorf("announce addresses in %s: %w", ns.name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, p := range addrs {
		if !p.Addr().Is4() {
			continue
		}
		if _, err := unix.Write(fd, gratuitous(mac, p.Addr())); err != nil {
			return fmt.Errorf("announce %s in %s: %w", p.Addr(), ns.name, err)
		}
	}
	return nil
}

// gratuitous makes an ARP announcement: a request for the own address, to everybody.
func gratuitous(mac net.HardwareAddr, a netip.Addr) []byte {
	b := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	b = append(b, mac...)
	b = append(b, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1)
	b = append(b, mac...)
	b = append(b, a.AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, a.AsSlice()...)
}
