package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// speaker is the protocol that one connection of a crowd speaks. All methods are called by the goroutine of the crowd, and
// none may wait.
type speaker interface {
	// opened says that bytes can be sent.
	opened(c *link)
	// heard takes what has come: of a WebSocket one whole message, of which all must be taken, else as much of a stream as is
	// whole. The bytes are only good until it returns. An error ends the connection.
	heard(c *link, b []byte, now int64) (took int, err error)
	// beat is called every few seconds on a connection that is open.
	beat(c *link)
	// ended says that the connection is over and why; once for each that was opened or could not be.
	ended(c *link, err error)
}

// linkState is how far a connection is.
type linkState uint8

const (
	linkDialing   linkState = iota
	linkUpgrading           // the answer to the upgrade is awaited
	linkOpen
	linkOver
)

// link is one connection of a crowd. An idle one has no buffer.
type link struct {
	crowd *crowd
	who   speaker
	path  string // of the upgrade; empty: the bytes are spoken without WebSocket
	out   []byte // not taken by the socket yet
	in    []byte // beginning of what is not whole yet
	fd    int32
	index int32
	state linkState
}

// Bounds of a link and of a crowd.
const (
	linkOutMax  = 1 << 20 // bytes that wait to be sent; with more, the server reads nothing
	readBytes   = 256 << 10
	crowdEvents = 64 // that one system call tells of: between two, what is due is done
)

// errand is work that a crowd does until it is done. turn is called by the crowd again and again: it does what is due, and says when
// it wants to be called at the latest, in nanoseconds of the measurement.
type errand interface {
	turn(now int64) (next int64, done bool, err error)
}

// crowd is many connections that one thread serves, also between errands.
type crowd struct {
	target netip.AddrPort
	host   string // of the upgrade
	from   sources
	start  time.Time // of the measurement: 0
	epoll  int
	wake   int     // an eventfd
	links  []*link // all that ever were
	buf    []byte
	body   []byte // of a frame that is made
	bytes  int64  // that came
	random *rand.Rand
	events [crowdEvents]unix.EpollEvent

	mu    sync.Mutex
	todo  *task // handed over, not begun
	ended bool
	deaf  bool          // wake is closed
	over  chan struct{} // closed when the thread has ended
	fault error         // why; read after over
}

type task struct {
	errand errand
	ctx    context.Context //nolint:containedctx // it is handed from one goroutine to the other
	done   chan error
}

// newCrowd starts a crowd without connections. start is the zero of its clock.
func newCrowd(target netip.AddrPort, host string, start time.Time) (*crowd, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll) // nobody waits for it
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	w := &crowd{target: target, host: host, from: newSources(target.Addr()), start: start, epoll: epoll, wake: wake,
		buf: make([]byte, readBytes), random: rand.New(rand.NewPCG(rand.Uint64(), 1)), over: make(chan struct{})}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}); err != nil {
		_, _ = unix.Close(wake), unix.Close(epoll) // they were just made
		return nil, fmt.Errorf("watch an eventfd: %w", err)
	}
	go w.serve()
	return w, nil
}

// now is the time of the measurement.
func (w *crowd) now() int64 { return int64(time.Since(w.start)) }

// do hands an errand over and waits until it is done.
func (w *crowd) do(ctx context.Context, e errand) error {
	t := &task{e, ctx, make(chan error, 1)}
	w.mu.Lock()
	w.todo = t
	w.rouse()
	w.mu.Unlock()
	select {
	case err := <-t.done:
		return err
	case <-w.over:
		return w.fault
	}
}

// rouse ends a wait. Preconditions: mu is held.
func (w *crowd) rouse() {
	if w.deaf {
		return
	}
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(w.wake, one) // it can only be full, and then it wakes
}

// close ends all connections.
func (w *crowd) close() {
	w.mu.Lock()
	w.ended = true
	w.rouse()
	w.mu.Unlock()
	<-w.over
}

