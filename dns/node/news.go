package node

import (
	"context"
	"slices"

	"github.com/kamado/kamado/dns"
)

// Bounds of what is remembered and of watchers.
const (
	historyMax = 2000 // events
	watcherMax = 512  // events that wait for one watcher; more, and its watch ends
)

// news is the ring of events and who watches. It is under the node's mu.
type news struct {
	seq      uint64
	ring     []dns.Event // the oldest first
	watchers map[chan dns.Event]struct{}
}

func (w *news) init() { w.watchers = map[chan dns.Event]struct{}{} }

// event tells an event. Preconditions: mu is held.
func (n *Node) event(e dns.Event) {
	w := &n.news
	w.seq++
	e.Seq, e.Time = w.seq, n.deps.Now()
	if len(w.ring) == historyMax {
		w.ring = append(w.ring[:0], w.ring[historyMax/4:]...)
	}
	w.ring = append(w.ring, e)
	if n.deps.Event != nil {
		n.deps.Event(e)
	}
	for ch := range w.watchers {
		select {
		case ch <- e:
		default: // too slow: it finds out by the end of its watch, and comes back with the last number
			delete(w.watchers, ch)
			close(ch)
		}
	}
}

// Watch gives events behind the number after, old ones first; 0: only what comes.
// The channel ends with ctx, or when the watcher is too slow.
func (n *Node) Watch(ctx context.Context, after uint64) <-chan dns.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	var old []dns.Event
	if w := &n.news; after > 0 && after != w.seq {
		i, _ := slices.BinarySearchFunc(w.ring, after+1, func(e dns.Event, seq uint64) int { return int(int64(e.Seq) - int64(seq)) })
		old = slices.Clone(w.ring[min(i, len(w.ring)):])
		if after > w.seq || len(w.ring) > 0 && w.ring[0].Seq > after+1 {
			// A number of an earlier start, or one that was forgotten.
			old = append([]dns.Event{{Time: n.deps.Now(), Kind: dns.EventLost, Text: "some events were forgotten: read the lists again"}}, w.ring...)
		}
	}
	ch := make(chan dns.Event, watcherMax+len(old))
	for _, e := range old {
		ch <- e
	}
	n.news.watchers[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if _, open := n.news.watchers[ch]; open {
			delete(n.news.watchers, ch)
			close(ch)
		}
	})
	return ch
}

// History gives what happened lately, the newest first; of one name unless it is empty.
func (n *Node) History(name dns.Name, most int) []dns.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []dns.Event
	for _, e := range slices.Backward(n.news.ring) {
		if len(list) == most {
			break
		}
		if name == "" || e.Name == name {
			list = append(list, e)
		}
	}
	return list
}

// seen is an owned record as it was told last.
type seen struct {
	owner string
	typ   dns.Type
	data  string
	state string
	check dns.Check // of own records
}

// stateOf is the state of a record in a word.
func stateOf(o dns.Owned) string {
	switch {
	case !o.Alive:
		return "owner dead"
	case o.Check.Spec == "":
		return "alive"
	}
	return o.Health.State.String()
}

// tell compares a name with what was told of it, and says whether the own records
// or their checks are others. Preconditions: mu is held.
func (n *Node) tell(set dns.Set) (own bool) {
	before := n.seen[set.Name]
	now := make([]seen, 0, len(set.Owned))
	for _, o := range set.Owned {
		s := seen{owner: o.Owner, typ: o.Type, data: string(o.Data), state: stateOf(o)}
		if o.Owner == n.cfg.Node {
			s.check = o.Check
		}
		now = append(now, s)
		i := slices.IndexFunc(before, func(b seen) bool { return b.owner == s.owner && b.typ == s.typ && b.data == s.data })
		e := dns.Event{Name: set.Name, Type: o.Type, Data: s.data, Owner: o.Owner, State: s.state}
		switch {
		case i < 0:
			e.Kind = dns.EventRecord
		case before[i].state != s.state:
			e.Kind, e.Before, e.Text = dns.EventHealth, before[i].state, o.Health.Output
			n.metrics.changes.Inc()
		}
		own = own || o.Owner == n.cfg.Node && (i < 0 || before[i].check != s.check)
		if i >= 0 {
			before[i].owner = "" // was found again
		}
		if e.Kind != "" {
			n.event(e)
		}
	}
	for _, b := range before {
		if b.owner != "" {
			own = own || b.owner == n.cfg.Node
			n.event(dns.Event{Kind: dns.EventGone, Name: set.Name, Type: b.typ, Data: b.data, Owner: b.owner, Before: b.state})
		}
	}
	if len(now) == 0 {
		delete(n.seen, set.Name)
	} else {
		n.seen[set.Name] = now
	}
	return own
}

// tellMember tells a change of a member's state. Preconditions: mu is held.
func (n *Node) tellMember(m dns.Member) {
	before, known := n.members[m.Node]
	if known && before == m.State {
		return
	}
	n.members[m.Node] = m.State
	e := dns.Event{Kind: dns.EventMember, Owner: m.Node, State: m.State.String()}
	if known {
		e.Before = before.String()
	}
	n.event(e)
	n.deps.Log.Info("member "+m.State.String(), "member", m.Node)
}

// Own gives this member's records, and a channel that is closed when there are others, or their checks are.
func (n *Node) Own() ([]dns.Owned, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rep.Records(ownFilter(n.cfg.Node)), n.own
}
