package replica

import (
	"bytes"
	"container/heap"
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

// The simulation: one seeded loop with virtual time, in which members are replicas
// with a journal each, and a network that loses, delays, doubles and cuts.

const domain = dns.Name("svc.test")

var simStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var clusterKey = credential.Key{1, 2, 3}

// simEvent is something that happens at a time; seq keeps the order of equals.
type simEvent struct {
	at  time.Time
	seq int
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = simEvent{}
	*q = old[:len(old)-1]
	return e
}

type sim struct {
	t     testing.TB
	rng   *rand.Rand
	now   time.Time
	queue simQueue
	seq   int
	nodes []*simNode
	index map[string]*simNode

	loss, double float64
	delay        func() time.Duration
	side         func(node int) int // of a cut; nodes of one side reach each other
	drop         func(m Message) bool

	verified  map[uint64]bool
	certs     map[string]dns.Certificate
	hash      maphash.Seed
	cheap     bool  // signatures that anybody could make
	sent      int64 // bytes, by all
	onReceive func(n *simNode, out Out)
	rejected  []Rejection
}

type simNode struct {
	s       *sim
	index   int
	cfg     Config
	r       *Replica
	synced  [][]byte
	written [][]byte // not synced
	skew    time.Duration
	run     int // counts starts; events of former ones are void
	up      bool
	paused  bool
	held    []func() // while paused
	view    map[string]bool
	wake    time.Time

	// What a table would hold that is told of changed names and zones alone. nil: not kept.
	table   map[dns.Name]string
	zones   map[dns.Name]string
	serials map[dns.Name]uint32
}

func newSim(t testing.TB, seed uint64, count int) *sim {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), now: simStart, index: map[string]*simNode{},
		verified: map[uint64]bool{}, certs: map[string]dns.Certificate{}, hash: maphash.MakeSeed(),
	}
	s.delay = func() time.Duration { return time.Duration(1+s.rng.IntN(10)) * time.Millisecond }
	s.side = func(int) int { return 0 }
	for i := range count {
		s.addNode(fmt.Sprintf("n%d", i), func(c dns.Certificate) dns.Certificate { return c })
	}
	return s
}

// addNode makes a member with the rights that narrow leaves of a full certificate.
func (s *sim) addNode(name string, narrow func(dns.Certificate) dns.Certificate) *simNode {
	id, err := credential.NewIdentity(narrow(credential.Full(name, simStart.Add(-time.Hour))), clusterKey.Issue)
	if err != nil {
		s.t.Fatal(err)
	}
	n := &simNode{s: s, index: len(s.nodes), cfg: Config{
		Identity: id, Issuers: [][]byte{clusterKey.Public()}, Domain: domain, SOA: dns.DefaultSOA(domain, "n0.svc.test", time.Second),
		Seed: s.rng.Uint64(), StartGrace: -1,
	}}
	s.nodes = append(s.nodes, n)
	s.index[name] = n
	return n
}

func (n *simNode) name() string   { return n.cfg.Identity.Cert.Node }
func (n *simNode) now() time.Time { return n.s.now.Add(n.skew) }

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, simEvent{at: s.now.Add(d), seq: s.seq, do: do})
}

// runFor lets virtual time pass.
func (s *sim) runFor(d time.Duration) {
	end := s.now.Add(d)
	for len(s.queue) > 0 && !s.queue[0].at.After(end) {
		e := heap.Pop(&s.queue).(simEvent)
		if e.at.After(s.now) {
			s.now = e.at
		}
		e.do()
	}
	s.now = end
}

// fresh makes a replica that shares what others verified.
func (n *simNode) fresh() *Replica {
	r, err := New(n.cfg)
	if err != nil {
		n.s.t.Fatal(err)
	}
	n.s.share(r)
	return r
}

