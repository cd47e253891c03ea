package replica

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

// kind says what an entry is about.
type kind uint8

// The kinds. Entries of other kinds come from later releases: they are held and passed on, and mean nothing here.
const (
	kindInfo      kind = 1 // a certificate of the member, and what it tells of itself
	kindOwned     kind = 2 // an owned record
	kindOwnedGone kind = 3 // its tombstone, in the same slot
	kindZoneRR    kind = 4 // a zone record, or its tombstone
	kindPolicy    kind = 5
	kindZone      kind = 6
	kindRemoval   kind = 7
	kindRingKey   kind = 8

	kindLocal kind = 255 // serials of zones and the time: kept, never sent, not signed
)

// shared says whether several streams may speak about the same thing, so that stamps decide.
func (k kind) shared() bool { return k >= kindZoneRR && k <= kindRingKey }

// The form of an entry. Its length comes from around it. The form is a promise:
// what changes later are kinds and fields of the payload.
//
//	offset  width  what
//	0       1      format: 1
//	1       1      kind
//	2       8      version, big endian: epoch of the start (4), count (4)
//	10      8      which key of the member signed: begin of the SHA-256 of the public key
//	18      16     slot
//	34      1      length of node
//	35      n      node
//	…       …      payload: fields
//	-64     64     Ed25519 signature over signedAs and all bytes before
const (
	formatNow = 1

	offKind    = 1
	offVersion = 2
	offKey     = 10
	offSlot    = 18
	offNode    = 34
	headBytes  = 35
	sigBytes   = 64
)

// signedAs stands before what is signed, so that no other signature can be taken for one of an entry.
const signedAs = "kamado dns entry\x00"

type (
	slotID [16]byte
	keyID  [8]byte
)

// entry is one entry as it is held. Its bytes are the truth; views decode them.
type entry struct {
	raw     []byte // never changed
	version uint64
	stream  *stream
	also    *entry // the next entry about the same shared thing, in another stream
	kind    kind
	gone    bool // replaced or dropped: only the log still has it
	waiting bool // its stamp lies too far ahead
	shown   bool // it is what stands about a shared thing
}

func (e *entry) slot() slotID    { return slotID(e.raw[offSlot : offSlot+16]) }
func (e *entry) key() keyID      { return keyID(e.raw[offKey : offKey+8]) }
func (e *entry) payload() []byte { return e.raw[headBytes+int(e.raw[offNode]) : len(e.raw)-sigBytes] }
func (e *entry) node() string    { return string(e.raw[headBytes : headBytes+int(e.raw[offNode])]) }
func (e *entry) signed() []byte  { return e.raw[:len(e.raw)-sigBytes] }
func (e *entry) sig() []byte     { return e.raw[len(e.raw)-sigBytes:] }

// sum is what the entry adds to the sum of its stream: bytes of its signature,
// which nobody but its member can choose.
func (e *entry) sum() uint64 { return binary.BigEndian.Uint64(e.sig()) }

// formatError is said of bytes of a format that is too old to be read.
var errFormat = errors.New("a format that is not known")

// parseEntry reads the head of an entry and checks its form. The entry keeps raw.
func parseEntry(raw []byte, bytesMax int) (entry, error) {
	switch {
	case len(raw) > 0 && raw[0] < formatNow:
		return entry{}, fmt.Errorf("an entry of format %d: %w", raw[0], errFormat)
	case len(raw) < headBytes+1+sigBytes:
		return entry{}, fmt.Errorf("an entry of %d bytes", len(raw))
	case len(raw) > bytesMax:
		return entry{}, fmt.Errorf("an entry of %d bytes, at most %d", len(raw), bytesMax)
	case len(raw) < headBytes+int(raw[offNode])+sigBytes:
		return entry{}, errors.New("an entry that ends in its node")
	}
	e := entry{raw: raw, version: binary.BigEndian.Uint64(raw[offVersion:]), kind: kind(raw[offKind])}
	if err := dns.CheckNode(e.node()); err != nil {
		return entry{}, err
	}
	if e.kind == kindLocal || e.version == 0 {
		return entry{}, errors.New("an entry that no member sends")
	}
	return e, nil
}

// makeEntry signs an entry; sign is id.Sign.
func makeEntry(id credential.Identity, sign func([]byte) []byte, k kind, slot slotID, version uint64, payload []byte) []byte {
	node := id.Cert.Node
	raw := make([]byte, 0, headBytes+len(node)+len(payload)+sigBytes)
	raw = append(raw, formatNow, byte(k))
	raw = binary.BigEndian.AppendUint64(raw, version)
	key := keyIDOf(id.Public())
	raw = append(raw, key[:]...)
	raw = append(raw, slot[:]...)
	raw = append(raw, byte(len(node)))
	raw = append(raw, node...)
	raw = append(raw, payload...)
	return append(raw, sign(append([]byte(signedAs), raw...))...)
}

func keyIDOf(public []byte) keyID {
	sum := sha256.Sum256(public)
	return keyID(sum[:8])
}

// slotOf names a slot: by group, which is the kind of what never dies, and identity.
func slotOf(group kind, identity ...[]byte) slotID {
	h := sha256.New()
	h.Write([]byte{byte(group)})
	var n [4]byte
	for _, part := range identity {
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	return slotID(h.Sum(nil)[:16])
}

func ownedSlot(name dns.Name, t dns.Type, data []byte) slotID {
	return slotOf(kindOwned, name.AppendWire(nil), []byte{byte(t >> 8), byte(t)}, data)
}

// stronger says which of two entries of one slot and one version stands: two
// exist only where a member's key is used twice, and then all must choose alike.
func stronger(a, b []byte) bool { return bytes.Compare(a, b) > 0 }
