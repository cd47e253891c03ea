package netns

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/kamado/kamado/compute/dhcp"
	"github.com/kamado/kamado/compute/network"
)

// tracking is where a kernel tracks the connections of bridged packets.
type tracking int

const (
	// trackInet: br_netfilter shows bridged packets to the inet family, which tracks
	// them. There the bridge's ports are not to be seen, so marks say which they are.
	trackInet tracking = iota
	// trackBridge: nf_conntrack_bridge tracks in the bridge family itself.
	trackBridge
)

// Priorities in the bridge family: before br_netfilter's 0.
const (
	priorityEarly  = -300
	priorityFilter = -200
)

// segment is what the filters of a network speak of.
type segment struct {
	network network.Network
	ports   []network.Port // on this network
	infra   []string       // names of links that are ours: routers', the host's
	groups  map[string][]netip.Addr
	mac     net.HardwareAddr // of the bridge
	track   tracking
	max     int          // connections of a filtered port in each direction; 0: not bounded
	host    bool         // whether the host has its card here
	local   []netip.Addr // the host's own addresses, sorted
}

// portsMax bounds the filtered ports of a network: a mark has 16 bits for each
// end, and the last number is the host's.
const (
	portsMax = 1<<16 - 2
	hostPort = 1<<16 - 1
)

// tables gives the filters of a network.
//
// Bridge family: prerouting holds the senders (who may be who; frames for the
// metadata service are turned to us), input what we take, forward marks by whom a
// packet is received. Then the rules of the groups, by the connection: in the
// inet family or, where the kernel can, in the bridge family's forward. Behind
// those a table of its own bounds connections (see counting).
func (s segment) tables() []*table {
	bridge := &table{family: nftables.TableFamilyBridge}
	rules := bridge
	var list []*table
	if s.track == trackInet {
		rules = &table{family: nftables.TableFamilyINet}
		list = append(list, rules)
	}
	s.senders(bridge)
	s.own(bridge)
	forward := bridge.chain("forward", hookForward(priorityFilter, true))
	forward.add(etherType(etherARP), accept()) // its sender was checked, and everybody may be asked
	s.receivers(bridge, forward)
	if s.track == trackInet {
		s.decide(rules, rules.chain("forward", hookForward(0, false)))
	} else {
		s.decide(bridge, bridge.chain("decide", nil))
	}
	s.groupSets(rules)
	if count := counting(s.track, s.max); count != nil {
		list = append(list, count)
	}
	return append(list, bridge)
}

// dhcpRate is how many DHCP messages a second a port may send, twice that at
// once: a guest sends four to get an address.
const dhcpRate = 20

// senders fills prerouting: each port has a chain that lets it be only itself.
func (s segment) senders(t *table) {
	t.chain("metadata", nil,
		rule{etherType(etherIPv4), field(inet, offIPv4Dst, dhcp.MetadataAddress.AsSlice()), toHost(s.mac), accept()},
		rule{accept()})
	never := t.chain("never", nil)
	for _, typ := range []byte{raAdvert, ndRedirect} {
		never.add(etherType(etherIPv6), proto(protoICMPv6), field(transport, offICMPType, []byte{typ}), drop())
	}
	never.add(etherType(etherIPv4), proto(protoUDP), field(transport, offSrcPort, be16(67)), drop()) // a DHCP server
	never.add(etherType(etherIPv6), proto(protoUDP), field(transport, offSrcPort, be16(547)), drop())
	from := &set{name: "senders", key: nftables.TypeIFName, value: nftables.TypeVerdict}
	// Reports to multicast routers and solicitations come from no address: RFC 4862 §5.4.2, RFC 3590.
	t.sets = append(t.sets, from, types("solicits", 131, 132, 133, 135, 143))
	pre := t.chain("senders", hookPrerouting(priorityEarly))
	pre.add(setMark(0xffffffff, 0))
	pre.add(vmap(expr.MetaKeyIIFNAME, "iif", from.name))
	for _, name := range s.infra {
		from.elems = append(from.elems, leads(name, ifname(name), expr.VerdictAccept, ""))
	}
	for i, p := range s.ports {
		name := tapName(p.ID)
		if !p.Filtered {
			from.elems = append(from.elems, leads(name, ifname(name), expr.VerdictGoto, "metadata"))
			continue
		}
		from.elems = append(from.elems, leads(name, ifname(name), expr.VerdictGoto, "from_"+name))
		c := t.chain("from_"+name, nil)
		s.identity(c, p)
		ok := t.chain("ok_"+name, nil)
		ok.add(etherType(etherIPv4), proto(protoUDP), field(transport, offDstPort, be16(67)), over(dhcpRate), drop())
		ok.add(setMark(marksEgress, uint32(i+1)))
		ok.add(goTo("metadata"))
	}
}

