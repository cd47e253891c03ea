package httpserver

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Front takes the connections of a listener before net/http does. It answers the requests that it understands and has an answer
// for, and gives every other one to the Server through the Gate. It is used on listeners without TLS, and not where requests are
// traced.
type Front interface {
	// Serve takes the connections of l until ctx ends. Then it finishes the answers that it has begun, closes every other
	// connection that it still holds, and returns; the caller closes l. An error says that it cannot serve at all.
	Serve(ctx context.Context, l *net.TCPListener, g *Gate) error
}

// Fronted is a connection that a Front gave to the Server. The Front counts it, from Enter to Leave, for as long as it is open.
type Fronted interface {
	net.Conn
	// Idle is called when the Server has answered a request and would wait for the next one. The Front may have the
	// connection back then: Read gives io.EOF, and Close does nothing.
	Idle()
}

// Gate is what a Server shares with its Front: its settings, its bound on connections, what it counts and what it logs. It is safe
// for concurrent use.
type Gate struct {
	s     *Server
	given handed
}

// Config is the configuration of the Server.
func (g *Gate) Config() Config { return g.s.cfg }

// Log is the logger of the Server.
func (g *Gate) Log() *slog.Logger { return g.s.log }

// Give hands a connection to net/http, which closes it. It does not wait. False says that the Server has ended.
func (g *Gate) Give(c Fronted) bool { return g.given.give(c) }

// Enter counts a connection that was accepted. False says that there are too many: it is counted as refused, and the caller
// closes it and does not call Leave.
func (g *Gate) Enter() bool {
	if g.s.open.Add(1) > int64(g.s.cfg.ConnectionsMax) {
		g.s.open.Add(-1)
		g.s.metrics.refusedConnections.Inc()
		return false
	}
	g.s.metrics.connections.Inc()
	return true
}

// Leave takes back an Enter, when the connection is closed.
func (g *Gate) Leave() {
	g.s.metrics.connections.Dec()
	g.s.open.Add(-1)
}

// Hold counts n answers that wait for their clients to take them as requests in work, or takes them back where n is negative.
func (g *Gate) Hold(n int) {
	g.s.requests.inFlight.Add(int64(n))
	g.s.metrics.inFlight.Add(float64(n))
}

// Full says whether as many requests are in work as may be. The next one is left to the Server, which refuses it.
func (g *Gate) Full() bool { return g.s.requests.inFlight.Load() >= g.s.requests.inFlightMax }

// KeepAlive says whether connections may stay open behind an answer: not when the Server is about to stop.
func (g *Gate) KeepAlive() bool { return !g.s.stopping.Load() }

// AppendRequestID appends the id of a request whose client brought given, empty when it brought none: that one if it is usable,
// else a fresh one.
func (g *Gate) AppendRequestID(b, given []byte) []byte {
	if usableID(given) {
		return append(b, given...)
	}
	id := freshID()
	return append(b, id[:]...)
}

// Answered counts and logs one answer of the Front as the Server does its own.
func (g *Gate) Answered(a Answered) {
	g.s.metrics.observe(a.Status, a.Took, a.Bytes)
	if logs(g.s.cfg.AccessLog, a.Status) {
		logAnswer(context.Background(), g.s.log, a)
	}
}

// Answered is one answered request, as it is counted and logged.
type Answered struct {
	ID, Method, Path string
	Status           int
	Bytes            int64 // of the body
	Took             time.Duration
	Remote           string
}

// Logs says whether an answer with a status is logged, so that the words of Answered need not be made where it is not.
func (g *Gate) Logs(status int) bool { return logs(g.s.cfg.AccessLog, status) }

func logs(setting string, status int) bool {
	return setting != AccessLogOff && (setting != AccessLogErrors || status >= 500)
}

// logAnswer writes the line of the access log.
func logAnswer(ctx context.Context, log *slog.Logger, a Answered) {
	level := slog.LevelInfo
	if a.Status >= 500 {
		level = slog.LevelWarn // seen also where nobody wants to see every request
	}
	if !log.Enabled(ctx, level) {
		return
	}
	log.LogAttrs(ctx, level, "request", slog.String("id", a.ID), slog.String("method", a.Method),
		slog.String("path", a.Path), slog.Int("status", a.Status), slog.Int64("bytes", a.Bytes),
		slog.Duration("took", a.Took), slog.String("remote", a.Remote))
}

// handed is the listener that net/http accepts from behind a Front. The waiting connections are bounded by connections_max.
type handed struct {
	addr  net.Addr
	ready chan struct{} // holds one token while conns is not empty
	done  chan struct{} // closed by Close

	mu     sync.Mutex
	conns  []Fronted
	closed bool
}

var _ net.Listener = (*handed)(nil)

func (h *handed) init(addr net.Addr) {
	h.addr, h.ready, h.done = addr, make(chan struct{}, 1), make(chan struct{})
}

func (h *handed) give(c Fronted) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.conns = append(h.conns, c)
	h.signal()
	return true
}

// signal wakes Accept. Preconditions: mu is held.
func (h *handed) signal() {
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	for {
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return nil, net.ErrClosed
		}
		if n := len(h.conns); n > 0 {
			c := h.conns[0]
			h.conns[0] = nil
			h.conns = h.conns[1:]
			if n > 1 {
				h.signal()
			}
			h.mu.Unlock()
			return c, nil
		}
		h.conns = nil
		h.mu.Unlock()
		select {
		case <-h.ready:
		case <-h.done:
		}
	}
}

// Close implements net.Listener. Connections that nobody accepted are closed.
func (h *handed) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	close(h.done)
	for _, c := range h.conns {
		c.Close()
	}
	h.conns = nil
	return nil
}

// Addr implements net.Listener.
func (h *handed) Addr() net.Addr { return h.addr }

// startFront lets the front take the connections of the listener, so that serve gets those that it gives. The function that comes
// back asks it to end; wg waits for that.
func (s *Server) startFront(wg *sync.WaitGroup, failed chan<- error) (stop func()) {
	tcp, ok := s.listener.(*net.TCPListener)
	if s.front == nil || !ok {
		return func() {}
	}
	s.gate.given.init(tcp.Addr())
	s.accepting = &s.gate.given
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		defer tcp.Close()
		if err := s.front.Serve(ctx, tcp, s.gate); err != nil {
			failed <- err
		}
	})
	return cancel
}
