package mesh

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

// Deps are what a Mesh stands on. All but TLS and Registerer are needed.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	// Node is this one, with the addresses at which the others reach it.
	Node game.Node
	// Registrar finds the others, and Locks gives copies to one of them.
	Registrar game.NodeRegistrar
	Locks     Locks
	// Credential is that of a service with the scope admin, which the other nodes know. It is asked for with each link.
	Credential func(ctx context.Context) (string, error)
	// Deliver gives a frame to a user's session here, if there is one, and says whether there was. It does not wait.
	Deliver func(uid game.UID, cmd wire.Command, body []byte) bool
	// TLS is for nodes whose address begins with wss; nil: the system's.
	TLS *tls.Config
}

func (d *Deps) validate() error {
	var errs []error
	for _, need := range []struct {
		name string
		has  bool
	}{{"Log", d.Log != nil}, {"Registrar", d.Registrar != nil}, {"Locks", d.Locks != nil}, {"Credential", d.Credential != nil}, {"Deliver", d.Deliver != nil}} {
		if !need.has {
			errs = append(errs, fmt.Errorf("%s is missing", need.name))
		}
	}
	if d.Node.WebSocket == "" {
		errs = append(errs, errors.New("the node has no address for others"))
	}
	return errors.Join(append(errs, checkName(d.Node.Name))...)
}

// Times of the shell.
const (
	tickEvery     = 50 * time.Millisecond
	registerEvery = game.NodeTerm / 4
	registerMax   = game.NodeTerm     // how long one call of the registrar may take
	nameTakenMax  = 3 * game.NodeTerm // how long the name may be another's: an earlier run of this node ends by itself
	giveBackMax   = 2 * time.Second   // how long the end of Run may take to give claims and the name back
)

// Mesh is several nodes of the world as one of them sees it. Its methods may be called concurrently.
type Mesh struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	metrics *meshMetrics
	run     runID
	holder  string // of claims
	began   time.Time
	ready   chan struct{} // closed when the node was announced and has seen the others

	wg      sync.WaitGroup // of Run
	keepNow chan struct{}  // one place: claims have changed
	happen  chan struct{}  // one place: there are happenings
	looks   chan game.Copy

	changes func(world.Change) // Subscribe's; set before Run

	mu       sync.Mutex // guards what follows
	running  bool
	ended    chan struct{}                                // closed when running ends
	within   func() (context.Context, context.CancelFunc) // a part of Run's time; set while running
	core     *core
	claims   *claimSet
	asks     map[game.Copy]chan struct{} // calls of Claim that ask for a copy; closed when one is done
	links    map[uint64]*link
	arrivals map[uint64]*Arrival
	faulty   map[string]time.Duration // when a node's broken link was told of last
	queue    []happening
	room     chan struct{} // closed when the queue got shorter
}

var _ world.Places = (*Mesh)(nil)

// New makes a mesh. It does nothing until Run.
func New(cfg Config, deps Deps) (*Mesh, error) {
	if err := errors.Join(cfg.Validate(), deps.validate()); err != nil {
		return nil, fmt.Errorf("mesh: %w", err)
	}
	metrics, err := newMetrics(deps.Registerer)
	if err != nil {
		return nil, err
	}
	var number [8]byte
	rand.Read(number[:]) //nolint:errcheck // it never fails
	run := runID(binary.LittleEndian.Uint64(number[:]) | 1)
	text, err := holderText(deps.Node, run)
	if err != nil {
		return nil, err
	}
	return &Mesh{
		cfg: cfg, deps: deps, log: deps.Log, metrics: metrics, run: run, holder: text, began: time.Now(), ready: make(chan struct{}),
		keepNow: make(chan struct{}, 1), happen: make(chan struct{}, 1), looks: make(chan game.Copy, cfg.LooksMax),
		changes: func(world.Change) {}, core: newCore(cfg, deps.Node, run), claims: newClaimSet(cfg), asks: map[game.Copy]chan struct{}{},
		links: map[uint64]*link{}, arrivals: map[uint64]*Arrival{}, faulty: map[string]time.Duration{}, room: make(chan struct{}), ended: make(chan struct{}),
	}, nil
}

func (m *Mesh) now() time.Duration { return time.Since(m.began) }

// poke has a loop look again.
func (m *Mesh) poke(loop chan struct{}) {
	select {
	case loop <- struct{}{}:
	default:
	}
}

// Ready is closed when this node was announced and has seen the list of the others.
func (m *Mesh) Ready() <-chan struct{} { return m.ready }

