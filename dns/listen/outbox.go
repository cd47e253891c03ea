package listen

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outbox gathers the responses of a batch and sends them. Responses of one length
// to one client are one message, which the kernel takes through its layers once
// and cuts into packets at the end (UDP_SEGMENT, Linux 4.18): a resolver that
// asks much from one port costs a fraction of as many that ask once. The order
// within a batch is not kept, as UDP keeps none.
type outbox struct {
	fd     int
	ring   *ring
	errors *atomic.Uint64
	// together says that the system takes several responses as one message.
	together bool

	n      int // responses that wait
	waits  [batch]waiting
	groups [batch]group
	count  int // of groups
	// places find the group of a client and a length, by a hash: 1 more than its number. A group that
	// was pushed out of its place gets no more responses, and another begins.
	places [2 * batch]uint8

	out       [batch]mmsghdr
	vec       [batch]unix.Iovec
	controls  [batch][controlBytes]byte
	used      int // of responses
	responses [responsesBytes]byte
}

// waiting is a response.
type waiting struct {
	base   *byte
	length uint32
	next   uint8 // of its group, 1 more than its number; 0: the last
}

// group is the responses that are sent as one message.
type group struct {
	query       uint8 // of its first response: the client
	first, last uint8
	count       uint8
	length      uint32
}

// segmentBytesMax bounds responses that are sent together: they must fit into one packet on every path.
const segmentBytesMax = 1232

func newOutbox(fd int, r *ring, errors *atomic.Uint64) *outbox {
	o := &outbox{fd: fd, ring: r, errors: errors}
	// The option exists where its value can be set; each message then says its own.
	o.together = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 0) == nil
	for i := range batch {
		o.out[i].header.Iov = &o.vec[i]
	}
	return o
}

// room is where the next response is written: empty, with space for the longest.
func (o *outbox) room() []byte {
	if len(o.responses)-o.used < responseBytesMax {
		o.flush()
	}
	return o.responses[o.used:o.used]
}

// add takes a response to query i. It lies in the room that was given, or was too long for it.
func (o *outbox) add(i int, response []byte) {
	if &response[0] == &o.responses[o.used] {
		o.used += len(response)
	}
	k := o.n
	o.waits[k] = waiting{base: &response[0], length: uint32(len(response))}
	o.n++
	name := &o.ring.names[i]
	h := (uint32(name.Port)*31 + binary.NativeEndian.Uint32(name.Addr[12:])*17 + name.Flowinfo*7 + uint32(len(response))*5) % uint32(len(o.places))
	if g := o.places[h]; g > 0 && o.together && o.joins(&o.groups[g-1], i, len(response)) {
		group := &o.groups[g-1]
		o.waits[group.last].next = uint8(k + 1)
		group.last = uint8(k)
		group.count++
		return
	}
	o.groups[o.count] = group{query: uint8(i), first: uint8(k), last: uint8(k), count: 1, length: uint32(len(response))}
	o.count++
	o.places[h] = uint8(o.count)
}

// joins says whether a response to query i may be sent with a group.
func (o *outbox) joins(g *group, i, length int) bool {
	r := o.ring
	return int(g.length) == length && length <= segmentBytesMax && r.names[g.query] == r.names[i] && (!r.info || r.controls[g.query] == r.controls[i])
}

// flush sends what waits. A response that cannot be sent is lost, as packets are.
func (o *outbox) flush() {
	if o.n == 0 {
		return
	}
	vecs := 0
	for j := range o.groups[:o.count] {
		g := &o.groups[j]
		o.prepare(j, &o.ring.in[g.query].header, vecs, int(g.count))
		for k := int(g.first) + 1; k > 0; k = int(o.waits[k-1].next) {
			o.vec[vecs].Base = o.waits[k-1].base
			o.vec[vecs].SetLen(int(o.waits[k-1].length))
			vecs++
		}
	}
	for from := 0; from < o.count; {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(o.fd), uintptr(unsafe.Pointer(&o.out[from])), uintptr(o.count-from), 0, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			o.retry(from, errno)
			from++
		default:
			from += int(sent)
		}
	}
	o.n, o.count, o.used = 0, 0, 0
	clear(o.places[:])
}

// prepare makes message j one to the client of a query, with vectors from first on.
func (o *outbox) prepare(j int, query *unix.Msghdr, first, count int) {
	h := &o.out[j].header
	h.Name, h.Namelen = query.Name, query.Namelen
	h.Iov = &o.vec[first]
	h.SetIovlen(count)
	h.Control, h.Controllen = query.Control, query.Controllen
	if count == 1 {
		return
	}
	// The size of the segments goes behind the packet info, if there is one.
	c := &o.controls[j]
	n := 0
	if o.ring.info {
		n = copy(c[:], unsafe.Slice(query.Control, query.Controllen))
		n = (n + 7) &^ 7
	}
	head := (*unix.Cmsghdr)(unsafe.Pointer(&c[n]))
	head.Level, head.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	head.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(c[n+unix.CmsgLen(0):], uint16(o.groups[j].length))
	h.Control = &c[0]
	h.SetControllen(n + unix.CmsgSpace(2))
}

// retry sends the responses of message j, which the system refused, one by one.
func (o *outbox) retry(j int, errno unix.Errno) {
	g := &o.groups[j]
	if g.count > 1 && (errno == unix.EINVAL || errno == unix.EIO) {
		o.together = false // not on this system, or not on a way of it (udp(7))
	}
	h := o.out[j].header
	query := &o.ring.in[g.query].header
	h.Control, h.Controllen = query.Control, query.Controllen
	for k := int(g.first) + 1; k > 0; k = int(o.waits[k-1].next) {
		w := &o.waits[k-1]
		b := unsafe.Slice(w.base, w.length)
		if errno == unix.EMSGSIZE { // longer than the interface's packets, and not to be cut up
			b = truncated(b)
		} else if g.count == 1 {
			o.errors.Add(1)
			return
		}
		vec := unix.Iovec{Base: &b[0]}
		vec.SetLen(len(b))
		h.Iov = &vec
		h.SetIovlen(1)
		if sendMessage(o.fd, &h) != 0 {
			o.errors.Add(1)
		}
	}
}

// sendMessage sends one message.
func sendMessage(fd int, h *unix.Msghdr) unix.Errno {
	for {
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(h)), 0)
		if errno != unix.EINTR {
			return errno
		}
	}
}
