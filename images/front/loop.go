package front

import (
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of a loop's memory and bounds of a turn.
const (
	eventsMax   = 128      // connections looked at with one wait
	inputBytes  = 16 << 10 // read from a connection at once
	headsBytes  = 32 << 10 // heads of one batch
	acceptsMax  = 32       // connections accepted in one turn
	sweepMax    = time.Second
	listenPause = 100 * time.Millisecond // when the system has no descriptor left
)

// loop waits for its connections and answers them. All but inbox belongs to its
// goroutine.
type loop struct {
	service *service
	epoll   int
	wakeFD  int // eventfd: there is something in the inbox, or the end has come
	listens int // -1: this loop does not accept, or not any more
	paused  int64

	conns []*conn // by descriptor; nil: none
	open  int

	events  [eventsMax]unix.EpollEvent
	input   []byte
	heads   []byte
	pieces  []piece
	vector  [][]byte // of one write
	offset  int64    // of one sendfile; a field, so that it is not made anew
	key     []byte
	id      []byte
	date    []byte // "Date: …\r\n" of dateSec
	dateSec int64
	start   time.Time // when the request that is looked at arrived
	sweepAt int64
	ending  bool

	mu    sync.Mutex
	inbox []*conn // new, or back from net/http
	ended bool
}

func newLoop(s *service) (*loop, error) {
	p := &loop{service: s, epoll: -1, wakeFD: -1, listens: -1,
		input: make([]byte, inputBytes), heads: make([]byte, 0, headsBytes), pieces: make([]piece, 0, 2*batchAnswers)}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		p.close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := p.control(unix.EPOLL_CTL_ADD, p.wakeFD, unix.EPOLLIN); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *loop) close() {
	for _, fd := range []*int{&p.epoll, &p.wakeFD, &p.listens} {
		if *fd >= 0 {
			_ = unix.Close(*fd) // nobody waits for it
			*fd = -1
		}
	}
}

func (p *loop) control(op, fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

// listen takes over a listener's descriptor.
func (p *loop) listen(fd int) error {
	p.listens = fd
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN)
}

// wake makes the loop look at its inbox and at whether the end has come.
func (p *loop) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.signal()
	}
}

// signal writes to the eventfd. Preconditions: mu is held, the loop has not ended.
func (p *loop) signal() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.wakeFD, one[:]) // full means that it is awake
}

// hand puts a connection into the inbox. A loop that has ended closes it.
func (p *loop) hand(c *conn) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		c.discard()
		return
	}
	p.inbox = append(p.inbox, c)
	if len(p.inbox) == 1 {
		p.signal()
	}
	p.mu.Unlock()
}

// run turns until the service drains and no connection is left.
func (p *loop) run() {
	for !p.ending || p.open > 0 {
		p.turn()
	}
	p.mu.Lock()
	p.ended = true
	left := p.inbox
	p.inbox = nil
	p.mu.Unlock()
	for _, c := range left {
		c.discard()
	}
}

// turn waits once and does what there is to do.
func (p *loop) turn() {
	n, err := unix.EpollWait(p.epoll, p.events[:], p.patience())
	if err != nil && err != unix.EINTR {
		panic("front: a loop's epoll is not to be waited for: " + err.Error()) // it is ours alone, and open
	}
	p.start = time.Now()
	p.dateLine()
	for i := range max(n, 0) {
		switch e := &p.events[i]; int(e.Fd) {
		case p.wakeFD:
			p.welcome()
		case p.listens:
			p.accept()
		default:
			// Not one that an event before this closed, be it the listener.
			if int(e.Fd) < len(p.conns) && p.conns[e.Fd] != nil {
				p.ready(p.conns[e.Fd])
			}
		}
	}
	if t := now(); t >= p.sweepAt {
		p.sweep(t)
	}
}

// patience is how long to wait at most. Unit: ms; -1: for ever.
func (p *loop) patience() int {
	if p.open == 0 && p.paused == 0 {
		return -1
	}
	return int(max((p.sweepAt-now())/int64(time.Millisecond)+1, 0))
}

// welcome takes what others handed to the loop.
func (p *loop) welcome() {
	var count [8]byte
	_, _ = unix.Read(p.wakeFD, count[:]) // empty: it was read already
	p.mu.Lock()
	inbox := p.inbox
	p.inbox = nil
	p.mu.Unlock()
	for _, c := range inbox {
		p.adopt(c)
	}
	if p.service.draining.Load() && !p.ending {
		p.end()
	}
}

