package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"

	"github.com/kamado/kamado/game"
)

// What the files are made of; docs/reference/game-ledger.md has the tables, and a
// test compares them with this.
const (
	segmentMagic = "KAMADOLG"
	batchMagic   = "KLB1"
	version      = 1

	segmentHeadBytes = 128
	batchHeadBytes   = 72
	recordHeadBytes  = 8
	bodyHeadBytes    = 116
	entryBytes       = 28

	// batchBytesMax bounds what a reader takes for a batch.
	batchBytesMax = 16 << 20
	// recordBytesMax is a record with all that it may have.
	recordBytesMax = recordHeadBytes + bodyHeadBytes + game.TxBytesMax + game.ReasonBytesMax + game.ByBytesMax + game.EntriesMax*entryBytes
)

// Kinds of batch.
const (
	kindPostings = 1
	kindMark     = 2
	kindSeal     = 3
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// errFormat says that bytes are not what should stand there.
var errFormat = errors.New("not what should stand here")

// ledgerID is in all files of a ledger, and in its checksums.
type ledgerID [16]byte

// crc is the checksum of some bytes of this ledger.
func (id *ledgerID) crc(parts ...[]byte) uint32 {
	sum := crc32.Checksum(id[:], castagnoli)
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

// chain is what each batch depends on all before it by.
type chain [sha256.Size]byte

// place is where in the log something stands: segment and offset. Zero is nowhere.
type place uint64

func at(segment uint32, offset int64) place { return place(segment)<<32 | place(uint32(offset)) }

func (p place) segment() uint32 { return uint32(p >> 32) }
func (p place) offset() int64   { return int64(uint32(p)) }
func (p place) String() string {
	return fmt.Sprintf("%s, offset %d", segmentName(p.segment()), p.offset())
}

// end is the end of a part of the log that is whole.
type end struct {
	batch uint64       // number of the last batch; 0: none
	seq   uint64       // of the last posting
	now   game.Instant // its time
	chain chain
	next  place // where the next batch begins, or would if it fitted
}

// segmentHead is how a segment begins.
type segmentHead struct {
	id     ledgerID
	number uint32
	before end // its next is not part of the header
	size   int64
}

func segmentName(number uint32) string { return fmt.Sprintf("%010d.log", number) }

func appendSegmentHead(dst []byte, h *segmentHead) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = le.AppendUint32(dst, version)
	dst = le.AppendUint32(dst, 0)
	dst = append(dst, h.id[:]...)
	dst = le.AppendUint64(dst, uint64(h.number))
	dst = le.AppendUint64(dst, h.before.seq+1)
	dst = le.AppendUint64(dst, h.before.batch+1)
	dst = le.AppendUint64(dst, uint64(h.before.now))
	dst = append(dst, h.before.chain[:]...)
	dst = le.AppendUint64(dst, uint64(h.size))
	dst = append(dst, make([]byte, 20)...)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseSegmentHead(b []byte) (h segmentHead, err error) {
	if len(b) < segmentHeadBytes || string(b[:8]) != segmentMagic || crc32.Checksum(b[:124], castagnoli) != le.Uint32(b[124:]) {
		return h, errFormat
	}
	if v := le.Uint32(b[8:]); v != version {
		return h, fmt.Errorf("version %d of the format; this program reads %d", v, version)
	}
	number, seq, batch := le.Uint64(b[32:]), le.Uint64(b[40:]), le.Uint64(b[48:])
	h.size = int64(le.Uint64(b[96:]))
	if number == 0 || number > 1<<32-1 || seq == 0 || batch == 0 || h.size < segmentHeadBytes || h.size > SegmentBytesMax || !zero(b[12:16]) || !zero(b[104:124]) {
		return h, errFormat
	}
	copy(h.id[:], b[16:])
	h.number = uint32(number)
	h.before = end{batch: batch - 1, seq: seq - 1, now: game.Instant(le.Uint64(b[56:]))}
	copy(h.before.chain[:], b[64:])
	h.before.next = at(h.number, segmentHeadBytes)
	return h, nil
}

// batchHead is how a batch begins.
type batchHead struct {
	size   int // with the head
	kind   uint32
	number uint64
	seq    uint64 // of its first posting
	count  uint32
	chain  chain
}

// putBatchHead writes the head into the first bytes of b. Its chain was computed before, over what putFixed wrote.
func putBatchHead(b []byte, id *ledgerID, h *batchHead) {
	copy(b, batchMagic)
	h.putFixed(b)
	copy(b[40:], h.chain[:])
	le.PutUint32(b[4:], id.crc(b[8:batchHeadBytes]))
}

func (h *batchHead) putFixed(b []byte) {
	le.PutUint32(b[8:], uint32(h.size))
	le.PutUint32(b[12:], h.kind)
	le.PutUint64(b[16:], h.number)
	le.PutUint64(b[24:], h.seq)
	le.PutUint32(b[32:], h.count)
	le.PutUint32(b[36:], 0)
}

// parseBatchHead reads a head that is whole; it says nothing of the postings.
func parseBatchHead(b []byte, id *ledgerID) (h batchHead, err error) {
	if len(b) < batchHeadBytes || string(b[:4]) != batchMagic || le.Uint32(b[4:]) != id.crc(b[8:batchHeadBytes]) {
		return h, errFormat
	}
	h = batchHead{size: int(le.Uint32(b[8:])), kind: le.Uint32(b[12:]), number: le.Uint64(b[16:]), seq: le.Uint64(b[24:]), count: le.Uint32(b[32:])}
	copy(h.chain[:], b[40:])
	postings := h.kind == kindPostings && h.count > 0 && h.size > batchHeadBytes
	if h.size > batchBytesMax || !zero(b[36:40]) || !postings && (h.kind != kindMark && h.kind != kindSeal || h.count != 0 || h.size != batchHeadBytes) {
		return h, errFormat
	}
	return h, nil
}

// chainOf is the chain of a whole batch in b behind one with another chain.
func chainOf(before *chain, b []byte) (c chain) {
	s := sha256.New()
	s.Write(b[batchHeadBytes:])
	return finishChain(s, before, b)
}

// finishChain is chainOf for a sum that has the postings already.
func finishChain(s hash.Hash, before *chain, head []byte) (c chain) {
	s.Write(head[8:40])
	s.Write(before[:])
	s.Sum(c[:0])
	return c
}

func zero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

var zeros [4096]byte

// crcMore goes on with a checksum.
func crcMore(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }
