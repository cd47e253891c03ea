package listen

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many packets a worker takes and sends with one call.
const batch = 64

// Bytes of buffers.
const (
	packetBytesMax   = 4096                // of a query; longer ones are cut off and so broken
	packetStride     = packetBytesMax + 64 // so that the heads of packets do not all fall into the same sets of a cache
	responseBytesMax = 4096                // answer.Config.UDPBytesMax is at most this
	responsesBytes   = 32 << 10            // of a batch of responses; full, it is sent
	controlBytes     = 64                  // for a packet info of IPv6: 16 bytes of head, 20 of data, aligned
)

// mmsghdr is the struct of that name (recvmmsg(2)).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// ring is where one worker receives its batches; allocated once.
type ring struct {
	in       [batch]mmsghdr
	vec      [batch]unix.Iovec
	names    [batch]unix.RawSockaddrInet6 // of the clients; for IPv4 the first 16 bytes, and the others are 0
	controls [batch][controlBytes]byte
	queries  [batch][packetStride]byte
	info     bool // packet info is wanted
}

// newRing prepares to receive. info says that the socket takes packets for several addresses.
func newRing(info bool) *ring {
	r := &ring{info: info}
	for i := range batch {
		r.vec[i].Base = &r.queries[i][0]
		r.vec[i].SetLen(packetBytesMax)
		h := &r.in[i].header
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.vec[i]
		h.SetIovlen(1)
		if info {
			h.Control = &r.controls[i][0]
		}
		r.renew(i)
	}
	return r
}

// renew makes slot i ready to receive again: the kernel wrote its lengths.
func (r *ring) renew(i int) {
	h := &r.in[i].header
	h.Namelen = unix.SizeofSockaddrInet6
	if r.info {
		h.SetControllen(controlBytes)
	}
}

// receive takes what is there, at most a batch.
func (r *ring) receive(fd int) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.in[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// client is who sent query i.
func (r *ring) client(i int) netip.AddrPort {
	n := &r.names[i]
	port := (*[2]byte)(unsafe.Pointer(&n.Port)) // in network order, at the same place for both families
	p := binary.BigEndian.Uint16(port[:])
	if n.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(n)).Addr), p)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.Addr), p)
}

// source makes the packet info of query i, which tells where it went, say where
// a response comes from, and gives that address. ok is false when there is none.
func (r *ring) source(i int) (addr netip.Addr, ok bool) {
	h := &r.in[i].header
	if !r.info || int(h.Controllen) < unix.SizeofCmsghdr {
		return addr, false
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(h.Control))
	data := r.controls[i][unix.CmsgLen(0):]
	switch {
	case c.Level == unix.IPPROTO_IP && c.Type == unix.IP_PKTINFO:
		p := (*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
		p.Ifindex = 0 // the route decides
		return netip.AddrFrom4(p.Spec_dst), true
	case c.Level == unix.IPPROTO_IPV6 && c.Type == unix.IPV6_PKTINFO:
		p := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
		addr = netip.AddrFrom16(p.Addr)
		if !addr.IsLinkLocalUnicast() { // whose route is the interface
			p.Ifindex = 0
		}
		return addr, true
	}
	return addr, false
}