// sender is who a port may be.
type sender struct {
	mac  net.HardwareAddr
	what netip.Prefix
}

// sendersOf gives the pairs of card and address that a port may send as, its
// own first.
func sendersOf(p network.Port) []sender {
	own, err := net.ParseMAC(p.MAC)
	if err != nil {
		return nil
	}
	var list []sender
	for _, a := range p.Addresses {
		list = append(list, sender{own, netip.PrefixFrom(a, a.BitLen())})
	}
	list = append(list, sender{own, netip.PrefixFrom(linkLocal(own), 128)})
	for _, pair := range p.AllowedPairs {
		mac, err := net.ParseMAC(pair.MAC)
		if err != nil {
			mac = own
		}
		if pair.Prefix.IsValid() {
			list = append(list, sender{mac, pair.Prefix})
		}
		if pair.Prefix.Addr().Is6() {
			list = append(list, sender{mac, netip.PrefixFrom(linkLocal(mac), 128)})
		}
	}
	return list
}

// linkLocal gives the address that a card makes of its MAC (RFC 4291 §2.5.1).
func linkLocal(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}

// identity drops what a port sends as somebody else.
func (s segment) identity(c *chain, p network.Port) {
	ok := goTo("ok_" + tapName(p.ID))
	list := sendersOf(p)
	c.add(jump("never"))
	var macs []string
	for _, who := range list {
		src := field(link, offEtherSrc, who.mac)
		if m := string(who.mac); !slices.Contains(macs, m) {
			macs = append(macs, m)
			// Asking for an address, and for who has one (RFC 5227 §1.1), before it has any.
			c.add(etherType(etherARP), src, field(inet, offARPSenderMAC, who.mac), field(inet, offARPSenderIP, make([]byte, 4)), ok)
			c.add(etherType(etherIPv4), src, field(inet, offIPv4Src, make([]byte, 4)), proto(protoUDP),
				field(transport, offSrcPort, []byte{0, 68, 0, 67}), ok)
			c.add(etherType(etherIPv6), src, field(inet, offIPv6Src, make([]byte, 16)), proto(protoICMPv6), typeIn("solicits"), ok)
		}
	}
	for _, who := range list {
		src := field(link, offEtherSrc, who.mac)
		if who.what.Addr().Is4() {
			c.add(etherType(etherARP), src, field(inet, offARPSenderMAC, who.mac), prefix(offARPSenderIP, who.what), ok)
			c.add(etherType(etherIPv4), src, prefix(offIPv4Src, who.what), ok)
			continue
		}
		// A neighbour advertisement may only speak of the own addresses.
		target := prefix(offIPv6Src, who.what)
		for _, what := range list {
			if what.what.Addr().Is6() && string(what.mac) == string(who.mac) {
				c.add(etherType(etherIPv6), src, target, proto(protoICMPv6), field(transport, offICMPType, []byte{ndAdvert}),
					targetIn(what.what), ok)
			}
		}
		c.add(etherType(etherIPv6), src, target, proto(protoICMPv6), field(transport, offICMPType, []byte{ndAdvert}), drop())
		c.add(etherType(etherIPv6), src, target, ok)
	}
	c.add(drop())
}

// targetIn compares the target of a neighbour advertisement (RFC 4861 §4.4).
func targetIn(p netip.Prefix) stmt {
	s := prefix(0, p)
	s.text = strings.Replace(s.text, "@net+0", "nd target", 1)
	s.exprs[0] = payload(transport, offNDTarget, 16)
	return s
}

// own fills input and output: what the network's own services take and say.
func (s segment) own(t *table) {
	in := t.chain("input", hookInput(priorityFilter))
	in.add(etherType(etherARP), accept())
	in.add(etherType(etherIPv4), proto(protoUDP), field(transport, offDstPort, be16(67)), accept())
	for _, a := range s.serverAddresses() {
		in.add(etherType(etherIPv4), field(inet, offIPv4Dst, a.AsSlice()), proto(protoTCP), field(transport, offDstPort, be16(80)), accept())
		in.add(etherType(etherIPv4), field(inet, offIPv4Dst, a.AsSlice()), proto(protoICMP), field(transport, offICMPType, []byte{8}), accept())
	}
	out := t.chain("output", hookOutput(priorityFilter))
	// While nobody listens here, a guest must not learn that: it would give its address up.
	out.add(etherType(etherIPv4), proto(protoICMP), field(transport, offICMPType, []byte{icmpUnreachable}), drop())
}

