package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/kamado/kamado/dns"
)

// Bounds of what waits.
const (
	inboxMax      = 4096
	rttEvery      = 250 * time.Millisecond
	conflictEvery = time.Minute // between two reports of the same conflict
	conflictsMax  = 1024        // names
)

// state is what we believe of a peer.
type state uint8

const (
	unknown state = iota
	up
	dead
	left
)

// peer is what we know of a peer. Invariant: told is state as Events last heard it.
type peer struct {
	node  string
	addr  netip.AddrPort
	meta  []byte
	start uint64 // of its process
	pmax  uint8  // memberlist's protocol version

	listed bool  // memberlist holds it for alive
	asking bool  // a doubt is being settled
	state  state // up while it is doubted
	told   state
	news   bool // Up must be told again

	goodbye uint64 // the start that its goodbye named; 0: none
	rtt     time.Duration
	rttNews bool
}

// doubted says whether memberlist holds for dead what we still believe to live.
func (p *peer) doubted() bool { return p.state == up && !p.listed }

// list gives what memberlist wants to know of a peer to send to it.
func (p *peer) list() memberlist.Node {
	return memberlist.Node{Name: p.node, Addr: p.addr.Addr().AsSlice(), Port: p.addr.Port(), PMax: p.pmax}
}

// live gives the peers that are up. Preconditions: mu is held.
func (g *Gossip) live() []memberlist.Node {
	var out []memberlist.Node
	for _, p := range g.peers {
		if p.state == up {
			out = append(out, p.list())
		}
	}
	return out
}

func (g *Gossip) upCount() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.upLocked()
}

func (g *Gossip) upLocked() int {
	n := 0
	for _, p := range g.peers {
		if p.state == up {
			n++
		}
	}
	return n
}

// delegate hears memberlist, which holds its own lock meanwhile.
type delegate struct{ g *Gossip }

var (
	_ memberlist.Delegate         = delegate{}
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.PingDelegate     = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
	_ memberlist.AliveDelegate    = delegate{}
	_ memberlist.MergeDelegate    = delegate{}
)

func (d delegate) NodeMeta(int) []byte {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	return encodeMeta(d.g.start, d.g.meta)
}

func (d delegate) LocalState(bool) []byte        { return nil }
func (d delegate) MergeRemoteState([]byte, bool) {}

// AckPayload is asked for when a peer probes us: it gets our view in short.
func (d delegate) AckPayload() []byte {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	d.g.heard = time.Now()
	return binary.LittleEndian.AppendUint64(nil, d.g.view.sum)
}

// GetBroadcasts gives goodbyes that are passed on.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.g.goodbye.GetBroadcasts(overhead, limit)
}

// NotifyAlive refuses members that no member of ours can be.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if _, _, ok := parseMeta(n.Meta); !ok {
		return errors.New("its metadata is not ours")
	}
	if err := dns.CheckNode(n.Name); err != nil {
		return err
	}
	if addr, ok := netip.AddrFromSlice(n.Addr); !ok || addr.IsUnspecified() || n.Port == 0 {
		return errors.New("it has no address")
	}
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	if d.g.peers[n.Name] == nil && len(d.g.peers) >= PeersMax {
		return fmt.Errorf("more than %d peers", PeersMax)
	}
	return nil
}

func (d delegate) NotifyJoin(n *memberlist.Node)   { d.g.alive(n) }
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.g.alive(n) }

// alive takes note that memberlist holds a peer for alive.
func (g *Gossip) alive(n *memberlist.Node) {
	if n.Name == g.cfg.Node {
		g.mu.Lock()
		g.view.put(n.Name, hashOf(n))
		g.mu.Unlock()
		return
	}
	start, meta, ok := parseMeta(n.Meta)
	if !ok {
		return // NotifyAlive let none in
	}
	addr := addrOf(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joined = true
	p := g.peers[n.Name]
	if p == nil {
		p = &peer{node: n.Name}
		g.peers[n.Name] = p
	}
	p.news = p.news || p.start != start || p.addr != addr || string(p.meta) != string(meta)
	p.start, p.addr, p.meta, p.pmax = start, addr, append([]byte(nil), meta...), n.PMax
	p.listed, p.state = true, up
	g.view.put(p.node, hashOf(n))
	g.wake(g.changed)
}

// NotifyLeave comes for the dead and for those that left; memberlist does not say which.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	g := d.g
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.peers[n.Name]
	if p == nil { // ourselves: we leave
		return
	}
	p.listed = false
	g.view.put(p.node, 0)
	if p.goodbye != 0 && p.goodbye == p.start {
		p.state = left
	}
	g.wake(g.changed)
}

// NotifyMsg hears a message of a peer. The bytes are memberlist's.
func (d delegate) NotifyMsg(b []byte) {
	g := d.g
	kind, from, body, err := parseFrame(b)
	if err != nil || len(body) > MessageBytesMax {
		g.metrics.drop("malformed")
		return
	}
	g.mu.Lock()
	g.heard = time.Now()
	g.mu.Unlock()
	switch kind {
	case kindLeave:
		g.metrics.message("in", "leave", len(body))
		g.left(body)
		return
	case kindConfirm:
		g.metrics.message("in", "confirm", len(body))
		g.confirmed(from, body)
		return
	case kindPush:
		g.metrics.message("in", "packet", len(body))
		if len(g.inbox) == cap(g.inbox) { // it will come again
			g.metrics.drop("inbox")
			return
		}
		if body = g.takePush(from, body); body == nil {
			return
		}
	case kindMessage:
		g.metrics.message("in", "stream", len(body))
	}
	select {
	case g.inbox <- received{from, append([]byte(nil), body...)}:
	default:
		g.metrics.drop("inbox")
	}
}

