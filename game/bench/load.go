package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// caller is who asks on one connection. The generator calls one method at a time, all
// from one goroutine.
type caller interface {
	// request appends the next request to b: of a new operation, or the rest of one.
	request(b []byte) []byte
	// answered takes the answer. done says that the operation is over, good that it was acknowledged. The body is
	// only good until it returns.
	answered(status int, body []byte) (done, good bool)
	// unanswered says that the connection ended first: what was asked is in doubt, and the operation over.
	unanswered()
}

// patience is how much longer than its time a load waits for answers that are due.
const patience = 10 * time.Second

// Sizes of a connection's buffer: it begins small, and grows to what the largest answer takes.
const (
	bufferBytes    = 4 << 10
	bufferBytesMax = headBytesMax + 2*bodyBytesMax
)

// eventsMax is how many connections one system call tells of.
const eventsMax = 256

// loaded is what a load saw.
type loaded struct {
	times    histogram      // of acknowledged operations
	statuses [600]int       // of answers that were no success
	faults   map[string]int // the same of calls, by their kind
	lost     int            // connections that ended before an answer
	behind   int            // requests of an open loop that were never sent
	took     time.Duration
	client   time.Duration // processor time of this process
}

func (l *loaded) acknowledged() int { return l.times.n }

// rate is acknowledged operations a second.
func (l *loaded) rate() float64 { return float64(l.times.n) / l.took.Seconds() }

// errors gives the failures by status; "lost" are connections.
func (l *loaded) errors() map[string]int {
	list := map[string]int{}
	for status, n := range l.statuses {
		if n > 0 {
			list[strconv.Itoa(status)] = n
		}
	}
	maps.Copy(list, l.faults)
	if l.lost > 0 {
		list["lost"] = l.lost
	}
	if l.behind > 0 {
		list["behind"] = l.behind
	}
	return list
}

// conn is one connection with its caller. Buffers are the connection's own and used again.
type conn struct {
	fd     int
	index  int32 // in the load's list; an event of the epoll carries it
	who    caller
	out    []byte
	in     []byte
	have   int // bytes in in
	parser parser
	began  int64 // when the operation under way was due, in nanoseconds of the load; < 0: none is
}

// load asks the server at an address.
type load struct {
	address string
	conns   []*conn
	idle    []*conn // of an open loop: those without an operation
	epoll   int
	start   time.Time
	end     int64 // when no new operation begins
	// interval is the time between two operations of an open loop; 0: closed. due is when the next one is.
	interval float64
	due      float64
	under    int // operations under way
	seen     loaded
	events   [eventsMax]unix.EpollEvent
}

// ask loads a server for a time by callers with a connection each. rate is operations
// a second, 0 a closed loop.
func ask(ctx context.Context, address string, callers []caller, length time.Duration, rate float64) (*loaded, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	l := &load{address: address, epoll: epoll, end: int64(length)}
	if rate > 0 {
		l.interval = 1e9 / rate
	}
	defer l.close()
	for _, who := range callers {
		c := &conn{fd: -1, index: int32(len(l.conns)), who: who, in: make([]byte, bufferBytes), began: -1}
		l.conns = append(l.conns, c)
		if err := l.dial(c); err != nil {
			return nil, err
		}
	}
	before := ownCPU()
	l.start = time.Now()
	if err := l.run(ctx); err != nil {
		return nil, err
	}
	l.seen.took = time.Duration(l.now())
	l.seen.client = ownCPU() - before
	return &l.seen, nil
}

// now is the time of the load in nanoseconds. time.Since reads one clock, in the process.
func (l *load) now() int64 { return int64(time.Since(l.start)) }

func (l *load) close() {
	for _, c := range l.conns {
		if c.fd >= 0 {
			_ = unix.Close(c.fd) // nothing is under way on it
		}
	}
	_ = unix.Close(l.epoll) // nobody waits for it
}

// dialTimeout bounds one connection.
const dialTimeout = 5 * time.Second

// dial gives a connection a socket of its own, which Go's poller does not know.
func (l *load) dial(c *conn) error {
	d, err := net.DialTimeout("tcp", l.address, dialTimeout) // with TCP_NODELAY, as Go sets it
	if err != nil {
		return err
	}
	f, err := d.(*net.TCPConn).File()
	_ = d.Close() // f holds the socket
	if err != nil {
		return fmt.Errorf("take the socket: %w", err)
	}
	defer f.Close()
	if c.fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return fmt.Errorf("take the socket: %w", err)
	}
	if err := unix.SetNonblock(c.fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.index})
}

