package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
	"github.com/kamado/kamado/dns/gossip"
	"github.com/kamado/kamado/dns/journal"
	"github.com/kamado/kamado/dns/replica"
	"github.com/kamado/kamado/internal/lifecycle"
)

// Config says which member this is.
type Config struct {
	Node        string
	Domain      dns.Name
	NegativeTTL time.Duration
	Info        dns.Info
	// Origin is the address of the member's own name; invalid: it has none.
	Origin netip.Addr
}

// Journal keeps entries.
type Journal interface {
	Append(entries [][]byte) journal.Wait
}

// Peers carries messages to the other members.
type Peers interface {
	Send(gossip.Message)
	Leave(timeout time.Duration) error
	SetKeys(keys [][]byte) error
	Forget(node string)
}

// Table answers questions from sets.
type Table interface {
	PutZone(zone dns.Zone, ns []dns.Name)
	PutStatic(apex dns.Name, rrs []dns.RR) error
	RemoveZone(apex dns.Name)
	Put(set dns.Set) bool
	Choose(set dns.Set, typ dns.Type, client netip.Addr, now time.Time) []dns.Choice
	Explain(name dns.Name, typ dns.Type, client netip.AddrPort, random uint64, now time.Time, sets func(dns.Name) dns.Set) answer.Explanation
}

// Deps are what a member is made of. Peers is set with SetPeers, because gossip needs the node first.
type Deps struct {
	Replica    *replica.Replica // restored, not started
	Journal    Journal
	Table      Table
	Ring       *Ring
	Now        func() time.Time
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	// ZoneChanged is told of each zone whose serial grew; it must return soon. Nil: nobody is told.
	ZoneChanged func(apex dns.Name)
	// CheckSpec judges a health check before its record is taken. Nil: every check is.
	CheckSpec func(dns.Check) error
	// Event is told of everything that happens; it must return soon. Nil: nobody is told.
	Event func(dns.Event)
}

// Node is the member. Safe for concurrent use.
type Node struct {
	cfg  Config
	deps Deps

	steps chan *change  // to the writer
	kick  chan struct{} // the replica's Wake may have moved
	own   chan struct{} // closed and replaced when own records changed; under mu

	mu      sync.Mutex
	rep     *replica.Replica
	peers   Peers // nil: alone
	statics map[dns.Name]static
	zones   map[dns.Name]bool // that the table has from the replica
	ns      []dns.Name        // of the domain
	left    bool
	news    news
	seen    map[dns.Name][]seen
	members map[string]dns.MemberState
	// locations are where members are; those without one are not in it.
	locations map[string]string
	metrics   *metrics
}

// static is a zone from a master file.
type static struct {
	rrs    []dns.RR
	serial uint32
}

// stepsMax bounds local changes that wait for the writer.
const stepsMax = 4096

// New starts the member's stream: it gets its info and its own name, and every
// name that was restored is answered. Run must follow.
func New(cfg Config, deps Deps) (*Node, error) {
	n := &Node{
		cfg: cfg, deps: deps, rep: deps.Replica, steps: make(chan *change, stepsMax), kick: make(chan struct{}, 1), own: make(chan struct{}),
		statics: map[dns.Name]static{}, zones: map[dns.Name]bool{}, seen: map[dns.Name][]seen{}, members: map[string]dns.MemberState{}, locations: map[string]string{}, metrics: newMetrics(),
	}
	n.news.init()
	if deps.Registerer != nil {
		if err := deps.Registerer.Register(n.metrics.on(n)); err != nil {
			return nil, fmt.Errorf("register metrics of names: %w", err)
		}
	}
	return n, nil
}

