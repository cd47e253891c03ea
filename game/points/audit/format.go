package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/kamado/kamado/game"
)

// Sizes of the document, in bytes.
const (
	headBytes       = 128      // a segment's header
	batchHeadBytes  = 72       // a batch's header
	batchBytesMax   = 16777216 // a batch
	postingHead     = 8        // length and checksum of a posting
	postingBytesMin = 124      // with its head, before its texts
	entryBytes      = 28
	segmentBytesMax = 1 << 32 // offsets have 32 bits
)

const (
	headMagic  = "KAMADOLG"
	batchMagic = "KLB1"
)

// The kinds of batch.
const (
	kindPostings = 1
	kindMark     = 2
	kindSeal     = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type (
	ledgerID [16]byte
	chain    [32]byte
)

// sum is the checksum of the ledger: its id, and then the parts.
func (id ledgerID) sum(parts ...[]byte) uint32 {
	c := crc32.Update(0, castagnoli, id[:])
	for _, p := range parts {
		c = crc32.Update(c, castagnoli, p)
	}
	return c
}

var le = binary.LittleEndian

// due is what comes next in a log.
type due struct {
	seq   uint64 // of the next posting
	batch uint64 // number of the next batch
	time  int64  // of the last posting
	chain chain  // of the last batch
}

// segmentHead is the header of a segment.
type segmentHead struct {
	id     ledgerID
	number uint64
	due    due
	length int64
}

func parseHead(b []byte) (h segmentHead, err error) {
	switch {
	case len(b) < headBytes || string(b[:8]) != headMagic:
		return h, fmt.Errorf("it does not begin with the header of a segment")
	case crc32.Checksum(b[:124], castagnoli) != le.Uint32(b[124:]):
		return h, fmt.Errorf("the checksum of its header is not that of its bytes")
	case le.Uint32(b[8:]) != 1:
		return h, fmt.Errorf("it has version %d, this program reads version 1", le.Uint32(b[8:]))
	case le.Uint32(b[12:]) != 0 || !zero(b[104:124]):
		return h, fmt.Errorf("reserved bytes of its header are not zero")
	}
	copy(h.id[:], b[16:])
	copy(h.due.chain[:], b[64:])
	h.number, h.due.seq, h.due.batch, h.due.time, h.length = le.Uint64(b[32:]), le.Uint64(b[40:]), le.Uint64(b[48:]), int64(le.Uint64(b[56:])), int64(le.Uint64(b[96:]))
	if h.length < headBytes || h.length > segmentBytesMax {
		return h, fmt.Errorf("its header names a length of %d", h.length)
	}
	return h, nil
}

func zero(b []byte) bool {
	for len(b) >= len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

var zeros [4096]byte

// batchHead is the header of a batch.
type batchHead struct {
	length int64
	kind   uint32
	number uint64
	seq    uint64
	count  uint32
	chain  chain
}

// parseBatchHead reads a header that may be none.
func parseBatchHead(id ledgerID, b []byte) (h batchHead, ok bool) {
	if len(b) < batchHeadBytes || string(b[:4]) != batchMagic || id.sum(b[8:batchHeadBytes]) != le.Uint32(b[4:]) {
		return h, false
	}
	h = batchHead{length: int64(le.Uint32(b[8:])), kind: le.Uint32(b[12:]), number: le.Uint64(b[16:]), seq: le.Uint64(b[24:]), count: le.Uint32(b[32:])}
	copy(h.chain[:], b[40:])
	return h, h.length >= batchHeadBytes && h.length <= batchBytesMax
}

// link is the chain that a batch of these bytes must have.
func link(batch []byte, before chain) (c chain) {
	h := sha256.New()
	h.Write(batch[batchHeadBytes:]) //nolint:errcheck // never fails
	h.Write(batch[8:40])            //nolint:errcheck // never fails
	h.Write(before[:])              //nolint:errcheck // never fails
	h.Sum(c[:0])
	return c
}

// posting is one as it lies in a batch. Its texts are of the batch's buffer.
type posting struct {
	op, kind           byte
	seq                uint64
	time               int64
	digest             [16]byte
	uid, to            uint64
	amount             int64
	hold               uint64
	until              int64
	balance, balanceTo int64
	before, beforeTo   uint64 // places
	tx, reason, by     []byte
	entries            []entry
	place              uint64 // where it lies itself
}

type entry struct {
	from, to           game.Class
	fromWhose, toWhose byte // 0: the house, 1: the user, 2: the other user
	amount             int64
	expires            int64
	hold               uint64
}

// parsePosting reads the first posting of b into p and says how long it is.
func parsePosting(id ledgerID, b []byte, p *posting) (int, error) {
	if len(b) < postingBytesMin {
		return 0, fmt.Errorf("%d bytes are left, too few for a posting", len(b))
	}
	n := int(le.Uint32(b)) + postingHead
	if n < postingBytesMin || n > len(b) {
		return 0, fmt.Errorf("a posting of %d bytes where %d are left", n, len(b))
	}
	if b = b[:n]; id.sum(b[:4], b[8:]) != le.Uint32(b[4:]) {
		return 0, fmt.Errorf("the checksum of a posting is not that of its bytes")
	}
	if b[8] != 1 {
		return 0, fmt.Errorf("a posting of version %d, this program reads version 1", b[8])
	}
	*p = posting{
		op: b[9], kind: b[10], seq: le.Uint64(b[12:]), time: int64(le.Uint64(b[20:])), digest: [16]byte(b[28:44]), uid: le.Uint64(b[44:]), to: le.Uint64(b[52:]), amount: int64(le.Uint64(b[60:])),
		hold: le.Uint64(b[68:]), until: int64(le.Uint64(b[76:])), balance: int64(le.Uint64(b[84:])), balanceTo: int64(le.Uint64(b[92:])), before: le.Uint64(b[100:]), beforeTo: le.Uint64(b[108:]), entries: p.entries[:0],
	}
	entries, tx, reason, by := int(le.Uint16(b[116:])), int(le.Uint16(b[118:])), int(le.Uint16(b[120:])), int(le.Uint16(b[122:]))
	if tx < 1 || tx > game.TxBytesMax || reason > game.ReasonBytesMax || by > game.ByBytesMax || n != postingBytesMin+tx+reason+by+entries*entryBytes {
		return 0, fmt.Errorf("a posting of %d bytes with texts of %d, %d and %d and %d entries", n, tx, reason, by, entries)
	}
	if b[11] != 0 {
		return 0, fmt.Errorf("a reserved byte of a posting is not zero")
	}
	b = b[postingBytesMin:]
	p.tx, p.reason, p.by, b = b[:tx], b[tx:tx+reason], b[tx+reason:tx+reason+by], b[tx+reason+by:]
	for ; len(b) > 0; b = b[entryBytes:] {
		p.entries = append(p.entries, entry{game.Class(b[0]), game.Class(b[1]), b[2], b[3], int64(le.Uint64(b[4:])), int64(le.Uint64(b[12:])), le.Uint64(b[20:])})
	}
	return n, nil
}
