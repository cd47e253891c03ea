package node

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/dns/replica"
)

func ownFilter(node string) replica.Filter { return replica.Filter{Owner: node} }

// Self is the node name.
func (n *Node) Self() string { return n.cfg.Node }

// Domain is the zone of owned names.
func (n *Node) Domain() dns.Name { return n.cfg.Domain }

// Twin says why another machine is believed in this member's place; empty: none is.
func (n *Node) Twin() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rep.Twin()
}

// Status is the member in numbers.
func (n *Node) Status() dns.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := dns.Status{Node: n.cfg.Node, Domain: n.cfg.Domain, Version: n.cfg.Info.Version, DNS: n.cfg.Info.DNS, Names: len(n.seen)}
	for _, m := range n.rep.Members() {
		s.Records += m.Records
		if m.State == dns.MemberAlive {
			s.Alive++
		}
	}
	return s
}

// Records gives the owned records of a name, or of all names.
func (n *Node) Records(name dns.Name) []dns.Owned {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rep.Records(replica.Filter{Name: name})
}

// Set is what is known of a name.
func (n *Node) Set(name dns.Name) dns.Set {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set(name)
}

// Members gives the cluster as this member knows it.
func (n *Node) Members() []dns.Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rep.Members()
}

// Zones gives the zones that this member answers.
func (n *Node) Zones() []dns.Zone {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []dns.Zone
	for _, z := range n.rep.Zones() {
		if _, taken := n.statics[z.Apex]; !taken {
			list = append(list, n.dress(z))
		}
	}
	for apex, s := range n.statics {
		list = append(list, dns.Zone{Apex: apex, Kind: dns.StaticZone, Serial: s.serial})
	}
	return list
}

// Apexes are the names of the zones.
func (n *Node) Apexes() []dns.Name {
	var list []dns.Name
	for _, z := range n.Zones() {
		list = append(list, z.Apex)
	}
	return list
}

// ZoneRRs gives the zone records of a zone, without the SOA, as one state.
func (n *Node) ZoneRRs(apex dns.Name) (serial uint32, rrs []dns.RR, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, ok := n.statics[apex]; ok {
		for _, rr := range s.rrs {
			if rr.Type != dns.TypeSOA {
				rrs = append(rrs, rr)
			}
		}
		return s.serial, rrs, nil
	}
	if z, ok := n.zone(apex); ok {
		return z.Serial, slices.Collect(n.rep.ZoneRRs(apex)), nil
	}
	return 0, nil, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("there is no zone %s", apex)}
}

// PutStatic answers a zone from a master file, in place of what was answered of it.
func (n *Node) PutStatic(apex dns.Name, rrs []dns.RR) error {
	i := slices.IndexFunc(rrs, func(rr dns.RR) bool { return rr.Type == dns.TypeSOA })
	if i < 0 {
		return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("the zone %s has no SOA", apex)}
	}
	_, serial, err := dns.ParseSOA(rrs[i].Data)
	if err != nil {
		return &dns.Error{Kind: dns.Invalid, Detail: err.Error()}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.deps.Table.PutStatic(apex, rrs); err != nil {
		return err
	}
	n.statics[apex] = static{rrs: rrs, serial: serial}
	n.event(dns.Event{Kind: dns.EventZone, Name: apex, State: "changed", Text: fmt.Sprintf("serial %d, from its file", serial)})
	if n.deps.ZoneChanged != nil {
		n.deps.ZoneChanged(apex)
	}
	return nil
}

// Explain says how a question is answered, and why.
func (n *Node) Explain(name dns.Name, typ dns.Type, client netip.Addr) dns.Explanation {
	e := n.deps.Table.Explain(name, typ, netip.AddrPortFrom(client, 0), rand.Uint64(), n.deps.Now(), n.Set)
	out := dns.Explanation{
		Name: name, Type: typ, Client: client, Zone: e.Zone, RCode: e.RCode, Rule: e.Rule, Policy: e.Set.Policy, Choices: e.Choices,
	}
	for _, rr := range e.Answer {
		text, err := message.FormatRData(rr.Type, rr.Data)
		if err != nil {
			text = err.Error()
		}
		out.Answer = append(out.Answer, fmt.Sprintf("%s %d IN %v %s", rr.Name.Absolute(), rr.TTL, rr.Type, text))
	}
	return out
}

