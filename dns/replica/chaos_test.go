package replica

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
)

// chaos lets members write while everything goes wrong, and remembers what was
// acknowledged: owned records of each member, and zone records of names that one
// member alone writes. Names that all write need only become alike.
type chaos struct {
	*sim
	rng   *rand.Rand
	owned map[string]map[string]dns.Record      // by member, by name and data
	solo  map[dns.Name]map[string]bool          // data of TXT records
	state map[string]map[dns.RecordID]dns.State // what the member's checks find
}

func longTests() bool { return os.Getenv("KAMADO_TEST_ALL") != "" }

// TestChaos is the invariants: all become alike, no acknowledged write is lost,
// what was deleted does not come back, nobody honest is refused.
func TestChaos(t *testing.T) {
	t.Parallel()
	seeds := 8
	if longTests() {
		seeds = 400
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			c := newChaos(t, uint64(seed))
			c.storm(40 * time.Second)
			c.calm()
			c.runFor(2 * time.Second)
			c.wait(20 * time.Second)
			c.judge()
		})
	}
}

// TestChaosNeedsTheRepair shows that the storm is one: with pushes alone members do
// not become alike, so it is the repair that TestChaos tests.
func TestChaosNeedsTheRepair(t *testing.T) {
	t.Parallel()
	apart := 0
	for seed := range 3 {
		c := newChaos(t, uint64(seed))
		c.drop = func(m Message) bool { return m.Bytes[1] != msgPush }
		c.storm(20 * time.Second)
		c.calm()
		c.runFor(20 * time.Second)
		if c.converged() != nil {
			apart++
		}
	}
	if apart != 3 {
		t.Errorf("without repair %d of 3 storms left members unlike, want all", apart)
	}
}

func newChaos(t testing.TB, seed uint64) *chaos {
	c := &chaos{
		sim: newSim(t, seed, 5), rng: rand.New(rand.NewPCG(seed, 11)),
		owned: map[string]map[string]dns.Record{}, solo: map[dns.Name]map[string]bool{}, state: map[string]map[dns.RecordID]dns.State{},
	}
	c.cheap = true
	for _, n := range c.nodes {
		c.owned[n.name()], c.state[n.name()] = map[string]dns.Record{}, map[dns.RecordID]dns.State{}
		n.skew = time.Duration(c.rng.IntN(80)-40) * time.Second / 2
		n.table, n.zones, n.serials = map[dns.Name]string{}, map[dns.Name]string{}, map[dns.Name]uint32{}
	}
	c.startAll()
	out, err := c.nodes[0].r.CreateZone(c.nodes[0].now(), dns.Zone{Apex: "zone.test", SOA: dns.DefaultSOA("zone.test", "ns.zone.test", time.Second)})
	c.nodes[0].take(out, err)
	c.wait(5 * time.Second)
	return c
}

// storm writes and breaks things for so long.
func (c *chaos) storm(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); c.runFor(time.Duration(c.rng.IntN(200)) * time.Millisecond) {
		n := c.nodes[c.rng.IntN(len(c.nodes))]
		if c.rng.IntN(10) == 0 {
			c.breakSomething(n)
		} else if n.up && !n.paused {
			c.write(n)
		}
	}
}

func (c *chaos) breakSomething(n *simNode) {
	switch c.rng.IntN(8) {
	case 0:
		cut := c.rng.IntN(1 << len(c.nodes))
		c.side = func(i int) int { return cut >> i & 1 }
		c.relink(1200 * time.Millisecond)
	case 1, 2:
		c.side = func(int) int { return 0 }
		c.relink(0)
	case 3:
		c.loss, c.double = c.rng.Float64()*0.3, c.rng.Float64()*0.3
	case 4:
		if n.up {
			n.pause(time.Duration(c.rng.IntN(3000)) * time.Millisecond)
		}
	case 5:
		most := 1 + c.rng.IntN(400)
		c.delay = func() time.Duration { return time.Duration(1+c.sim.rng.IntN(most)) * time.Millisecond }
	case 6:
		if n.up {
			n.stop(c.rng.IntN(2) == 0)
		} else {
			c.restart(n)
		}
	case 7:
		n.skew = time.Duration(c.rng.IntN(80)-40) * time.Second / 2
		if c.rng.IntN(4) == 0 {
			n.skew -= time.Hour
		}
	}
}

// restart starts a member; its checks find again what they found.
func (c *chaos) restart(n *simNode) {
	n.start()
	c.checkAll(n)
}

func (c *chaos) checkAll(n *simNode) {
	for id, state := range c.state[n.name()] {
		out, err := n.r.SetHealth(n.now(), []HealthChange{{ID: id, Health: dns.Health{State: state, Since: n.now()}}})
		n.take(out, err)
	}
}

// calm ends all trouble, and starts who is down.
func (c *chaos) calm() {
	c.loss, c.double, c.side = 0, 0, func(int) int { return 0 }
	c.delay = func() time.Duration { return time.Duration(1+c.sim.rng.IntN(10)) * time.Millisecond }
	c.runFor(4 * time.Second) // pauses end
	for _, n := range c.nodes {
		n.skew %= time.Minute
		if !n.up {
			c.restart(n)
		}
	}
	c.relink(0)
}

