package node

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/replica"
)

func ownFilter(node string) replica.Filter { return replica.Filter{Owner: node} }

// Self is the node name.
func (n *Node) Self() string { return n.cfg.Node }

// Domain is the zone of owned names.
func (n *Node) Domain() dns.Name { return n.cfg.Domain }

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
	for _, z := range n.rep.Zones() {
		if z.Apex == apex {
			return z.Serial, slices.Collect(n.rep.ZoneRRs(apex)), nil
		}
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
	return n.deps.Table.Explain(name, typ, client)
}