// run begins operations and takes answers until the time is over and nothing is under way.
func (l *load) run(ctx context.Context) error {
	if l.interval > 0 {
		l.idle = append(l.idle, l.conns...)
	} else {
		for _, c := range l.conns {
			if err := l.begin(c, l.now()); err != nil {
				return err
			}
		}
	}
	for {
		now := l.now()
		if err := l.release(now); err != nil {
			return err
		}
		if l.under == 0 && (now >= l.end || l.interval == 0) && !l.waits() {
			return nil
		}
		if now > l.end+int64(patience) {
			return l.give()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := l.wait(now)
		if err != nil {
			return err
		}
		for _, e := range l.events[:n] {
			if err := l.read(l.conns[e.Fd]); err != nil {
				return err
			}
		}
	}
}

// waits says whether an operation of an open loop was due in time and is not begun.
func (l *load) waits() bool { return l.interval > 0 && l.due < float64(l.end) }

// release begins what is due of an open loop, while a caller is free. What is due and
// finds none waits, and its time runs.
func (l *load) release(now int64) error {
	for len(l.idle) > 0 && l.waits() && l.due <= float64(now) {
		c := l.idle[len(l.idle)-1]
		l.idle = l.idle[:len(l.idle)-1]
		due := int64(l.due)
		l.due += l.interval
		if err := l.begin(c, due); err != nil {
			return err
		}
	}
	return nil
}

// give ends a load whose answers do not come.
func (l *load) give() error {
	for _, c := range l.conns {
		if c.began >= 0 {
			l.seen.lost++
			c.who.unanswered()
		}
	}
	if l.waits() {
		l.seen.behind = int((float64(l.end) - l.due) / l.interval)
	}
	return nil
}

// tick bounds a wait, so that a load sees that it is cancelled.
const tick = 100 * time.Millisecond

// wait waits for answers, or until the next operation of an open loop is due.
func (l *load) wait(now int64) (int, error) {
	limit := tick
	if len(l.idle) > 0 && l.waits() {
		limit = min(limit, max(0, time.Duration(l.due)-time.Duration(now)))
	}
	if limit < tick {
		// epoll_wait counts milliseconds; ppoll nanoseconds.
		fds := [1]unix.PollFd{{Fd: int32(l.epoll), Events: unix.POLLIN}}
		ts := unix.NsecToTimespec(int64(limit))
		if n, err := unix.Ppoll(fds[:], &ts, nil); n == 0 || errors.Is(err, unix.EINTR) {
			return 0, nil
		}
		limit = 0
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], int(limit.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return n, err
}

// begin begins an operation that was due at a time.
func (l *load) begin(c *conn, due int64) error {
	c.began = due
	l.under++
	return l.send(c)
}

// send writes the next request. A connection that has ended since is made anew once:
// nothing of this request has reached anybody then, but the caller cannot know.
func (l *load) send(c *conn) error {
	c.out = c.who.request(c.out[:0])
	for rest := c.out; len(rest) > 0; {
		n, err := unix.Write(c.fd, rest)
		switch {
		case err == nil:
			rest = rest[n:]
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			fds := [1]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
			if _, err := unix.Poll(fds[:], int(tick.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("wait to send: %w", err)
			}
		default:
			return l.broken(c)
		}
	}
	return nil
}

// broken takes a connection for lost with what was under way, and makes another. A
// server that accepts none any more ends the load.
func (l *load) broken(c *conn) error {
	_ = unix.Close(c.fd) // it leaves the epoll by that
	c.fd, c.have = -1, 0
	if err := l.dial(c); err != nil {
		return fmt.Errorf("the server is gone: %w", err)
	}
	if c.began < 0 {
		return nil
	}
	l.seen.lost++
	c.who.unanswered()
	return l.finish(c)
}

// read takes what has come on a connection.
func (l *load) read(c *conn) error {
	if c.have == len(c.in) {
		if len(c.in) >= bufferBytesMax {
			return fmt.Errorf("%w: more than %d bytes", errAnswer, len(c.in))
		}
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	n, err := unix.Read(c.fd, c.in[c.have:])
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil || n == 0:
		return l.broken(c)
	}
	c.have += n
	a, took, err := c.parser.next(c.in[:c.have])
	if err != nil {
		return err
	}
	if took == 0 {
		return nil
	}
	if c.began < 0 {
		return fmt.Errorf("%w: an answer to nothing", errAnswer)
	}
	done, good := c.who.answered(a.status, a.body)
	if a.status < 200 || a.status > 299 {
		l.seen.statuses[min(a.status, len(l.seen.statuses)-1)]++
	}
	c.have = copy(c.in, c.in[took:c.have])
	if good {
		l.seen.times.add(l.now() - c.began)
	}
	switch {
	case a.close:
		began := c.began
		c.began = -1
		if err := l.broken(c); err != nil {
			return err
		}
		c.began = began
	case c.have > 0:
		return fmt.Errorf("%w: two answers to one request", errAnswer)
	}
	if done {
		return l.finish(c)
	}
	return l.send(c)
}

// finish ends an operation: a closed loop begins the next one, while it is time.
func (l *load) finish(c *conn) error {
	l.under--
	c.began = -1
	if l.interval > 0 {
		l.idle = append(l.idle, c)
		return nil
	}
	if now := l.now(); now < l.end {
		return l.begin(c, now)
	}
	return nil
}

// ownCPU is the processor time of this process so far.
func ownCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it cannot fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// merge adds what another part of the same load saw.
func (l *loaded) merge(o *loaded) {
	l.times.merge(&o.times)
	l.lost += o.lost
}
