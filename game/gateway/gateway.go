package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Deps are what a gateway stands on. Log, Host and Identity are needed.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Host       Host
	Identity   Identity
	Node       string               // name of this node, for Welcome
	Nodes      func() []*wire.Place // the other nodes, for Welcome; nil: none. It does not wait
	Tick       time.Duration        // of the world, for Welcome
	Events     func(Event)          // hears what happened; nil: nobody does. It does not wait
}

// Gateway keeps the connections of clients.
type Gateway struct {
	cfg       game.GatewayConfig
	deps      Deps
	log       *slog.Logger
	tls       *tls.Config // nil: TCP is plain
	minClient game.ClientVersion
	showLimit int
	start     time.Time
	round     time.Duration // in which the sweep sees each connection once
	metrics   *metrics

	logins        chan struct{} // a place for each login in work
	loginsWaiting atomic.Int64
	checks        chan []*conn // whose tokens are looked at
	due           []*conn      // of the sweep: what is sent to checks next
	queued        atomic.Int64 // bytes that wait for connections
	replayed      atomic.Int64 // bytes that are kept for replay
	refusals      atomic.Int64 // connections that are told that there is no room
	unfinished    atomic.Int64 // bytes of frames that have not come as a whole
	open          [transports]atomic.Int64
	cut           atomic.Int64
	door          atomic.Pointer[door] // nil: users may come in
	stopped       atomic.Bool          // Run is over: connections are not taken, and what is lost does not come back

	identityAway atomic.Bool
	overloaded   bool // of the sweep

	conns [connShards]connShard

	mu        sync.Mutex
	users     map[game.UID]*Session
	services  map[uint64]*Session // by number
	last      uint64              // number of the latest session
	seq       uint64              // of connections
	addresses map[uint64]int32    // connections of each, by addressKey
	cuts      []cutting           // sessions that were cut, the oldest first
	work      crew
}

// door is closed, and says why.
type door struct {
	reason wire.Reason
	text   string
	place  func(*Session) *wire.Place // nil: anywhere
	// since is when it was closed, in milliseconds; the users who are in are closed after the grace.
	since int64
}

// New makes a gateway. The error is about the configuration or the certificate's files.
func New(cfg game.GatewayConfig, deps Deps) (*Gateway, error) {
	if deps.Log == nil || deps.Host == nil || deps.Identity == nil {
		return nil, errors.New("a gateway needs a log, a host and an identity")
	}
	g := &Gateway{
		cfg: cfg, deps: deps, log: deps.Log, showLimit: int(cfg.QueueBytes / 4), start: time.Now(),
		logins: make(chan struct{}, loginsMax), checks: make(chan []*conn, checksMax),
		users: map[game.UID]*Session{}, services: map[uint64]*Session{}, addresses: map[uint64]int32{},
	}
	if cfg.MinClient != "" {
		v, err := game.ParseClientVersion(cfg.MinClient)
		if err != nil {
			return nil, err
		}
		g.minClient = v
	}
	if cfg.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of the gateway: %w", err)
		}
		g.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	g.round = min(time.Second, cfg.HelloTimeout/2, cfg.KeepAlive/4, cfg.RecheckEvery/2)
	g.metrics = newMetrics(g)
	if deps.Registerer != nil {
		if err := deps.Registerer.Register(g.metrics); err != nil {
			return nil, fmt.Errorf("register metrics of the gateway: %w", err)
		}
	}
	return g, nil
}

// now is the time since the gateway was made, in milliseconds. Only the monotonic clock counts.
func (g *Gateway) now() int64 { return time.Since(g.start).Milliseconds() }

// over says whether all queues together hold more than they may.
func (g *Gateway) over() bool {
	return g.queued.Load()+g.replayed.Load()+g.unfinished.Load() > int64(g.cfg.QueueBytesAll)
}

// overShare is which part of its bounds a client keeps while all queues together are over theirs.
const overShare = 8

// limit is the bound of one queue at the moment.
func (g *Gateway) limit() int {
	if g.over() {
		return int(g.cfg.QueueBytes) / overShare
	}
	return int(g.cfg.QueueBytes)
}

// replayLimit is the bound of one replay at the moment.
func (g *Gateway) replayLimit() int {
	if g.over() {
		return int(g.cfg.ReplayBytes) / overShare
	}
	return int(g.cfg.ReplayBytes)
}

// crew counts goroutines, of which some start others.
type crew struct {
	mu    sync.Mutex
	n     int
	ended bool          // no further one starts
	idle  chan struct{} // closed when n is 0; nil: nobody waits
}

// join counts one more; false: it is too late for that.
func (w *crew) join() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.n++
	return true
}

func (w *crew) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.n == 0 && w.idle != nil {
		w.ended = true
		close(w.idle)
		w.idle = nil
	}
}

// end waits until none is left.
func (w *crew) end() {
	w.mu.Lock()
	w.ended = w.ended || w.n == 0
	if w.ended {
		w.mu.Unlock()
		return
	}
	w.idle = make(chan struct{})
	idle := w.idle
	w.mu.Unlock()
	<-idle
}

// spawn runs f in a goroutine that Run waits for; false: it is too late for that.
func (g *Gateway) spawn(f func()) bool {
	if !g.work.join() {
		return false
	}
	go func() {
		defer g.work.leave()
		f()
	}()
	return true
}

// Session finds the session of a user; nil: there is none here.
func (g *Gateway) Session(uid game.UID) *Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.users[uid]
}

// remove forgets a session that is over.
func (g *Gateway) remove(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.service() {
		delete(g.services, s.number)
	} else if g.users[s.UID()] == s {
		delete(g.users, s.UID())
	}
}

// sessions lists all sessions; of users only if services is false.
func (g *Gateway) sessions(services bool) []*Session {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*Session, 0, len(g.users)+len(g.services))
	for _, s := range g.users {
		list = append(list, s)
	}
	if services {
		for _, s := range g.services {
			list = append(list, s)
		}
	}
	return list
}

func (g *Gateway) event(what string, s *Session, attributes ...string) {
	if g.deps.Events == nil {
		return
	}
	p := s.Principal()
	e := Event{Type: what, Actor: p.Name(), Attributes: map[string]string{"node": g.deps.Node}}
	if p.Kind == game.ByUser {
		e.Subject = p.UID.String()
	} else {
		e.Subject = p.Service
	}
	for i := 0; i+1 < len(attributes); i += 2 {
		e.Attributes[attributes[i]] = attributes[i+1]
	}
	g.deps.Events(e)
}

// Run keeps time: it asks silent clients for a sign of life, looks at tokens again, and ends what did not come back. When ctx
// ends it closes all connections, and returns when their sessions are closed.
func (g *Gateway) Run(ctx context.Context) error {
	var helpers sync.WaitGroup
	for range checkers {
		helpers.Go(func() { g.check(ctx) })
	}
	g.sweepUntil(ctx)
	helpers.Wait()
	g.stop()
	return nil
}

// stop ends everything.
func (g *Gateway) stop() {
	g.stopped.Store(true)
	for _, s := range g.sessions(true) {
		s.end(wire.Reason_REASON_DRAIN, "the server stops", spread(retryDrain), nil)
	}
	g.eachConn((*conn).stop)
	g.work.end() // what came in between sees that the gateway has stopped
}

// stop tells a client that the server stops.
func (c *conn) stop() {
	c.refuse(wire.Reason_REASON_DRAIN, "the server stops", spread(retryDrain), nil) //nolint:errcheck // it says that it is over
}
