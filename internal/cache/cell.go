package cache

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"
)

// kind is the state of a cell; an absent one is the zero cell.
type kind byte

const (
	kindNone   kind = 0
	kindLease  kind = 'L'
	kindValue  kind = 'V'
	kindAbsent kind = 'A' // a value that says that the store has none
	kindMark   kind = 'M'
)

// cell is what a cell of an engine says.
//
// On the wire: kind (1 byte), CRC-32C of the key and of all that follows (4), and, all little endian:
//
//	value, absent   version (8), for a value its bytes
//	mark            era (8), count (2), mixed (1), floor (8), began (8)
type cell struct {
	kind    kind
	version uint64
	bytes   []byte
	era     uint64 // of a mark: one number from its first writer to its last
	// count is how many writers are at work. Invariant: of a mark at least 1. At
	// countMax it stays, and the mark ends with its life.
	count uint16
	mixed bool   // there was more than one writer, or one whose mark was lost
	floor uint64 // version of the value that the mark replaced
	began int64  // of a mark's era, unix seconds of some process's clock
}

const (
	countMax  = math.MaxUint16
	headBytes = 1 + 4
	markBytes = 8 + 2 + 1 + 8 + 8
	// staleEras is after how many lives of a mark its writers are taken for dead,
	// even if others kept the mark alive. A clock that is wrong by so much makes a mark lost, no more.
	staleEras = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c cell) usable() bool { return c.kind == kindValue || c.kind == kindAbsent }

// encode gives the bytes of a cell under a key.
func (c cell) encode(key string) []byte {
	b := make([]byte, headBytes, headBytes+max(8+len(c.bytes), markBytes))
	b[0] = byte(c.kind)
	switch c.kind {
	case kindValue, kindAbsent:
		b = binary.LittleEndian.AppendUint64(b, c.version)
		b = append(b, c.bytes...)
	case kindMark:
		b = binary.LittleEndian.AppendUint64(b, c.era)
		b = binary.LittleEndian.AppendUint16(b, c.count)
		mixed := byte(0)
		if c.mixed {
			mixed = 1
		}
		b = append(b, mixed)
		b = binary.LittleEndian.AppendUint64(b, c.floor)
		b = binary.LittleEndian.AppendUint64(b, uint64(c.began))
	}
	binary.LittleEndian.PutUint32(b[1:], checksum(key, b))
	return b
}

func checksum(key string, b []byte) uint32 {
	sum := crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, b[:1])
	return crc32.Update(sum, castagnoli, b[headBytes:])
}

// decode is the opposite; false for what encode never made of this key. The bytes of the cell are those of b.
func decode(key string, b []byte) (c cell, ok bool) {
	if len(b) < headBytes || binary.LittleEndian.Uint32(b[1:]) != checksum(key, b) {
		return cell{}, false
	}
	c.kind = kind(b[0])
	body := b[headBytes:]
	switch c.kind {
	case kindLease:
		return c, len(body) == 0
	case kindValue, kindAbsent:
		if len(body) < 8 || c.kind == kindAbsent && len(body) > 8 {
			return cell{}, false
		}
		c.version = binary.LittleEndian.Uint64(body)
		if c.kind == kindValue {
			c.bytes = body[8:len(body):len(body)]
		}
		return c, true
	case kindMark:
		if len(body) != markBytes || body[10] > 1 {
			return cell{}, false
		}
		c.era, c.count, c.mixed = binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint16(body[8:]), body[10] == 1
		c.floor, c.began = binary.LittleEndian.Uint64(body[11:]), int64(binary.LittleEndian.Uint64(body[19:]))
		return c, c.count > 0
	}
	return cell{}, false
}

// begin is the mark that a writer puts over c. The era is used if it is the first.
func (c cell) begin(era uint64, now time.Time, life time.Duration) cell {
	mark := cell{kind: kindMark, era: era, count: 1, began: now.Unix()}
	switch c.kind {
	case kindMark:
		if time.Duration(now.Unix()-c.began)*time.Second > staleEras*life {
			mark.mixed, mark.floor = true, c.floor
			return mark
		}
		c.mixed = true
		if c.count < countMax {
			c.count++
		}
		return c
	case kindValue, kindAbsent:
		mark.floor = c.version
	}
	return mark
}

// end is what a writer of an era (0: it has none) makes of c, when the store has v.
// A cell without kind is to be removed.
func (c cell) end(era uint64, v cell) cell {
	switch {
	case c.kind != kindMark:
		return cell{} // the mark was lost: what is there may be older than the store
	case c.era != era:
		c.mixed = true
		return c
	case c.count == countMax:
		return c
	case c.count > 1:
		c.count--
		return c
	case c.mixed || v.kind != kindValue || v.version <= c.floor:
		return cell{}
	}
	return v
}

// same says whether two cells without bytes are equal, so that nothing need be swapped.
func (c cell) same(d cell) bool {
	return c.kind == d.kind && !c.usable() && c.era == d.era && c.count == d.count && c.mixed == d.mixed && c.floor == d.floor && c.began == d.began
}