// serve is the thread.
func (w *crowd) serve() {
	runtime.LockOSThread() // a thread of its own, which is not woken for others' work
	defer close(w.over)
	defer func() {
		for _, c := range w.links {
			if c.fd >= 0 {
				_ = unix.Close(int(c.fd)) // nothing is under way on it
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.deaf = true
		_, _ = unix.Close(w.wake), unix.Close(w.epoll) // nobody waits for them
	}()
	w.fault = w.loop()
	if w.fault == nil {
		w.fault = errOver
	}
}

var errOver = errors.New("the connections were closed")

// crowdRest bounds a wait, so that a crowd sees that it is cancelled; crowdBeat is how often speakers have their beat.
const (
	crowdRest = 100 * time.Millisecond
	crowdBeat = 5 * time.Second
)

func (w *crowd) loop() error {
	var current *task
	beat := w.now() + int64(crowdBeat)
	for {
		w.mu.Lock()
		if current == nil {
			current, w.todo = w.todo, nil
		}
		ended := w.ended
		w.mu.Unlock()
		if ended {
			return nil
		}
		now := w.now()
		if now >= beat {
			w.beat()
			beat = now + int64(crowdBeat)
		}
		next := beat
		if current != nil {
			var done bool
			err := current.ctx.Err()
			if err == nil {
				next, done, err = current.errand.turn(now)
				next = min(next, beat, now+int64(crowdRest))
			}
			if err != nil || done {
				current.done <- err
				current = nil
				continue
			}
		}
		if err := w.wait(next); err != nil {
			return err
		}
	}
}

// beat gives each open connection its beat.
func (w *crowd) beat() {
	for _, c := range w.links {
		if c.state == linkOpen {
			c.who.beat(c)
		}
	}
}

// wait serves what comes until a moment.
func (w *crowd) wait(until int64) error {
	// What is there already needs one call. Waiting needs two: epoll_wait counts milliseconds, ppoll nanoseconds.
	n, err := unix.EpollWait(w.epoll, w.events[:], 0)
	if rest := until - w.now(); n == 0 && err == nil && rest > 0 {
		fds := [1]unix.PollFd{{Fd: int32(w.epoll), Events: unix.POLLIN}}
		ts := unix.NsecToTimespec(rest)
		if n, err := unix.Ppoll(fds[:], &ts, nil); n == 0 || errors.Is(err, unix.EINTR) {
			return nil
		}
		n, err = unix.EpollWait(w.epoll, w.events[:], 0)
	}
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for connections: %w", err)
	}
	for _, e := range w.events[:n] {
		if e.Fd < 0 {
			var b [8]byte
			_, _ = unix.Read(w.wake, b[:]) // it only wakes
			continue
		}
		w.event(w.links[e.Fd], e.Events)
	}
	return nil
}

// event does what an event of one connection asks for.
func (w *crowd) event(c *link, events uint32) {
	if events&unix.EPOLLOUT != 0 && c.state != linkOver {
		if c.state == linkDialing {
			w.dialed(c)
		}
		c.drain()
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 && c.state != linkOver && c.state != linkDialing {
		w.read(c)
	}
}

// dial begins a connection. path is that of the upgrade; empty: none.
func (w *crowd) dial(who speaker, path string) {
	c := &link{crowd: w, who: who, path: path, fd: -1, index: int32(len(w.links))}
	w.links = append(w.links, c)
	fd, err := w.from.connect(w.target)
	c.fd = int32(fd)
	if err == nil {
		err = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: c.index})
	}
	if err != nil {
		c.end(fmt.Errorf("connect to %s: %w", w.target, err))
	}
}

// dialed finds out what became of a connection.
func (w *crowd) dialed(c *link) {
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err != nil {
		c.end(fmt.Errorf("connect to %s: %w", w.target, err))
		return
	}
	if c.path == "" {
		c.state = linkOpen
		c.who.opened(c)
		return
	}
	c.state = linkUpgrading
	c.write(appendUpgrade(nil, w.host, c.path))
}

// read takes what has come on a connection.
func (w *crowd) read(c *link) {
	n, err := unix.Read(int(c.fd), w.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil:
		c.end(fmt.Errorf("read: %w", err))
		return
	case n == 0:
		c.end(errClosed)
		return
	}
	w.bytes += int64(n)
	b := w.buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	took, err := c.take(b, w.now())
	if err != nil {
		c.end(err)
		return
	}
	if c.state == linkOver {
		return
	}
	switch rest := b[took:]; {
	case len(rest) == 0:
		c.in = nil
	case len(rest) > messageBytesMax+frameHeadMax:
		c.end(fmt.Errorf("%w: more than %d bytes", errFrame, messageBytesMax))
	case len(c.in) > 0:
		c.in = c.in[:copy(c.in, rest)]
	default:
		c.in = append([]byte(nil), rest...)
	}
}

// errClosed is the other side's end of a connection.
var errClosed = errors.New("the server closed the connection")

// take gives what is whole to the speaker, and says how much that was.
func (c *link) take(b []byte, now int64) (took int, err error) {
	if c.state == linkUpgrading {
		if took, err = c.upgraded(b); took == 0 || err != nil {
			return took, err
		}
	}
	if c.path == "" {
		return c.who.heard(c, b, now)
	}
	for c.state == linkOpen {
		opcode, payload, n, err := cutFrame(b[took:])
		if err != nil || n == 0 {
			return took, err
		}
		took += n
		switch opcode {
		case frameBinary, frameText:
			m, err := c.who.heard(c, payload, now)
			if err != nil {
				return took, err
			}
			if m != len(payload) {
				return took, fmt.Errorf("%w: a message that ends within a frame", errFrame)
			}
		case framePing:
			c.put(framePong, payload)
		case frameClose:
			return took, closed(payload)
		}
	}
	return took, nil
}

// closed is the reason of a close frame, RFC 6455 §5.5.1.
func closed(payload []byte) error {
	if len(payload) < 2 {
		return errClosed
	}
	return fmt.Errorf("%w: %d %.100q", errClosed, binary.BigEndian.Uint16(payload), payload[2:])
}

// upgraded reads the answer to the upgrade.
func (c *link) upgraded(b []byte) (took int, err error) {
	status, accept, took, err := parseUpgrade(b)
	switch {
	case err != nil || took == 0:
		return 0, err
	case status != 101 || accept != upgradeAccept():
		return 0, fmt.Errorf("the upgrade to WebSocket was answered with status %d", status)
	}
	c.state = linkOpen
	c.who.opened(c)
	return took, nil
}

// send sends bytes of the protocol, as one message of WebSocket where that is spoken.
func (c *link) send(b []byte) {
	if c.path == "" {
		c.write(b)
		return
	}
	c.put(frameBinary, b)
}

func (c *link) put(opcode byte, payload []byte) {
	w := c.crowd
	w.body = appendFrame(w.body[:0], opcode, payload, w.random.Uint32())
	c.write(w.body)
}

// write gives bytes to the socket; what it does not take waits.
func (c *link) write(b []byte) {
	if c.state == linkOver {
		return
	}
	for len(c.out) == 0 && len(b) > 0 {
		n, err := unix.Write(int(c.fd), b)
		switch {
		case err == nil:
			b = b[n:]
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EAGAIN):
			return // the event that follows says so, and ends it
		}
		break
	}
	if len(b) == 0 {
		return
	}
	if len(c.out)+len(b) > linkOutMax {
		c.end(errors.New("the server does not read"))
		return
	}
	c.out = append(c.out, b...)
	c.watch(unix.EPOLLIN | unix.EPOLLOUT)
}

// drain sends what waits. When nothing does, the event that a socket takes bytes is not asked for any more.
func (c *link) drain() {
	for len(c.out) > 0 {
		n, err := unix.Write(int(c.fd), c.out)
		switch {
		case err == nil:
			c.out = c.out[n:]
		case errors.Is(err, unix.EAGAIN):
			return
		case !errors.Is(err, unix.EINTR):
			return // the event that follows says so
		}
	}
	c.out = nil
	if c.state != linkOver {
		c.watch(unix.EPOLLIN)
	}
}

func (c *link) watch(events uint32) {
	_ = unix.EpollCtl(c.crowd.epoll, unix.EPOLL_CTL_MOD, int(c.fd), &unix.EpollEvent{Events: events, Fd: c.index}) // it is there
}

// end ends a connection; nil: as the speaker wished.
func (c *link) end(err error) {
	if c.state == linkOver {
		return
	}
	c.state = linkOver
	if c.fd >= 0 {
		_ = unix.Close(int(c.fd)) // it leaves the epoll by that
		c.fd = -1
	}
	c.out, c.in = nil, nil
	c.who.ended(c, err)
}

// sources are the addresses that connections come from: one address has only so many ports, and the loopback
// many addresses.
type sources struct {
	each int // connections from one address; 0: the system chooses
	made int
}

// portsKeep are the ports of an address that are left to others.
const portsKeep = 1000

func newSources(target netip.Addr) sources {
	if !target.Is4() || !target.IsLoopback() {
		return sources{}
	}
	var lo, hi int
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if _, scan := fmt.Sscan(string(b), &lo, &hi); err != nil || scan != nil {
		return sources{}
	}
	return sources{each: max(hi-lo-portsKeep, 1)}
}

// connect begins a connection.
func (s *sources) connect(target netip.AddrPort) (int, error) {
	family := unix.AF_INET6
	if target.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // without it, small frames only come late
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()}
	if family == unix.AF_INET6 {
		to = &unix.SockaddrInet6{Port: int(target.Port()), Addr: target.Addr().As16()}
	}
	if n := s.made; s.each > 0 && n >= s.each {
		// 127.0.0.1 is the first; the port is chosen when it connects, so that it need only be free to this target.
		n /= s.each
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // older systems choose at once
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(n >> 8), byte(n&255 + 1)}}); err != nil {
			return fd, fmt.Errorf("take another address: %w", err)
		}
	}
	s.made++
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fd, err
	}
	return fd, nil
}
