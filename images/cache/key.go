package cache

import (
	"crypto/sha256"
	"encoding/hex"
)

// Key names a result: the first 16 bytes of a SHA-256, so that a stranger who
// chooses sizes and names cannot make two results collide.
type Key [16]byte

// keyPartsMax is the length up to which Sum needs no memory of its own. Unit:
// bytes.
const keyPartsMax = 512

// Sum makes a key of some parts. The length of each part is hashed with it:
// ("a","bc") and ("ab","c") differ.
func Sum(parts ...string) Key {
	var room [keyPartsMax]byte
	b := room[:0]
	for _, p := range parts {
		n := len(p)
		b = append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	var k Key
	copy(k[:], sum[:])
	return k
}

// String is the key in 32 hex digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }
