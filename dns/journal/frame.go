package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The file, numbers little endian:
//
//	offset  width  header
//	     0      8  "kamadojr"
//	     8      4  version: 1
//	    12      8  salt: random, the same after compaction
//	    20      4  CRC-32C of the 20 bytes before
//
//	offset  width  frame, one after another
//	     0      4  length of the entry
//	     4      4  CRC-32C of the salt, the other 13 bytes here and the entry
//	     8      8  group
//	    16      1  kind, and flags
//	    17         the entry
//
// The salt makes that bytes which a client chose, inside an entry, are never taken
// for a frame when the place of the next frame was lost.
const (
	magic       = "kamadojr"
	version     = 1
	headerBytes = 24
	frameBytes  = 17
)

// Kinds of frame, in the low bits of their byte.
const (
	kindEntry = 1
	kindSeal  = 2 // what stands before it is a snapshot
	kindMark  = 3 // ends what a crash left, or a journal that was closed in order
	kindMask  = 0x0f

	flagBatchEnd = 0x40 // the last of its batch
	flagGroupEnd = 0x80 // the last of its group
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errFrame says that no whole, right frame stands at this offset.
var errFrame = errors.New("no frame")

// errHeader says that the file does not begin as a journal does.
var errHeader = errors.New("the file's header is damaged, or it is no journal")

func appendHeader(dst []byte, salt uint64) []byte {
	at := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	dst = binary.LittleEndian.AppendUint64(dst, salt)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func parseHeader(b []byte) (salt uint64, err error) {
	if len(b) < headerBytes || string(b[:8]) != magic || crc32.Checksum(b[:20], castagnoli) != binary.LittleEndian.Uint32(b[20:]) {
		return 0, errHeader
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return 0, fmt.Errorf("version %d of the format, this program reads %d", v, version)
	}
	return binary.LittleEndian.Uint64(b[12:]), nil
}

// frame is one frame without its length and checksum.
type frame struct {
	group uint64
	kind  byte // with flags
	entry []byte
}

func (f frame) is(kind byte) bool  { return f.kind&kindMask == kind }
func (f frame) has(flag byte) bool { return f.kind&flag != 0 }

func appendFrame(dst []byte, salt uint64, f frame) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.entry)))
	dst = binary.LittleEndian.AppendUint32(dst, f.sum(salt))
	dst = binary.LittleEndian.AppendUint64(dst, f.group)
	dst = append(dst, f.kind)
	return append(dst, f.entry...)
}

func (f frame) sum(salt uint64) uint32 {
	var b [21]byte
	binary.LittleEndian.PutUint64(b[:], salt)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(f.entry)))
	binary.LittleEndian.PutUint64(b[12:], f.group)
	b[20] = f.kind
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, f.entry)
}

// parseFrame reads the frame at the start of b. The entry is part of b.
func parseFrame(b []byte, salt uint64) (f frame, size int, err error) {
	if len(b) < frameBytes {
		return frame{}, 0, errFrame
	}
	n := binary.LittleEndian.Uint32(b)
	f = frame{group: binary.LittleEndian.Uint64(b[8:]), kind: b[16]}
	if k := f.kind & kindMask; n > EntryBytesMax || k < kindEntry || k > kindMark || len(b) < frameBytes+int(n) {
		return frame{}, 0, errFrame
	}
	f.entry = b[frameBytes : frameBytes+int(n)]
	if f.sum(salt) != binary.LittleEndian.Uint32(b[4:]) {
		return frame{}, 0, errFrame
	}
	return f, frameBytes + int(n), nil
}

// reader reads frames one after another.
type reader struct {
	r    *bufio.Reader
	salt uint64
	at   int64 // offset of the next frame
}

// newReader reads the header of a file of a size.
func newReader(r io.Reader, size int64) (*reader, error) {
	in := bufio.NewReaderSize(r, int(min(size, 64<<10)))
	head := make([]byte, headerBytes)
	if _, err := io.ReadFull(in, head); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errHeader
	} else if err != nil {
		return nil, err
	}
	salt, err := parseHeader(head)
	if err != nil {
		return nil, err
	}
	return &reader{r: in, salt: salt, at: headerBytes}, nil
}

// next is the next frame; its entry is the caller's. io.EOF: the file ends with a
// whole frame; errFrame: here is none.
func (r *reader) next() (frame, error) {
	head, err := r.r.Peek(frameBytes)
	switch {
	case errors.Is(err, io.EOF) && len(head) == 0:
		return frame{}, io.EOF
	case errors.Is(err, io.EOF):
		return frame{}, errFrame
	case err != nil:
		return frame{}, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n > EntryBytesMax {
		return frame{}, errFrame
	}
	// A file that lies about a length costs at most EntryBytesMax.
	var b bytes.Buffer
	b.Grow(frameBytes + int(n))
	if _, err := io.CopyN(&b, r.r, int64(frameBytes)+int64(n)); errors.Is(err, io.EOF) {
		return frame{}, errFrame
	} else if err != nil {
		return frame{}, err
	}
	f, size, err := parseFrame(b.Bytes(), r.salt)
	if err != nil {
		return frame{}, err
	}
	r.at += int64(size)
	return f, nil
}