// serverAddresses gives what the bridge answers at.
func (s segment) serverAddresses() []netip.Addr {
	list := []netip.Addr{dhcp.MetadataAddress}
	for _, sub := range s.network.Subnets {
		if sub.Server.Is4() {
			list = append(list, sub.Server)
		}
	}
	return list
}

// receivers fills the bridge's forward: for trackInet a mark by receiver, for
// trackBridge the decision itself.
func (s segment) receivers(t *table, forward *chain) {
	if s.track == trackBridge {
		for _, typ := range []uint16{etherIPv4, etherIPv6} {
			forward.add(etherType(typ), goTo("decide"))
		}
		return
	}
	to := &set{name: "receivers", key: nftables.TypeIFName, value: nftables.TypeVerdict}
	t.sets = append(t.sets, to)
	if s.host {
		to.elems = append(to.elems, leads(hostEnd, ifname(hostEnd), expr.VerdictJump, "to_host"))
		t.chain("to_host", nil, rule{setMark(marksIngress, hostPort<<16)})
	}
	for i, p := range s.ports {
		if !p.Filtered {
			continue
		}
		name := tapName(p.ID)
		to.elems = append(to.elems, leads(name, ifname(name), expr.VerdictJump, "to_"+name))
		t.chain("to_"+name, nil, rule{setMark(marksIngress, uint32(i+1)<<16)})
	}
	forward.add(vmap(expr.MetaKeyOIFNAME, "oif", to.name))
	for _, typ := range []uint16{etherIPv4, etherIPv6} {
		forward.add(etherType(typ), accept())
	}
}

// decide fills the chain that decides about a packet by the rules of who sends
// and who receives it.
func (s segment) decide(t *table, c *chain) {
	egress := &set{name: "egress", key: nftables.TypeMark, value: nftables.TypeVerdict}
	ingress := &set{name: "ingress", key: nftables.TypeMark, value: nftables.TypeVerdict}
	byMark := s.track == trackInet
	if byMark {
		c.add(markIs(0), accept()) // between routers and ports without filters
	} else {
		egress.key, ingress.key = nftables.TypeIFName, nftables.TypeIFName
	}
	t.sets = append(t.sets, types("neighbours", 130, 131, 132, 133, 134, 135, 136, 143))
	c.add(etherType(etherIPv6), proto(protoICMPv6), typeIn("neighbours"), accept()) // and multicast: no connections
	c.add(ctEstablished(), accept())
	if byMark {
		c.add(ctInvalid(), drop())
		c.add(markVmap(marksEgress, egress.name))
		c.add(markVmap(marksIngress, ingress.name))
	} else {
		// What is between routers alone may come by another way back, so it is not judged.
		c.add(vmap(expr.MetaKeyIIFNAME, "iif", egress.name))
		c.add(vmap(expr.MetaKeyOIFNAME, "oif", ingress.name))
	}
	c.add(accept())
	if s.host {
		card := ifname(hostEnd)
		if byMark {
			card = mark(hostPort << 16)
		}
		ingress.elems = append(ingress.elems, leads(hostEnd, card, expr.VerdictJump, "host"))
		s.guardHost(t)
	}
	made := map[string]bool{}
	for i, p := range s.ports {
		if !p.Filtered {
			continue
		}
		name := tapName(p.ID)
		out, in := ifname(name), ifname(name)
		if byMark {
			out, in = mark(uint32(i+1)), mark(uint32(i+1)<<16)
		}
		egress.elems = append(egress.elems, leads(name, out, expr.VerdictJump, s.ruleChain(t, made, p, false)))
		ingress.elems = append(ingress.elems, leads(name, in, expr.VerdictJump, s.ruleChain(t, made, p, true)))
	}
	t.sets = append(t.sets, egress, ingress)
}

// guardHost says what may begin towards the host: what it is to hand on, and
// ICMP. Its own services are not for guests, whatever address they listen on.
func (s segment) guardHost(t *table) {
	own := &set{name: "host4", key: nftables.TypeIPAddr}
	for _, a := range s.local {
		if a.Is4() {
			own.elems = append(own.elems, element{text: a.String(), key: a.AsSlice()})
		}
	}
	t.sets = append(t.sets, own)
	t.chain("host", nil,
		rule{etherType(etherIPv4), proto(protoICMP), back()},
		rule{etherType(etherIPv4), inSet(offIPv4Dst, 4, own.name), drop()},
		rule{etherType(etherIPv4), prefix(offIPv4Dst, loopback), drop()},
		rule{etherType(etherIPv4), prefix(offIPv4Dst, multicast), drop()},
		rule{etherType(etherIPv4), field(inet, offIPv4Dst, []byte{255, 255, 255, 255}), drop()},
		rule{etherType(etherIPv6), drop()}) // the host's card has no IPv6
}

