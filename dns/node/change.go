package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/journal"
	"github.com/kamado/kamado/dns/replica"
)

// change is one local change on its way through the writer.
type change struct {
	do   func(now time.Time) (replica.Out, error) // under mu
	undo func(now time.Time) (replica.Out, error) // under mu; takes do back; nil: cannot be
	done chan error

	// A change that was taken already has no do: its effects wait for the disk.
	after journal.Wait
	out   replica.Out
}

// batchMax bounds the changes that one sync of the disk carries.
const batchMax = 256

// do hands a change to the writer and waits until it is durable.
func (n *Node) do(ctx context.Context, c *change) error {
	c.done = make(chan error, 1)
	select {
	case n.steps <- c:
	default:
		return &dns.Error{Kind: dns.Unavailable, Detail: fmt.Sprintf("%d changes wait already", stepsMax)}
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return &dns.Error{Kind: dns.Unavailable, Detail: "the change was not finished in time; it may still happen", Err: ctx.Err()}
	}
}

// write takes changes in batches, so that one sync carries many.
func (n *Node) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			n.refuseWaiting()
			return nil
		case first := <-n.steps:
			n.writeBatch(ctx, n.gather(first))
		}
	}
}

// gather takes what waits behind the first.
func (n *Node) gather(first *change) []*change {
	batch := []*change{first}
	for len(batch) < batchMax {
		select {
		case c := <-n.steps:
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// refuseWaiting answers what comes too late.
func (n *Node) refuseWaiting() {
	for {
		select {
		case c := <-n.steps:
			c.finish(errStopped)
		default:
			return
		}
	}
}

func (c *change) finish(err error) {
	if c.done != nil {
		c.done <- err
	}
}

// writeBatch takes the steps, waits for the disk once, and publishes, or takes all back.
func (n *Node) writeBatch(ctx context.Context, batch []*change) {
	batch = n.take(batch)
	var waits []journal.Wait
	for _, c := range batch {
		if c.after != nil {
			waits = append(waits, c.after)
		}
	}
	var failed error
	for _, wait := range waits {
		// A stop does not leave the disk's answer unheard: the journal stops after the node.
		if err := wait(context.WithoutCancel(ctx)); err != nil && failed == nil {
			failed = err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if failed != nil {
		n.takeBack(batch, failed)
		return
	}
	for _, c := range batch {
		n.publish(c.out)
		c.finish(nil)
	}
}

// take makes the steps of a batch, and gives those that succeeded with one wait behind them.
func (n *Node) take(batch []*change) (taken []*change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.deps.Now()
	var keep [][]byte
	for _, c := range batch {
		if c.do == nil {
			taken = append(taken, c)
			continue
		}
		if n.left {
			c.finish(errLeft)
			continue
		}
		out, err := c.do(now)
		if err != nil {
			c.finish(err)
			continue
		}
		c.out = out
		keep = append(keep, out.Keep...)
		taken = append(taken, c)
	}
	if len(keep) > 0 {
		taken[len(taken)-1].wait(n.deps.Journal.Append(keep))
	}
	return taken
}

// wait adds a wait behind the one that the change may have.
func (c *change) wait(w journal.Wait) {
	before := c.after
	if before == nil {
		c.after = w
		return
	}
	c.after = func(ctx context.Context) error {
		if err := before(ctx); err != nil {
			return err
		}
		return w(ctx)
	}
}

// takeBack undoes a batch that the disk refused, the last one first. Preconditions: mu is held.
func (n *Node) takeBack(batch []*change, failed error) {
	n.deps.Log.Warn("changes were not kept and are taken back", "changes", len(batch), "error", failed)
	now := n.deps.Now()
	for _, c := range slices.Backward(batch) {
		if c.undo == nil {
			n.publish(c.out) // a message's effects, which peers hold too
			c.finish(failed)
			continue
		}
		out, err := c.undo(now)
		if err != nil {
			n.deps.Log.Error("a change that was not kept could not be taken back", "error", err)
		}
		if len(out.Keep) > 0 {
			n.deps.Journal.Append(out.Keep) // of use when the disk is back; the snapshot has it else
		}
		merge(&out, replica.Out{Names: c.out.Names, Zones: c.out.Zones})
		n.publish(out)
		c.finish(failed)
	}
}

// Add makes or changes a record of this member; it is on disk when nil is returned.
func (n *Node) Add(ctx context.Context, rec dns.Record) (dns.Owned, error) {
	if err := n.mayOwn(rec); err != nil {
		return dns.Owned{}, err
	}
	id := dns.RecordID{Owner: n.cfg.Node, Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
	var before *dns.Owned
	err := n.do(ctx, &change{
		do: func(now time.Time) (replica.Out, error) {
			before = n.find(id)
			if before != nil && before.Tier == dns.Origin {
				return replica.Out{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("%s is this member's own name", rec.Name)}
			}
			return n.rep.Add(now, rec)
		},
		undo: func(now time.Time) (replica.Out, error) {
			if before == nil {
				return n.rep.Remove(now, id)
			}
			return n.rep.Add(now, before.Record)
		},
	})
	if err != nil {
		return dns.Owned{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if o := n.find(id); o != nil {
		return *o, nil
	}
	return dns.Owned{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("the record of %s was removed at once by another request", rec.Name)}
}

// mayOwn judges what the replica does not: where owned records may lie.
func (n *Node) mayOwn(rec dns.Record) error {
	if err := rec.Validate(); err != nil {
		return &dns.Error{Kind: dns.Invalid, Detail: err.Error()}
	}
	if rec.Check.Spec != "" && n.deps.CheckSpec != nil {
		if err := n.deps.CheckSpec(rec.Check); err != nil {
			return err
		}
	}
	if !rec.Name.Under(n.cfg.Domain) {
		return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("%s does not lie under the domain %s: a zone record may (kamado dns zone add)", rec.Name, n.cfg.Domain)}
	}
	if rec.Tier == dns.Origin {
		return &dns.Error{Kind: dns.Invalid, Detail: "the priority origin is of members' own names"}
	}
	return nil
}

// find gives an own or foreign record. Preconditions: mu is held.
func (n *Node) find(id dns.RecordID) *dns.Owned {
	for _, o := range n.rep.Records(replica.Filter{Owner: id.Owner, Name: id.Name, Type: id.Type}) {
		if string(o.Data) == id.Data {
			return &o
		}
	}
	return nil
}

// Remove deletes a record of this member.
func (n *Node) Remove(ctx context.Context, id dns.RecordID) error {
	if id.Owner != n.cfg.Node {
		return &dns.Error{Kind: dns.Denied, Detail: fmt.Sprintf("the record belongs to the member %s: remove it there", id.Owner)}
	}
	var before *dns.Owned
	return n.do(ctx, &change{
		do: func(now time.Time) (replica.Out, error) {
			if before = n.find(id); before == nil {
				return replica.Out{}, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("this member has no such record of %s", id.Name)}
			}
			if before.Tier == dns.Origin {
				return replica.Out{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("%s is this member's own name", id.Name)}
			}
			return n.rep.Remove(now, id)
		},
		undo: func(now time.Time) (replica.Out, error) { return n.rep.Add(now, before.Record) },
	})
}

// SetHealth tells what checks found of own records. It does not wait for the
// disk: a start finds the state again by checking.
func (n *Node) SetHealth(changes []dns.HealthChange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]replica.HealthChange, len(changes))
	for i, c := range changes {
		list[i] = replica.HealthChange{ID: c.ID, Health: c.Health}
	}
	out, err := n.rep.SetHealth(n.deps.Now(), list)
	if err != nil {
		n.deps.Log.Warn("health was not told", "error", err)
		return
	}
	out.Urgent = false
	n.follow(out)
}

// Change makes the steps in a zone, all in one durable write.
func (n *Node) Change(ctx context.Context, zone dns.Name, changes []dns.Change) (serial uint32, err error) {
	return n.ChangeZone(ctx, zone, func(func(dns.Name) dns.Set) ([]dns.Change, error) { return changes, nil })
}

// ChangeZone lets judge look at the names of a zone as they are, and makes the
// steps that it gives, nothing between. Among the records of the apex it finds
// the SOA, and the NS of the domain, which are no zone records. judge must not block.
func (n *Node) ChangeZone(ctx context.Context, zone dns.Name, judge func(lookup func(dns.Name) dns.Set) ([]dns.Change, error)) (serial uint32, err error) {
	var before map[dns.Name][]dns.RR
	err = n.do(ctx, &change{
		do: func(now time.Time) (replica.Out, error) {
			if err := n.mayChange(zone); err != nil {
				return replica.Out{}, err
			}
			changes, err := judge(n.lookupIn(zone))
			if err != nil || len(changes) == 0 {
				return replica.Out{}, err
			}
			if err := dns.ValidateChanges(zone, changes); err != nil {
				return replica.Out{}, err
			}
			before = n.rrsOf(changes)
			return n.rep.ChangeZone(now, zone, changes)
		},
		undo: func(now time.Time) (replica.Out, error) { return n.rep.ChangeZone(now, zone, restore(before)) },
	})
	if err != nil {
		return 0, err
	}
	serial, _, err = n.ZoneRRs(zone)
	return serial, err
}

// mayChange says whether the zone takes zone records. Preconditions: mu is held.
func (n *Node) mayChange(zone dns.Name) error {
	if _, ok := n.statics[zone]; ok {
		return &dns.Error{Kind: dns.Denied, Detail: fmt.Sprintf("%s comes from a master file of this member: change the file", zone)}
	}
	if _, ok := n.zone(zone); !ok {
		return &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("there is no zone %s; \"kamado dns zone create\" makes one", zone)}
	}
	return nil
}

// set is what is known of a name. Preconditions: mu is held.
func (n *Node) set(name dns.Name) dns.Set {
	set, _ := n.rep.Set(name)
	set.Name = name
	n.place(&set)
	return set
}

// lookupIn is set with what the server itself adds to the apex of a zone. Preconditions: mu is held.
func (n *Node) lookupIn(zone dns.Name) func(dns.Name) dns.Set {
	return func(name dns.Name) dns.Set {
		set := n.set(name)
		z, ok := n.zone(name)
		if name != zone || !ok {
			return set
		}
		z = n.dress(z)
		set.RRs = append(slices.Clone(set.RRs), startOf(z))
		if z.Kind == dns.DomainZone {
			set.RRs = append(set.RRs, n.serversOf(z)...)
		}
		return set
	}
}

// rrsOf remembers the zone records of the names that changes are about.
func (n *Node) rrsOf(changes []dns.Change) map[dns.Name][]dns.RR {
	before := map[dns.Name][]dns.RR{}
	for _, c := range changes {
		if _, ok := before[c.Name]; !ok {
			before[c.Name] = n.set(c.Name).RRs
		}
	}
	return before
}

// restore is the change that makes names what they were.
func restore(before map[dns.Name][]dns.RR) []dns.Change {
	var changes []dns.Change
	for name, rrs := range before {
		changes = append(changes, dns.Change{RR: dns.RR{Name: name}, Op: dns.DeleteAll})
		for _, rr := range rrs {
			changes = append(changes, dns.Change{RR: rr, Op: dns.Add})
		}
	}
	return changes
}

// CreateZone makes a shared zone.
func (n *Node) CreateZone(ctx context.Context, apex dns.Name) error {
	return n.do(ctx, &change{
		do: func(now time.Time) (replica.Out, error) {
			_, static := n.statics[apex]
			if _, shared := n.zone(apex); static || shared {
				return replica.Out{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("the zone %s is there already", apex)}
			}
			mname := n.cfg.Domain
			if len(n.ns) > 0 {
				mname = n.ns[0]
			}
			out, err := n.rep.CreateZone(now, dns.Zone{Apex: apex, Kind: dns.SharedZone, SOA: dns.DefaultSOA(apex, mname, n.cfg.NegativeTTL)})
			if err != nil || len(n.ns) == 0 {
				return out, err
			}
			named, err := n.rep.ChangeZone(now, apex, nsChanges(apex, n.ns))
			merge(&out, named)
			return out, err
		},
		undo: func(now time.Time) (replica.Out, error) { return n.rep.DeleteZone(now, apex) },
	})
}

// nsChanges names the members that live as the servers of a new zone.
func nsChanges(apex dns.Name, ns []dns.Name) (changes []dns.Change) {
	for _, name := range ns {
		changes = append(changes, dns.Change{RR: dns.RR{Name: apex, Type: dns.TypeNS, TTL: dns.TTLDefault, Data: name.AppendWire(nil)}, Op: dns.Add})
	}
	return changes
}

// DeleteZone ends a shared zone with all its records.
func (n *Node) DeleteZone(ctx context.Context, apex dns.Name) error {
	var zone dns.Zone
	var rrs []dns.RR
	return n.do(ctx, &change{
		do: func(now time.Time) (replica.Out, error) {
			if err := n.mayChange(apex); err != nil {
				return replica.Out{}, err
			}
			if apex == n.cfg.Domain {
				return replica.Out{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("%s is the domain of this cluster", apex)}
			}
			zone, _ = n.zone(apex) // mayChange has found it
			rrs = slices.Collect(n.rep.ZoneRRs(apex))
			return n.rep.DeleteZone(now, apex)
		},
		undo: func(now time.Time) (replica.Out, error) {
			out, err := n.rep.CreateZone(now, zone)
			for part := range slices.Chunk(rrs, dns.ChangesMax) {
				var changes []dns.Change
				for _, rr := range part {
					changes = append(changes, dns.Change{RR: rr, Op: dns.Add})
				}
				more, e := n.rep.ChangeZone(now, apex, changes)
				if err == nil {
					err = e
				}
				merge(&out, more)
			}
			return out, err
		},
	})
}

// SetPolicy says how the records of a name are chosen; the zero policy is the default.
func (n *Node) SetPolicy(ctx context.Context, name dns.Name, p dns.Policy) error {
	var before dns.Policy
	err := n.do(ctx, &change{
		do: func(now time.Time) (replica.Out, error) {
			before = n.set(name).Policy
			return n.rep.SetPolicy(now, name, p)
		},
		undo: func(now time.Time) (replica.Out, error) { return n.rep.SetPolicy(now, name, before) },
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.event(dns.Event{Kind: dns.EventPolicy, Name: name, Text: p.Balance.String() + ", " + p.Fallback.String()})
	return nil
}

// RemoveMember removes a member for good.
func (n *Node) RemoveMember(ctx context.Context, node string) error {
	return n.do(ctx, &change{do: func(now time.Time) (replica.Out, error) {
		i := slices.IndexFunc(n.rep.Members(), func(m dns.Member) bool { return m.Node == node })
		switch {
		case node == n.cfg.Node:
			return replica.Out{}, &dns.Error{Kind: dns.Conflict, Detail: "a member does not remove itself: let it leave, and remove it from another one"}
		case i < 0:
			return replica.Out{}, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("no member is called %s", node)}
		case n.rep.Members()[i].State == dns.MemberAlive:
			return replica.Out{}, &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("%s lives: let it leave first, or end it", node)}
		}
		out, err := n.rep.RemoveMember(now, node)
		if err == nil && n.peers != nil {
			n.peers.Forget(node)
		}
		return out, err
	}})
}

// leaveTimeout bounds waiting for the others to hear a goodbye.
const leaveTimeout = 2 * time.Second

// Leave tells the others that this member goes on purpose. It goes on answering from what it knew; only a new start changes something.
func (n *Node) Leave(ctx context.Context) error {
	if err := n.do(ctx, &change{do: func(now time.Time) (replica.Out, error) { return n.rep.Leave(now) }}); err != nil {
		return err
	}
	n.mu.Lock()
	n.left = true
	peers := n.peers
	n.mu.Unlock()
	if peers == nil {
		return nil
	}
	return peers.Leave(leaveTimeout)
}