func (s *sim) share(r *Replica) {
	if s.cheap {
		cheapSign := func(public, message []byte) []byte {
			sum := sha512.Sum512(append(public[:len(public):len(public)], message...))
			return sum[:]
		}
		r.sign = func(id credential.Identity, message []byte) []byte { return cheapSign(id.Cert.Key, message) }
		r.verify = func(public, message, sig []byte) bool { return bytes.Equal(sig, cheapSign(public, message)) }
	} else {
		r.verify = s.verify
	}
	r.certified = s.certified
}

// verify remembers what it said.
func (s *sim) verify(public, message, sig []byte) bool {
	var h maphash.Hash
	h.SetSeed(s.hash)
	h.Write(public)
	h.Write(message)
	h.Write(sig)
	ok, known := s.verified[h.Sum64()]
	if !known {
		ok = ed25519.Verify(public, message, sig)
		s.verified[h.Sum64()] = ok
	}
	return ok
}

func (s *sim) certified(b []byte, issuers [][]byte) (dns.Certificate, error) {
	key := string(b)
	for _, i := range issuers {
		key += string(i)
	}
	if c, ok := s.certs[key]; ok {
		return c, nil
	}
	c, err := credential.VerifyEncoded(b, issuers)
	if err == nil {
		s.certs[key] = c
	}
	return c, err
}

// start starts a member from its journal.
func (n *simNode) start() {
	n.run++
	n.r, n.up, n.paused, n.held, n.view, n.wake = n.fresh(), true, false, nil, map[string]bool{}, time.Time{}
	if n.table != nil {
		n.table, n.zones = map[dns.Name]string{}, map[dns.Name]string{}
	}
	for _, raw := range n.synced {
		if err := n.r.Restore(n.now(), raw); err != nil {
			n.s.t.Fatalf("%s: %v", n.name(), err)
		}
	}
	out, err := n.r.Start(n.now(), dns.Info{HTTP: "127.0.0.1:1"})
	n.take(out, err)
	n.s.relink(0)
}

// stop ends a member; what was not synced is lost when it crashed.
func (n *simNode) stop(crash bool) {
	if !crash {
		n.synced = append(n.synced, n.written...)
	}
	n.written, n.up, n.r = nil, false, nil
	n.run++
	n.s.relink(1200 * time.Millisecond)
}

// take does what a step wants done.
func (n *simNode) take(out Out, err error) {
	n.s.t.Helper()
	if err != nil {
		n.s.t.Fatalf("%s: %v", n.name(), err)
	}
	n.follow(out)
	s := n.s
	s.rejected = append(s.rejected, out.Rejected...)
	n.written = append(n.written, out.Keep...)
	if out.Urgent {
		n.synced, n.written = append(n.synced, n.written...), nil
	} else if len(out.Keep) > 0 {
		run := n.run
		s.after(50*time.Millisecond, func() {
			if n.run == run {
				n.synced, n.written = append(n.synced, n.written...), nil
			}
		})
	}
	for _, m := range out.Send {
		if m.To != "" {
			s.carry(n, s.index[m.To], m)
			continue
		}
		for _, peer := range s.nodes {
			if n.view[peer.name()] {
				s.carry(n, peer, m)
			}
		}
	}
	n.schedule()
}

// schedule has the replica ticked when it wants to be.
func (n *simNode) schedule() {
	at := n.r.Wake()
	if !n.wake.IsZero() && !at.Before(n.wake) {
		return
	}
	n.wake = at
	run := n.run
	n.s.after(max(at.Sub(n.now()), 0), func() {
		if n.run != run || !n.wake.Equal(at) {
			return
		}
		n.wake = time.Time{}
		n.act(func() { n.take(n.r.Tick(n.now()), nil) })
	})
}

// act does something on a member now, or when its pause is over.
func (n *simNode) act(do func()) {
	if n.paused {
		n.held = append(n.held, do)
		return
	}
	do()
}

func (n *simNode) pause(d time.Duration) {
	n.paused = true
	run := n.run
	n.s.after(d, func() {
		if n.run != run {
			return
		}
		n.paused = false
		held := n.held
		n.held = nil
		for _, do := range held {
			if n.run == run {
				do()
			}
		}
	})
}

