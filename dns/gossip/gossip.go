package gossip

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	crand "crypto/rand"

	"github.com/hashicorp/memberlist"

	"github.com/kamado/kamado/dns"
)

// Peer is another member as it is known here.
type Peer struct {
	Node string
	Addr netip.AddrPort
	Meta []byte
	Up   bool
	Left bool          // it said goodbye; false with Up false: dead
	RTT  time.Duration // last measured; 0: never
}

// Events hears what happens. All methods are called by one goroutine of Run, one
// at a time; they must return soon, since messages wait (bounded) behind them.
type Events interface {
	// Receive gets a message; from is the sender as it says itself. msg is the receiver's to keep.
	Receive(from string, msg []byte)
	// Up says that a peer lives; again when it restarted, moved or has new metadata.
	Up(node string, addr netip.AddrPort, meta []byte)
	// Down says that a peer is dead, or left.
	Down(node string, left bool)
	// RTT is a measured round trip to a peer.
	RTT(node string, d time.Duration)
	// Conflict says that two machines use one node name; here is the address that is
	// held for the member's, there the one that is not.
	Conflict(node string, here, there netip.AddrPort)
}

// Gossip is a member's end of the gossip. Safe for concurrent use.
type Gossip struct {
	cfg       Config
	ev        Events
	log       *slog.Logger
	metrics   *metrics
	transport memberlist.NodeAwareTransport
	list      *memberlist.Memberlist
	keyring   *memberlist.Keyring
	start     uint64         // of this process; see encodeMeta
	addr      netip.AddrPort // at which peers reach us; set before anybody can reach us
	goodbye   memberlist.TransmitLimitedQueue

	inbox   chan received
	outbox  chan Message
	changed chan struct{} // a peer's state may differ from what Events was told
	alone   chan struct{} // the last peer is gone
	repair  chan string   // a peer whose view differs from ours
	tasks   sync.WaitGroup
	streams chan struct{} // a slot for each stream that is being sent
	doubts  chan struct{} // a slot for each doubt that is being settled

	unconfirmed chan struct{} // something waits in pushes or confirms
	pushing     sync.Mutex    // guards what follows; taken after mu
	pushed      uint32        // counter of ids
	pushes      map[uint64]*push
	pushBytes   int
	windows     map[string]*window
	confirms    map[string][]uint64

	keys sync.Mutex // serializes SetKeys
	life sync.Mutex // held by Leave and by the end of Run: memberlist panics when it leaves after its end

	// memberlist calls us with its own lock held: nothing of memberlist is called under mu.
	mu        sync.Mutex
	meta      []byte
	peers     map[string]*peer
	lanes     map[string]*lane
	laned     int // bytes in lanes
	heard     time.Time
	view      view
	joined    bool // we belong to a cluster with others
	conflicts map[string]*conflict
	leaving   bool
	stopped   bool
}

// received is a message on its way to Events.
type received struct {
	from string
	msg  []byte
}

// New listens. It fails with a *dns.Error: Invalid for what is wrong in cfg, Conflict when the port is taken.
func New(cfg Config, ev Events) (*Gossip, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	keyring, err := memberlist.NewKeyring(cfg.Keys, cfg.Keys[0])
	if err != nil {
		return nil, &dns.Error{Op: "start gossip", Kind: dns.Invalid, Err: err}
	}
	var start [8]byte
	crand.Read(start[:])
	g := &Gossip{
		cfg: cfg, ev: ev, log: cfg.Log, metrics: newMetrics(), keyring: keyring, start: binary.LittleEndian.Uint64(start[:]),
		inbox: make(chan received, inboxMax), outbox: make(chan Message, outboxMax),
		changed: make(chan struct{}, 1), alone: make(chan struct{}, 1), repair: make(chan string), streams: make(chan struct{}, sendsMax), doubts: make(chan struct{}, doubtsMax),
		meta: cfg.Meta, peers: map[string]*peer{}, lanes: map[string]*lane{}, conflicts: map[string]*conflict{}, heard: time.Now(), view: view{of: map[string]uint64{}},
	}
	g.unconfirmed, g.pushes, g.windows, g.confirms = make(chan struct{}, 1), map[uint64]*push{}, map[string]*window{}, map[string][]uint64{}
	g.goodbye.RetransmitMult, g.goodbye.NumNodes = 4, g.upCount
	conf := cfg.memberlist()
	conf.Keyring = keyring
	conf.Logger = (&listLog{log: cfg.Log, metrics: g.metrics}).logger()
	d := delegate{g}
	conf.Delegate, conf.Events, conf.Ping, conf.Conflict, conf.Alive, conf.Merge = d, d, d, d, d, d
	if g.transport = cfg.Transport; g.transport == nil {
		if g.transport, err = listen(&cfg, g.metrics); err != nil {
			return nil, err
		}
	}
	conf.Transport = g.transport
	ip, port, err := g.transport.FinalAdvertiseAddr("", 0)
	if err != nil {
		g.transport.Shutdown()
		return nil, err
	}
	g.addr = addrOf(&memberlist.Node{Addr: ip, Port: uint16(port)})
	if g.list, err = memberlist.Create(conf); err != nil {
		g.transport.Shutdown()
		return nil, &dns.Error{Op: "start gossip", Kind: dns.Internal, Err: err}
	}
	g.metrics.register(cfg.Registerer, g)
	return g, nil
}