// Start publishes the member and what it remembers. It needs the journal's Run.
func (n *Node) Start(ctx context.Context) error {
	if err := n.do(ctx, n.startStep()); err != nil {
		return fmt.Errorf("begin the stream of %s: %w", n.cfg.Node, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.publishAll()
	return nil
}

// startStep begins the stream; without it there is no member, so it has no undo.
func (n *Node) startStep() *change {
	return &change{do: func(now time.Time) (replica.Out, error) {
		out, err := n.rep.Start(now, n.cfg.Info)
		if err != nil || !n.cfg.Origin.IsValid() {
			return out, err
		}
		origin, err := n.originRecord()
		if err != nil {
			return out, err
		}
		for _, o := range n.rep.Records(replica.Filter{Owner: n.cfg.Node}) {
			if o.Tier == dns.Origin && (o.Name != origin.Name || string(o.Data) != string(origin.Data)) {
				gone, err := n.rep.Remove(now, o.ID())
				if err != nil {
					return out, err
				}
				merge(&out, gone)
			}
		}
		added, err := n.rep.Add(now, origin)
		if dns.KindOf(err) == dns.Denied {
			n.deps.Log.Warn("this member's certificate does not cover its own name; it has none", "error", err)
			return out, nil
		}
		merge(&out, added)
		return out, err
	}}
}

func (n *Node) originRecord() (dns.Record, error) {
	name, err := dns.Name(n.cfg.Node).Join(n.cfg.Domain)
	return dns.Record{RR: dns.AddrRR(name, n.cfg.Origin, dns.TTLOrigin), Tier: dns.Origin, Weight: dns.WeightDefault, Location: n.cfg.Info.Location}, err
}

// merge puts the effects of a second step behind those of a first.
func merge(out *replica.Out, more replica.Out) {
	out.Keep = append(out.Keep, more.Keep...)
	out.Urgent = out.Urgent || more.Urgent
	out.Send = append(out.Send, more.Send...)
	out.Names = append(out.Names, more.Names...)
	out.Zones = append(out.Zones, more.Zones...)
	out.Members = out.Members || more.Members
	out.Keyring = out.Keyring || more.Keyring
	out.Rejected = append(out.Rejected, more.Rejected...)
}

// SetPeers gives the member its way to the others. Call it before Run.
func (n *Node) SetPeers(p Peers) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers = p
}

// SetGossip tells the member where gossip reaches it. Call it before Start.
func (n *Node) SetGossip(at netip.AddrPort) { n.cfg.Info.Gossip = at }

// SetAPI tells the member where its API is. Call it before Start.
func (n *Node) SetAPI(addr string) { n.cfg.Info.HTTP = addr }

// Snapshot gives every entry that a journal must hold.
func (n *Node) Snapshot(yield func(entry []byte) bool) {
	n.mu.Lock()
	var all [][]byte
	n.rep.Snapshot(func(entry []byte) bool {
		all = append(all, entry)
		return true
	})
	n.mu.Unlock()
	for _, entry := range all {
		if !yield(entry) {
			return
		}
	}
}

// Run takes local changes and keeps time for the replica until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	g := lifecycle.Group{Log: slog.New(slog.DiscardHandler)}
	g.Add("time", n.keepTime)
	g.Add("writer", n.write)
	return g.Run(ctx)
}

// tickLeast is the least time between two ticks of the replica.
const tickLeast = time.Millisecond

// keepTime calls Tick when the replica asks for it, however much else happens.
func (n *Node) keepTime(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := n.deps.Now() // not before this
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.kick:
		case <-timer.C:
		}
		n.mu.Lock()
		now := n.deps.Now()
		if !now.Before(next) && !now.Before(n.rep.Wake()) {
			n.follow(n.rep.Tick(now))
			n.useDue(now)
			next = now.Add(tickLeast)
		}
		wait := max(n.rep.Wake().Sub(now), next.Sub(now), 0)
		n.mu.Unlock()
		timer.Reset(min(wait, time.Second))
	}
}

// wake lets keepTime look at the clock again.
func (n *Node) wake() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// follow does what a step wants that waits for nobody. Preconditions: mu is held.
func (n *Node) follow(out replica.Out) {
	if len(out.Keep) > 0 {
		wait := n.deps.Journal.Append(out.Keep)
		if out.Urgent {
			out.Keep = nil
			// The writer waits for the disk in its own order, and publishes then.
			select {
			case n.steps <- &change{after: wait, out: out}:
				return
			default:
				n.deps.Log.Warn("a change of the state is published before it is on disk: too many wait")
			}
		}
	}
	n.publish(out)
}

// publish brings answers, watchers and peers up to date. Preconditions: mu is held, and what must be on disk is.
func (n *Node) publish(out replica.Out) {
	for _, r := range out.Rejected {
		n.reject(r)
	}
	if out.Members {
		n.publishMembers()
	}
	if out.Keyring {
		n.applyRing()
	}
	for _, apex := range out.Zones {
		n.publishZone(apex)
	}
	touched := false
	for _, name := range out.Names {
		touched = n.publishName(name) || touched
	}
	if touched {
		close(n.own)
		n.own = make(chan struct{})
	}
	if n.peers != nil && !n.left {
		for _, m := range out.Send {
			n.peers.Send(gossip.Message(m))
		}
	}
	n.wake()
}

// publishAll answers everything that is known. Preconditions: mu is held.
func (n *Node) publishAll() {
	n.publishMembers()
	for _, z := range n.rep.Zones() {
		n.putZone(z)
	}
	for name := range n.rep.Names() {
		n.publishName(name)
	}
	n.applyRing()
}