// What the host takes for its own besides its addresses.
var (
	loopback  = netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)
	multicast = netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 4)
)

// ruleChain gives the chain of a port's rules for one direction: it returns what
// a rule lets pass. Ports with the same rules share it.
func (s segment) ruleChain(t *table, made map[string]bool, p network.Port, ingress bool) string {
	c := &chain{}
	if s.track == trackBridge {
		c.add(ctInvalid(), drop())
	}
	seen := map[string]bool{}
	var all strings.Builder
	for _, r := range p.Rules {
		if r.Ingress != ingress {
			continue
		}
		match, ok := s.match(r)
		if !ok {
			continue
		}
		text := strings.Join(texts(match), " ")
		if seen[text] {
			continue
		}
		seen[text] = true
		all.WriteString(text + "\n")
		c.add(append(match, back())...)
	}
	c.add(drop())
	c.name = "rules_" + hash(all.String(), 16)
	if !made[c.name] {
		made[c.name] = true
		t.chains = append(t.chains, c)
	}
	return c.name
}

func texts(r rule) []string {
	list := make([]string, len(r))
	for i, s := range r {
		list[i] = s.text
	}
	return list
}

// match turns a rule into what it looks at; false when it can match nothing.
func (s segment) match(r network.Rule) (rule, bool) {
	typ, off, size := uint16(etherIPv4), offIPv4Dst, 4
	if r.Ingress {
		off = offIPv4Src
	}
	if r.IPv6 {
		typ, off, size = etherIPv6, offIPv6Dst, 16
		if r.Ingress {
			off = offIPv6Src
		}
	}
	m := rule{etherType(typ)}
	number, any, ok := network.ProtocolNumber(r.Protocol, r.IPv6)
	if !ok {
		return nil, false
	}
	if !any {
		m = append(m, proto(number))
		m = append(m, portsOf(r, number)...)
	}
	if r.RemotePrefix.IsValid() {
		if r.RemotePrefix.Addr().Is6() != r.IPv6 {
			return nil, false
		}
		if r.RemotePrefix.Bits() > 0 {
			m = append(m, prefix(off, r.RemotePrefix))
		}
	}
	if r.RemoteGroupID != "" {
		m = append(m, inSet(off, size, groupSet(r.RemoteGroupID, r.IPv6)))
	}
	return m, true
}

// portsOf gives what a rule says about ports, or ICMP's type and code.
func portsOf(r network.Rule, number uint8) []stmt {
	if r.Min < 0 {
		return nil
	}
	switch number {
	case protoICMP, protoICMPv6:
		list := []stmt{field(transport, offICMPType, []byte{byte(r.Min)})}
		if r.Max >= 0 {
			list = append(list, field(transport, offICMPType+1, []byte{byte(r.Max)}))
		}
		return list
	case protoTCP, protoUDP, 33, 132, 136: // also DCCP, SCTP, UDP-Lite: their ports lie alike
		return []stmt{between(offDstPort, uint16(r.Min), uint16(max(r.Min, r.Max)))}
	}
	return nil
}

// groupSet names the set of a group's addresses.
func groupSet(id string, ipv6 bool) string {
	if ipv6 {
		return "g6_" + plainID(id)
	}
	return "g4_" + plainID(id)
}

// groupSets makes a set of addresses for each group that a rule names.
func (s segment) groupSets(t *table) {
	made := map[string]bool{}
	for _, p := range s.ports {
		for _, r := range p.Rules {
			name := groupSet(r.RemoteGroupID, r.IPv6)
			if r.RemoteGroupID == "" || made[name] {
				continue
			}
			made[name] = true
			g := &set{name: name, key: nftables.TypeIPAddr}
			if r.IPv6 {
				g.key = nftables.TypeIP6Addr
			}
			addrs := slices.Clone(s.groups[r.RemoteGroupID])
			slices.SortFunc(addrs, netip.Addr.Compare)
			for _, a := range slices.Compact(addrs) {
				if a.Is6() == r.IPv6 {
					g.elems = append(g.elems, element{text: a.String(), key: a.AsSlice()})
				}
			}
			t.sets = append(t.sets, g)
		}
	}
}
