package replica

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/field"
)

// Add makes or changes an own record; the name, type and data say which. Its
// health stays when only other things change.
func (r *Replica) Add(now time.Time, rec dns.Record) (Out, error) {
	st := r.at(now)
	if err := r.mine(); err != nil {
		return Out{}, err
	}
	if err := rec.Validate(); err != nil {
		return Out{}, &dns.Error{Op: "add a record", Kind: dns.Invalid, Detail: fmt.Sprintf("%s %v: %v", rec.Name, rec.Type, err)}
	}
	if err := r.id.Cert.Allows(rec.RR); err != nil {
		return Out{}, err
	}
	if err := r.fitsName(rec); err != nil {
		return Out{}, err
	}
	slot := ownedSlot(rec.Name, rec.Type, rec.Data)
	var health dns.Health
	if old := r.self.slots[slot]; old != nil && old.kind == kindOwned {
		was, h, err := parseOwned(old.payload())
		if err == nil && was.Check == rec.Check {
			health = h
		}
		if err == nil && sameRecord(was, rec) {
			return Out{}, nil
		}
	} else if old == nil {
		if err := r.roomFor(1); err != nil {
			return Out{}, err
		}
	}
	if health == (dns.Health{}) && rec.Check.Spec != "" {
		health = dns.Health{State: rec.Check.Initial, Since: r.now}
	}
	payload := appendOwned(nil, rec, health)
	if err := r.fits(payload); err != nil {
		return Out{}, err
	}
	st.said(kindOwned, slot, payload)
	return st.finish(true), nil
}

// fitsName says whether the record may stand beside what its name has.
func (r *Replica) fitsName(rec dns.Record) error {
	set, _ := r.Set(rec.Name)
	for _, rr := range set.RRs {
		if (rr.Type == dns.TypeCNAME) != (rec.Type == dns.TypeCNAME) {
			return &dns.Error{Op: "add a record", Kind: dns.Conflict, Detail: fmt.Sprintf("%s has a zone record of type %v; a CNAME and other data exclude each other (RFC 2181 10.1)", rec.Name, rr.Type)}
		}
	}
	for _, o := range set.Owned {
		if (o.Type == dns.TypeCNAME) != (rec.Type == dns.TypeCNAME) {
			return &dns.Error{Op: "add a record", Kind: dns.Conflict, Detail: fmt.Sprintf("%s has a record of type %v of %s; a CNAME and other data exclude each other (RFC 2181 10.1)", rec.Name, o.Type, o.Owner)}
		}
	}
	return nil
}

func sameRecord(a, b dns.Record) bool {
	return a.Name == b.Name && a.Type == b.Type && a.TTL == b.TTL && bytes.Equal(a.Data, b.Data) &&
		a.Tier == b.Tier && a.Weight == b.Weight && a.Location == b.Location && a.View == b.View && a.Check == b.Check
}

// Remove deletes an own record.
func (r *Replica) Remove(now time.Time, id dns.RecordID) (Out, error) {
	st := r.at(now)
	if err := r.mine(); err != nil {
		return Out{}, err
	}
	slot := ownedSlot(id.Name, id.Type, []byte(id.Data))
	if old := r.self.slots[slot]; id.Owner != r.self.node || old == nil || old.kind != kindOwned {
		return Out{}, &dns.Error{Op: "remove a record", Kind: dns.NotFound, Detail: fmt.Sprintf("%s has no record %s %v with this data", r.self.node, id.Name, id.Type)}
	}
	st.buryOwned(slot)
	return st.finish(true), nil
}

func (st *step) buryOwned(slot slotID) {
	st.said(kindOwnedGone, slot, field.AppendUint(nil, tagSince, uint64(st.r.now.UnixMilli())))
}

// SetHealth tells what checks found of own records. Records that are not there,
// and healths that are known already, are passed over. Its Out is not Urgent: what
// a crash forgets is found again by the next check.
func (r *Replica) SetHealth(now time.Time, changes []HealthChange) (Out, error) {
	st := r.at(now)
	if err := r.mine(); err != nil {
		return Out{}, err
	}
	for _, c := range changes {
		slot := ownedSlot(c.ID.Name, c.ID.Type, []byte(c.ID.Data))
		old := r.self.slots[slot]
		if c.ID.Owner != r.self.node || old == nil || old.kind != kindOwned {
			continue
		}
		h := c.Health
		h.Since = h.Since.UTC().Truncate(time.Millisecond)
		if len(h.Output) > dns.OutputMax {
			h.Output = h.Output[:dns.OutputMax]
		}
		rec, was, err := parseOwned(old.payload())
		if err == nil && was != h {
			st.said(kindOwned, slot, appendOwned(nil, rec, h))
		}
	}
	return st.finish(false), nil
}

// SetInfo publishes what this member tells of itself.
func (r *Replica) SetInfo(now time.Time, info dns.Info) (Out, error) {
	st := r.at(now)
	if err := r.mine(); err != nil {
		return Out{}, err
	}
	if err := r.publishInfo(st, info, false); err != nil {
		return Out{}, err
	}
	return st.finish(true), nil
}

