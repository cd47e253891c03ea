package listen

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// ruling is what a limiter says of a response.
type ruling uint8

const (
	pass ruling = iota
	drop
	slip // answer truncated: a client that is real asks again over TCP
)

// limiter counts responses to client networks, so that nobody can have a victim
// flooded with them: /24 of IPv4 and /56 of IPv6, each in one of networksMax
// places. Networks that share a place share its rate.
type limiter struct {
	rate  uint32
	seed  maphash.Seed
	place []atomic.Uint64 // second (32 bits), responses in it (32 bits)
	// over is the last second in which anything was over its rate.
	over atomic.Uint32
}

// networksMax bounds what a limiter remembers: 8 bytes each.
const networksMax = 1 << 16

// slipEvery is how many of the responses over the rate make one truncated one.
const slipEvery = 2

// guardedFor is how many seconds after an attack cookies are asked for.
const guardedFor = 10

// newLimiter gives nil for no limit.
func newLimiter(rate int) *limiter {
	if rate <= 0 {
		return nil
	}
	return &limiter{rate: uint32(rate), seed: maphash.MakeSeed(), place: make([]atomic.Uint64, networksMax)}
}

// judge counts a response to a client.
func (l *limiter) judge(client netip.Addr, now time.Time) ruling {
	var key [8]byte
	if client.Is4() {
		a := client.As4()
		copy(key[1:], a[:3])
	} else {
		a := client.As16()
		key[0] = 6
		copy(key[1:], a[:7])
	}
	p := &l.place[maphash.Bytes(l.seed, key[:])%networksMax]
	second := uint32(now.Unix())
	for {
		old := p.Load()
		n := uint32(old) + 1
		if uint32(old>>32) != second {
			n = 1
		}
		if !p.CompareAndSwap(old, uint64(second)<<32|uint64(n)) {
			continue
		}
		if n <= l.rate {
			return pass
		}
		l.over.Store(second)
		if (n-l.rate)%slipEvery == 0 {
			return slip
		}
		return drop
	}
}

// guarded says whether clients are to prove their addresses now.
func (l *limiter) guarded() bool {
	return l != nil && l.over.Load() != 0 && uint32(time.Now().Unix())-l.over.Load() < guardedFor
}

const headerBytes = 12

// truncated makes a response one without records, with TC.
func truncated(b []byte) []byte {
	end := headerBytes
	if binary.BigEndian.Uint16(b[4:]) == 1 {
		for b[end] != 0 { // we wrote the question: it has no pointers
			end += 1 + int(b[end])
		}
		end += 1 + 4
	}
	const flagTC = 0x02
	b[2] |= flagTC
	clear(b[6:headerBytes])
	return b[:end]
}
