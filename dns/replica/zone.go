package replica

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/field"
)

// zone is a zone as its newest entry has it. One that was deleted stays, undeclared, as
// long as its tombstone.
type zone struct {
	dns.Zone // without Serial
	declared bool
	ended    dns.Stamp // records of this stamp and before are gone
}

// serial is the serial number of a zone on this member.
type serial struct {
	now uint32
	// reserved is on disk: the first number that was surely not used. A start begins there.
	reserved uint32
}

// reserveSerials is how many numbers are reserved at once.
const reserveSerials = 1 << 16

// zoneOf gives the zone that a name lies in: the deepest one.
func (r *Replica) zoneOf(name dns.Name) *zone {
	for {
		if z := r.zones[name]; z != nil && z.declared {
			return z
		}
		if name == dns.Root {
			return nil
		}
		name = name.Parent()
	}
}

// showZone takes over the newest declaration, or deletion, of a zone.
func (r *Replica) showZone(st *step, f fact) {
	apex := f.rr.Name
	z := r.zones[apex]
	if z == nil {
		z = &zone{Zone: dns.Zone{Apex: apex, Kind: dns.SharedZone}}
		r.zones[apex] = z
	}
	was := z.declared
	domain := z.Kind == dns.DomainZone
	z.declared = domain || !f.deleted
	if !f.deleted {
		z.SOA = f.soa
	}
	z.ended = f.ended
	if f.deleted {
		z.ended = f.stamp
	}
	st.zone(apex)
	if parent := r.zoneOf(apex.Parent()); parent != nil {
		st.zone(parent.Apex)
	}
	for name := range r.names {
		if was != z.declared && name.Under(apex) {
			st.changed(name, true)
		}
	}
	r.endRecords(st, z)
}

// endRecords drops the records, and tombstones, that a deletion of their zone ended.
func (r *Replica) endRecords(st *step, z *zone) {
	if z.ended == (dns.Stamp{}) {
		return
	}
	var gone []*entry
	note := func(e *entry) {
		if f := e.fact(); e.kind == kindZoneRR && !e.gone && !e.waiting && f.zone == z.Apex && f.stamp.Compare(z.ended) <= 0 {
			gone = append(gone, e)
		}
	}
	for name, n := range r.names {
		if name.Under(z.Apex) {
			for _, e := range n.zone {
				note(e)
			}
		}
	}
	for _, e := range r.graves {
		if e.kind == kindZoneRR {
			note(e)
		}
	}
	for _, e := range gone {
		if !e.gone {
			r.settle(st, e.slot())
		}
	}
}

// hideZone forgets a declaration whose entry is gone.
func (r *Replica) hideZone(st *step, f fact) {
	apex := f.rr.Name
	if apex == r.cfg.Domain {
		r.zones[apex] = r.domainZone()
	} else {
		delete(r.zones, apex)
	}
	st.zone(apex)
	for name := range r.names {
		if name.Under(apex) {
			st.changed(name, true)
		}
	}
}

func (r *Replica) domainZone() *zone {
	return &zone{Zone: dns.Zone{Apex: r.cfg.Domain, Kind: dns.DomainZone, SOA: r.cfg.SOA}, declared: true}
}

// CreateZone declares a shared zone, or changes its SOA. Kind and Serial are not looked at.
func (r *Replica) CreateZone(now time.Time, want dns.Zone) (Out, error) {
	st := r.at(now)
	if err := r.mayChange(want.Apex); err != nil {
		return Out{}, err
	}
	f := fact{rr: dns.RR{Name: want.Apex}, soa: want.SOA}
	if z := r.zones[want.Apex]; z != nil {
		if z.declared && z.SOA == want.SOA {
			return Out{}, nil
		}
		f.ended = z.ended
	}
	if want.Apex == "" || want.Apex == dns.Root || want.SOA.MName == "" {
		return Out{}, &dns.Error{Op: "create a zone", Kind: dns.Invalid, Detail: "want a name below the root, and the name of its first server"}
	}
	return r.declare(st, kindZone, f)
}

// DeleteZone ends a shared zone with all its records.
func (r *Replica) DeleteZone(now time.Time, apex dns.Name) (Out, error) {
	st := r.at(now)
	if err := r.mayChange(apex); err != nil {
		return Out{}, err
	}
	z := r.zones[apex]
	if z == nil || !z.declared {
		return Out{}, &dns.Error{Op: "delete a zone", Kind: dns.NotFound, Detail: fmt.Sprintf("there is no shared zone %s", apex)}
	}
	if z.Kind == dns.DomainZone {
		return Out{}, &dns.Error{Op: "delete a zone", Kind: dns.Denied, Detail: fmt.Sprintf("%s is the members' own domain; it stays as long as they do", apex)}
	}
	return r.declare(st, kindZone, fact{rr: dns.RR{Name: apex}, deleted: true})
}

