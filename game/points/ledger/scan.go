package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kamado/kamado/internal/disk"
)

// logScan reads the log behind an end, and tells a torn end from damage.
type logScan struct {
	l     *Ledger
	heads []segmentHead
	end   end  // reached so far; its time is not kept
	torn  bool // something that was never acknowledged stands behind the end
}

// run visits the batches.
func (s *logScan) run(ctx context.Context, visit func(*wholeBatch) error) error {
	for number := s.end.next.segment(); number <= uint32(len(s.heads)); number++ {
		if s.end.next.segment() != number {
			s.end.next = at(number, segmentHeadBytes)
		}
		if err := s.segment(ctx, number, visit); err != nil {
			return err
		}
	}
	return nil
}

// segment reads the rest of one segment.
func (s *logScan) segment(ctx context.Context, number uint32, visit func(*wholeBatch) error) error {
	segs := s.l.segs
	f, done, err := segs.use(number)
	if err != nil {
		return err
	}
	defer done()
	r := &batchReader{f: f, id: &segs.id, number: number, off: s.end.next.offset(), window: windowOf(f)}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		head, raw, err := r.next()
		if err != nil && !errors.Is(err, errFormat) {
			return err
		}
		var why error
		if err == nil {
			var next end
			b := &wholeBatch{head, at(number, r.off), raw}
			if next, why = b.follow(&segs.id, &s.end); why == nil {
				if err := visit(b); err != nil {
					return err
				}
				s.end, r.off = next, r.off+int64(head.size)
				continue
			}
		}
		if int(number) < len(s.heads) {
			return s.left(number, r.off, why)
		}
		return s.judge(f, r.off, why)
	}
}

// left judges the end of a segment that has one behind it.
func (s *logScan) left(number uint32, off int64, why error) error {
	b := &s.heads[number].before // of the segment behind
	if b.batch == s.end.batch && b.seq == s.end.seq && b.chain == s.end.chain {
		return nil
	}
	if why != nil {
		return why
	}
	return &damage{at(number, off), s.end.seq + 1, fmt.Sprintf("no batch can be read there, and %s begins with batch %d", segmentName(number+1), b.batch+1)}
}

// judge looks at what stands behind the last whole batch of the last segment. A
// batch is written only when the one before it is durable, so one with a later
// number than the one that is due proves that what stands here was durable.
// Otherwise it was being written when the power went, its sectors in any order.
func (s *logScan) judge(f disk.File, off int64, why error) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	buf := make([]byte, min(windowBytes+batchHeadBytes, max(0, size-off)))
	for from := off; from < size; from += windowBytes {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if zero(buf[:n]) {
			continue
		}
		s.torn = true
		for i := range min(n, windowBytes) {
			if buf[i] != batchMagic[0] {
				continue
			}
			h, err := parseBatchHead(buf[i:n], &s.l.segs.id)
			if err != nil || h.number <= s.end.batch+1 {
				continue
			}
			later := fmt.Sprintf("batch %d, which was written later, stands at offset %d", h.number, from+int64(i))
			var d *damage
			if errors.As(why, &d) {
				return &damage{d.at, d.seq, d.why + "; " + later}
			}
			return &damage{at(s.end.next.segment(), off), s.end.seq + 1, "no batch can be read there; " + later}
		}
	}
	return nil
}