// carry takes a message over the network.
func (s *sim) carry(from, to *simNode, m Message) {
	if s.drop != nil && s.drop(m) {
		return
	}
	s.sent += int64(len(m.Bytes))
	copies := 1
	if !m.Reliable {
		if len(m.Bytes) > datagramMax {
			s.t.Errorf("a datagram of %d bytes", len(m.Bytes))
		}
		if s.rng.Float64() < s.loss {
			copies = 0
		} else if s.rng.Float64() < s.double {
			copies = 2
		}
	}
	for range copies {
		d := s.delay()
		if m.Reliable {
			d += 2 * s.delay() // a connection is made
		}
		run := to.run
		s.after(d, func() {
			if to.run != run || !to.up || !from.up || s.side(from.index) != s.side(to.index) {
				return
			}
			to.act(func() {
				out, err := to.r.Receive(to.now(), from.name(), m.Bytes)
				to.take(out, err)
				if s.onReceive != nil {
					s.onReceive(to, out)
				}
			})
		})
	}
}

// relink has every member learn who lives, some time from now: a cut is noticed late, a new peer soon.
func (s *sim) relink(notice time.Duration) {
	for _, n := range s.nodes {
		n := n
		s.after(notice+time.Duration(50+s.rng.IntN(300))*time.Millisecond, func() {
			if n.up {
				n.act(n.look)
			}
		})
	}
}

func (n *simNode) look() {
	for _, p := range n.s.nodes {
		is := p != n && p.up && n.s.side(p.index) == n.s.side(n.index)
		switch was := n.view[p.name()]; {
		case is && !was:
			n.view[p.name()] = true
			n.take(n.r.Up(n.now(), p.name()), nil)
		case was && !is:
			delete(n.view, p.name())
			n.take(n.r.Down(n.now(), p.name(), false), nil)
		}
	}
}

func (s *sim) startAll() {
	for _, n := range s.nodes {
		n.start()
	}
	s.runFor(5 * time.Second)
}

// dump is all that a member knows which must be alike everywhere.
func dump(r *Replica) string {
	var b strings.Builder
	for _, name := range slices.Sorted(r.Names()) {
		set, _ := r.Set(name)
		for _, o := range set.Owned {
			fmt.Fprintf(&b, "%s %s %v %x ttl %d tier %v weight %d check %v health %v %q v %x\n",
				name, o.Owner, o.Type, o.Data, o.TTL, o.Tier, o.Weight, o.Check, o.Health.State, o.Health.Output, o.Version)
		}
		for _, rr := range set.RRs {
			fmt.Fprintf(&b, "%s zone %v %x ttl %d\n", name, rr.Type, rr.Data, rr.TTL)
		}
		fmt.Fprintf(&b, "%s policy %+v %v\n", name, set.Policy, set.Clients)
	}
	for _, z := range r.Zones() {
		fmt.Fprintf(&b, "zone %s %+v\n", z.Apex, z.SOA)
		for rr := range r.ZoneRRs(z.Apex) {
			fmt.Fprintf(&b, "%s: %s %v %x %d\n", z.Apex, rr.Name, rr.Type, rr.Data, rr.TTL)
		}
	}
	return b.String()
}

// converged says what differs between the members; nil: nothing.
func (s *sim) converged() error {
	up := slices.DeleteFunc(slices.Clone(s.nodes), func(n *simNode) bool { return !n.up })
	first := up[0]
	sums := first.r.digest(1)
	for _, n := range up[1:] {
		if n.r.digest(1) != sums {
			return fmt.Errorf("%s and %s hold different streams: %s", first.name(), n.name(), differing(first.r, n.r))
		}
	}
	want := dump(first.r)
	for _, n := range up[1:] {
		if got := dump(n.r); got != want {
			return fmt.Errorf("%s sees, and %s does not:\n%s\nthe other way:\n%s\nwaiting %d and %d", first.name(), n.name(), minus(want, got), minus(got, want), len(first.r.waiting), len(n.r.waiting))
		}
	}
	return nil
}