func (c *chaos) write(n *simNode) {
	var out Out
	var err error
	mine := c.owned[n.name()]
	keys := slices.Sorted(maps.Keys(mine))
	zone := dns.Name("zone.test")
	switch k := c.rng.IntN(10); {
	case k < 3:
		rec := record(fmt.Sprintf("name%d", c.rng.IntN(6)), byte(c.rng.IntN(8)))
		rec.TTL, rec.Check.Spec = uint32(c.rng.IntN(100)), "tcp:127.0.0.1:1"
		out, err = n.r.Add(n.now(), rec)
		mine[key(rec)] = rec
		id := dns.RecordID{Owner: n.name(), Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
		if _, ok := c.state[n.name()][id]; !ok {
			c.state[n.name()][id] = dns.Unknown
		}
	case k < 4 && len(keys) > 0:
		rec := mine[keys[c.rng.IntN(len(keys))]]
		id := dns.RecordID{Owner: n.name(), Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
		out, err = n.r.Remove(n.now(), id)
		delete(mine, key(rec))
		delete(c.state[n.name()], id)
	case k < 6 && len(keys) > 0:
		rec := mine[keys[c.rng.IntN(len(keys))]]
		id := dns.RecordID{Owner: n.name(), Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
		c.state[n.name()][id] = dns.State(1 + c.rng.IntN(2))
		out, err = n.r.SetHealth(n.now(), []HealthChange{{ID: id, Health: dns.Health{State: c.state[n.name()][id], Since: n.now()}}})
	case k < 7:
		name := dns.Name(fmt.Sprintf("s%d-%s.zone.test", c.rng.IntN(3), n.name()))
		if c.solo[name] == nil {
			c.solo[name] = map[string]bool{}
		}
		data := []byte{1, byte('a' + c.rng.IntN(3))}
		op := dns.ChangeOp(c.rng.IntN(3))
		out, err = n.r.ChangeZone(n.now(), zone, []dns.Change{{Op: op, RR: dns.RR{Name: name, Type: dns.TypeTXT, TTL: 5, Data: data}}})
		if err != nil {
			break
		}
		switch op {
		case dns.Add:
			c.solo[name][string(data)] = true
		case dns.Delete:
			delete(c.solo[name], string(data))
		default:
			clear(c.solo[name])
		}
	case k < 9:
		rr := dns.RR{Name: dns.Name(fmt.Sprintf("all%d.zone.test", c.rng.IntN(3))), Type: dns.TypeTXT, TTL: uint32(c.rng.IntN(9)), Data: []byte{1, byte('a' + c.rng.IntN(3))}}
		if c.rng.IntN(4) == 0 {
			rr.Type, rr.Data = dns.TypeCNAME, dns.Name("web.svc.test").AppendWire(nil)
		}
		out, err = n.r.ChangeZone(n.now(), zone, []dns.Change{{Op: dns.ChangeOp(c.rng.IntN(4)), RR: rr}})
		if dns.KindOf(err) == dns.Conflict {
			return
		}
	default:
		out, err = n.r.SetPolicy(n.now(), dns.Name(fmt.Sprintf("name%d.svc.test", c.rng.IntN(6))), dns.Policy{Max: uint8(c.rng.IntN(3))})
	}
	if dns.KindOf(err) == dns.NotFound {
		return // a member that has not heard of the zone yet
	}
	n.take(out, err)
}

func key(rec dns.Record) string { return string(rec.Name) + string(rec.Data) }

// judge compares what members know with what was acknowledged.
func (c *chaos) judge() {
	for _, n := range c.nodes {
		n.checkTable()
		for owner, want := range c.owned {
			got := n.r.Records(Filter{Owner: owner})
			if len(got) != len(want) {
				c.t.Errorf("%s knows %d records of %s, want %d", n.name(), len(got), owner, len(want))
			}
			for _, o := range got {
				w, ok := want[key(o.Record)]
				if state := c.state[owner][o.ID()]; !ok || !sameRecord(o.Record, w) || o.Health.State != state || !o.Alive {
					c.t.Errorf("%s knows %+v, want %+v with health %v", n.name(), o, w, state)
				}
			}
		}
		for name, want := range c.solo {
			set, _ := n.r.Set(name)
			if len(set.RRs) != len(want) {
				c.t.Errorf("%s knows %v of %s, want %v", n.name(), set.RRs, name, want)
			}
			for _, rr := range set.RRs {
				if !want[string(rr.Data)] {
					c.t.Errorf("%s knows %v of %s, want %v", n.name(), rr, name, want)
				}
			}
		}
	}
	for _, r := range c.rejected {
		if r.Reason != Replayed && r.Reason != UnknownMember {
			c.t.Errorf("%s was refused: %v: %s", r.Node, r.Reason, r.Detail)
		}
	}
}