// left takes a goodbye, and passes it on once.
func (g *Gossip) left(body []byte) {
	l, err := parseLeave(body)
	if err != nil {
		g.metrics.drop("malformed")
		return
	}
	g.mu.Lock()
	p := g.peers[l.node]
	fresh := p != nil && p.start == l.start && p.goodbye != l.start
	if fresh {
		p.goodbye = l.start
		if !p.listed {
			p.state = left
		}
		g.wake(g.changed)
	}
	g.mu.Unlock()
	if fresh {
		g.goodbye.QueueBroadcast(&goodbye{l.node, appendFrame(nil, kindLeave, g.cfg.Node, body)})
	}
}

// goodbye is one in the queue of what is passed on.
type goodbye struct {
	node string
	msg  []byte
}

func (b *goodbye) Name() string                          { return b.node }
func (b *goodbye) Message() []byte                       { return b.msg }
func (b *goodbye) Finished()                             {}
func (b *goodbye) Invalidates(memberlist.Broadcast) bool { return false }

// NotifyPingComplete hears an answer to a probe.
func (d delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, view []byte) {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	d.g.heard = time.Now()
	if len(view) == 8 && d.g.view.differs(binary.LittleEndian.Uint64(view)) {
		select {
		case d.g.repair <- n.Name + "/" + addrOf(n).String():
		default:
		}
	}
	if p := d.g.peers[n.Name]; p != nil {
		p.rtt, p.rttNews = max(rtt, 1), true
	}
}

// conflict is a name in use at two addresses.
type conflict struct {
	here, there netip.AddrPort
	told        time.Time
	news        bool
}

// errTaken is found again in the text of memberlist's error.
var errTaken = errors.New("the node name is in use")

// NotifyMerge judges what a member that was asked to take us knows, or one that
// asks us, before anything of it is believed. Is our name in use at another
// address, and do we not belong to a cluster yet, then we are the second with it:
// the others would ignore us, and we do not begin.
func (d delegate) NotifyMerge(nodes []*memberlist.Node) error {
	g := d.g
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range nodes {
		lives := n.State == memberlist.StateAlive || n.State == memberlist.StateSuspect
		if n.Name == g.cfg.Node && lives && addrOf(n) != g.addr {
			g.noteConflict(n.Name, g.addr, addrOf(n))
			if !g.joined {
				return fmt.Errorf("%w at %v", errTaken, addrOf(n))
			}
		}
	}
	return nil
}

// NotifyConflict hears that a name is used at two addresses. memberlist keeps the first.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	d.g.noteConflict(existing.Name, addrOf(existing), addrOf(other))
}

// noteConflict lets Events hear of a conflict, now and then. Preconditions: mu is held.
func (g *Gossip) noteConflict(node string, here, there netip.AddrPort) {
	c := g.conflicts[node]
	if c == nil {
		if len(g.conflicts) >= conflictsMax {
			return
		}
		c = &conflict{}
		g.conflicts[node] = c
	}
	if c.there != there || time.Since(c.told) >= conflictEvery {
		c.here, c.there, c.told, c.news = here, there, time.Now(), true
		g.wake(g.changed)
	}
}

func addrOf(n *memberlist.Node) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(n.Addr)
	return netip.AddrPortFrom(ip.Unmap(), n.Port)
}

func (g *Gossip) wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// report tells Events what it does not know, and starts to settle doubts.
func (g *Gossip) report(ctx context.Context) {
	var tell []func()
	g.mu.Lock()
	for node, c := range g.conflicts {
		if c.news {
			c.news = false
			here, there := c.here, c.there
			tell = append(tell, func() { g.ev.Conflict(node, here, there) })
		}
	}
	for _, p := range g.peers {
		if p.doubted() && !p.asking && !g.stopped {
			p.asking = true
			g.tasks.Go(func() { g.doubt(ctx, p) })
		}
		if f := g.newsOf(p); f != nil {
			p.told, p.news = p.state, false
			tell = append(tell, f)
		}
	}
	alone := g.upLocked() == 0
	g.mu.Unlock()
	for _, f := range tell {
		f()
	}
	if alone {
		g.wake(g.alone)
	}
}

// newsOf gives the call that tells Events what it does not know of a peer; nil when
// there is none. Preconditions: mu is held.
func (g *Gossip) newsOf(p *peer) func() {
	node, addr, meta := p.node, p.addr, p.meta
	switch {
	case p.state == up && (p.told != up || p.news):
		return func() { g.ev.Up(node, addr, meta) }
	case p.state == dead && p.told == up:
		return func() { g.ev.Down(node, false) }
	case p.state == left && (p.told == up || p.told == dead): // or its goodbye came late
		return func() { g.ev.Down(node, true) }
	}
	return nil
}

func (g *Gossip) reportRTT() {
	type measured struct {
		node string
		rtt  time.Duration
	}
	var list []measured
	g.mu.Lock()
	for _, p := range g.peers {
		if p.rttNews {
			p.rttNews = false
			list = append(list, measured{p.node, p.rtt})
		}
	}
	g.mu.Unlock()
	for _, m := range list {
		g.ev.RTT(m.node, m.rtt)
	}
}