// adopt begins to wait for a connection.
func (p *loop) adopt(c *conn) {
	if p.ending || p.control(unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN) != nil {
		c.discard()
		return
	}
	for len(p.conns) <= c.fd {
		p.conns = append(p.conns, nil)
	}
	p.conns[c.fd] = c
	p.open++
	c.since = now()
	if p.open == 1 {
		p.sweepAt = min(max(p.sweepAt, c.since), c.since+int64(sweepMax))
	}
	if c.in != nil {
		defer p.rescue(c)
		p.process(c, c.in)
	}
}

// forget stops waiting for a connection, which stays open.
func (p *loop) forget(c *conn) {
	_ = p.control(unix.EPOLL_CTL_DEL, c.fd, 0) // it is in, so it can be taken out
	p.conns[c.fd] = nil
	p.open--
}

// drop closes a connection.
func (p *loop) drop(c *conn) {
	p.conns[c.fd] = nil
	p.open--
	c.discard()
}

// accept takes new connections and spreads them over the loops.
func (p *loop) accept() {
	s := p.service
	for range acceptsMax {
		fd, from, err := unix.Accept4(p.listens, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.ECONNABORTED, unix.EINTR:
			continue
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			p.pause(err)
			return
		default: // EAGAIN: there are no more
			return
		}
		if !s.gate.Enter() {
			_ = unix.Close(fd)
			continue
		}
		tune(fd)
		to := s.loops[s.next%len(s.loops)]
		s.next++
		if c := newConn(to, fd, from); to == p {
			p.adopt(c)
		} else {
			to.hand(c)
		}
	}
}

// pause stops accepting until the next sweep: the system has no room for more
// connections, and the listener would be ready all the time.
func (p *loop) pause(err error) {
	p.service.gate.Log().Warn("no connection can be accepted for a moment", "error", err)
	_ = p.control(unix.EPOLL_CTL_DEL, p.listens, 0)
	p.paused = now() + int64(listenPause)
	p.sweepAt = p.paused
}

// Keep-alive of accepted connections, as net.ListenConfig sets it.
const (
	probeAfter = 15 // seconds
	probesMax  = 9
)

// tune sets what net sets on a connection that it accepts.
func tune(fd int) {
	// A connection that these fail on is closed already, and reading tells.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probeAfter)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probeAfter)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probesMax)
}

// end closes what is idle and lets answers under way finish.
func (p *loop) end() {
	p.ending = true
	if p.listens >= 0 {
		_ = unix.Close(p.listens)
		p.listens = -1
	}
	for _, c := range p.conns {
		switch {
		case c == nil:
		case c.out == nil:
			p.drop(c)
		default:
			c.last = true
		}
	}
}

// sweep closes connections whose time is over. t is now.
func (p *loop) sweep(t int64) {
	cfg := p.service.gate.Config()
	shortest := min(cfg.IdleTimeout, cfg.ReadHeaderTimeout, cfg.WriteTimeout)
	p.sweepAt = t + int64(min(sweepMax, max(shortest/4, time.Millisecond)))
	if p.paused != 0 && t >= p.paused && p.listens >= 0 {
		p.paused = 0
		_ = p.control(unix.EPOLL_CTL_ADD, p.listens, unix.EPOLLIN)
	}
	keep := p.service.gate.KeepAlive()
	for _, c := range p.conns {
		if c == nil {
			continue
		}
		limit := cfg.IdleTimeout
		switch {
		case c.out != nil:
			limit = cfg.WriteTimeout
		case c.in != nil || !c.used:
			limit = cfg.ReadHeaderTimeout
		case !keep:
			limit = 0
		}
		if t-c.since >= int64(limit) || p.ending && t >= p.service.giveUp.Load() {
			p.drop(c)
		}
	}
}

// dateLine writes the Date header once a second.
func (p *loop) dateLine() {
	if sec := p.start.Unix(); sec != p.dateSec {
		p.dateSec = sec
		p.date = append(p.date[:0], "Date: "...)
		p.date = p.start.UTC().AppendFormat(p.date, "Mon, 02 Jan 2006 15:04:05 GMT")
		p.date = append(p.date, crlf...)
	}
}
