package segment

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// The header. Little-endian; see docs/reference/eventlog.md.
const (
	Magic       = "KAMADOEV"
	Version     = 1
	HeaderBytes = 36
)

// The head of a record: length and checksum.
const recordHeadBytes = 8

// ErrTorn: bytes follow the valid prefix that are no record. It is what a crash
// leaves at the end of the last segment, and damage anywhere else.
var ErrTorn = errors.New("torn record")

// ErrHeader: the file does not begin with the header of a segment.
var ErrHeader = errors.New("not an event segment")

// ErrVersion: a good header of a version that this program does not read. The
// file is whole; a later program wrote it.
var ErrVersion = errors.New("event segment of another version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says which segment a file is.
type Header struct {
	Number  uint64 // counts up from 1 within a log
	Created time.Time
}

// Append appends the header's bytes to b.
func (h Header) Append(b []byte) []byte {
	start := len(b)
	b = append(b, Magic...)
	b = binary.LittleEndian.AppendUint32(b, Version)
	b = binary.LittleEndian.AppendUint32(b, 0) // reserved
	b = binary.LittleEndian.AppendUint64(b, h.Number)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Created.UnixNano()))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func parseHeader(b []byte) (Header, error) {
	sum := len(b) - 4
	switch {
	case string(b[:8]) != Magic:
		return Header{}, fmt.Errorf("%w: wrong magic", ErrHeader)
	case binary.LittleEndian.Uint32(b[sum:]) != crc32.Checksum(b[:sum], castagnoli):
		return Header{}, fmt.Errorf("%w: header checksum differs", ErrHeader)
	case binary.LittleEndian.Uint32(b[8:]) != Version:
		return Header{}, fmt.Errorf("%w: %d, this program reads %d", ErrVersion, binary.LittleEndian.Uint32(b[8:]), Version)
	}
	return Header{
		Number:  binary.LittleEndian.Uint64(b[16:]),
		Created: time.Unix(0, int64(binary.LittleEndian.Uint64(b[24:]))).UTC(),
	}, nil
}

// AppendRecord appends an event that passed Check to b as a record.
func AppendRecord(b []byte, e *Event) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHeadBytes)...)
	b = e.appendPayload(b)
	payload := b[start+recordHeadBytes:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], recordSum(b[start:start+4], payload))
	return b
}

// recordSum covers the length and the payload.
func recordSum(length, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, payload)
}

// Reader gives the events of one segment in the order in which they were
// appended.
type Reader struct {
	r      *bufio.Reader
	header Header
	valid  int64 // length of the valid prefix so far
	buf    []byte
}

// NewReader reads the header. ErrHeader when it is none, also for a file that
// is shorter than a header; ErrVersion when it is another program's.
func NewReader(r io.Reader) (*Reader, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	var head [HeaderBytes]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("%w: shorter than a header", ErrHeader)
		}
		return nil, fmt.Errorf("read segment header: %w", err)
	}
	h, err := parseHeader(head[:])
	if err != nil {
		return nil, err
	}
	return &Reader{r: br, header: h, valid: HeaderBytes}, nil
}

// Header is the segment's header.
func (r *Reader) Header() Header { return r.header }

// Valid is the length of the valid prefix that was read. Unit: bytes.
func (r *Reader) Valid() int64 { return r.valid }

// Next gives the next event. At the end of the segment it is io.EOF when the
// valid prefix is the whole file, and ErrTorn when something follows it; after
// either, Valid is where the segment ends. Other errors are the file's.
func (r *Reader) Next() (Event, error) {
	var head [recordHeadBytes]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return Event{}, r.ended(err, err == io.EOF)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 || n > RecordBytesMax {
		return Event{}, fmt.Errorf("%w: length %d at %d", ErrTorn, n, r.valid)
	}
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, RecordBytesMax)
	}
	payload := r.buf[:n]
	if _, err := io.ReadFull(r.r, payload); err != nil {
		return Event{}, r.ended(err, false)
	}
	if recordSum(head[:4], payload) != binary.LittleEndian.Uint32(head[4:]) {
		return Event{}, fmt.Errorf("%w: checksum differs at %d", ErrTorn, r.valid)
	}
	e, err := parsePayload(payload)
	if err != nil {
		return Event{}, fmt.Errorf("%w: at %d: %w", ErrTorn, r.valid, err)
	}
	r.valid += recordHeadBytes + int64(n)
	return e, nil
}

func (r *Reader) ended(err error, clean bool) error {
	switch {
	case clean:
		return io.EOF
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return fmt.Errorf("%w: file ends inside a record at %d", ErrTorn, r.valid)
	}
	return fmt.Errorf("read segment at %d: %w", r.valid, err)
}