// Leave says goodbye: the records of this member leave the answers until it starts again.
func (r *Replica) Leave(now time.Time) (Out, error) {
	st := r.at(now)
	if err := r.mine(); err != nil {
		return Out{}, err
	}
	if err := r.publishInfo(st, r.self.info, true); err != nil {
		return Out{}, err
	}
	return st.finish(true), nil
}

// publishInfo says who this member is. What it said under a former key, it says anew.
func (r *Replica) publishInfo(st *step, info dns.Info, left bool) error {
	p := infoPayload{cert: credential.Encode(r.id.Cert), info: info, left: left}
	payload := p.append(nil)
	if err := r.fits(payload); err != nil {
		return err
	}
	former := r.former()
	raw := r.make(kindInfo, slotOf(kindInfo, r.id.Public()), payload)
	e := &entry{raw: raw, version: r.last, kind: kindInfo}
	r.holdInfo(st, r.self, e, r.id.Cert, p)
	st.own = append(st.own, e)
	st.out.Keep = append(st.out.Keep, raw)
	r.checkTwin()
	if r.twin == "" {
		r.sayAgain(st, former)
	}
	return nil
}

// checkTwin says whether this member's certificate is still the one that counts.
func (r *Replica) checkTwin() {
	r.twin = ""
	if f, ok := r.removed[r.self.node]; ok && r.id.Cert.Issued.UnixMilli() <= f.stamp.Millis {
		r.twin = fmt.Sprintf("this member, %s, was removed for good by %s at %s; to come back it needs a new certificate",
			r.self.node, f.stamp.Node, f.stamp.Time().UTC().Format(time.RFC3339))
		return
	}
	if c := r.self.cert(); c != nil && !bytes.Equal(c.Key, r.id.Public()) {
		r.twin = fmt.Sprintf("another machine is a member by the name of %s since %s, with a key of its own: give this one another node name, or remove the other for good",
			r.self.node, c.Issued.UTC().Format(time.RFC3339))
	}
}

// former gives own entries that another key signed.
func (r *Replica) former() []*entry {
	var list []*entry
	id := keyIDOf(r.id.Public())
	for _, e := range r.self.log {
		if !e.gone && e.kind != kindInfo && e.key() != id {
			list = append(list, e)
		}
	}
	return list
}

// sayAgain says entries anew with the current key.
func (r *Replica) sayAgain(st *step, list []*entry) {
	for _, e := range list {
		if _, err := covers(r.id.Cert, e); err != nil {
			continue
		}
		if cur := r.self.slots[e.slot()]; cur == e || cur == nil {
			st.said(e.kind, e.slot(), e.payload())
		}
	}
}

// resign says what was heard of this member's former keys anew.
func (r *Replica) resign(st *step) {
	if r.twin == "" {
		r.sayAgain(st, r.former())
	}
}

var errTwin = errors.New("this member did not say it: another machine speaks with its key")

// regain judges an entry of this member's own stream that a peer has and this
// member has not: something that a crash forgot, something that was deleted so long
// ago that its tombstone is gone, or the word of somebody else with the same key.
// It says whether to hold it.
func (r *Replica) regain(st *step, e *entry) bool {
	switch run := r.last >> epochBits; {
	case e.key() != keyIDOf(r.id.Public()):
		st.resign = true // a shared thing that was said under a former key
		return true
	case e.version > r.last:
		st.reject(r.self.node, Twin, "%v", errTwin)
		r.contradict(st, e)
		return false
	case e.version <= r.restored || e.version>>epochBits == run:
		if e.kind == kindOwned && r.self.slots[e.slot()] == nil {
			st.buryOwned(e.slot())
		}
		return e.kind.shared()
	}
	return true
}

// Bounds of the answer to somebody who speaks with this member's key: one a
// second, and no leap that would use up the versions.
const (
	contradictEvery = time.Second
	leapMax         = 1 << 40
)

// contradict says again what this member says in the slot of e, with a greater version.
func (r *Replica) contradict(st *step, e *entry) {
	if r.now.Before(r.spoke.Add(contradictEvery)) || e.version-r.last > leapMax {
		return
	}
	r.spoke, r.last = r.now, e.version
	switch cur := r.self.slots[e.slot()]; {
	case cur != nil:
		st.said(cur.kind, e.slot(), cur.payload())
	case e.kind == kindOwned:
		st.buryOwned(e.slot())
	}
}

// regainInfo judges a certificate for this member's name that somebody else published.
func (r *Replica) regainInfo(st *step, cert dns.Certificate) bool {
	mine := r.id.Cert
	if bytes.Equal(cert.Key, mine.Key) {
		if cert.Issued.After(mine.Issued) {
			r.id.Cert = cert // somebody with the cluster's key certified this member anew
			return true
		}
		st.reject(r.self.node, Twin, "%v", errTwin)
		return false
	}
	if newer(cert, mine) < 0 {
		st.reject(r.self.node, Twin, "a newer certificate of another key for this member's name")
	}
	return true
}
