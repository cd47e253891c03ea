package replica

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
)

// step collects what one step changes.
type step struct {
	r         *Replica
	out       Out
	names     map[dns.Name]struct{} // whose sets changed
	answers   map[dns.Name]struct{} // of these, those whose answers may have
	zones     map[dns.Name]struct{}
	own       []*entry // made in this step
	took      int      // entries of others that were accepted
	restoring bool
	resign    bool // own things were heard that a former key signed
	from      string
}

// changed notes a name; answers says that more than words about it changed.
func (st *step) changed(name dns.Name, answers bool) {
	if st.names == nil {
		st.names, st.answers = map[dns.Name]struct{}{}, map[dns.Name]struct{}{}
	}
	st.names[name] = struct{}{}
	if answers {
		st.answers[name] = struct{}{}
	}
}

func (st *step) zone(apex dns.Name) {
	if st.zones == nil {
		st.zones = map[dns.Name]struct{}{}
	}
	st.zones[apex] = struct{}{}
}

func (st *step) reject(node string, why Reason, format string, args ...any) {
	if len(st.out.Rejected) < rejectedMax && !st.restoring {
		st.out.Rejected = append(st.out.Rejected, Rejection{From: st.from, Node: node, Reason: why, Detail: fmt.Sprintf(format, args...)})
	}
}

// finish makes the Out.
func (st *step) finish(urgent bool) Out {
	r := st.r
	r.settleRemovals(st)
	if st.resign {
		r.resign(st)
	}
	for name := range maps.Clone(st.answers) {
		for _, n := range r.sources[name] {
			st.changed(n, true) // its clients are the addresses of name
		}
	}
	for name := range st.answers {
		if z := r.zoneOf(name); z != nil {
			st.zone(z.Apex)
		}
	}
	reserve, first := r.bumpSerials(st.zones)
	if overdue := r.now.After(time.UnixMilli(r.noted).Add(noteEvery)); !r.begun.IsZero() && (reserve || overdue) {
		st.out.Keep = append(st.out.Keep, r.localEntry())
	}
	st.out.Names = slices.Sorted(maps.Keys(st.names))
	st.out.Zones = slices.Sorted(maps.Keys(st.zones))
	st.out.Urgent = first || urgent && len(st.own) > 0
	r.sendOwn(st)
	return st.out
}

// make signs an entry of this member with the next version.
func (r *Replica) make(k kind, slot slotID, payload []byte) []byte {
	sign := func(message []byte) []byte { return r.sign(r.id, message) }
	return makeEntry(r.id, sign, k, slot, r.next(), payload)
}

// said makes an entry of this member, holds it and has it kept and pushed.
func (st *step) said(k kind, slot slotID, payload []byte) {
	r := st.r
	raw := r.make(k, slot, payload)
	e := &entry{raw: raw, version: r.last, kind: k}
	r.hold(st, r.self, e)
	st.own = append(st.own, e)
	st.out.Keep = append(st.out.Keep, raw)
}

// roomFor says whether this member's stream may get so many more slots.
func (r *Replica) roomFor(n int) error {
	if len(r.self.slots)+n > r.cfg.EntriesMax {
		return &dns.Error{Kind: dns.TooLarge, Detail: fmt.Sprintf("this member publishes %d entries already, at most %d", len(r.self.slots), r.cfg.EntriesMax)}
	}
	return nil
}

// fits says whether an entry with this payload is not too large.
func (r *Replica) fits(payload []byte) error {
	if n := headBytes + len(r.self.node) + len(payload) + sigBytes; n > r.cfg.EntryBytesMax {
		return &dns.Error{Kind: dns.TooLarge, Detail: fmt.Sprintf("an entry of %d bytes, at most %d", n, r.cfg.EntryBytesMax)}
	}
	return nil
}