// Run keeps the mesh until ctx ends, and returns when all is quiet: claims and the name are given back then. It returns
// earlier with ErrNameTaken when another node of this name lives. Run it once.
func (m *Mesh) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.mu.Lock()
	m.running, m.within = true, func() (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }
	m.mu.Unlock()
	for _, loop := range []func(context.Context){m.keep, m.dispatch, m.tick} {
		m.wg.Go(func() { loop(ctx) })
	}
	for range m.cfg.AtOnce {
		m.wg.Go(func() { m.look(ctx) })
	}
	m.wg.Go(func() { cancel(m.register(ctx)) })
	<-ctx.Done()
	m.end()
	m.wg.Wait()
	m.leave(context.WithoutCancel(ctx))
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// end closes all links: nothing is begun afterwards.
func (m *Mesh) end() {
	m.mu.Lock()
	m.running = false
	close(m.ended)
	var hangups []func()
	for _, a := range m.arrivals {
		hangups = append(hangups, a.hangup)
	}
	m.mu.Unlock()
	for _, hangup := range hangups {
		hangup()
	}
}

// leave gives back what this node has, so that others need not wait for its end.
func (m *Mesh) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, giveBackMax)
	defer cancel()
	var claims []*claim
	m.do(func(k *core, _ time.Duration) {
		for at := range m.claims.of {
			claims = append(claims, m.claims.remove(at))
			k.claimed(at, false)
		}
	})
	var wg sync.WaitGroup
	next := make(chan *claim)
	for range min(len(claims), m.cfg.AtOnce) {
		wg.Go(func() {
			for c := range next {
				if err := m.giveBack(ctx, c); err != nil {
					m.log.Warn("claim not given back", "copy", c.copy, "err", err)
				}
			}
		})
	}
	for _, c := range claims {
		next <- c
	}
	close(next)
	wg.Wait()
	if err := m.deps.Registrar.Withdraw(ctx, m.deps.Node.Name); err != nil {
		m.log.Warn("node not withdrawn", "err", err)
	}
}

// do is a step of the core, and then what comes of it.
func (m *Mesh) do(f func(k *core, now time.Duration)) {
	m.mu.Lock()
	f(m.core, m.now())
	out := m.core.take()
	var hangups []func()
	for _, id := range out.drop {
		if a := m.arrivals[id]; a != nil {
			hangups = append(hangups, a.hangup)
			m.metrics.linkEnds.WithLabelValues("in", "ended").Inc()
		}
	}
	for _, id := range out.hangup {
		if l := m.links[id]; l != nil {
			l.cancel()
		}
	}
	for _, d := range out.dial {
		m.open(d)
	}
	for _, id := range out.wake {
		if l := m.links[id]; l != nil {
			m.poke(l.wake)
		}
	}
	if len(out.happens) > 0 {
		m.queue = append(m.queue, out.happens...)
		m.poke(m.happen)
	}
	m.mu.Unlock()
	for _, hangup := range hangups {
		hangup()
	}
	for _, at := range out.look {
		select {
		case m.looks <- at:
		default: // its lock begins to age when somebody wants it
		}
	}
	m.notes(out.notes)
}

// notes tells what an operator may want to know.
func (m *Mesh) notes(list []note) {
	for _, n := range list {
		switch n.what {
		case noteFound:
			m.log.Info("node found", "node", n.node)
		case noteMet:
			m.log.Info("node met", "node", n.node, "users", n.number)
		case noteGone:
			m.log.Info("node gone", "node", n.node)
		case noteLost:
			m.log.Warn("node lost", "node", n.node)
		case noteAway:
			m.log.Warn("users of a lost node are away", "node", n.node, "users", n.number)
		case noteTooMany:
			m.log.Warn("too many nodes", "node", n.node, "most", n.number)
		case noteRefused:
			m.metrics.rowsRefused.Add(float64(n.number))
			m.log.Warn("node tells of too much", "node", n.node, "rows", n.number)
		case noteSlow:
			m.metrics.linkEnds.WithLabelValues("out", "slow").Inc()
			m.log.Warn("node takes its words too slowly", "node", n.node, "words", n.number)
		}
	}
}

// faultyEvery is how often a log tells of the broken links of one node.
const faultyEvery = time.Minute

// complains says whether a fault of a node is to be told: links are tried again and again.
func (m *Mesh) complains(node string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, known := m.faulty[node]; known && m.now()-last < faultyEvery {
		return false
	}
	if len(m.faulty) >= 2*m.cfg.NodesMax {
		clear(m.faulty)
	}
	m.faulty[node] = m.now()
	return true
}

// tick lets time pass for the core.
func (m *Mesh) tick(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.do(func(k *core, now time.Duration) {
				k.tick(now)
				m.gauges(k, now)
			})
		}
	}
}

// gauges says how full things are.
func (m *Mesh) gauges(k *core, now time.Duration) {
	users, words, out := 0, 0, 0
	for _, p := range k.peers {
		users += len(p.users)
		words += len(p.words)
		if p.out == linkUp {
			out++
		}
	}
	m.metrics.users.Set(float64(users))
	m.metrics.wordsWaiting.Set(float64(words))
	m.metrics.looks.Set(float64(len(m.looks)))
	m.metrics.nodes.Set(float64(1 + len(k.living(now))))
	m.metrics.links.WithLabelValues("in").Set(float64(len(m.arrivals)))
	m.metrics.links.WithLabelValues("out").Set(float64(out))
	m.metrics.claims.Set(float64(len(m.claims.of)))
	m.metrics.happenings.Set(float64(len(m.queue)))
}

