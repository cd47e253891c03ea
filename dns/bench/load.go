package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// windowMax bounds the questions that wait at once: each has its own id, and the buffers must hold them.
const windowMax = 4096

// loadBatch is how many packets go into one system call.
const loadBatch = 64

// lostAfter is how long the generator waits for any answer before it takes what waits for lost.
const lostAfter = 100 * time.Millisecond

// patience is how much longer the generator asks when nothing was answered: the machine may have been busy.
const patience = 5 * time.Second

// Result is what a load saw.
type Result struct {
	Sent, Answered, Lost, Wrong int
	Took                        time.Duration
	// P50 and P99 are the times until an answer; of dnsperf they are not known.
	P50, P99 time.Duration
}

// Rate is answers a second.
func (r Result) Rate() float64 { return float64(r.Answered) / r.Took.Seconds() }

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// clientsMax bounds the clients that one generator pretends to be.
const clientsMax = 64

// controlBytes hold a packet info of IPv4: 16 bytes of head, 12 of data, aligned.
const controlBytes = 32

// generator asks with system calls for many packets. As one client its socket is
// connected, as dnsperf's is; as several it sends from several addresses of the loopback.
type generator struct {
	fd      int
	window  int
	clients int
	check   bool
	packets [][]byte
	next    int // in packets
	id      uint16

	waits     [1 << 16]int64 // by id: when it was sent, in nanoseconds; 0: not waiting
	asked     [1 << 16]uint32
	waiting   int
	histogram [histogramSize]int

	server        unix.RawSockaddrInet4
	controls      [loadBatch][controlBytes]byte
	out, in       [loadBatch]message
	outVec, inVec [loadBatch]unix.Iovec
	queries       [loadBatch][512]byte
	answers       [loadBatch][2048]byte
	result        Result
}

// Ask sends as many questions for names 0 to names-1 as the server answers, for
// some time, from a thread on a core, as so many clients. window questions wait at once.
func Ask(server netip.AddrPort, names, window, clients, core int, length time.Duration, check bool) (Result, error) {
	g := &generator{window: window, clients: min(clients, clientsMax), check: check}
	for _, i := range shuffled(names) {
		g.packets = append(g.packets, packet(i))
	}
	type done struct {
		r   Result
		err error
	}
	c := make(chan done)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := pin(core)
		if err == nil {
			err = g.run(server, length)
		}
		c <- done{g.result, err}
	}()
	d := <-c
	return d.r, d.err
}

func (g *generator) run(server netip.AddrPort, length time.Duration) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	g.fd = fd
	if g.clients > 1 {
		err = unix.Bind(fd, &unix.SockaddrInet4{})
	} else {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()})
	}
	if err != nil {
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20) // as much as an ordinary user gets
	}
	g.prepare(server)
	began := nanos()
	end := began + int64(length)
	for {
		now := nanos()
		if now >= end && (g.result.Answered > 0 || now >= end+int64(patience)) {
			break
		}
		if err := g.send(now); err != nil {
			return err
		}
		if err := g.receive(); err != nil {
			return err
		}
	}
	g.result.Took = time.Duration(nanos() - began)
	g.result.P50, g.result.P99 = g.percentile(0.50), g.percentile(0.99)
	return nil
}

// prepare fills what is the same in all packets.
func (g *generator) prepare(server netip.AddrPort) {
	g.server = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: server.Addr().As4()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&g.server.Port))[:], server.Port())
	for i := range loadBatch {
		g.inVec[i].Base, g.outVec[i].Base = &g.answers[i][0], &g.queries[i][0]
		g.inVec[i].SetLen(len(g.answers[i]))
		g.in[i].header.Iov, g.out[i].header.Iov = &g.inVec[i], &g.outVec[i]
		g.in[i].header.SetIovlen(1)
		g.out[i].header.SetIovlen(1)
		if g.clients == 1 {
			continue
		}
		h := &g.out[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&g.server)), unix.SizeofSockaddrInet4
		c := (*unix.Cmsghdr)(unsafe.Pointer(&g.controls[i][0]))
		c.Level, c.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		c.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&g.controls[i][unix.CmsgLen(0)]))
		info.Spec_dst = [4]byte{127, 0, 1, byte(i % g.clients)}
		h.Control = &g.controls[i][0]
		h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
	}
}

