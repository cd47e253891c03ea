package front

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/internal/httpserver"
)

// lentAddr is the local address of connections that were lent, by which Wants
// knows their requests.
type lentAddr struct{ net.Addr }

// lent is a connection in the hands of net/http: for one request, whose bytes
// are all that it can read, or for good.
type lent struct {
	*net.TCPConn // a descriptor of its own of the same connection
	conn         *conn
	forGood      bool

	mu      sync.Mutex
	ahead   []byte        // read before; guarded by mu, as net/http reads from two goroutines
	due     time.Time     // of reads
	changed chan struct{} // closed when due or back changes
	back    bool          // the connection returns to its loop

	closed sync.Once
}

var _ httpserver.Fronted = (*lent)(nil)

// lend gives net/http a connection for one request, and keeps what came behind it.
func (p *loop) lend(c *conn, request, rest []byte) {
	request = append([]byte(nil), request...)
	c.remember(rest)
	p.turnOver(c, request, false)
}

// give gives net/http a connection for good.
func (p *loop) give(c *conn, data []byte) {
	data = append([]byte(nil), data...)
	c.in = nil
	p.turnOver(c, data, true)
}

func (p *loop) turnOver(c *conn, ahead []byte, forGood bool) {
	p.forget(c)
	c.used = true
	l, err := newLent(c, ahead, forGood)
	if err != nil {
		c.discard() // no descriptor is left: the client sees what it would see of a full server
		return
	}
	counter := p.service.front.metrics.lent
	if forGood {
		counter = p.service.front.metrics.given
	}
	counter.Inc()
	if !p.service.gate.Give(l) {
		l.Close()
	}
}

func newLent(c *conn, ahead []byte, forGood bool) (*lent, error) {
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	over, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	tcp, ok := over.(*net.TCPConn)
	if !ok {
		over.Close()
		return nil, errors.New("it is no TCP connection")
	}
	return &lent{TCPConn: tcp, conn: c, ahead: ahead, forGood: forGood, changed: make(chan struct{})}, nil
}

// RemoteAddr implements net.Conn.
func (l *lent) RemoteAddr() net.Addr { return l.conn.remote() }

// LocalAddr implements net.Conn.
func (l *lent) LocalAddr() net.Addr {
	if l.forGood {
		return l.TCPConn.LocalAddr()
	}
	return lentAddr{l.TCPConn.LocalAddr()}
}

// Read gives the bytes that were read before. Behind them, a connection that was
// lent has no more of them, and Read tells only how it goes on: io.EOF when the
// client left or the loop has it back, or the deadline's error.
func (l *lent) Read(b []byte) (int, error) {
	l.mu.Lock()
	if len(l.ahead) > 0 {
		n := copy(b, l.ahead)
		if l.ahead = l.ahead[n:]; len(l.ahead) == 0 {
			l.ahead = nil
		}
		l.mu.Unlock()
		return n, nil
	}
	l.mu.Unlock()
	if l.forGood {
		return l.TCPConn.Read(b)
	}
	if len(b) == 0 {
		return 0, nil
	}
	gone, err := l.watch()
	if gone || err != nil {
		return 0, err
	}
	return 0, l.wait()
}

// watch waits until the client sends something, which is left where it is, or
// has left.
func (l *lent) watch() (gone bool, err error) {
	if l.isBack() || len(l.conn.in) > 0 { // nothing can be seen behind what it has sent already
		return false, nil
	}
	raw, err := l.TCPConn.SyscallConn()
	if err != nil {
		return false, err
	}
	var one [1]byte
	err = raw.Read(func(fd uintptr) bool {
		n, _, e := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if e == unix.EAGAIN || e == unix.EINTR {
			return l.isBack()
		}
		gone = e != nil || n == 0
		return true
	})
	if gone {
		return true, io.EOF
	}
	return false, err
}

// wait waits for the deadline, or for the connection's return.
func (l *lent) wait() error {
	for {
		l.mu.Lock()
		back, due, changed := l.back, l.due, l.changed
		l.mu.Unlock()
		if back {
			return io.EOF
		}
		if due.IsZero() {
			<-changed
			continue
		}
		left := time.Until(due)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (l *lent) isBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back
}

// SetReadDeadline implements net.Conn.
func (l *lent) SetReadDeadline(t time.Time) error {
	l.change(func() { l.due = t })
	return l.TCPConn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (l *lent) SetDeadline(t time.Time) error {
	l.change(func() { l.due = t })
	return l.TCPConn.SetDeadline(t)
}

func (l *lent) change(what func()) {
	l.mu.Lock()
	what()
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
}

// Idle implements httpserver.Fronted: the request has its answer, and the
// connection returns to its loop when net/http closes it.
func (l *lent) Idle() {
	if !l.forGood {
		l.change(func() { l.back = true })
	}
}

// Close implements net.Conn.
func (l *lent) Close() error {
	l.closed.Do(func() {
		_ = l.TCPConn.Close() // the descriptor of our own; the connection has another one
		l.change(func() {})
		if l.isBack() {
			l.conn.loop.hand(l.conn)
			return
		}
		l.conn.discard()
	})
	return nil
}
