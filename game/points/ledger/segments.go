package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/kamado/kamado/internal/disk"
)

// segmentsOpenMax bounds the files of the log that are open to be read.
const segmentsOpenMax = 64

// How much of a segment is read at once, one batch excepted that is longer.
const (
	windowBytes = 1 << 20  // where all of it is read
	glanceBytes = 16 << 10 // where one batch is looked for
)

// segments are the files of the log, to be read. Safe for concurrent use.
type segments struct {
	disk disk.Disk
	dir  string
	id   ledgerID

	mu    sync.Mutex // guards what follows
	open  map[uint32]*openSegment
	order []uint32 // of opening
}

type openSegment struct {
	f     disk.File
	users int
	gone  bool // closed by its last user
}

func newSegments(d disk.Disk, dir string) *segments {
	return &segments{disk: d, dir: dir, open: map[uint32]*openSegment{}}
}

func (s *segments) path(number uint32) string { return filepath.Join(s.dir, segmentName(number)) }

// use gives a segment to read, and what to call afterwards.
func (s *segments) use(number uint32) (disk.File, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.open[number]
	if o == nil {
		f, err := s.disk.Open(s.path(number))
		if err != nil {
			return nil, nil, err
		}
		if len(s.order) >= segmentsOpenMax {
			s.drop(s.order[0])
		}
		o = &openSegment{f: f}
		s.open[number], s.order = o, append(s.order, number)
	}
	o.users++
	return o.f, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if o.users--; o.users == 0 && o.gone {
			o.f.Close()
		}
	}, nil
}

// drop closes the oldest file. Preconditions: mu is held.
func (s *segments) drop(number uint32) {
	o := s.open[number]
	delete(s.open, number)
	s.order = s.order[1:]
	if o.gone = true; o.users == 0 {
		o.f.Close()
	}
}

// close closes all; nobody uses them.
func (s *segments) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.order) > 0 {
		s.drop(s.order[0])
	}
}

// recordGuess is how many bytes are read for a record at first.
const recordGuess = 512