// send fills the window.
func (g *generator) send(now int64) error {
	n := min(g.window-g.waiting, loadBatch)
	for i := range n {
		for g.waits[g.id] != 0 {
			g.id++
		}
		p := g.packets[g.next]
		copy(g.queries[i][:], p)
		binary.BigEndian.PutUint16(g.queries[i][:], g.id)
		g.outVec[i].SetLen(len(p))
		g.waits[g.id], g.asked[g.id] = now, uint32(g.next)
		g.id++
		if g.next++; g.next == len(g.packets) {
			g.next = 0
		}
	}
	g.waiting += n
	g.result.Sent += n
	for from := 0; from < n; {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(g.fd), uintptr(unsafe.Pointer(&g.out[from])), uintptr(n-from), 0, 0, 0)
		switch errno {
		case 0:
			from += int(sent)
		case unix.EINTR:
		case unix.ECONNREFUSED:
			return errors.New("the server is gone")
		default:
			return fmt.Errorf("send: %w", errno)
		}
	}
	return nil
}

// receive takes what answers there are, and waits for one when the window is full.
func (g *generator) receive() error {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(g.fd), uintptr(unsafe.Pointer(&g.in[0])), loadBatch, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			now := nanos()
			for i := range int(n) {
				g.take(g.answers[i][:g.in[i].length], now)
			}
			return nil
		case unix.EINTR:
		case unix.ECONNREFUSED:
			return errors.New("the server is gone")
		case unix.EAGAIN:
			fds := [1]unix.PollFd{{Fd: int32(g.fd), Events: unix.POLLIN}}
			k, err := unix.Poll(fds[:], int(lostAfter.Milliseconds()))
			if err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("wait: %w", err)
			}
			if err == nil && k == 0 {
				g.result.Lost += g.waiting
				g.waiting = 0
				clear(g.waits[:])
				return nil
			}
		default:
			return fmt.Errorf("receive: %w", errno)
		}
	}
}

// take counts one answer.
func (g *generator) take(b []byte, now int64) {
	if len(b) < 12 {
		g.result.Wrong++
		return
	}
	id := binary.BigEndian.Uint16(b)
	sent := g.waits[id]
	if sent == 0 {
		return // it was taken for lost
	}
	g.waits[id] = 0
	g.waiting--
	g.result.Answered++
	g.histogram[bucket(now-sent)]++
	if b[2]&0x80 == 0 || b[3]&15 != 0 || b[7] == 0 || g.check && !g.right(b, int(g.asked[id])) {
		g.result.Wrong++
	}
}

// right compares the question, and the address of the first record, with what was asked.
func (g *generator) right(b []byte, asked int) bool {
	p := g.packets[asked]
	if len(b) < len(p)+16 || string(b[12:len(p)]) != string(p[12:]) {
		return false
	}
	// The name is hostN.
	n := 0
	for _, c := range p[12+1+4 : 12+1+int(p[12])] {
		n = 10*n + int(c-'0')
	}
	want := Address(n).As4()
	return string(b[len(p)+12:len(p)+16]) == string(want[:])
}

// The histogram has 64 buckets for each doubling, so a percentile is right to 1.6 %.
const (
	histogramPart = 64
	histogramSize = 64 * histogramPart
)

func bucket(d int64) int {
	if d < histogramPart {
		return int(max(d, 0))
	}
	e := int(math.Log2(float64(d))) - 6 // 2^6 = histogramPart
	return min((e+1)*histogramPart+int(d>>e)-histogramPart, histogramSize-1)
}

// lower is the least duration of a bucket.
func lower(b int) int64 {
	e := b/histogramPart - 1
	if e < 0 {
		return int64(b)
	}
	return int64(histogramPart+b%histogramPart) << e
}

func (g *generator) percentile(part float64) time.Duration {
	want := int(math.Ceil(part * float64(g.result.Answered)))
	for b, n := range g.histogram {
		if want -= n; want <= 0 && g.result.Answered > 0 {
			return time.Duration(lower(b))
		}
	}
	return 0
}

// nanos is the monotonic clock; time.Now would read two.
func nanos() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // which every Linux has
	return ts.Nano()
}
