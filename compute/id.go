package compute

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// NewID makes a random UUID (RFC 9562 §5.4) as Nova, Glance and Neutron write
// it, with hyphens.
func NewID() string {
	h := NewHexID()
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// NewHexID makes a random UUID as Keystone writes it, 32 hexadecimal digits.
func NewHexID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return hex.EncodeToString(b[:])
}

// IsID says whether s is a UUID in either spelling.
func IsID(s string) bool {
	h := strings.ReplaceAll(s, "-", "")
	if len(h) != 32 || len(s) != 32 && len(s) != 36 {
		return false
	}
	_, err := hex.DecodeString(h)
	return err == nil
}
