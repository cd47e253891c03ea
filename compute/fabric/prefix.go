package fabric

import (
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"net/netip"
	"strings"
)

// last gives the last address of a prefix: its broadcast address in IPv4.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// usable gives the first and the last address of a prefix that a port may have:
// in IPv4 not the network's own and not the broadcast address, in IPv6 not the
// routers' anycast address (RFC 4291 §2.6.1). A prefix with no room besides these
// gives all of it.
func usable(p netip.Prefix) (first, end netip.Addr) {
	first, end = p.Addr(), last(p)
	if p.Bits() >= p.Addr().BitLen()-1 {
		return first, end
	}
	first = first.Next()
	if p.Addr().Is4() {
		end = end.Prev()
	}
	return first, end
}

// span is the addresses from first to end, both included.
type span struct{ first, end netip.Addr }

func (s span) contains(a netip.Addr) bool { return s.first.Compare(a) <= 0 && a.Compare(s.end) <= 0 }

func (s span) overlaps(o span) bool {
	return s.first.Compare(o.end) <= 0 && o.first.Compare(s.end) <= 0
}

// String is how Neutron writes a pool.
func (s span) String() string { return s.first.String() + "-" + s.end.String() }

// number is an address as a whole number.
func number(a netip.Addr) *big.Int { return new(big.Int).SetBytes(a.AsSlice()) }

// size is how many addresses a span has.
func (s span) size() *big.Int {
	n := new(big.Int).Sub(number(s.end), number(s.first))
	return n.Add(n, big.NewInt(1))
}

// at gives the address at a place of a span, 0 for the first.
func (s span) at(place *big.Int) netip.Addr {
	n := new(big.Int).Add(number(s.first), place)
	b := make([]byte, s.first.BitLen()/8)
	a, _ := netip.AddrFromSlice(n.FillBytes(b))
	return a
}

// eui64 makes the address that a card gives itself in a /64 prefix (RFC 4291
// appendix A): the MAC with ff:fe in its middle and the universal bit turned.
func eui64(p netip.Prefix, mac string) netip.Addr {
	m, err := hex.DecodeString(strings.ReplaceAll(mac, ":", ""))
	if err != nil || len(m) != 6 {
		return netip.Addr{}
	}
	b := p.Masked().Addr().As16()
	copy(b[8:], []byte{m[0] ^ 0x02, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return netip.AddrFrom16(b)
}

// nextPrefix gives the prefix behind p of the given length, invalid at the end of
// all addresses.
func nextPrefix(p netip.Prefix, bits int) netip.Prefix {
	next := last(p).Next()
	if !next.IsValid() {
		return netip.Prefix{}
	}
	if aligned := netip.PrefixFrom(next, bits).Masked(); aligned.Addr() != next {
		next = last(aligned).Next() // up to the next multiple
		if !next.IsValid() {
			return netip.Prefix{}
		}
	}
	return netip.PrefixFrom(next, bits)
}

// randomPlace is a place below n from 16 random bytes.
func randomPlace(random [16]byte, n *big.Int) *big.Int {
	v := new(big.Int).SetUint64(binary.BigEndian.Uint64(random[:8]))
	v.Lsh(v, 64).Or(v, new(big.Int).SetUint64(binary.BigEndian.Uint64(random[8:])))
	return v.Mod(v, n)
}