// look looks at the locks of nodes that may be dead.
func (m *Mesh) look(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-m.looks:
			within, cancel := context.WithTimeout(ctx, m.cfg.ClaimTerm)
			_, _ = m.deps.Locks.Look(within, claimPrefix+at.String()) // else it begins to age when somebody wants it
			cancel()
		}
	}
}

// register announces this node and lists the others, until ctx ends or the name is another's.
func (m *Mesh) register(ctx context.Context) error {
	ticker := time.NewTicker(registerEvery)
	defer ticker.Stop()
	away, taken, first := false, time.Duration(-1), true
	for {
		nodes, err := m.announce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, ErrNameTaken):
			taken = -1
		case taken < 0:
			taken = m.now()
		case m.now()-taken > nameTakenMax:
			m.log.Error("node's name is another's", "node", m.deps.Node.Name, "err", err)
			return err
		}
		if err != nil {
			m.metrics.registrar.Inc()
		}
		if failed := err != nil && taken < 0; failed != away {
			if away = failed; away {
				m.log.Warn("registrar away", "err", err)
			} else {
				m.log.Info("registrar back")
			}
		}
		if nodes != nil { // also when this one could not be announced everywhere
			m.do(func(k *core, now time.Duration) { k.list(now, nodes) })
		}
		if first && err == nil {
			first = false
			close(m.ready)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// announce tells of this node and lists the others; nil: they are not known now.
func (m *Mesh) announce(ctx context.Context) ([]game.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, registerMax)
	defer cancel()
	m.mu.Lock()
	self := m.core.self
	m.mu.Unlock()
	err := m.deps.Registrar.Announce(ctx, self)
	if errors.Is(err, ErrNameTaken) {
		return nil, err
	}
	nodes, unlisted := m.deps.Registrar.Nodes(ctx)
	switch {
	case unlisted != nil:
		nodes = nil
	case nodes == nil:
		nodes = []game.Node{}
	}
	return nodes, errors.Join(err, unlisted)
}

// dispatch calls back what happens, in order.
func (m *Mesh) dispatch(ctx context.Context) {
	for {
		m.mu.Lock()
		list := m.queue
		m.queue = nil
		if len(list) > 0 {
			close(m.room)
			m.room = make(chan struct{})
		}
		m.mu.Unlock()
		for _, h := range list {
			m.happened(h)
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-m.happen:
		}
	}
}

func (m *Mesh) happened(h happening) {
	if h.word == nil {
		if h.change.Replaces {
			m.metrics.replaced.Inc()
		}
		m.changes(h.change)
		return
	}
	what := "refused"
	if m.deps.Deliver(h.word.uid, h.word.cmd, h.word.body) {
		what = "delivered"
	}
	m.metrics.words.WithLabelValues(what).Inc()
}

// Elsewhere implements world.Places.
func (m *Mesh) Elsewhere(area string) []world.CopyAt {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.elsewhere(area)
}

// Tell implements world.Places: a word that comes to nothing on the way is not told of.
func (m *Mesh) Tell(uid game.UID, cmd wire.Command, body []byte) (ok bool) {
	if len(body) > WordBytesMax || uid == 0 || uid > game.UIDMax || cmd == 0 || cmd > game.CommandMax {
		return false
	}
	m.do(func(k *core, now time.Duration) { ok = k.tell(now, word{uid, cmd, body}) })
	if ok {
		m.metrics.words.WithLabelValues("sent").Inc()
	}
	return ok
}

// Where implements world.Places.
func (m *Mesh) Where(uid game.UID) (world.Whereabouts, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.where(uid)
}

// Here implements world.Places. The first call for a user is a login, with the stamp of this moment.
func (m *Mesh) Here(uid game.UID, online bool, at game.Copy) {
	ms := uint64(max(1, time.Now().UnixMilli()))
	m.do(func(k *core, _ time.Duration) { k.here(ms, uid, online, at) })
}

// Population implements world.Places.
func (m *Mesh) Population(at game.Copy, avatars, capacity int) {
	f := fill{min(max(avatars, 0), populationMax), min(max(capacity, 0), populationMax)}
	m.do(func(k *core, _ time.Duration) { k.population(at, f) })
}

// Subscribe implements world.Places. Call it before Run.
func (m *Mesh) Subscribe(f func(world.Change)) { m.changes = f }

// Drain says whether this node is being emptied: the others do not choose it, and it claims no further copy.
func (m *Mesh) Drain(yes bool) { m.do(func(k *core, _ time.Duration) { k.drain(yes) }) }

// Nodes lists the other nodes that live and take clients, those with the fewest users first: where to go when this one dies.
func (m *Mesh) Nodes() []game.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.living(m.now())
}
