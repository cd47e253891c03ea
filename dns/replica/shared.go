package replica

import (
	"slices"

	"github.com/kamado/kamado/dns"
)

// fact reads what a shared entry says; it was judged when it was accepted.
func (e *entry) fact() fact {
	f, _ := parseFact(e.kind, e.payload())
	return f
}

// holdFact chains an entry to the others about the same thing; old was in its slot.
func (r *Replica) holdFact(st *step, old, e *entry) {
	if old != nil {
		r.unchain(st, old)
	}
	slot := e.slot()
	e.also = r.facts[slot]
	r.facts[slot] = e
	f := e.fact()
	if f.deleted {
		r.graves = append(r.graves, e)
		r.stats.Tombstones++
	}
	early := e.stream != r.self && f.stamp.Time().After(r.now.Add(r.cfg.SkewMax))
	switch {
	case !early:
		r.clock.See(f.stamp)
	case e.kind != kindRemoval && e.kind != kindRingKey:
		e.waiting = true
		r.waiting = append(r.waiting, e)
	}
	r.settle(st, slot)
}

// unchain takes an entry out of its chain, and out of the views.
func (r *Replica) unchain(st *step, e *entry) {
	if e.shown {
		r.hide(st, e)
	}
	if e.fact().deleted {
		r.stats.Tombstones--
	}
	slot := e.slot()
	if r.facts[slot] == e {
		if e.also == nil {
			delete(r.facts, slot)
		} else {
			r.facts[slot] = e.also
		}
	} else {
		for p := r.facts[slot]; p != nil; p = p.also {
			if p.also == e {
				p.also = e.also
				break
			}
		}
	}
	e.also = nil
}

// settle finds what stands about a thing: of the entries that are due, the one
// with the greatest stamp. Those behind it are dropped, everywhere alike.
func (r *Replica) settle(st *step, slot slotID) {
	var best *entry
	var is fact
	for e := r.facts[slot]; e != nil; e = e.also {
		if e.waiting {
			continue
		}
		f := e.fact()
		if c := f.stamp.Compare(is.stamp); best == nil || c > 0 || c == 0 && stronger(e.raw, best.raw) {
			best, is = e, f
		}
	}
	if best == nil {
		return
	}
	ended := best.kind == kindZoneRR && r.endedBefore(is)
	for e := r.facts[slot]; e != nil; {
		also := e.also
		if !e.waiting && (ended || e != best && e.fact().stamp.Compare(is.stamp) < 0) {
			r.unchain(st, e)
			e.stream.drop(e)
			r.count(e, -1)
		} else if e.shown && e != best {
			r.hide(st, e)
		}
		e = also
	}
	if !ended && !best.shown {
		r.show(st, best, is)
	}
}

// endedBefore says whether the zone of a record was deleted after the record was made.
func (r *Replica) endedBefore(f fact) bool {
	z := r.zones[f.zone]
	return z != nil && f.stamp.Compare(z.ended) <= 0
}

// show puts what stands into the views.
func (r *Replica) show(st *step, e *entry, f fact) {
	e.shown = true
	switch e.kind {
	case kindZoneRR:
		if f.deleted {
			e.shown = false
			return
		}
		n := r.named(f.rr.Name)
		n.zone = append(n.zone, e)
		st.changed(f.rr.Name, true)
	case kindPolicy:
		if f.deleted {
			e.shown = false
			return
		}
		r.named(f.rr.Name).policy = e
		st.changed(f.rr.Name, true)
		if f.policy.Sources != "" {
			r.sources[f.policy.Sources] = append(r.sources[f.policy.Sources], f.rr.Name)
		}
	case kindZone:
		r.showZone(st, f)
	case kindRemoval:
		r.removed[f.node] = f
		r.dropped = append(r.dropped, f.node)
		st.out.Members = true
	case kindRingKey:
		r.ring[string(f.ring.Public)] = f
		st.out.Keyring = true
	}
}

// hide takes out of the views what does not stand any more.
func (r *Replica) hide(st *step, e *entry) {
	e.shown = false
	f := e.fact()
	switch e.kind {
	case kindZoneRR:
		n := r.named(f.rr.Name)
		n.zone = slices.DeleteFunc(n.zone, func(o *entry) bool { return o == e })
		st.changed(f.rr.Name, true)
		r.prune(f.rr.Name, n)
	case kindPolicy:
		n := r.named(f.rr.Name)
		n.policy = nil
		st.changed(f.rr.Name, true)
		r.prune(f.rr.Name, n)
		r.forgetSource(f)
	case kindZone:
		r.hideZone(st, f)
	case kindRemoval:
		delete(r.removed, f.node)
		st.out.Members = true
	case kindRingKey:
		delete(r.ring, string(f.ring.Public))
		st.out.Keyring = true
	}
}

func (r *Replica) forgetSource(f fact) {
	list := slices.DeleteFunc(r.sources[f.policy.Sources], func(n dns.Name) bool { return n == f.rr.Name })
	if len(list) == 0 {
		delete(r.sources, f.policy.Sources)
		return
	}
	r.sources[f.policy.Sources] = list
}

// ripen lets entries count whose stamps are due now.
func (r *Replica) ripen(st *step) {
	if len(r.waiting) == 0 {
		return
	}
	due := r.now.Add(r.cfg.SkewMax)
	var ripe []*entry
	r.waiting = slices.DeleteFunc(r.waiting, func(e *entry) bool {
		if !e.gone && !e.fact().stamp.Time().After(due) {
			ripe = append(ripe, e)
			return true
		}
		return e.gone
	})
	for _, e := range ripe {
		e.waiting = false
		r.clock.See(e.fact().stamp)
		r.settle(st, e.slot())
	}
}

// settleRemovals drops what members said that were removed for good in this step.
func (r *Replica) settleRemovals(st *step) {
	for len(r.dropped) > 0 {
		node := r.dropped[0]
		r.dropped = r.dropped[1:]
		f, ok := r.removed[node]
		s := r.streams[node]
		if !ok || s == nil {
			continue
		}
		var stay []memberKey
		for _, k := range s.keys {
			if k.cert.Issued.UnixMilli() > f.stamp.Millis {
				stay = append(stay, k)
				continue
			}
			s.drop(k.entry)
			r.count(k.entry, -1)
		}
		s.keys = stay
		if s == r.self && !r.begun.IsZero() {
			r.checkTwin()
		}
		r.recheck(st, s)
		r.judge(st, s)
		if len(s.slots) == 0 && !s.up && s != r.self {
			delete(r.streams, node)
		}
	}
}