// minus gives the lines of a that b has not.
func minus(a, b string) string {
	var text strings.Builder
	for l := range strings.Lines(a) {
		if !strings.Contains(b, l) {
			text.WriteString(l)
		}
	}
	return text.String()
}

func differing(a, b *Replica) string {
	var text strings.Builder
	for node, s := range a.streams {
		o := b.streams[node]
		if o == nil {
			fmt.Fprintf(&text, "%s: %d entries and none; ", node, len(s.slots))
			continue
		}
		for slot, e := range s.slots {
			if f := o.slots[slot]; f == nil || f.version != e.version {
				fmt.Fprintf(&text, "%s: kind %d version %x, and %v; ", node, e.kind, e.version, f)
			}
		}
		for slot, e := range o.slots {
			if s.slots[slot] == nil {
				fmt.Fprintf(&text, "%s: nothing, and kind %d version %x; ", node, e.kind, e.version)
			}
		}
	}
	return text.String()
}

// wait lets time pass until all members are alike, at most so long, and tells how long it took.
func (s *sim) wait(most time.Duration) time.Duration {
	s.t.Helper()
	from := s.now
	for {
		err := s.converged()
		if err == nil {
			return s.now.Sub(from)
		}
		if s.now.Sub(from) >= most {
			s.t.Fatalf("after %v: %v", most, err)
		}
		s.runFor(20 * time.Millisecond)
	}
}

func record(name string, last byte) dns.Record {
	return dns.Record{RR: dns.AddrRR(dns.Name(name+".svc.test"), netip.AddrFrom4([4]byte{10, 0, 0, last}), 5), Weight: dns.WeightDefault}
}

// follow keeps the table by what the step told.
func (n *simNode) follow(out Out) {
	if n.table == nil {
		return
	}
	for _, name := range out.Names {
		n.table[name] = n.setText(name)
	}
	for _, apex := range out.Zones {
		n.zones[apex] = n.zoneText(apex)
	}
	for _, z := range n.r.Zones() {
		if d := int32(z.Serial - n.serials[z.Apex]); n.serials[z.Apex] != 0 && d < 0 {
			n.s.t.Errorf("%s: the serial of %s went back by %d", n.name(), z.Apex, -d)
		}
		n.serials[z.Apex] = z.Serial
	}
}

func (n *simNode) setText(name dns.Name) string {
	set, ok := n.r.Set(name)
	return fmt.Sprintf("%v %+v", ok, set)
}

// zoneText is what a secondary of the zone would have.
func (n *simNode) zoneText(apex dns.Name) string {
	var b strings.Builder
	for _, z := range n.r.Zones() {
		if z.Apex == apex {
			fmt.Fprintf(&b, "%+v\n", z)
		}
	}
	for rr := range n.r.ZoneRRs(apex) {
		fmt.Fprintf(&b, "%+v\n", rr)
	}
	for _, o := range n.r.Records(Filter{Under: apex}) {
		if o.Live() {
			fmt.Fprintf(&b, "%+v %v\n", o.RR, o.Tier)
		}
	}
	return b.String()
}

// checkTable says where the table is not what the replica holds.
func (n *simNode) checkTable() {
	for name := range n.r.Names() {
		if got, want := n.table[name], n.setText(name); got != want {
			n.s.t.Errorf("%s was not told of %s:\n%s\n%s", n.name(), name, got, want)
		}
	}
	for name, got := range n.table {
		if want := n.setText(name); got != want {
			n.s.t.Errorf("%s was not told of %s:\n%s\n%s", n.name(), name, got, want)
		}
	}
	for _, z := range n.r.Zones() {
		if got, want := n.zones[z.Apex], n.zoneText(z.Apex); got != want {
			n.s.t.Errorf("%s was not told of the zone %s:\n%s\n%s", n.name(), z.Apex, got, want)
		}
	}
}
