package replica

import (
	"bytes"
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/kamado/kamado/dns"
)

// Set is what is known of a name; false: nothing that could be answered.
func (r *Replica) Set(name dns.Name) (dns.Set, bool) {
	n := r.names[name]
	if n == nil {
		return dns.Set{Name: name}, false
	}
	set := dns.Set{Name: name, Policy: r.policy(name), Owned: exclude(r.owned(n))}
	if z := r.zoneOf(name); z != nil {
		set.RRs = r.standing(name, z.Apex)
	}
	if set.Policy.Balance == dns.FixBySource {
		set.Clients = r.addresses(set.Policy.Sources)
	}
	return set, !set.Empty()
}

// owned gives the owned records of a name, in the order of owner, type and data.
func (r *Replica) owned(n *named) []dns.Owned {
	var list []dns.Owned
	for _, e := range n.owned {
		if e.stream.stale {
			continue
		}
		rec, h, err := parseOwned(e.payload())
		if err != nil {
			continue // was judged when it was accepted
		}
		list = append(list, dns.Owned{Record: rec, Owner: e.stream.node, Health: h, Alive: e.stream.live, RTT: e.stream.rtt, Version: e.version})
	}
	slices.SortFunc(list, func(a, b dns.Owned) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Type, b.Type), bytes.Compare(a.Data, b.Data))
	})
	return list
}

// zoneRRs gives the zone records of a name in a zone, in the order of type and
// data, each type with the TTL of its newest record (RFC 2181 5.2).
func (r *Replica) zoneRRs(name, apex dns.Name) []dns.RR {
	list, _ := r.zoneFacts(name, apex)
	return list
}

// standing is zoneRRs after the choice between a CNAME and other data, which
// cannot both stand (RFC 2181 10.1). Owned records hide what excludes them; in the
// zone the newest stamp wins, of several CNAMEs too.
func (r *Replica) standing(name, apex dns.Name) []dns.RR {
	list, newest := r.zoneFacts(name, apex)
	if len(list) == 0 {
		return nil
	}
	cname, wins := newest[dns.TypeCNAME]
	switch data, alias := ownedTypes(r.names[name]); {
	case data:
		wins = false
	case alias:
		return nil
	}
	for t, f := range newest {
		wins = wins && (t == dns.TypeCNAME || f.stamp.Compare(cname.stamp) < 0)
	}
	return slices.DeleteFunc(list, func(rr dns.RR) bool {
		if wins {
			return rr.Type != dns.TypeCNAME || !bytes.Equal(rr.Data, cname.rr.Data)
		}
		return rr.Type == dns.TypeCNAME
	})
}

// ownedTypes says whether a name has owned records that are no CNAME, and such that are.
func ownedTypes(n *named) (data, alias bool) {
	for _, e := range n.owned {
		if e.stream.stale {
			continue
		}
		if rec, _, err := parseOwned(e.payload()); err == nil {
			data, alias = data || rec.Type != dns.TypeCNAME, alias || rec.Type == dns.TypeCNAME
		}
	}
	return data, alias
}

// zoneFacts gives zone records, and of each type the newest.
func (r *Replica) zoneFacts(name, apex dns.Name) ([]dns.RR, map[dns.Type]fact) {
	n := r.names[name]
	if n == nil || len(n.zone) == 0 {
		return nil, nil
	}
	var list []dns.RR
	newest := map[dns.Type]fact{}
	for _, e := range n.zone {
		f := e.fact()
		if f.zone != apex {
			continue
		}
		list = append(list, f.rr)
		t, ok := newest[f.rr.Type]
		if c := f.stamp.Compare(t.stamp); !ok || c > 0 || c == 0 && bytes.Compare(f.rr.Data, t.rr.Data) > 0 {
			newest[f.rr.Type] = f
		}
	}
	for i := range list {
		list[i].TTL = newest[list[i].Type].rr.TTL
	}
	slices.SortFunc(list, compareRR)
	return list, newest
}

func compareRR(a, b dns.RR) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), bytes.Compare(a.Data, b.Data))
}

// exclude hides the CNAMEs of owned records that members made at the same time as
// others made other data: all must choose alike.
func exclude(list []dns.Owned) []dns.Owned {
	cname := func(o dns.Owned) bool { return o.Type == dns.TypeCNAME }
	if slices.ContainsFunc(list, func(o dns.Owned) bool { return !cname(o) }) {
		return slices.DeleteFunc(list, cname)
	}
	return list
}

// addresses gives the addresses of a name in order, each once: the clients of FixBySource.
func (r *Replica) addresses(name dns.Name) []netip.Addr {
	n := r.names[name]
	if n == nil {
		return nil
	}
	var list []netip.Addr
	add := func(rr dns.RR) {
		if a, ok := rr.Addr(); ok {
			list = append(list, a)
		}
	}
	for _, o := range r.owned(n) {
		add(o.RR) // of the dead too: a client that comes back has its old place
	}
	if z := r.zoneOf(name); z != nil {
		for _, rr := range r.standing(name, z.Apex) {
			add(rr)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// Names gives all names of which something is known, in no order.
func (r *Replica) Names() iter.Seq[dns.Name] { return maps.Keys(r.names) }

// ZoneRRs gives the zone records of a zone, without SOA, by name, type and data.
func (r *Replica) ZoneRRs(apex dns.Name) iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		var names []dns.Name
		for name, n := range r.names {
			if len(n.zone) > 0 && name.Under(apex) {
				names = append(names, name)
			}
		}
		slices.SortFunc(names, dns.CompareCanonical)
		for _, name := range names {
			if z := r.zoneOf(name); z == nil || z.Apex != apex {
				continue
			}
			for _, rr := range r.standing(name, apex) {
				if !yield(rr) {
					return
				}
			}
		}
	}
}

// Members gives all members, this one too, in order of node.
func (r *Replica) Members() []dns.Member {
	list := make([]dns.Member, 0, len(r.streams))
	for _, s := range r.streams {
		m := dns.Member{Node: s.node, State: r.state(s), Since: s.since, Info: s.info, RTT: s.rtt, Records: s.owned, Stream: s.max}
		if c := s.cert(); c != nil {
			m.Cert = *c
		}
		list = append(list, m)
	}
	for node, f := range r.removed {
		if r.streams[node] == nil {
			list = append(list, dns.Member{Node: node, State: dns.MemberRemoved, Since: f.stamp.Time()})
		}
	}
	slices.SortFunc(list, func(a, b dns.Member) int { return cmp.Compare(a.Node, b.Node) })
	return list
}

// Records gives owned records by name, owner, type and data.
func (r *Replica) Records(f Filter) []dns.Owned {
	var names []dns.Name
	if f.Name != "" {
		names = append(names, f.Name)
	} else {
		for name := range r.names {
			if f.Under == "" || name.Under(f.Under) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
	}
	var list []dns.Owned
	for _, name := range names {
		n := r.names[name]
		if n == nil || f.Under != "" && !name.Under(f.Under) {
			continue
		}
		for _, o := range r.owned(n) {
			if (f.Owner == "" || o.Owner == f.Owner) && (f.Type == 0 || o.Type == f.Type) {
				list = append(list, o)
			}
		}
	}
	return list
}

// Stats counts.
func (r *Replica) Stats() Stats {
	s := r.stats
	s.Members, s.Waiting = len(r.streams), len(r.waiting)
	return s
}