// Run carries messages and events until ctx ends, then closes the sockets. A
// member that stops without Leave is dead for the others after a while.
func (g *Gossip) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	g.tasks.Go(func() { g.sendLoop(ctx) })
	g.tasks.Go(func() { g.pushLoop(ctx) })
	g.tasks.Go(func() { g.joinLoop(ctx) })
	g.tasks.Go(func() { g.knockLoop(ctx) })
	g.tasks.Go(func() { g.repairLoop(ctx) })
	g.dispatch(ctx)
	cancel()
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.life.Lock()
	err := g.list.Shutdown()
	g.life.Unlock()
	g.tasks.Wait()
	g.metrics.unregister(g.cfg.Registerer)
	return err
}

// dispatch calls Events. News of members come before messages.
func (g *Gossip) dispatch(ctx context.Context) {
	rtt := time.NewTicker(rttEvery)
	defer rtt.Stop()
	for {
		select {
		case <-g.changed:
			g.report(ctx)
			continue
		default:
		}
		select {
		case <-g.changed:
			g.report(ctx)
		case r := <-g.inbox:
			g.ev.Receive(r.from, r.msg)
		case <-rtt.C:
			g.reportRTT()
		case <-ctx.Done():
			return
		}
	}
}

// task starts a goroutine that Run waits for; false when Run has ended.
func (g *Gossip) task(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.tasks.Go(f)
	return true
}

// Leave tells the others that this member goes on purpose, for at most a time. Run
// should be ended afterwards.
func (g *Gossip) Leave(timeout time.Duration) error {
	g.life.Lock()
	defer g.life.Unlock()
	g.mu.Lock()
	g.leaving = true
	stopped := g.stopped
	up := g.live()
	g.mu.Unlock()
	if stopped {
		return nil
	}
	bye := appendFrame(nil, kindLeave, g.cfg.Node, leave{g.cfg.Node, g.start}.encode())
	g.goodbye.QueueBroadcast(&goodbye{g.cfg.Node, bye})
	for range 2 { // each may be lost, and the others pass it on
		for i := range up {
			g.packet(&up[i], bye, "leave")
		}
	}
	if err := g.list.Leave(timeout); err != nil {
		return &dns.Error{Op: "leave", Kind: dns.Unavailable, Detail: "not all members may have heard it", Err: err}
	}
	return nil
}

// SetKeys replaces the keyring: the first key encrypts, all decrypt.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	g.keys.Lock()
	defer g.keys.Unlock()
	// UseKey puts a key in front of all. So the wanted ones come to the front in their
	// order, and the others are removed from the end, where the keyring does not move
	// what its readers hold.
	for _, k := range slices.Backward(keys) {
		if err := errors.Join(g.keyring.AddKey(k), g.keyring.UseKey(k)); err != nil {
			return &dns.Error{Op: "set gossip keys", Kind: dns.Internal, Err: err}
		}
	}
	for ring := g.keyring.GetKeys(); len(ring) > len(keys); ring = g.keyring.GetKeys() {
		if err := g.keyring.RemoveKey(ring[len(ring)-1]); err != nil {
			return &dns.Error{Op: "set gossip keys", Kind: dns.Internal, Err: err}
		}
	}
	return nil
}

// SetMeta replaces the metadata and tells the others.
func (g *Gossip) SetMeta(meta []byte) error {
	if len(meta) > MetaBytesMax {
		return &dns.Error{Op: "set metadata", Kind: dns.Invalid, Detail: fmt.Sprintf("metadata of %d bytes, at most %d", len(meta), MetaBytesMax)}
	}
	g.mu.Lock()
	g.meta = meta
	g.mu.Unlock()
	if err := g.list.UpdateNode(g.cfg.Timing.Stream); err != nil {
		return &dns.Error{Op: "set metadata", Kind: dns.Unavailable, Err: err}
	}
	return nil
}

// Remember makes a member known that was met before this start, so that it is looked for.
func (g *Gossip) Remember(node string, addr netip.AddrPort) {
	if dns.CheckNode(node) != nil || !addr.IsValid() || node == g.cfg.Node {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.peers[node] == nil && len(g.peers) < PeersMax {
		g.peers[node] = &peer{node: node, addr: addr, state: dead, told: dead}
	}
}

// Forget lets a dead or left peer be looked for no more.
func (g *Gossip) Forget(node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.peers[node]; p != nil && p.state != up && !p.listed {
		delete(g.peers, node)
	}
}

// Peers lists the peers that are known, ordered by node.
func (g *Gossip) Peers() []Peer {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Peer
	for _, p := range g.peers {
		out = append(out, Peer{Node: p.node, Addr: p.addr, Meta: p.meta, Up: p.state == up, Left: p.state == left, RTT: p.rtt})
	}
	slices.SortFunc(out, func(a, b Peer) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// Addr is the address at which peers reach this member.
func (g *Gossip) Addr() netip.AddrPort { return g.addr }
