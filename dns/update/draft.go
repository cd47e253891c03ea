package update

import (
	"bytes"
	"slices"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// draft is the zone with the changes of one message so far.
type draft struct {
	zone    dns.Zone
	lookup  func(dns.Name) dns.Set
	names   map[dns.Name]*draftName
	changes []dns.Change
}

// draftName is one name: its zone records, and its owned records, which do not change here.
type draftName struct {
	rrs   []dns.RR
	owned []dns.Owned
}

func newDraft(zone dns.Zone, lookup func(dns.Name) dns.Set) *draft {
	return &draft{zone: zone, lookup: lookup, names: map[dns.Name]*draftName{}}
}

// name gives a name. The SOA, which is no zone record, stands among those of the apex.
func (d *draft) name(name dns.Name) *draftName {
	n := d.names[name]
	if n != nil {
		return n
	}
	set := d.lookup(name)
	n = &draftName{rrs: slices.Clone(set.RRs), owned: set.Owned}
	if name == d.zone.Apex && !n.has(dns.TypeSOA) {
		n.rrs = append(n.rrs, dns.RR{Name: name, Type: dns.TypeSOA, TTL: d.zone.SOA.Minimum, Data: d.zone.SOA.Data(d.zone.Serial)})
	}
	d.names[name] = n
	return n
}

// has says whether there is a zone record of a type.
func (n *draftName) has(t dns.Type) bool {
	return slices.ContainsFunc(n.rrs, func(rr dns.RR) bool { return rr.Type == t })
}

// owns says whether there is an owned record of a type; of any type, for ANY.
func (n *draftName) owns(t dns.Type) bool {
	return slices.ContainsFunc(n.owned, func(o dns.Owned) bool { return t == dns.TypeANY || o.Type == t })
}

// data gives the data of a set, zone records and owned ones, each once, in order.
func (n *draftName) data(t dns.Type) [][]byte {
	var list [][]byte
	for _, rr := range n.rrs {
		if rr.Type == t {
			list = append(list, rr.Data)
		}
	}
	for _, o := range n.owned {
		if o.Type == t {
			list = append(list, o.Data)
		}
	}
	return distinct(list)
}

func distinct(list [][]byte) [][]byte {
	slices.SortFunc(list, bytes.Compare)
	return slices.CompactFunc(list, bytes.Equal)
}

// exists says whether a name has a set; for ANY, whether it has anything.
func (d *draft) exists(name dns.Name, t dns.Type) bool {
	n := d.name(name)
	switch {
	case t == dns.TypeANY:
		return len(n.rrs)+len(n.owned) > 0
	case name == d.zone.Apex && t == dns.TypeNS:
		return true // those of the domain are its members
	}
	return n.has(t) || n.owns(t)
}

// set names an RRset.
type set struct {
	name dns.Name
	typ  dns.Type
}

// require judges prerequisites (RFC 2136 3.2).
func (d *draft) require(prerequisites []message.RR) error {
	want := map[set][][]byte{}
	var order []set
	for _, rr := range prerequisites {
		exists := rr.Class != message.ClassIN && d.exists(rr.Name, rr.Type)
		switch {
		case rr.Class == message.ClassAny && !exists && rr.Type == dns.TypeANY:
			return deny(message.NXDomain, "%s is not in use", rr.Name)
		case rr.Class == message.ClassAny && !exists:
			return deny(message.NXRRSet, "%s has no %v", rr.Name, rr.Type)
		case rr.Class == message.ClassNone && exists && rr.Type == dns.TypeANY:
			return deny(message.YXDomain, "%s is in use", rr.Name)
		case rr.Class == message.ClassNone && exists:
			return deny(message.YXRRSet, "%s has %v", rr.Name, rr.Type)
		case rr.Class == message.ClassIN:
			key := set{rr.Name, rr.Type}
			if want[key] == nil {
				order = append(order, key)
			}
			want[key] = append(want[key], rr.Data)
		}
	}
	for _, key := range order {
		if !slices.EqualFunc(distinct(want[key]), d.name(key.name).data(key.typ), bytes.Equal) {
			return deny(message.NXRRSet, "%s has other records of type %v", key.name, key.typ)
		}
	}
	return nil
}

// apply makes the changes of a message, one after another (RFC 2136 3.4.2).
func (d *draft) apply(changes []message.RR) error {
	for _, rr := range changes {
		var err error
		switch {
		case rr.Class == message.ClassIN:
			err = d.add(rr.RR)
		case rr.Class == message.ClassNone:
			err = d.remove(rr.RR)
		case rr.Type == dns.TypeANY:
			err = d.removeAll(rr.Name)
		default:
			err = d.removeSet(rr.Name, rr.Type)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *draft) refuseOwned(name dns.Name, t dns.Type) error {
	owners := []string{}
	for _, o := range d.name(name).owned {
		if t == dns.TypeANY || t == o.Type || o.Type == dns.TypeCNAME || t == dns.TypeCNAME {
			owners = append(owners, o.Owner)
		}
	}
	slices.Sort(owners)
	return deny(message.Refused, "%s has records that only their owners change: %v", name, slices.Compact(owners))
}

func (d *draft) refuseServers() error {
	return deny(message.Refused, "the servers of %s are its members", d.zone.Apex)
}

// add is RFC 2136 3.4.2.2, with our rules for owned records (see the package comment).
func (d *draft) add(rr dns.RR) error {
	n := d.name(rr.Name)
	apex := rr.Name == d.zone.Apex
	alias := rr.Type == dns.TypeCNAME
	others := slices.ContainsFunc(n.rrs, func(o dns.RR) bool { return !besideCNAME(o.Type) })
	switch {
	case rr.Type == dns.TypeSOA:
		return d.addSOA(rr)
	case apex && rr.Type == dns.TypeNS && d.zone.Kind == dns.DomainZone:
		return d.refuseServers()
	case n.owns(rr.Type), n.owns(dns.TypeCNAME) && !besideCNAME(rr.Type), alias && n.owns(dns.TypeANY):
		return d.refuseOwned(rr.Name, rr.Type)
	case alias && others, !besideCNAME(rr.Type) && n.has(dns.TypeCNAME):
		return nil
	}
	if alias || rr.Type == dns.TypeDNAME { // there is one of them at a name, and the new one takes its place
		for _, o := range slices.Clone(n.rrs) {
			if o.Type == rr.Type && !bytes.Equal(o.Data, rr.Data) {
				d.drop(n, o)
			}
		}
	}
	n.rrs = slices.DeleteFunc(n.rrs, func(o dns.RR) bool { return same(o, rr) })
	n.rrs = append(n.rrs, rr)
	d.changes = append(d.changes, dns.Change{RR: rr, Op: dns.Add})
	return nil
}

// addSOA ignores an SOA that is not newer than ours, as RFC 2136 3.4.2.2 says, and refuses a newer one.
func (d *draft) addSOA(rr dns.RR) error {
	if rr.Name != d.zone.Apex {
		return nil
	}
	_, serial, err := dns.ParseSOA(rr.Data)
	if err != nil {
		return deny(message.FormErr, "%v", err)
	}
	ours := d.zone.Serial
	if i := slices.IndexFunc(d.name(rr.Name).rrs, func(o dns.RR) bool { return o.Type == dns.TypeSOA }); i >= 0 {
		if _, now, err := dns.ParseSOA(d.name(rr.Name).rrs[i].Data); err == nil {
			ours = now
		}
	}
	if dns.SerialAfter(serial, ours) {
		return deny(message.Refused, "each member numbers %s itself: its SOA is not changed by updates", rr.Name)
	}
	return nil
}

// besideCNAME says whether a type may stand beside a CNAME, and is no obstacle to one: itself, and what signs it (RFC 4034).
func besideCNAME(t dns.Type) bool {
	return t == dns.TypeCNAME || t == dns.TypeRRSIG || t == 25 /* KEY */ || t == 47 /* NSEC */
}

func same(a, b dns.RR) bool { return a.Type == b.Type && bytes.Equal(a.Data, b.Data) }

// drop deletes one record.
func (d *draft) drop(n *draftName, rr dns.RR) {
	n.rrs = slices.DeleteFunc(n.rrs, func(o dns.RR) bool { return same(o, rr) })
	d.changes = append(d.changes, dns.Change{RR: rr, Op: dns.Delete})
}

// remove is RFC 2136 3.4.2.4: the SOA and the last NS of the apex stay.
func (d *draft) remove(rr dns.RR) error {
	n := d.name(rr.Name)
	switch {
	case rr.Name == d.zone.Apex && rr.Type == dns.TypeNS && d.zone.Kind == dns.DomainZone:
		return d.refuseServers()
	case slices.ContainsFunc(n.owned, func(o dns.Owned) bool { return same(o.RR, rr) }):
		return d.refuseOwned(rr.Name, rr.Type)
	}
	last := rr.Name == d.zone.Apex && rr.Type == dns.TypeNS && len(n.data(dns.TypeNS)) == 1
	if rr.Type == dns.TypeSOA || last || !slices.ContainsFunc(n.rrs, func(o dns.RR) bool { return same(o, rr) }) {
		return nil
	}
	d.drop(n, rr)
	return nil
}

// removeSet is RFC 2136 3.4.2.3 with a type.
func (d *draft) removeSet(name dns.Name, t dns.Type) error {
	n := d.name(name)
	switch {
	case t == dns.TypeSOA, name == d.zone.Apex && t == dns.TypeNS:
		return nil
	case n.owns(t):
		return d.refuseOwned(name, t)
	case !n.has(t):
		return nil
	}
	n.rrs = slices.DeleteFunc(n.rrs, func(o dns.RR) bool { return o.Type == t })
	d.changes = append(d.changes, dns.Change{RR: dns.RR{Name: name, Type: t}, Op: dns.DeleteSet})
	return nil
}

// removeAll is RFC 2136 3.4.2.3 with the type ANY: the SOA and the NS of the apex stay.
func (d *draft) removeAll(name dns.Name) error {
	n := d.name(name)
	if n.owns(dns.TypeANY) {
		return d.refuseOwned(name, dns.TypeANY)
	}
	var types []dns.Type
	for _, rr := range n.rrs {
		if !slices.Contains(types, rr.Type) {
			types = append(types, rr.Type)
		}
	}
	for _, t := range types {
		if err := d.removeSet(name, t); err != nil {
			return err
		}
	}
	return nil
}