// Transfer gives a whole zone as one state: the SOA, then every record that a
// client without a view could be answered with now.
func (n *Node) Transfer(apex dns.Name) ([]dns.RR, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, ok := n.statics[apex]; ok {
		i := slices.IndexFunc(s.rrs, func(rr dns.RR) bool { return rr.Type == dns.TypeSOA })
		return append([]dns.RR{s.rrs[i]}, slices.Delete(slices.Clone(s.rrs), i, i+1)...), nil
	}
	z, ok := n.zone(apex)
	if !ok {
		return nil, &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("there is no zone %s", apex)}
	}
	z = n.dress(z)
	rrs := []dns.RR{startOf(z)}
	if z.Kind == dns.DomainZone {
		rrs = append(rrs, n.serversOf(z)...)
	}
	return append(rrs, n.answered(apex)...), nil
}

// startOf is the SOA record of a zone that is no static one.
func startOf(z dns.Zone) dns.RR {
	return dns.RR{Name: z.Apex, Type: dns.TypeSOA, TTL: z.SOA.Minimum, Data: z.SOA.Data(z.Serial)}
}

// serversOf are the NS records of the domain: its members. Preconditions: mu is held.
func (n *Node) serversOf(z dns.Zone) (rrs []dns.RR) {
	for _, ns := range n.ns {
		rrs = append(rrs, dns.RR{Name: z.Apex, Type: dns.TypeNS, TTL: dns.TTLDefault, Data: ns.AppendWire(nil)})
	}
	return rrs
}

// answered are the records of a zone that a client without a view could be
// answered with now: zone records, and the owned ones that the table would pick. Preconditions: mu is held.
func (n *Node) answered(apex dns.Name) (rrs []dns.RR) {
	names := map[dns.Name][]dns.RR{}
	for rr := range n.rep.ZoneRRs(apex) {
		names[rr.Name] = append(names[rr.Name], rr)
	}
	zones, now := n.rep.Zones(), n.deps.Now()
	for name := range n.rep.Names() {
		set, _ := n.rep.Set(name)
		if len(set.Owned) == 0 || deepest(zones, name) != apex {
			continue
		}
		for _, t := range typesOf(set) {
			for _, c := range n.deps.Table.Choose(set, t, netip.Addr{}, now) {
				if c.Pick && c.Type == t {
					names[name] = append(names[name], c.RR)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		rrs = append(rrs, distinct(names[name])...)
	}
	return rrs
}

// deepest is the zone that a name lies in; empty: none.
func deepest(zones []dns.Zone, name dns.Name) (apex dns.Name) {
	for _, z := range zones {
		if name.Under(z.Apex) && (apex == "" || z.Apex.Under(apex)) {
			apex = z.Apex
		}
	}
	return apex
}

// distinct gives the records of a name once each; those of one type have the least of their TTLs (RFC 2181 5.2).
func distinct(rrs []dns.RR) (out []dns.RR) {
	least := map[dns.Type]uint32{}
	for _, rr := range rrs {
		if ttl, ok := least[rr.Type]; !ok || rr.TTL < ttl {
			least[rr.Type] = rr.TTL
		}
	}
	for _, rr := range rrs {
		if !slices.ContainsFunc(out, func(have dns.RR) bool { return have.Type == rr.Type && string(have.Data) == string(rr.Data) }) {
			rr.TTL = least[rr.Type]
			out = append(out, rr)
		}
	}
	return out
}

func typesOf(set dns.Set) (types []dns.Type) {
	for _, o := range set.Owned {
		if !slices.Contains(types, o.Type) {
			types = append(types, o.Type)
		}
	}
	return types
}
