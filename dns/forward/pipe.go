package forward

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// pipe is the connection to one server over TCP or TLS (RFC 7766, RFC 7858). It is
// made when it is needed, shared by all that ask at one time, and left when it is idle.
type pipe struct {
	addr      netip.AddrPort
	tls       *tls.Config // nil: plain TCP
	idle      time.Duration
	forwarder *Forwarder
	turn      chan struct{} // held by who connects

	mu   sync.Mutex
	link *link // nil: none
}

// link is one connection of a pipe.
type link struct {
	net.Conn
	writing sync.Mutex // one message after the other

	mu      sync.Mutex
	waiting map[uint16]chan<- []byte // by id; nil: closed
	heard   int                      // replies so far
}

// waitingMax bounds the questions on one connection.
const waitingMax = 512

var (
	errPipeFull  = errors.New("too many questions on one connection")
	errPipeBroke = errors.New("the connection was closed")
)

// exchange sends query, whose id it replaces, and waits for what comes back under that id.
func (p *pipe) exchange(ctx context.Context, query []byte) (reply, sent []byte, err error) {
	for range connectionsMax {
		l, fresh, err := p.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		reply, sent, err := l.exchange(ctx, query, p.idle)
		if err != nil && !fresh && ctx.Err() == nil && !errors.Is(err, errPipeFull) {
			continue // the server left an idle connection just now
		}
		return reply, sent, err
	}
	return nil, nil, errPipeBroke
}

// connectionsMax bounds the connections on which one exchange is tried.
const connectionsMax = 3

// connect gives the connection, and whether it was made for this.
func (p *pipe) connect(ctx context.Context) (*link, bool, error) {
	if l := p.current(); l != nil {
		return l, false, nil
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if l := p.current(); l != nil {
		return l, false, nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.addr.String())
	if err != nil {
		return nil, false, err
	}
	if p.tls != nil {
		secure := tls.Client(conn, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, false, err
		}
		conn = secure
	}
	l := &link{Conn: conn, waiting: map[uint16]chan<- []byte{}}
	p.mu.Lock()
	p.link = l
	p.mu.Unlock()
	if !p.forwarder.spawn(func() { p.read(l) }) {
		l.close()
		return nil, false, errClosed
	}
	return l, true, nil
}

func (p *pipe) current() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil || !p.link.open() {
		return nil
	}
	return p.link
}

func (l *link) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting != nil
}

// close ends the connection; who waits on it hears so.
func (l *link) close() {
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	l.Conn.Close()
	for _, c := range waiting {
		close(c)
	}
}

// read hands replies to those who wait, until the connection ends, is idle, or the forwarder stops.
func (p *pipe) read(l *link) {
	defer l.close()
	stop := context.AfterFunc(p.forwarder.life, func() { l.Conn.Close() })
	defer stop()
	for {
		l.SetReadDeadline(time.Now().Add(p.idle))
		var size [2]byte
		if _, err := io.ReadFull(l, size[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(l, packet); err != nil || len(packet) < headerBytes {
			return
		}
		id := binary.BigEndian.Uint16(packet)
		l.mu.Lock()
		c := l.waiting[id]
		delete(l.waiting, id)
		l.heard++
		l.mu.Unlock()
		if c != nil {
			c <- packet // has room for one
		} else {
			p.forwarder.metrics.rejected.WithLabelValues("id").Inc()
		}
	}
}

func (l *link) exchange(ctx context.Context, query []byte, idle time.Duration) (reply, sent []byte, err error) {
	c := make(chan []byte, 1)
	id, before, err := l.enter(c)
	if err != nil {
		return nil, nil, err
	}
	defer l.leave(id)
	frame := make([]byte, 2, 2+len(query))
	binary.BigEndian.PutUint16(frame, uint16(len(query)))
	frame = append(frame, query...)
	binary.BigEndian.PutUint16(frame[2:], id)
	l.writing.Lock()
	if deadline, ok := ctx.Deadline(); ok {
		l.SetWriteDeadline(deadline)
	}
	_, err = l.Write(frame)
	l.writing.Unlock()
	if err != nil {
		l.close() // half a message may be on the way
		return nil, nil, err
	}
	l.SetReadDeadline(time.Now().Add(idle))
	select {
	case reply, ok := <-c:
		if !ok {
			return nil, nil, errPipeBroke
		}
		return reply, frame[2:], nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && !l.heardSince(before) {
			l.close() // it may be dead without a word
		}
		return nil, nil, ctx.Err()
	}
}

func (l *link) heardSince(before int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard > before
}

// enter takes an id that no other question on the connection has, and tells how many replies came before.
func (l *link) enter(c chan<- []byte) (id uint16, heard int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		return 0, 0, errPipeBroke
	}
	if len(l.waiting) >= waitingMax {
		return 0, 0, errPipeFull
	}
	for {
		id := randomID()
		if l.waiting[id] == nil {
			l.waiting[id] = c
			return id, l.heard, nil
		}
	}
}

func (l *link) leave(id uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting != nil {
		delete(l.waiting, id)
	}
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:])
}
