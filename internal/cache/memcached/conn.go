package memcached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/kamado/kamado/internal/cache"
)

// server is one memcached, with its connections.
type server struct {
	addr    string
	cfg     Config
	metrics *serverMetrics
	// slots has one element for each request under way, up to its answer.
	slots chan struct{}
	// dialing is held by the one who makes a connection: one place in the channel.
	dialing chan struct{}
	readers sync.WaitGroup

	mu     sync.Mutex
	conns  []*conn // by place; nil or dead: to be made
	next   int     // place of the next request
	closed bool
	// rest is until when nothing is asked; suspect says that only one may try then.
	rest    time.Time
	suspect bool
}

func newServer(addr string, cfg Config, m *metrics) *server {
	return &server{
		addr: addr, cfg: cfg, metrics: m.of(addr), conns: make([]*conn, cfg.ConnectionsMax),
		slots: make(chan struct{}, cfg.InFlightMax), dialing: make(chan struct{}, 1),
	}
}

func (s *server) away(why string, args ...any) error {
	return fmt.Errorf("%w: memcached %s: %w", cache.ErrAway, s.addr, fmt.Errorf(why, args...))
}

// ask sends one request and waits for its answer: on a connection if one is given,
// and refused if that one is dead.
func (s *server) ask(ctx context.Context, on *conn, write func([]byte) []byte) (*conn, answer, error) {
	if on != nil && on.isDead() {
		s.metrics.forgotten.Inc()
		return nil, answer{}, cache.ErrRefused
	}
	for again := false; ; again = true {
		c, a, err := s.askOnce(ctx, on, write)
		switch {
		case err == nil:
			s.metrics.ok.Inc()
		case on != nil && errors.Is(err, cache.ErrRefused):
			s.metrics.forgotten.Inc()
		case errors.Is(err, cache.ErrRefused) && !again:
			continue // the connection ended before anything was sent
		case errors.Is(err, errFull):
			s.metrics.full.Inc()
		default:
			s.metrics.away.Inc()
			if errors.Is(err, cache.ErrRefused) {
				err = s.away("its connections end at once")
			}
		}
		return c, a, err
	}
}

func (s *server) askOnce(ctx context.Context, on *conn, write func([]byte) []byte) (c *conn, a answer, err error) {
	if c = on; c == nil {
		if c, err = s.pick(ctx); err != nil {
			return nil, answer{}, err
		}
	}
	if err := s.slot(ctx); err != nil {
		return nil, answer{}, err
	}
	a, err = c.do(ctx, write(make([]byte, 0, 512)))
	return c, a, err
}

var errFull = errors.New("too many requests are under way")

// slot waits for a place among the requests under way: half of Timeout, so that a
// server that stands still is told from a bound that is too low.
func (s *server) slot(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(s.cfg.Timeout / 2)
	defer timer.Stop()
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return s.away("%w: in-flight max is %d", errFull, s.cfg.InFlightMax)
	case <-ctx.Done():
		return s.away("%w", ctx.Err())
	}
}

// pick gives a connection, and makes one if need be.
func (s *server) pick(ctx context.Context) (*conn, error) {
	place, c, suspect, err := s.there()
	if err != nil || c != nil {
		return c, err
	}
	if suspect { // one tries, the others go on without
		select {
		case s.dialing <- struct{}{}:
		default:
			return nil, s.away("it is being tried")
		}
	} else {
		select {
		case s.dialing <- struct{}{}:
		case <-ctx.Done():
			return nil, s.away("%w", ctx.Err())
		}
	}
	defer func() { <-s.dialing }()
	s.mu.Lock()
	c, resting, closed := s.conns[place], time.Now().Before(s.rest), s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, s.away("closed")
	case c != nil && !c.isDead():
		return c, nil
	case resting:
		return nil, s.away("it rests after a failure")
	}
	c, err = s.dial(ctx)
	if err != nil {
		if ctx.Err() == nil { // else it is the caller who did not wait
			s.failed()
		}
		return nil, s.away("%w", err)
	}
	return c, s.take(place, c)
}

// there gives the connection of the next place, if it lives.
func (s *server) there() (place int, c *conn, suspect bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, nil, false, s.away("closed")
	case time.Now().Before(s.rest):
		return 0, nil, false, s.away("it rests after a failure")
	}
	s.next = (s.next + 1) % len(s.conns)
	if c := s.conns[s.next]; c != nil && !c.isDead() {
		return s.next, c, false, nil
	}
	return s.next, nil, s.suspect, nil
}

