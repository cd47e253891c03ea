package answer

import (
	"math"
	"math/bits"
	"net/netip"

	"github.com/kamado/kamado/dns"
)

// picks are numbers of records in the order in which they are answered.
type picks struct {
	at [dns.AddressesMax]uint16
	n  int
	// taken has a bit for each record that was picked.
	taken [candidatesMax / 64]uint64
}

func (p *picks) has(i int) bool { return p.taken[i>>6]>>(i&63)&1 != 0 }

func (p *picks) take(i int) {
	p.taken[i>>6] |= 1 << (i & 63)
	p.at[p.n] = uint16(i)
	p.n++
}

// random is splitmix64 (Steele, Lea and Flood, 2014): one addition and a mix for each number.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below gives a number from 0 to n-1. The bias of a 64-bit product is below n/2^64.
func (r *random) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// client is what balancing knows of who asks.
type client struct {
	addr  netip.Addr
	place uint16
}

// pick picks the records of an answer, rank after rank. most > 0.
func (s *rrset) pick(p *picks, rnd *random, c client) {
	most := min(int(s.most), int(s.count))
	for lo, hi := 0, int(s.first); p.n < most; lo, hi = hi, int(s.count) {
		if lo == hi {
			continue
		}
		end := p.n + min(most-p.n, hi-lo)
		switch s.balance {
		case dns.FixBySource:
			s.fix(p, lo, hi, end, c)
		case dns.FixedFirst:
			p.take(lo)
			s.weighted(p, lo, hi, end, rnd)
		case dns.Rendezvous, dns.Nearest:
			s.best(p, lo, hi, end, c)
		default:
			s.weighted(p, lo, hi, end, rnd)
		}
	}
}

// weighted picks at random among the records lo to hi that are not taken, until end are.
func (s *rrset) weighted(p *picks, lo, hi, end int, rnd *random) {
	if s.more == nil || s.more.weight == nil {
		s.even(p, lo, hi, end, rnd)
		return
	}
	w := s.more.weight
	total, free := uint64(0), 0
	for i := lo; i < hi; i++ {
		if !p.has(i) {
			total += uint64(w[i])
			free++
		}
	}
	for ; p.n < end && free > 0; free-- {
		if total == 0 { // what is left weighs nothing
			s.even(p, lo, hi, end, rnd)
			return
		}
		x := rnd.below(total)
		for i := lo; i < hi; i++ {
			if p.has(i) {
				continue
			}
			if x < uint64(w[i]) {
				p.take(i)
				total -= uint64(w[i])
				break
			}
			x -= uint64(w[i])
		}
	}
}

// even picks with equal chances.
func (s *rrset) even(p *picks, lo, hi, end int, rnd *random) {
	if hi-lo > dns.AddressesMax { // most draws hit a free one
		for p.n < end {
			if i := lo + int(rnd.below(uint64(hi-lo))); !p.has(i) {
				p.take(i)
			}
		}
		return
	}
	var free [dns.AddressesMax]uint16 // the beginning of a shuffle (Fisher and Yates)
	n := 0
	for i := lo; i < hi; i++ {
		if !p.has(i) {
			free[n] = uint16(i)
			n++
		}
	}
	for ; p.n < end; n-- {
		i := rnd.below(uint64(n))
		p.take(int(free[i]))
		free[i] = free[n-1]
	}
}

// fix gives the client of rank i the record of rank i, and those after it behind. A client without a rank gets one by its hash.
func (s *rrset) fix(p *picks, lo, hi, end int, c client) {
	n := hi - lo
	start := -1
	if s.more != nil {
		start = sourceRank(s.more.sources, c.addr)
	}
	if start < 0 {
		start = int(clientHash(c.addr) % uint64(n))
	}
	for i := start; p.n < end; i++ {
		p.take(lo + i%n)
	}
}

// sourceRank is the place of an address in a sorted list; -1: it is not there.
func sourceRank(list []string, a netip.Addr) int {
	var buf [16]byte
	key := buf[:]
	if a.Is4() {
		b := a.As4()
		key = key[:copy(key, b[:])]
	} else {
		buf = a.As16()
	}
	lo, hi := 0, len(list)
	for lo < hi {
		m := (lo + hi) / 2
		if list[m] < string(key) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(list) && list[lo] == string(key) {
		return lo
	}
	return -1
}

// clientHash is equal on all members. Of an IPv6 client the network counts, as
// its address changes daily (RFC 8981).
func clientHash(a netip.Addr) uint64 {
	b := a.As16()
	h := uint64(0)
	for _, c := range b[:8] {
		h = h<<8 | uint64(c)
	}
	if a.Is4() || a.Is4In6() {
		h = uint64(b[12])<<24 | uint64(b[13])<<16 | uint64(b[14])<<8 | uint64(b[15])
	}
	return mix(h + 0x9e3779b97f4a7c15)
}

// best picks by score, the highest first.
func (s *rrset) best(p *picks, lo, hi, end int, c client) {
	var scores [dns.AddressesMax]float64
	begin := p.n
	key := clientHash(c.addr)
	for i := lo; i < hi; i++ {
		v := s.score(i, key, c)
		// Insert among those that are picked already, or drop the last.
		at := p.n
		for at > begin && scores[at-1-begin] < v {
			at--
		}
		if at >= end {
			continue
		}
		if p.n < end {
			p.n++
		}
		copy(p.at[at+1:p.n], p.at[at:p.n-1])
		copy(scores[at+1-begin:p.n-begin], scores[at-begin:p.n-1-begin])
		p.at[at], scores[at-begin] = uint16(i), v
	}
}

// score says how well record i suits a client.
func (s *rrset) score(i int, key uint64, c client) float64 {
	if s.balance == dns.Rendezvous {
		// Weighted rendezvous (Schindelhauer and Schomaker, 2005): -w/ln(u) with u in (0, 1).
		u := (float64(mix(key^s.more.hash[i])>>11) + 0.5) / (1 << 53)
		w := 1.0
		if s.more.weight != nil {
			w = float64(s.more.weight[i])
		}
		return -w / math.Log(u)
	}
	// Nearest: the place counts above the prefix (at most 128 bits), the prefix above the round trip (below 2^32 us).
	v := 0.0
	if c.place != 0 && s.more.place[i] == c.place {
		v += 1 << 40
	}
	v += float64(commonBits(s.rr(i)[rrData:], c.addr)) * (1 << 32)
	rtt := s.more.rtt[i]
	if rtt == 0 {
		rtt = math.MaxUint32 // not known
	}
	return v - float64(rtt)
}

// commonBits is the length of the common prefix of a record's address and a client's.
func commonBits(data string, a netip.Addr) int {
	var buf [16]byte
	b := buf[:]
	if a.Is4() {
		v := a.As4()
		b = b[:copy(b, v[:])]
	} else {
		buf = a.As16()
	}
	if len(data) != len(b) {
		return 0
	}
	for i := range b {
		if x := data[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(b)
}