// SetPolicy says how the records of a name are chosen; the zero policy goes back to the default.
func (r *Replica) SetPolicy(now time.Time, name dns.Name, p dns.Policy) (Out, error) {
	st := r.at(now)
	if err := r.mayChange(name); err != nil {
		return Out{}, err
	}
	if err := p.Validate(); err != nil {
		return Out{}, &dns.Error{Op: "set a policy", Kind: dns.Invalid, Detail: err.Error()}
	}
	if r.policy(name) == p {
		return Out{}, nil
	}
	return r.declare(st, kindPolicy, fact{rr: dns.RR{Name: name}, policy: p, deleted: p == dns.Policy{}})
}

func (r *Replica) policy(name dns.Name) dns.Policy {
	if n := r.names[name]; n != nil && n.policy != nil {
		return n.policy.fact().policy
	}
	return dns.Policy{}
}

func (r *Replica) mayChange(name dns.Name) error {
	if err := r.mine(); err != nil {
		return err
	}
	return r.id.Cert.AllowsZone(name)
}

// declare says one shared thing.
func (r *Replica) declare(st *step, k kind, f fact) (Out, error) {
	f.stamp = r.stamp()
	if err := f.validate(k); err != nil {
		return Out{}, &dns.Error{Op: "change", Kind: dns.Invalid, Detail: err.Error()}
	}
	payload := f.append(nil, k)
	if err := errors.Join(r.roomFor(1), r.fits(payload)); err != nil {
		return Out{}, err
	}
	st.said(k, f.slot(k), payload)
	return st.finish(true), nil
}

// ChangeZone makes all steps, one after another, in one Out: all of them or none.
// What the steps undo themselves leaves no trace.
func (r *Replica) ChangeZone(now time.Time, apex dns.Name, changes []dns.Change) (Out, error) {
	st := r.at(now)
	if err := r.mine(); err != nil {
		return Out{}, err
	}
	if z := r.zones[apex]; z == nil || !z.declared {
		return Out{}, &dns.Error{Op: "change a zone", Kind: dns.NotFound, Detail: fmt.Sprintf("there is no zone %s whose records can be changed here", apex)}
	}
	if err := dns.ValidateChanges(apex, changes); err != nil {
		return Out{}, err
	}
	d := draft{r: r, zone: apex, names: map[dns.Name]*draftName{}}
	for _, c := range changes {
		if z := r.zoneOf(c.Name); z.Apex != apex {
			return Out{}, &dns.Error{Op: "change a zone", Kind: dns.Invalid, Detail: fmt.Sprintf("%s lies in the zone %s, not in %s", c.Name, z.Apex, apex)}
		}
		if err := r.id.Cert.AllowsZone(c.Name); err != nil {
			return Out{}, err
		}
		d.change(c)
	}
	facts, err := d.facts()
	if err != nil {
		return Out{}, err
	}
	payloads := make([][]byte, len(facts))
	room := 0
	for i := range facts {
		facts[i].stamp = r.stamp()
		payloads[i] = facts[i].append(nil, kindZoneRR)
		if err := r.fits(payloads[i]); err != nil {
			return Out{}, err
		}
		if r.self.slots[facts[i].slot(kindZoneRR)] == nil {
			room++
		}
	}
	if err := r.roomFor(room); err != nil {
		return Out{}, err
	}
	for i, f := range facts {
		st.said(kindZoneRR, f.slot(kindZoneRR), payloads[i])
	}
	return st.finish(true), nil
}

// draft is a change of a zone in work: the names that it touches, before and after.
type draft struct {
	r     *Replica
	zone  dns.Name
	names map[dns.Name]*draftName
}

type draftName struct{ before, after []dns.RR }

func (d *draft) name(name dns.Name) *draftName {
	n := d.names[name]
	if n == nil {
		n = &draftName{before: d.r.zoneRRs(name, d.zone)}
		n.after = slices.Clone(n.before)
		d.names[name] = n
	}
	return n
}

func (d *draft) change(c dns.Change) {
	n := d.name(c.Name)
	n.after = slices.DeleteFunc(n.after, func(rr dns.RR) bool {
		switch c.Op {
		case dns.DeleteAll:
			return true
		case dns.DeleteSet:
			return rr.Type == c.Type
		}
		return rr.Type == c.Type && bytes.Equal(rr.Data, c.Data)
	})
	if c.Op != dns.Add {
		return
	}
	for i := range n.after {
		if n.after[i].Type == c.Type {
			n.after[i].TTL = c.TTL // one TTL for a set (RFC 2181 5.2)
		}
	}
	n.after = append(n.after, dns.RR{Name: c.Name, Type: c.Type, TTL: c.TTL, Data: bytes.Clone(c.Data)})
}

