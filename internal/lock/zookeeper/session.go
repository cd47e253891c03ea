package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/kamado/kamado/internal/lock"
)

// state is what is known of the session. Requests are sent only while there is one:
// the library would keep them for as long as there is none.
type state struct {
	log *slog.Logger

	mu     sync.Mutex
	ready  chan struct{} // closed while there is a session
	open   bool          // ready is closed
	lost   bool          // it was said that the ensemble is away
	closed bool          // Close was called; ready is closed for ever
}

func newState(log *slog.Logger) *state { return &state{log: log, ready: make(chan struct{})} }

// event is called by the library at each change, in order, and must not block.
func (s *state) event(e zk.Event) {
	if e.Type != zk.EventSession {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	switch e.State {
	case zk.StateHasSession:
		if !s.open {
			s.open = true
			close(s.ready)
		}
		if s.lost {
			s.lost = false
			s.log.Info("zookeeper answers again", "server", e.Server)
		}
	case zk.StateExpired:
		s.log.Warn("zookeeper session expired", "server", e.Server)
	case zk.StateDisconnected:
		if s.open {
			s.open, s.lost = false, true
			s.ready = make(chan struct{})
			s.log.Warn("zookeeper is away", "server", e.Server)
		}
	default: // connecting and connected are on the way
	}
}

// close says whether it is the first.
func (s *state) close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed = true
	if !s.open {
		close(s.ready)
	}
	return true
}

// errNoSession: no server has answered in time.
var errNoSession = errors.New("no session")

func (s *state) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// session waits until there is one.
func (s *state) session(ctx context.Context) error {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	select {
	case <-ready:
	case <-ctx.Done():
		return errNoSession
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return zk.ErrClosing
	}
	return nil
}

// again asks, and asks again while connections break, within the time of one call. ask must be a
// read, or do no harm twice.
func again[T any](ctx context.Context, p *Place, ask func() (T, error)) (answer T, err error) {
	within, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	for {
		answer, err = try(within, p, ask)
		if !broken(err) || p.state.isClosed() {
			return answer, p.judge(ctx, err)
		}
	}
}

// once asks once within the time of one call.
func once[T any](ctx context.Context, p *Place, ask func() (T, error)) (answer T, err error) {
	within, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	answer, err = try(within, p, ask)
	return answer, p.judge(ctx, err)
}

func (s *state) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// try sends one request when there is a session and a slot. When ctx ends before
// the answer, the request stays under way, and keeps its slot, until its connection ends.
func try[T any](ctx context.Context, p *Place, ask func() (T, error)) (answer T, err error) {
	if err := p.state.session(ctx); err != nil {
		return answer, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		if !p.state.isOpen() { // they wait for a connection that has ended
			return answer, errNoSession
		}
		return answer, &lock.ExhaustedError{What: "requests to zookeeper", Limit: cap(p.slots), Setting: "RequestsMax"}
	}
	type result struct {
		answer T
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := ask()
		<-p.slots
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return answer, errors.New("no answer in time")
	}
}

// broken says whether a request came to nothing because its connection or session ended.
func broken(err error) bool {
	for _, is := range []error{zk.ErrConnectionClosed, zk.ErrSessionExpired, zk.ErrSessionMoved, zk.ErrNoServer} {
		if errors.Is(err, is) {
			return true
		}
	}
	var network *net.OpError
	return errors.As(err, &network)
}

// judge makes an error one of lock's, but for those about znodes, which the caller knows.
func (p *Place) judge(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, zk.ErrNoNode), errors.Is(err, zk.ErrNodeExists), errors.Is(err, zk.ErrBadVersion), errors.Is(err, lock.ErrExhausted):
		return err
	case errors.Is(err, zk.ErrNoAuth): // nothing was written, and no other server will say anything else
		return fmt.Errorf("zookeeper: user %q may not: %w", p.cfg.User, err)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: zookeeper: %w", lock.ErrAway, err)
}

// connectMax is how long it may take to reach one server.
const connectMax = time.Second

// dialer gives connections that wait no longer than a session lasts: the library waits
// ten times as long for the first answer of a server, which a server that stands still never gives.
func dialer(session time.Duration) zk.Dialer {
	return func(network, address string, _ time.Duration) (net.Conn, error) {
		c, err := net.DialTimeout(network, address, connectMax)
		if err != nil {
			return nil, err
		}
		return impatient{c, session}, nil
	}
}

type impatient struct {
	net.Conn
	most time.Duration
}

// SetReadDeadline implements net.Conn.
func (c impatient) SetReadDeadline(t time.Time) error {
	if most := time.Now().Add(c.most); t.After(most) {
		t = most
	}
	return c.Conn.SetReadDeadline(t)
}

// quiet is the library's log: what matters of it comes as events.
type quiet struct{ log *slog.Logger }

// Printf implements zk.Logger.
func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("zookeeper client", "says", fmt.Sprintf(format, args...))
}
