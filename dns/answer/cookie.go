package answer

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// How long a server cookie is believed, in seconds: an hour back, and five
// minutes ahead for clocks that differ (RFC 9018 4.3).
const (
	cookieAgeMax   = 3600
	cookieAheadMax = 300
)

// appendCookie writes a cookie of client and server (RFC 9018 4): the client's 8
// bytes, version 1, 3 zeros, the time, and a hash over these and the address.
func appendCookie(b []byte, secret [16]byte, client []byte, now uint32, addr netip.Addr) []byte {
	at := len(b)
	b = append(b, client...)
	b = append(b, 1, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, now)
	return binary.LittleEndian.AppendUint64(b, cookieHash(secret, b[at:], addr))
}

// cookieHash is the hash over the first 16 bytes of a cookie and an address.
func cookieHash(secret [16]byte, head []byte, addr netip.Addr) uint64 {
	var text [16 + 16]byte
	n := copy(text[:], head[:16])
	if addr.Is4() {
		a := addr.As4()
		n += copy(text[n:], a[:])
	} else {
		a := addr.As16()
		n += copy(text[n:], a[:])
	}
	return sipHash(secret, text[:n])
}

// believed says whether a cookie has a server's part that this cluster gave to this address not long ago.
func believed(secret [16]byte, cookie []byte, now uint32, addr netip.Addr) bool {
	if len(cookie) != cookieBytes || cookie[8] != 1 {
		return false
	}
	age := int32(now - binary.BigEndian.Uint32(cookie[12:])) // serial arithmetic (RFC 1982)
	if age > cookieAgeMax || age < -cookieAheadMax {
		return false
	}
	var want [8]byte
	binary.LittleEndian.PutUint64(want[:], cookieHash(secret, cookie, addr))
	return subtle.ConstantTimeCompare(want[:], cookie[16:]) == 1
}

// sipHash is SipHash-2-4 (Aumasson and Bernstein, 2012).
func sipHash(key [16]byte, b []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])
	v0, v1, v2, v3 := k0^0x736f6d6570736575, k1^0x646f72616e646f6d, k0^0x6c7967656e657261, k1^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		m := binary.LittleEndian.Uint64(b)
		v3 ^= m
		round()
		round()
		v0 ^= m
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	v3 ^= last
	round()
	round()
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		round()
	}
	return v0 ^ v1 ^ v2 ^ v3
}