// facts gives what must be said to get from before to after, in order of name.
func (d *draft) facts() ([]fact, error) {
	var facts []fact
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		n := d.names[name]
		if err := d.exclusive(name, n); err != nil {
			return nil, err
		}
		for _, rr := range n.before {
			if i := indexRR(n.after, rr); i < 0 {
				facts = append(facts, fact{rr: rr, zone: d.zone, deleted: true})
			}
		}
		for _, rr := range n.after {
			if i := indexRR(n.before, rr); i < 0 || n.before[i].TTL != rr.TTL {
				facts = append(facts, fact{rr: rr, zone: d.zone})
			}
		}
	}
	return facts, nil
}

// exclusive refuses a CNAME beside other data, when this change makes it so.
func (d *draft) exclusive(name dns.Name, n *draftName) error {
	var cnames, others int
	for _, rr := range n.after {
		if rr.Type == dns.TypeCNAME {
			cnames++
		} else {
			others++
		}
	}
	added := len(n.after) > 0 && !slices.EqualFunc(n.before, n.after, sameRR)
	if nn := d.r.names[name]; nn != nil {
		others += len(nn.owned)
	}
	if added && (cnames > 1 || cnames == 1 && others > 0) {
		return &dns.Error{Op: "change a zone", Kind: dns.Conflict, Detail: fmt.Sprintf("%s would have a CNAME beside other records; delete these first (RFC 2181 10.1)", name)}
	}
	return nil
}

func sameRR(a, b dns.RR) bool { return a.Type == b.Type && bytes.Equal(a.Data, b.Data) }

func indexRR(list []dns.RR, rr dns.RR) int {
	return slices.IndexFunc(list, func(o dns.RR) bool { return sameRR(o, rr) })
}

// bumpSerials counts the serials of zones up. It says whether numbers must be
// reserved, and whether that is urgent: a serial that was told must be on disk as
// reserved, so numbers are reserved long before the last ones are used up.
func (r *Replica) bumpSerials(zones map[dns.Name]struct{}) (reserve, urgent bool) {
	for apex := range zones {
		if z := r.zones[apex]; z == nil || r.begun.IsZero() {
			continue
		}
		n := r.serials[apex]
		if n == nil {
			n = &serial{}
			r.serials[apex] = n
		}
		n.begin(r.now)
		n.now++
		if int32(n.reserved-n.now) < reserveSerials/2 {
			urgent = urgent || int32(n.reserved-n.now) <= 0
			n.reserved = n.now + reserveSerials
			reserve = true
		}
	}
	return reserve, urgent
}

// begin gives a serial number its first value: what was reserved before, or the time.
func (n *serial) begin(now time.Time) {
	if n.now == 0 {
		n.now = max(n.reserved, uint32(now.Unix()))
	}
}

// Fields of the local entry.
const (
	tagSerial = 1 // one for each zone: the reserved number (4 bytes), then the zone's name
	tagClock  = 2 // Unix time, ms: a clock that is before it at the next start stepped back
)

// noteEvery is how often the time is put on disk.
const noteEvery = time.Minute

func (r *Replica) localEntry() []byte {
	r.noted = r.now.UnixMilli()
	b := field.AppendUint([]byte{formatNow, byte(kindLocal)}, tagClock, uint64(r.noted))
	for _, apex := range slices.Sorted(maps.Keys(r.serials)) {
		v := binary.BigEndian.AppendUint32(nil, r.serials[apex].reserved)
		b = field.Append(b, tagSerial, apex.AppendWire(v))
	}
	return b
}

func (r *Replica) restoreLocal(b []byte) error {
	if err := field.Check(b); err != nil {
		return &dns.Error{Op: "restore", Kind: dns.Internal, Detail: err.Error()}
	}
	for tag, v := range field.All(b) {
		if tag == tagClock {
			r.noted = max(r.noted, int64(min(field.Uint(v), millisMax)))
		}
		if tag != tagSerial || len(v) < 4 {
			continue
		}
		if name, err := nameField(v[4:]); err == nil {
			r.serials[name] = &serial{reserved: binary.BigEndian.Uint32(v)}
		}
	}
	return nil
}

// Zones gives the domain and the shared zones, in order of name.
func (r *Replica) Zones() []dns.Zone {
	var list []dns.Zone
	for apex, z := range r.zones {
		if !z.declared {
			continue
		}
		zone := z.Zone
		if n := r.serials[apex]; n != nil {
			zone.Serial = n.now
		}
		list = append(list, zone)
	}
	slices.SortFunc(list, func(a, b dns.Zone) int { return cmp.Compare(a.Apex, b.Apex) })
	return list
}
