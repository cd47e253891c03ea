package replica

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

// RemoveMember removes a member for good: certificates of it that were issued until
// now count no more. Its shared things that are known here become this member's
// own first, with their stamps. Needs Admin.
func (r *Replica) RemoveMember(now time.Time, node string) (Out, error) {
	st := r.at(now)
	if err := r.mayAdmin("remove a member"); err != nil {
		return Out{}, err
	}
	s := r.streams[node]
	switch {
	case s == nil || s.cert() == nil:
		return Out{}, &dns.Error{Op: "remove a member", Kind: dns.NotFound, Detail: fmt.Sprintf("no member %s is known", node)}
	case s == r.self:
		return Out{}, &dns.Error{Op: "remove a member", Kind: dns.Denied, Detail: "a member cannot remove itself; ask another one, or let it leave"}
	}
	if err := r.adopt(st, []*stream{s}); err != nil {
		return Out{}, err
	}
	f := fact{node: node, stamp: r.stamp()}
	f.stamp.Millis = max(f.stamp.Millis, s.cert().Issued.UnixMilli()) // its clock may be ahead
	st.said(kindRemoval, f.slot(kindRemoval), f.append(nil, kindRemoval))
	return st.finish(true), nil
}

func (r *Replica) mayAdmin(op string) error {
	if err := r.mine(); err != nil {
		return err
	}
	if !r.id.Cert.Admin {
		return &dns.Error{Op: op, Kind: dns.Denied, Detail: fmt.Sprintf("%s: %v", r.self.node, errAdmin)}
	}
	return nil
}

// adopt says anew, as this member's, the shared things of others, with their
// stamps: so they stay when the others' certificates do not count any more. All or none.
func (r *Replica) adopt(st *step, from []*stream) error {
	var list []*entry
	for _, s := range from {
		for _, e := range s.log {
			if e.gone || !e.kind.shared() || r.self.slots[e.slot()] != nil {
				continue
			}
			if err := mayShare(r.id.Cert, e.kind, e.fact()); err != nil {
				return err
			}
			list = append(list, e)
		}
	}
	if err := r.roomFor(len(list) + 1); err != nil {
		return err
	}
	for _, e := range list {
		if !e.gone {
			st.said(e.kind, e.slot(), e.payload())
		}
	}
	return nil
}

// SetRingKey publishes a change of the keyring. Before a key is removed, the shared
// things that only its certificates vouch for become this member's. Needs Admin.
func (r *Replica) SetRingKey(now time.Time, key RingKey) (Out, error) {
	st := r.at(now)
	if err := r.mayAdmin("change the keyring"); err != nil {
		return Out{}, err
	}
	f := fact{ring: key, stamp: r.stamp()}
	if err := f.validate(kindRingKey); err != nil {
		return Out{}, &dns.Error{Op: "change the keyring", Kind: dns.Invalid, Detail: err.Error()}
	}
	if key.State == KeyRemoved {
		if bytes.Equal(r.id.Cert.Issuer, key.Public) {
			return Out{}, &dns.Error{Op: "change the keyring", Kind: dns.Conflict, Detail: "this member is still certified by that key: use another one first"}
		}
		var from []*stream
		for _, s := range r.streams {
			if c := s.cert(); s != r.self && c != nil && bytes.Equal(c.Issuer, key.Public) {
				from = append(from, s)
			}
		}
		if err := r.adopt(st, from); err != nil {
			return Out{}, err
		}
	}
	if err := r.roomFor(1); err != nil {
		return Out{}, err
	}
	st.said(kindRingKey, f.slot(kindRingKey), f.append(nil, kindRingKey))
	return st.finish(true), nil
}

// Keyring gives the keys of the ring that entries speak of, in order of Public.
func (r *Replica) Keyring() []RingKey {
	var list []RingKey
	for _, f := range r.ring {
		k := f.ring
		k.At, k.By = f.stamp.Time(), f.stamp.Node
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b RingKey) int { return cmp.Compare(string(a.Public), string(b.Public)) })
	return list
}

// SetTrust says whose certificates count from now on, and which identity signs. What other
// issuers certified is dropped.
func (r *Replica) SetTrust(now time.Time, id credential.Identity, issuers [][]byte) (Out, error) {
	st := r.at(now)
	if r.begun.IsZero() {
		return Out{}, r.mine()
	}
	if id.Cert.Node != r.self.node {
		return Out{}, &dns.Error{Op: "set trust", Kind: dns.Invalid, Detail: fmt.Sprintf("an identity of %s, and this is %s", id.Cert.Node, r.self.node)}
	}
	if err := credential.Verify(id.Cert, issuers, r.now); err != nil {
		return Out{}, err
	}
	changed := !bytes.Equal(id.Cert.Sig, r.id.Cert.Sig)
	r.id, r.issuers = id, issuers
	if changed {
		if err := r.publishInfo(st, r.self.info, false); err != nil {
			return Out{}, err
		}
	}
	for _, s := range r.streams {
		trusted := func(k memberKey) bool {
			return slices.ContainsFunc(issuers, func(i []byte) bool { return bytes.Equal(i, k.cert.Issuer) })
		}
		var stay []memberKey
		for _, k := range s.keys {
			if trusted(k) {
				stay = append(stay, k)
				continue
			}
			s.drop(k.entry)
			r.count(k.entry, -1)
		}
		if len(stay) < len(s.keys) {
			s.keys = stay
			st.out.Members = true
			r.recheck(st, s)
			r.judge(st, s)
		}
	}
	return st.finish(changed), nil
}
