package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// shelf is where segments lie: a directory, or a backup.
type shelf interface {
	// open gives the bytes of a segment; os.ErrNotExist when there is none.
	open(ctx context.Context, number uint64) (io.ReadCloser, error)
}

// folder is a directory of a ledger.
type folder string

func (f folder) open(_ context.Context, number uint64) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(f), segmentName(number)))
}

func segmentName(number uint64) string { return fmt.Sprintf("%010d.log", number) }

// batch is one that was read whole, of a walk's buffer.
type batch struct {
	batchHead
	segment uint64
	offset  int64
	bytes   []byte
}

// spot is a place in the files.
type spot struct {
	segment uint64
	offset  int64
}

// The ways in which a log ends.
const (
	endClean   = "clean"   // nothing lies behind the last batch
	endTorn    = "torn"    // an unfinished batch lies behind the last one
	endDamaged = "damaged" // what should be there is not
)

// walk reads the batches of a log in their order, until they end.
type walk struct {
	shelf shelf
	// posting gets each one, and visit each batch behind its postings; they and their
	// bytes are only lent. Both may be nil.
	posting func(*posting) error
	visit   func(*batch) error
	// segment gets the header of each segment; may be nil.
	segment func(segmentHead) error
	// problem gets what is not as it should be; the walk ends after endDamaged.
	problem func(at spot, err error)

	id    ledgerID
	next  due
	at    spot   // where the next batch begins
	last  uint32 // kind of the last batch
	bytes int64  // that batches and headers take
	buf   []byte
	read  posting
}

// run reads everything and says how it ended.
func (w *walk) run(ctx context.Context) (end string, err error) {
	w.next = due{seq: 1, batch: 1}
	if err := w.from(ctx, 1, 0); err != nil {
		return "", err
	}
	v, err := w.judge(ctx)
	// A ledger that is in use may have written on between the two. What stood in the
	// way of its later batches can be read now, or never.
	for err == nil && v.damage != nil && w.next.batch <= v.later {
		before := w.next.batch
		if err := w.from(ctx, w.at.segment, w.at.offset); err != nil {
			return "", err
		}
		if w.next.batch == before {
			w.problem(v.at, v.damage)
			return endDamaged, nil
		}
		v.end = endTorn
	}
	return v.end, err
}

// from reads on from a place as far as batches follow.
func (w *walk) from(ctx context.Context, number uint64, offset int64) error {
	for {
		follows, err := w.file(ctx, number, offset)
		if err != nil || !follows {
			return err
		}
		number, offset = number+1, 0
	}
}

// file reads one segment, from its header or from a batch; follows says that the
// next one goes on where it ends.
func (w *walk) file(ctx context.Context, number uint64, offset int64) (follows bool, err error) {
	f, err := w.shelf.open(ctx, number)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	head, err := r.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	h, err := parseHead(head)
	if offset > 0 && err == nil {
		if _, err := io.CopyN(io.Discard, r, offset); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		return w.batches(ctx, r, h.length)
	}
	w.at = spot{number, 0}
	switch {
	case err != nil:
	case h.number != number:
		err = fmt.Errorf("its header is that of segment %d", h.number)
	case number > 1 && h.id != w.id:
		err = fmt.Errorf("it is of another ledger")
	case h.due != w.next:
		err = fmt.Errorf("its header goes on at posting %d, batch %d and time %d, the segment before at %d, %d and %d, or with another chain", h.due.seq, h.due.batch, h.due.time, w.next.seq, w.next.batch, w.next.time)
	}
	if err != nil {
		w.problem(w.at, err)
		return false, errBadHead
	}
	if w.id = h.id; w.segment != nil {
		if err := w.segment(h); err != nil {
			return false, err
		}
	}
	r.Discard(headBytes) //nolint:errcheck // they were peeked at
	w.at.offset = headBytes
	w.bytes += headBytes
	return w.batches(ctx, r, h.length)
}

// batches reads those of one segment.
func (w *walk) batches(ctx context.Context, r *bufio.Reader, length int64) (follows bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		b, err := w.batch(r, length)
		if err != nil {
			return false, err
		}
		if b == nil {
			break
		}
		if err := w.postings(b); err != nil {
			return false, err
		}
		w.next.batch, w.next.chain = w.next.batch+1, b.chain
		w.at.offset += b.length
		w.bytes += b.length
		w.last = b.kind
		if w.visit != nil {
			if err := w.visit(b); err != nil {
				return false, err
			}
		}
	}
	return w.followed(ctx)
}

// errBadHead: the walk cannot go on in a segment whose header was told as a problem.
var errBadHead = errors.New("the header of a segment is damaged")

