package netns

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/kamado/kamado/compute/network"
)

// markExternal is on packets that came in from the external network, within a
// router's namespace.
const markExternal = 0x1

// natTables gives the translation of a router; external names its card on the
// external network, empty when it has none.
func natTables(r network.Router, external string) []*table {
	t := &table{family: nftables.TableFamilyIPv4}
	if external == "" || r.Gateway == nil {
		return []*table{t}
	}
	in := &set{name: "floating", key: nftables.TypeIPAddr, value: nftables.TypeIPAddr}
	out := &set{name: "fixed", key: nftables.TypeIPAddr, value: nftables.TypeIPAddr}
	for _, f := range r.Floating {
		if f.External.Is4() && f.Internal.Is4() {
			in.elems = append(in.elems, element{text: f.External.String() + " : " + f.Internal.String(), key: f.External.AsSlice(), value: f.Internal.AsSlice()})
			out.elems = append(out.elems, element{text: f.Internal.String() + " : " + f.External.String(), key: f.Internal.AsSlice(), value: f.External.AsSlice()})
		}
	}
	t.sets = append(t.sets, in, out)
	t.chain("inbound", hookMarkInbound(), rule{setMark(0xffffffff, 0)}, rule{iif(external), setMark(0xffffffff, markExternal)})
	t.chain("prerouting", hookNATPre(), rule{nat(expr.NATTypeDestNAT, offIPv4Dst, in.name)})
	post := t.chain("postrouting", hookNATPost())
	post.add(oif(external), nat(expr.NATTypeSourceNAT, offIPv4Src, out.name))
	if own, ok := gateway4(r); ok && r.SNAT {
		post.add(oif(external), markIsNot(markExternal), snatTo(own))
		// An inner sender that uses a floating address: the answer must come back through us.
		post.add(oifNot(external), markIsNot(markExternal), ctTranslated(), snatTo(own))
		// From outside only floating addresses lead in: the inner ones are nobody's outside.
		t.chain("forward", hookForward(0, false), rule{oifNot(external), markIs(markExternal), ctEstablished(), accept()},
			rule{oifNot(external), markIs(markExternal), ctTranslated(), accept()},
			rule{oifNot(external), markIs(markExternal), drop()})
	}
	return []*table{t}
}

// gateway4 gives a router's own IPv4 address outside.
func gateway4(r network.Router) (netip.Addr, bool) {
	if r.Gateway == nil {
		return netip.Addr{}, false
	}
	for _, p := range r.Gateway.Addresses {
		if p.Addr().Is4() {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// livesAs says whether a router still translates an inner to an outer address.
func livesAs(r network.Router, inner, outer netip.Addr) bool {
	if own, ok := gateway4(r); ok && r.SNAT && outer == own {
		return true
	}
	return slices.Contains(r.Floating, network.Floating{External: outer, Internal: inner})
}