// record reads the posting at a place. The record's slices are its own.
func (s *segments) record(at place, r *record) error {
	f, done, err := s.use(at.segment())
	if err != nil {
		return err
	}
	defer done()
	b := make([]byte, recordGuess)
	n, err := f.ReadAt(b, at.offset())
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	b = b[:n]
	if len(b) >= recordHeadBytes {
		if size := int64(le.Uint32(b)) + recordHeadBytes; size > int64(n) && size <= recordBytesMax {
			b = make([]byte, size)
			if _, err := f.ReadAt(b, at.offset()); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
	}
	if err := parseRecord(b, &s.id, r); err != nil {
		return &damage{at: at, why: "no posting can be read there"}
	}
	return nil
}

// damage is a place in the log that was durable and cannot be read.
type damage struct {
	at  place
	seq uint64 // of the posting there; 0: not known
	why string
}

func (d *damage) Error() string {
	if d.seq == 0 {
		return fmt.Sprintf("damaged at %v: %s", d.at, d.why)
	}
	return fmt.Sprintf("damaged at %v, posting %d: %s", d.at, d.seq, d.why)
}

// batchReader reads batches of one segment, one after another.
type batchReader struct {
	f      disk.File
	id     *ledgerID
	number uint32
	off    int64
	window int
	buf    []byte // what was read of the file, from bufAt on
	bufAt  int64
}

// windowOf is the window to read all of a file.
func windowOf(f disk.File) int {
	if size, err := f.Size(); err == nil && size < windowBytes {
		return int(max(size, batchHeadBytes))
	}
	return windowBytes
}

// peek gives the next n bytes, or as many as the file has.
func (r *batchReader) peek(n int) ([]byte, error) {
	skip := r.off - r.bufAt
	if skip < 0 || int64(len(r.buf)) < skip+int64(n) {
		want := max(n, r.window)
		if cap(r.buf) < want {
			r.buf = make([]byte, want)
		}
		got, err := r.f.ReadAt(r.buf[:want], r.off)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		r.buf, r.bufAt, skip = r.buf[:got], r.off, 0
	}
	return r.buf[skip:min(int64(len(r.buf)), skip+int64(n))], nil
}

// next reads the next batch. errFormat: no head of a batch stands here, or the
// file ends before its batch does. What is between head and end is not checked.
func (r *batchReader) next() (h batchHead, b []byte, err error) {
	if b, err = r.peek(batchHeadBytes); err != nil {
		return h, nil, err
	}
	if h, err = parseBatchHead(b, r.id); err != nil {
		return h, nil, err
	}
	if b, err = r.peek(h.size); err == nil && len(b) < h.size {
		err = errFormat
	}
	return h, b, err
}

// wholeBatch is a batch that was read.
type wholeBatch struct {
	head  batchHead
	start place
	raw   []byte // with the head; the reader's
}

// records visits the postings of a batch. visit's record is used again for the next.
func (b *wholeBatch) records(id *ledgerID, visit func(r *record, at place) error) error {
	var r record
	rest, off := b.raw[batchHeadBytes:], b.start.offset()+batchHeadBytes
	for i := range uint64(b.head.count) {
		here := at(b.start.segment(), off)
		if err := parseRecord(rest, id, &r); err != nil || r.posting.Seq != b.head.seq+i {
			return &damage{here, b.head.seq + i, "the posting cannot be read"}
		}
		if err := visit(&r, here); err != nil {
			return err
		}
		rest, off = rest[r.size:], off+int64(r.size)
	}
	if len(rest) > 0 {
		return &damage{at(b.start.segment(), off), 0, "a batch is longer than its postings"}
	}
	return nil
}

// follow checks that a batch follows an end, and gives the end behind it; its time
// is left to whoever reads the postings.
func (b *wholeBatch) follow(id *ledgerID, e *end) (end, error) {
	h := &b.head
	switch {
	case h.number != e.batch+1:
		return end{}, &damage{b.start, e.seq + 1, fmt.Sprintf("batch %d stands where batch %d should", h.number, e.batch+1)}
	case h.seq != e.seq+1:
		return end{}, &damage{b.start, e.seq + 1, fmt.Sprintf("posting %d stands where posting %d should", h.seq, e.seq+1)}
	case chainOf(&e.chain, b.raw) != h.chain:
		if err := b.records(id, func(*record, place) error { return nil }); err != nil {
			return end{}, err
		}
		return end{}, &damage{b.start, e.seq + 1, "the chain is broken: this batch is not the one that was written after the one before"}
	}
	return end{h.number, e.seq + uint64(h.count), e.now, h.chain, at(b.start.segment(), b.start.offset()+int64(h.size))}, nil
}

// errStop ends a walk early, in good order.
var errStop = errors.New("stop")

// walk visits the batches behind an end, up to one with a number, all of which are durable. visit may give errStop.
func (s *segments) walk(ctx context.Context, from end, upTo uint64, visit func(*wholeBatch) error) error {
	e := from
	for number := e.next.segment(); e.batch < upTo; number++ {
		if e.next.segment() != number {
			e.next = at(number, segmentHeadBytes)
		}
		done, err := s.walkSegment(ctx, &e, upTo, visit)
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil || done {
			return err
		}
	}
	return nil
}

// walkSegment walks through the rest of one segment, and says whether upTo was reached.
func (s *segments) walkSegment(ctx context.Context, e *end, upTo uint64, visit func(*wholeBatch) error) (bool, error) {
	f, done, err := s.use(e.next.segment())
	if disk.Missing(err) {
		return false, &damage{e.next, e.seq + 1, "the file is missing"}
	}
	if err != nil {
		return false, err
	}
	defer done()
	r := &batchReader{f: f, id: &s.id, number: e.next.segment(), off: e.next.offset(), window: windowOf(f)}
	for e.batch < upTo {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		head, raw, err := r.next()
		if errors.Is(err, errFormat) {
			return false, nil // the next file tells whether that is the end of this one
		}
		if err != nil {
			return false, err
		}
		b := &wholeBatch{head, at(r.number, r.off), raw}
		next, err := b.follow(&s.id, e)
		if err != nil {
			return false, err
		}
		if err := visit(b); err != nil {
			return false, err
		}
		*e, r.off = next, r.off+int64(head.size)
	}
	return true, nil
}

// batches visits batches from the place of one on, also through the next segments,
// until there is none. Their chain is not checked, since what came before is not read.
func (s *segments) batches(ctx context.Context, start place, visit func(*wholeBatch) error) error {
	for number := start.segment(); ; number++ {
		off := int64(segmentHeadBytes)
		if number == start.segment() {
			off = start.offset()
		}
		f, done, err := s.use(number)
		if disk.Missing(err) && number > start.segment() {
			return nil
		}
		if err != nil {
			return err
		}
		err = s.batchesOf(ctx, &batchReader{f: f, id: &s.id, number: number, off: off, window: glanceBytes}, visit)
		done()
		if err != nil {
			return err
		}
	}
}

func (s *segments) batchesOf(ctx context.Context, r *batchReader, visit func(*wholeBatch) error) error {
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		head, raw, err := r.next()
		if errors.Is(err, errFormat) {
			if first && r.off > segmentHeadBytes {
				return &damage{at(r.number, r.off), 0, "no batch can be read there"}
			}
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(&wholeBatch{head, at(r.number, r.off), raw}); err != nil {
			return err
		}
		r.off += int64(head.size)
	}
}
