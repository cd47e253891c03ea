package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Entry is a finished picture with what its HTTP answer needs.
type Entry struct {
	Data     []byte    // the encoded picture; shared, never written to
	Format   uint8     // images.Format as a number; stable, because it is on disk
	Flags    Flags     //
	Width    int       // of the picture, in pixels
	Height   int       //
	Modified time.Time // of the original; zero when the origin does not know. Whole seconds
	// SourceWidth and SourceHeight are the oriented original's size in pixels.
	SourceWidth, SourceHeight int
}

// Flags say how an entry came to be.
type Flags uint8

// The flags of an entry.
const (
	// FlagTruncated: the original was cut short, so the picture is right only
	// until the original is whole.
	FlagTruncated Flags = 1 << iota
	// FlagMezzanine: made from the mezzanine and not from the original, so
	// that its bytes may differ from those the original would have given.
	FlagMezzanine
)

// The file of an entry, all numbers little-endian:
//
//	offset  width  what
//	0       4      "KMR1"
//	4       1      format
//	5       1      flags
//	6       2      zero
//	8       16     key
//	24      8      modified, Unix seconds; zero time = -1<<63
//	32      4      width
//	36      4      height
//	40      4      source width
//	44      4      source height
//	48      8      length of the data
//	56      8      XXH64 of bytes 0 to 55 followed by the data
//	64      -      data, to the end of the file
const (
	entryMagic      = "KMR1"
	entryHeaderSize = 64
	noTime          = -1 << 63
)

// ErrEntry says that bytes are not a whole and undamaged entry.
var ErrEntry = errors.New("cache: not a whole entry")

// EntrySize is how many bytes an entry takes on disk.
func EntrySize(e *Entry) int64 { return entryHeaderSize + int64(len(e.Data)) }

// appendHeader appends the header of an entry's file.
func appendHeader(b []byte, key Key, e *Entry) []byte {
	start := len(b)
	b = append(b, entryMagic...)
	b = append(b, e.Format, byte(e.Flags), 0, 0)
	b = append(b, key[:]...)
	modified := int64(noTime)
	if !e.Modified.IsZero() {
		modified = e.Modified.Unix()
	}
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(modified))
	b = le.AppendUint32(b, uint32(e.Width))
	b = le.AppendUint32(b, uint32(e.Height))
	b = le.AppendUint32(b, uint32(e.SourceWidth))
	b = le.AppendUint32(b, uint32(e.SourceHeight))
	b = le.AppendUint64(b, uint64(len(e.Data)))
	return le.AppendUint64(b, entrySum(b[start:], e.Data))
}

func entrySum(header, data []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(header)
	_, _ = d.Write(data)
	return d.Sum64()
}

// AppendEntry appends the file of an entry to b.
func AppendEntry(b []byte, key Key, e *Entry) []byte {
	return append(appendHeader(b, key, e), e.Data...)
}

// DecodeEntry reads the file of an entry. Data of the result is a part of b.
// Anything but a whole, undamaged entry of this very key is ErrEntry.
func DecodeEntry(b []byte, key Key) (*Entry, error) {
	if len(b) < entryHeaderSize || string(b[:4]) != entryMagic {
		return nil, fmt.Errorf("%w: no header", ErrEntry)
	}
	if b[6] != 0 || b[7] != 0 {
		return nil, fmt.Errorf("%w: of a later form", ErrEntry)
	}
	if Key(b[8:24]) != key {
		return nil, fmt.Errorf("%w: of another key", ErrEntry)
	}
	le := binary.LittleEndian
	data := b[entryHeaderSize:]
	if le.Uint64(b[48:]) != uint64(len(data)) {
		return nil, fmt.Errorf("%w: %d bytes of data, header says %d", ErrEntry, len(data), le.Uint64(b[48:]))
	}
	if le.Uint64(b[56:]) != entrySum(b[:56], data) {
		return nil, fmt.Errorf("%w: checksum", ErrEntry)
	}
	e := &Entry{
		Data: data, Format: b[4], Flags: Flags(b[5]),
		Width: int(le.Uint32(b[32:])), Height: int(le.Uint32(b[36:])),
		SourceWidth: int(le.Uint32(b[40:])), SourceHeight: int(le.Uint32(b[44:])),
	}
	if sec := int64(le.Uint64(b[24:])); sec != noTime {
		e.Modified = time.Unix(sec, 0)
	}
	return e, nil
}
