package answer

import (
	"net/netip"
	"slices"
)

// networks finds the value of the longest prefix that an address lies in. It is
// made for few lengths of prefixes, and never changed.
type networks[T any] struct {
	values map[netip.Prefix]T
	four   []int // lengths of prefixes, longest first
	six    []int
}

func newNetworks[T any](values map[netip.Prefix]T) networks[T] {
	n := networks[T]{values: make(map[netip.Prefix]T, len(values))}
	for p, v := range values {
		p = p.Masked()
		n.values[p] = v
		lengths := &n.six
		if p.Addr().Is4() {
			lengths = &n.four
		}
		if !slices.Contains(*lengths, p.Bits()) {
			*lengths = append(*lengths, p.Bits())
		}
	}
	for _, l := range []*[]int{&n.four, &n.six} {
		slices.Sort(*l)
		slices.Reverse(*l)
	}
	return n
}

// find gives the value of an address, which must not be a mapped one.
func (n *networks[T]) find(a netip.Addr) (v T, ok bool) {
	lengths := n.six
	if a.Is4() {
		lengths = n.four
	}
	for _, bits := range lengths {
		p, err := a.WithZone("").Prefix(bits)
		if err != nil {
			break
		}
		if v, ok = n.values[p]; ok {
			return v, true
		}
	}
	return v, false
}

// access is a list of networks that may do something.
type access struct {
	all bool
	in  networks[struct{}]
}

func newAccess(list []netip.Prefix) access {
	var a access
	m := map[netip.Prefix]struct{}{}
	var four, six bool
	for _, p := range list {
		m[p] = struct{}{}
		four = four || p.Bits() == 0 && p.Addr().Is4()
		six = six || p.Bits() == 0 && p.Addr().Is6()
	}
	a.all = four && six
	a.in = newNetworks(m)
	return a
}

func (a *access) allows(client netip.Addr) bool {
	if a.all {
		return true
	}
	_, ok := a.in.find(client)
	return ok
}
