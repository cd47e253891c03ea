package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
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
	// Label says of which original the entry was made, so that it can be found
	// and removed when that is taken down.
	Label Label
}

// Label names the original that an entry was made of. A key is a hash and says
// nothing; the label is what a sweep asks about.
type Label struct {
	Source string // name of the origin
	Key    string // of the original there
	Owner  string // that the request named which had the entry made; may be empty
}

// labelBytesMax bounds a label on disk: a key (1024 bytes in a URL) below a
// prefix, a source and an owner (64 and 128). Unit: bytes.
const labelBytesMax = 4096

// labelEnd ends each part of a label on disk. No name of an original has it.
const labelEnd = "\x00"

func (l Label) size() int {
	if l == (Label{}) {
		return 0
	}
	return len(l.Source) + len(l.Key) + len(l.Owner) + 3*len(labelEnd)
}

// valid says whether the label can be written.
func (l Label) valid() bool {
	return l.size() <= labelBytesMax && !strings.Contains(l.Source+l.Key+l.Owner, labelEnd)
}

func (l Label) append(b []byte) []byte {
	if l == (Label{}) {
		return b
	}
	for _, part := range []string{l.Source, l.Key, l.Owner} {
		b = append(append(b, part...), labelEnd...)
	}
	return b
}

func parseLabel(b []byte) (Label, error) {
	if len(b) == 0 {
		return Label{}, nil
	}
	text, ended := strings.CutSuffix(string(b), labelEnd)
	parts := strings.Split(text, labelEnd)
	if !ended || len(parts) != 3 || len(b) == 3*len(labelEnd) {
		return Label{}, fmt.Errorf("%w: label", ErrEntry)
	}
	return Label{parts[0], parts[1], parts[2]}, nil
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
	// FlagShared: made from a decode for several, so that its bytes may differ
	// from those that it would have had alone.
	FlagShared
)

// The file of an entry, all numbers little-endian:
//
//	offset  width  what
//	0       4      "KMR2"
//	4       1      format
//	5       1      flags
//	6       2      length n of the label
//	8       16     key
//	24      8      modified, Unix seconds; zero time = -1<<63
//	32      4      width
//	36      4      height
//	40      4      source width
//	44      4      source height
//	48      8      length of the data
//	56      8      XXH64 of the data
//	64      8      XXH64 of bytes 0 to 63 followed by the label
//	72      n      label: source, NUL, key, NUL, owner, NUL; n = 0: none
//	72+n    -      data, to the end of the file
//
// The head has a checksum of its own, so that a sweep can believe a label
// without reading the data. Files of other forms are misses, and a sweep
// removes them.
const (
	entryMagic      = "KMR2"
	entryHeaderSize = 72
	noTime          = -1 << 63
)

// ErrEntry says that bytes are not a whole and undamaged entry.
var ErrEntry = errors.New("cache: not a whole entry")

// errOldForm says that bytes are of an earlier form: a miss, and no damage.
var errOldForm = fmt.Errorf("%w: of an earlier form", ErrEntry)

// oldMagic began entries without a label.
const oldMagic = "KMR1"

// EntrySize is how many bytes an entry takes on disk.
func EntrySize(e *Entry) int64 { return entryHeaderSize + int64(e.Label.size()) + int64(len(e.Data)) }

// appendHeader appends the header and the label of an entry's file.
// Preconditions: the label is valid.
func appendHeader(b []byte, key Key, e *Entry) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = append(b, entryMagic...)
	b = append(b, e.Format, byte(e.Flags))
	b = le.AppendUint16(b, uint16(e.Label.size()))
	b = append(b, key[:]...)
	modified := int64(noTime)
	if !e.Modified.IsZero() {
		modified = e.Modified.Unix()
	}
	b = le.AppendUint64(b, uint64(modified))
	b = le.AppendUint32(b, uint32(e.Width))
	b = le.AppendUint32(b, uint32(e.Height))
	b = le.AppendUint32(b, uint32(e.SourceWidth))
	b = le.AppendUint32(b, uint32(e.SourceHeight))
	b = le.AppendUint64(b, uint64(len(e.Data)))
	b = le.AppendUint64(b, xxhash.Sum64(e.Data))
	head := b[start:]
	b = le.AppendUint64(b, 0)
	b = e.Label.append(b)
	le.PutUint64(b[start+64:], headSum(head, b[start+entryHeaderSize:]))
	return b
}

func headSum(head, label []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(head[:64])
	_, _ = d.Write(label)
	return d.Sum64()
}

// AppendEntry appends the file of an entry to b. A label that cannot be written
// is left out.
func AppendEntry(b []byte, key Key, e *Entry) []byte {
	if !e.Label.valid() {
		bare := *e
		bare.Label = Label{}
		e = &bare
	}
	return append(appendHeader(b, key, e), e.Data...)
}

// decodeHead reads the key and the label of an entry's file, of which b is the
// beginning or the whole.
func decodeHead(b []byte) (key Key, label Label, err error) {
	if len(b) >= len(oldMagic) && string(b[:len(oldMagic)]) == oldMagic {
		return key, label, errOldForm
	}
	if len(b) < entryHeaderSize || string(b[:4]) != entryMagic {
		return key, label, fmt.Errorf("%w: no header", ErrEntry)
	}
	le := binary.LittleEndian
	n := int(le.Uint16(b[6:]))
	if n > labelBytesMax || len(b) < entryHeaderSize+n {
		return key, label, fmt.Errorf("%w: label of %d bytes", ErrEntry, n)
	}
	text := b[entryHeaderSize : entryHeaderSize+n]
	if le.Uint64(b[64:]) != headSum(b, text) {
		return key, label, fmt.Errorf("%w: checksum of the header", ErrEntry)
	}
	label, err = parseLabel(text)
	return Key(b[8:24]), label, err
}

// DecodeEntry reads the file of an entry. Data of the result is a part of b.
// Anything but a whole, undamaged entry of this very key is ErrEntry.
func DecodeEntry(b []byte, key Key) (*Entry, error) {
	of, label, err := decodeHead(b)
	if err != nil {
		return nil, err
	}
	if of != key {
		return nil, fmt.Errorf("%w: of another key", ErrEntry)
	}
	le := binary.LittleEndian
	data := b[entryHeaderSize+label.size():]
	if le.Uint64(b[48:]) != uint64(len(data)) {
		return nil, fmt.Errorf("%w: %d bytes of data, header says %d", ErrEntry, len(data), le.Uint64(b[48:]))
	}
	if le.Uint64(b[56:]) != xxhash.Sum64(data) {
		return nil, fmt.Errorf("%w: checksum", ErrEntry)
	}
	e := &Entry{
		Data: data, Format: b[4], Flags: Flags(b[5]), Label: label,
		Width: int(le.Uint32(b[32:])), Height: int(le.Uint32(b[36:])),
		SourceWidth: int(le.Uint32(b[40:])), SourceHeight: int(le.Uint32(b[44:])),
	}
	if sec := int64(le.Uint64(b[24:])); sec != noTime {
		e.Modified = time.Unix(sec, 0)
	}
	return e, nil
}
