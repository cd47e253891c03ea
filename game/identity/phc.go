package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// params are what argon2id costs.
type params struct {
	memory  uint32 // KiB
	rounds  uint32
	threads uint8
}

// Bounds of what a row may ask of this machine: a changed row must not take all memory.
const (
	memoryMax  = 1 << 18 // KiB
	roundsMax  = 16
	threadsMax = 16
	saltMin    = 8
	saltMax    = 64
	keyMin     = 16
	keyMax     = 64

	saltBytes = 16
	keyBytes  = 32
	phcMax    = 300 // bytes of the text
)

// phc is a hashed password in the PHC string format:
// $argon2id$v=19$m=19456,t=2,p=1$salt$key, with base64 without padding.
type phc struct {
	params
	salt, key []byte
}

var phcBase64 = base64.RawStdEncoding.Strict()

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.rounds, h.threads, phcBase64.EncodeToString(h.salt), phcBase64.EncodeToString(h.key))
}

// derive computes what the password makes of the salt.
func (p params) derive(password string, salt []byte, n int) []byte {
	return argon2.IDKey([]byte(password), salt, p.rounds, p.memory, p.threads, uint32(n))
}

// parsePHC reads what String wrote, and nothing else.
func parsePHC(text string) (h phc, err error) {
	parts := strings.Split(text, "$")
	if len(text) > phcMax || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errors.New("hash of a password: not $argon2id$v=19$…")
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return phc{}, errors.New("hash of a password: want m, t and p")
	}
	var n [3]uint64
	for i, c := range []struct {
		name string
		max  uint64
	}{{"m=", memoryMax}, {"t=", roundsMax}, {"p=", threadsMax}} {
		digits, ok := strings.CutPrefix(costs[i], c.name)
		if n[i], err = strconv.ParseUint(digits, 10, 32); !ok || err != nil || n[i] == 0 || n[i] > c.max || digits[0] == '0' {
			return phc{}, fmt.Errorf("hash of a password: %q is not %s1 to %d", costs[i], c.name, c.max)
		}
	}
	h.memory, h.rounds, h.threads = uint32(n[0]), uint32(n[1]), uint8(n[2])
	if h.salt, err = decodePHC(parts[4], saltMin, saltMax); err != nil {
		return phc{}, err
	}
	h.key, err = decodePHC(parts[5], keyMin, keyMax)
	return h, err
}

func decodePHC(text string, least, most int) ([]byte, error) {
	b, err := phcBase64.DecodeString(text)
	if err != nil || len(b) < least || len(b) > most || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("hash of a password: %d bytes where %d to %d are wanted", len(b), least, most)
	}
	return b, nil
}