// take keeps a connection that answers, and reads from it.
func (s *server) take(place int, c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.net.Close()
		return s.away("closed")
	}
	s.conns[place], s.suspect = c, false
	s.metrics.dials.Inc()
	s.metrics.connections.Inc()
	s.readers.Go(c.read)
	return nil
}

// failed lets the server rest.
func (s *server) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest, s.suspect = time.Now().Add(s.cfg.RetryAfter), true
}

// dial connects, and hears from the server: a stopped one would take the connection too.
func (s *server) dial(ctx context.Context) (*conn, error) {
	deadline := time.Now().Add(s.cfg.Timeout)
	dialer := net.Dialer{Deadline: deadline}
	n, err := dialer.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	c := &conn{server: s, net: n, in: bufio.NewReaderSize(n, 4096), queue: make(chan *request, s.cfg.InFlightMax)}
	if err := c.hello(deadline); err != nil {
		n.Close()
		return nil, err
	}
	return c, nil
}

// hello asks for an answer before anybody else does.
func (c *conn) hello(deadline time.Time) error {
	if err := c.net.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := c.net.Write([]byte("mn\r\n")); err != nil {
		return err
	}
	a, err := readAnswer(c.in, 0)
	if err != nil {
		return err
	}
	if a.code != "MN" {
		return fmt.Errorf("%w to mn: %s %.100s: is it memcached 1.6 or newer?", errGarbled, a.code, a.text)
	}
	return c.net.SetDeadline(time.Time{})
}

func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.mu.Unlock()
	for _, c := range conns {
		if c != nil {
			c.fail(errors.New("closed"))
		}
	}
	s.readers.Wait()
}

// conn is a connection. Requests are written under mu, and answered in their order.
type conn struct {
	server *server
	net    net.Conn
	in     *bufio.Reader // of read alone
	queue  chan *request // written under mu; has room for every slot

	mu   sync.Mutex
	dead error
}

type request struct {
	done chan result // has room for the one answer
}

type result struct {
	a   answer
	err error
}

func (c *conn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead != nil
}

// do sends a request. Preconditions: the caller took a slot, which the answer gives back.
func (c *conn) do(ctx context.Context, b []byte) (answer, error) {
	r := &request{done: make(chan result, 1)}
	timer := time.NewTimer(c.server.cfg.Timeout)
	defer timer.Stop()
	if err := c.send(r, b); err != nil {
		return answer{}, err
	}
	select {
	case got := <-r.done:
		return got.a, got.err
	case <-ctx.Done(): // the answer is read and dropped
		return answer{}, c.server.away("%w", ctx.Err())
	case <-timer.C:
		c.server.failed()
		c.fail(errors.New("timeout"))
		return answer{}, c.server.away("no answer in %v", c.server.cfg.Timeout)
	}
}

func (c *conn) send(r *request, b []byte) error {
	c.mu.Lock()
	if c.dead != nil {
		c.mu.Unlock()
		<-c.server.slots
		return cache.ErrRefused // nothing was sent, and a stamp of it is of no use
	}
	c.queue <- r
	err := c.net.SetWriteDeadline(time.Now().Add(c.server.cfg.Timeout))
	if err == nil {
		_, err = c.net.Write(b)
	}
	c.mu.Unlock()
	if err != nil {
		c.server.failed()
		c.fail(err) // answers r too
	}
	return nil
}

// read gives the answers to those who wait, until the connection ends.
func (c *conn) read() {
	defer c.server.metrics.connections.Dec()
	for {
		a, err := readAnswer(c.in, c.server.cfg.CellBytesMax)
		if err != nil {
			c.fail(err)
			return
		}
		select {
		case r := <-c.queue:
			r.done <- result{a: a}
			<-c.server.slots
		default:
			c.fail(fmt.Errorf("%w: nobody asked", errGarbled))
			return
		}
	}
}

// fail ends the connection; those who wait get ErrAway.
func (c *conn) fail(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil {
		return
	}
	c.dead = why
	c.net.Close()
	for {
		select {
		case r := <-c.queue:
			r.done <- result{err: c.server.away("%w", why)}
			<-c.server.slots
		default:
			return
		}
	}
}

// nonsense ends a connection whose answer makes no sense: those behind it would make none either.
func (c *conn) nonsense(a answer) error {
	c.fail(fmt.Errorf("%w: %s %s", errGarbled, a.code, a.text))
	return c.server.away("%w: %s %.100s", errGarbled, a.code, a.text)
}
