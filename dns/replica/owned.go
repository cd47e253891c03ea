package replica

import (
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/field"
)

// named is what is held about one name.
type named struct {
	owned  []*entry
	zone   []*entry // zone records that stand
	policy *entry
}

func (r *Replica) named(name dns.Name) *named {
	n := r.names[name]
	if n == nil {
		n = &named{}
		r.names[name] = n
	}
	return n
}

func (r *Replica) prune(name dns.Name, n *named) {
	if len(n.owned) == 0 && len(n.zone) == 0 && n.policy == nil {
		delete(r.names, name)
	}
}

// ownedName reads the name of an owned record alone.
func ownedName(e *entry) dns.Name {
	for tag, v := range field.All(e.payload()) {
		if tag == tagName {
			if name, err := nameField(v); err == nil {
				return name
			}
		}
	}
	return ""
}

// holdOwned keeps the index of names: e takes the place of old; either may be nil, or a tombstone.
func (r *Replica) holdOwned(st *step, old, e *entry) {
	was, is := old != nil && old.kind == kindOwned, e != nil && e.kind == kindOwned
	answers := true
	if was && is {
		answers = answerChanged(old, e)
	}
	if was {
		name := ownedName(old)
		n := r.named(name)
		n.owned = slices.DeleteFunc(n.owned, func(o *entry) bool { return o == old })
		old.stream.owned--
		st.changed(name, answers)
		if !is {
			r.prune(name, n)
		}
	}
	switch {
	case is:
		name := ownedName(e)
		n := r.named(name)
		n.owned = append(n.owned, e)
		e.stream.owned++
		st.changed(name, answers)
	case e != nil:
		r.graves = append(r.graves, e)
		r.stats.Tombstones++
	}
	if old != nil && old.kind == kindOwnedGone {
		r.stats.Tombstones--
	}
}

// answerChanged says whether two entries of one owned record differ in more than
// the words and the date of its health.
func answerChanged(old, e *entry) bool {
	a, ha, err := parseOwned(old.payload())
	b, hb, err2 := parseOwned(e.payload())
	return err != nil || err2 != nil || !sameRecord(a, b) || ha.State != hb.State
}

// graveTime is when a tombstone was made; false: e is none.
func graveTime(e *entry) (time.Time, bool) {
	switch {
	case e.kind == kindOwnedGone:
		for tag, v := range field.All(e.payload()) {
			if tag == tagSince {
				return time.UnixMilli(int64(min(field.Uint(v), millisMax))), true
			}
		}
		return time.Time{}, true
	case e.kind.shared():
		f, _ := parseFact(e.kind, e.payload())
		return f.stamp.Time(), f.deleted
	}
	return time.Time{}, false
}

// judge decides whether a member's records may be answered and are shown, and
// notes their names when that changed.
func (r *Replica) judge(st *step, s *stream) {
	cert := s.cert()
	here := s == r.self || s.up || !s.down && r.now.Before(r.begun.Add(r.cfg.StartGrace))
	live := here && !s.left && !s.bye && cert != nil && credential.InForce(*cert, r.now) == nil
	stale := !here && r.now.After(s.since.Add(r.cfg.LifetimeAfterDeath))
	if live == s.live && stale == s.stale {
		return
	}
	s.live, s.stale = live, stale
	st.out.Members = true
	for _, e := range s.log {
		if !e.gone && e.kind == kindOwned {
			st.changed(ownedName(e), true)
		}
	}
}

// state is what is believed of a member.
func (r *Replica) state(s *stream) dns.MemberState {
	_, removed := r.removed[s.node]
	switch {
	case removed && len(s.keys) == 0:
		return dns.MemberRemoved
	case s.left || s.bye:
		return dns.MemberLeft
	case s == r.self, s.up, !s.down && r.now.Before(r.begun.Add(r.cfg.StartGrace)):
		return dns.MemberAlive
	}
	return dns.MemberDead
}

// Up says that a peer lives.
func (r *Replica) Up(now time.Time, node string) Out {
	st := r.at(now)
	s := r.stream(node)
	if s == nil || s == r.self {
		return st.finish(false)
	}
	if !s.up {
		s.up, s.down, s.bye, s.since = true, false, false, r.now
		r.peers = append(r.peers, s)
		st.out.Members = true
		r.greet(st, s)
	}
	r.judge(st, s)
	return st.finish(false)
}

// Down says that a peer died, or left.
func (r *Replica) Down(now time.Time, node string, left bool) Out {
	st := r.at(now)
	s := r.streams[node]
	if s == nil || s == r.self {
		return st.finish(false)
	}
	if s.up || !s.down {
		s.since = r.now
		st.out.Members = true
	}
	s.up, s.down, s.bye, s.pull = false, true, left, pull{}
	r.peers = slices.DeleteFunc(r.peers, func(p *stream) bool { return p == s })
	r.judge(st, s)
	if len(s.slots) == 0 && len(s.keys) == 0 {
		delete(r.streams, node)
	}
	return st.finish(false)
}

// RTT tells the round trip to a peer. It changes sets at their next reading, and tells no names.
func (r *Replica) RTT(node string, d time.Duration) {
	if s := r.streams[node]; s != nil {
		s.rtt = d
	}
}