// publishName answers a name as it is now, and says whether an own record is in it. Preconditions: mu is held.
func (n *Node) publishName(name dns.Name) (own bool) {
	set, _ := n.rep.Set(name)
	set.Name = name
	n.place(&set)
	n.deps.Table.Put(set)
	return n.tell(set)
}

// place gives records without a location that of their member. Preconditions: mu is held.
func (n *Node) place(set *dns.Set) {
	for i := range set.Owned {
		if o := &set.Owned[i]; o.Location == "" {
			o.Location = n.locations[o.Owner]
		}
	}
}

// putZone answers a zone, unless a file of this member hides it. Preconditions: mu is held.
func (n *Node) putZone(z dns.Zone) {
	if _, hidden := n.statics[z.Apex]; hidden {
		return
	}
	n.zones[z.Apex] = true
	n.deps.Table.PutZone(n.dress(z), n.ns)
}

// zone finds the domain or a shared zone. Preconditions: mu is held.
func (n *Node) zone(apex dns.Name) (dns.Zone, bool) {
	for _, z := range n.rep.Zones() {
		if z.Apex == apex {
			return z, true
		}
	}
	return dns.Zone{}, false
}

// publishZone answers a zone as it is now. Preconditions: mu is held.
func (n *Node) publishZone(apex dns.Name) {
	if _, hidden := n.statics[apex]; hidden {
		return
	}
	known := n.zones[apex]
	z, there := n.zone(apex)
	e := dns.Event{Kind: dns.EventZone, Name: apex, State: "gone"}
	if there {
		n.putZone(z)
		e.State, e.Text = "changed", fmt.Sprintf("serial %d", z.Serial)
	} else {
		delete(n.zones, apex)
		n.deps.Table.RemoveZone(apex)
	}
	if known != there {
		n.moveNames(apex)
	}
	if apex != n.cfg.Domain { // whose every change is told as what it is
		n.event(e)
	}
	if there && n.deps.ZoneChanged != nil {
		n.deps.ZoneChanged(apex)
	}
}

// moveNames answers the names below an apex from the zone in which they lie now. Preconditions: mu is held.
func (n *Node) moveNames(apex dns.Name) {
	for name := range n.rep.Names() {
		if name.Under(apex) {
			n.publishName(name)
		}
	}
}

// nsMax bounds the name servers of the domain: more do not fit into a referral.
const nsMax = 8

// dress gives the domain's SOA the name of a member that lives.
func (n *Node) dress(z dns.Zone) dns.Zone {
	if len(n.ns) > 0 && (z.SOA.MName == "" || z.Kind == dns.DomainZone) {
		z.SOA.MName = n.ns[0]
	}
	return z
}

// publishMembers looks at who lives. Preconditions: mu is held.
func (n *Node) publishMembers() {
	var ns []dns.Name
	for _, m := range n.rep.Members() {
		n.tellMember(m)
		if at := m.Info.Location; at != n.locations[m.Node] {
			n.locations[m.Node] = at
			n.moveRecords(m.Node)
		}
		if m.State != dns.MemberAlive || len(ns) == nsMax {
			continue
		}
		if name, err := dns.Name(m.Node).Join(n.cfg.Domain); err == nil {
			ns = append(ns, name)
		}
	}
	if slices.Equal(ns, n.ns) {
		return
	}
	n.ns = ns
	for _, z := range n.rep.Zones() {
		n.putZone(z)
	}
}

// moveRecords answers the records of a member from where it is now. Preconditions: mu is held.
func (n *Node) moveRecords(owner string) {
	for _, o := range n.rep.Records(replica.Filter{Owner: owner}) {
		if o.Location == "" {
			n.publishName(o.Name)
		}
	}
}

// reject counts and says what was refused. Preconditions: mu is held.
func (n *Node) reject(r replica.Rejection) {
	n.metrics.rejected.WithLabelValues(r.Reason.String()).Inc()
	if r.Reason == replica.UnknownMember || r.Reason == replica.Replayed {
		return // happens whenever messages overtake each other
	}
	n.deps.Log.Warn("refused what a member said", "from", r.From, "member", r.Node, "reason", r.Reason.String(), "detail", r.Detail)
}

// errStopped is the end of the writer.
var errStopped = &dns.Error{Kind: dns.Unavailable, Detail: "this member is stopping"}

// errLeft is said to changes of a member that left.
var errLeft = &dns.Error{Kind: dns.Conflict, Detail: "this member has left the cluster: start it again before it changes something"}
