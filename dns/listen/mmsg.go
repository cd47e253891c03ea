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

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// ring is the memory of one worker's batches, allocated once. Slot i of the
// queries and slot j of the responses have nothing to do with each other.
type ring struct {
	in, out       [batch]message
	inVec, outVec [batch]unix.Iovec
	names         [batch]unix.RawSockaddrInet6 // of the clients; the first part of it for IPv4
	controls      [batch][controlBytes]byte
	queries       [batch][packetStride]byte
	responses     [responsesBytes]byte
	info          bool // packet info is wanted
}

// newRing prepares the queries' side. info says that the socket takes packets for several addresses.
func newRing(info bool) *ring {
	r := &ring{info: info}
	for i := range batch {
		r.inVec[i].Base = &r.queries[i][0]
		r.inVec[i].SetLen(packetBytesMax)
		h := &r.in[i].header
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.inVec[i]
		h.SetIovlen(1)
		if info {
			h.Control = &r.controls[i][0]
		}
		r.out[i].header.Iov = &r.outVec[i]
		r.out[i].header.SetIovlen(1)
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

// send sends responses from to to.
func (r *ring) send(fd, from, to int) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.out[from])), uintptr(to-from), 0, 0, 0)
	return int(n), errno
}

// reply makes response slot j one to the sender of query i.
func (r *ring) reply(j, i int, response []byte) {
	h, q := &r.out[j].header, &r.in[i].header
	h.Name, h.Namelen = q.Name, q.Namelen
	h.Control, h.Controllen = q.Control, q.Controllen
	r.outVec[j].Base = &response[0]
	r.outVec[j].SetLen(len(response))
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