// batch reads the next one; nil where none is.
func (w *walk) batch(r *bufio.Reader, length int64) (*batch, error) {
	head, err := r.Peek(batchHeadBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	h, ok := parseBatchHead(w.id, head)
	if !ok || h.number != w.next.batch || h.seq != w.next.seq || w.at.offset+h.length > length {
		return nil, nil
	}
	if int64(cap(w.buf)) < h.length {
		w.buf = make([]byte, max(h.length, 1<<16))
	}
	w.buf = w.buf[:h.length]
	if _, err := io.ReadFull(r, w.buf); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, nil
		}
		return nil, err
	}
	if link(w.buf, w.next.chain) != h.chain {
		return nil, nil
	}
	return &batch{batchHead: h, segment: w.at.segment, offset: w.at.offset, bytes: w.buf}, nil
}

// postings reads those of a batch.
func (w *walk) postings(b *batch) error {
	if b.kind < kindPostings || b.kind > kindSeal || (b.kind == kindPostings) != (b.count > 0) || le.Uint32(b.bytes[36:]) != 0 {
		w.problem(w.at, fmt.Errorf("a batch of kind %d with %d postings", b.kind, b.count))
	}
	rest := b.bytes[batchHeadBytes:]
	for range b.count {
		at := spot{b.segment, b.offset + b.length - int64(len(rest))}
		n, err := parsePosting(w.id, rest, &w.read)
		if err != nil {
			w.problem(at, err)
			break // the length of what follows cannot be trusted
		}
		rest, w.read.place = rest[n:], at.segment<<32|uint64(at.offset)
		if w.read.seq != w.next.seq || w.read.time < w.next.time {
			w.problem(at, fmt.Errorf("posting %d at time %d stands where posting %d is due, not before time %d", w.read.seq, w.read.time, w.next.seq, w.next.time))
		}
		w.next.seq, w.next.time = w.next.seq+1, max(w.next.time, w.read.time)
		if w.posting != nil {
			if err := w.posting(&w.read); err != nil {
				return err
			}
		}
	}
	if len(rest) > 0 || w.next.seq != b.seq+uint64(b.count) {
		w.problem(w.at, fmt.Errorf("a batch of %d postings from %d ends with %d bytes too many before posting %d", b.count, b.seq, len(rest), w.next.seq))
		w.next.seq = b.seq + uint64(b.count)
	}
	return nil
}

// followed says whether the next segment goes on where the walk is.
func (w *walk) followed(ctx context.Context) (bool, error) {
	f, err := w.shelf.open(ctx, w.at.segment+1)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, headBytes)
	if n, err := io.ReadFull(f, b); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, err
	} else if b = b[:n]; zero(b) {
		return false, nil
	}
	h, err := parseHead(b)
	return err == nil && h.number == w.at.segment+1 && h.due == w.next && h.id == w.id, nil
}

// verdict is what lies behind the last batch that could be read.
type verdict struct {
	end    string
	damage error // for endDamaged
	at     spot
	later  uint64 // for endDamaged: a batch that lies behind, 0 where none is known
}

func (w *walk) judge(ctx context.Context) (verdict, error) {
	v := verdict{end: endClean}
	for number, skip := w.at.segment, w.at.offset; ; number, skip = number+1, 0 {
		f, err := w.shelf.open(ctx, number)
		if errors.Is(err, os.ErrNotExist) {
			return v, nil
		}
		if err != nil {
			return v, err
		}
		later, empty, err := w.search(f, skip)
		f.Close() //nolint:errcheck // it was read
		switch {
		case err != nil:
			return v, err
		case later != 0:
			return verdict{endDamaged, fmt.Errorf("batch %d cannot be read here, though batch %d lies behind it: bytes were changed or are missing", w.next.batch, later), w.at, later}, nil
		case number > w.at.segment && !empty:
			return verdict{endDamaged, fmt.Errorf("it does not go on where the segment before ends, at posting %d, batch %d", w.next.seq, w.next.batch), spot{number, 0}, w.next.batch}, nil
		case !empty:
			v.end = endTorn
		}
	}
}

// search looks from an offset on for a batch that is later than the one that is due,
// and says whether there are only zeros.
func (w *walk) search(f io.Reader, skip int64) (later uint64, empty bool, err error) {
	if _, err := io.CopyN(io.Discard, f, skip); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, true, nil
		}
		return 0, false, err
	}
	const window = 1 << 20
	buf := make([]byte, 0, window+batchHeadBytes)
	empty = true
	for {
		n, err := io.ReadFull(f, buf[len(buf):window])
		buf = buf[:len(buf)+n]
		empty = empty && zero(buf)
		for at := 0; !empty; {
			i := bytes.Index(buf[at:], []byte(batchMagic))
			if i < 0 {
				break
			}
			at += i
			if h, ok := parseBatchHead(w.id, buf[at:]); ok && h.number > w.next.batch {
				return h.number, false, nil
			}
			at++
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, empty, nil
		}
		if err != nil {
			return 0, false, err
		}
		keep := buf[len(buf)-min(len(buf), batchHeadBytes-1):]
		buf = buf[:copy(buf[:cap(buf)], keep)]
	}
}
