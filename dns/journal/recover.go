package journal

import (
	"errors"
	"fmt"
	"io"
)

// scanned is what a whole read of the file found.
type scanned struct {
	salt      uint64
	good      int64  // length of the part that is whole batches
	compacted int64  // length up to and with the seal
	group     uint64 // the last one that is durable
	ended     bool   // the last frame of the good part ends its group
	torn      bool   // what follows good was never acknowledged
}

// damaged is a place in the file that was durable and cannot be read.
type damaged struct {
	offset int64
	why    string
}

func (d *damaged) Error() string { return fmt.Sprintf("damaged at offset %d: %s", d.offset, d.why) }

// scan reads the file and tells a torn end from damage. visit, when not nil, gets
// the entries of each batch when the batch is whole.
func scan(file io.ReaderAt, size int64, visit func(entry []byte) error) (scanned, error) {
	r, err := newReader(io.NewSectionReader(file, 0, size), size)
	if errors.Is(err, errHeader) {
		return scanned{}, &damaged{0, err.Error()}
	}
	if err != nil {
		return scanned{}, err
	}
	s := scanned{salt: r.salt, good: headerBytes, compacted: headerBytes, ended: true}
	last := frame{kind: flagGroupEnd | flagBatchEnd}
	var batch [][]byte
	for {
		f, err := r.next()
		if errors.Is(err, io.EOF) {
			s.torn = s.good < r.at
			return s, nil
		}
		if errors.Is(err, errFrame) {
			s.torn = true
			return s, judge(file, r.at, size, s.salt, last)
		}
		if err != nil {
			return s, err
		}
		last = f
		if f.is(kindEntry) {
			batch = append(batch, f.entry)
		}
		if !f.has(flagBatchEnd) {
			continue
		}
		s.good, s.group, s.ended = r.at, f.group, f.has(flagGroupEnd)
		if f.is(kindSeal) {
			s.compacted = r.at
		}
		for _, e := range batch {
			if visit == nil {
				break
			}
			if err := visit(e); err != nil {
				return s, err
			}
		}
		batch = batch[:0]
	}
}

// judge is called with the offset at which no frame could be read, and the frame
// before it. Nil: the end of the file is torn, nothing from here on was
// acknowledged. A group begins only when the one before it is durable, so:
//
//   - a later frame of the same group as the last good one, or of the next after a
//     complete one, says nothing: a machine that lost power may have written the
//     pages of one sync in any order
//   - a frame of any later group proves that what stands here was durable
func judge(file io.ReaderAt, at, size int64, salt uint64, last frame) error {
	torn := last.group // the group that may be torn
	if last.has(flagGroupEnd) {
		torn++
	}
	const window = 1 << 20
	buf := make([]byte, min(window+frameBytes+EntryBytesMax, size-at))
	for from := at + 1; from < size; from += window {
		n, err := file.ReadAt(buf[:min(int64(len(buf)), size-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := range min(n, window) {
			if f, _, err := parseFrame(buf[i:n], salt); err == nil && f.group > torn {
				return &damaged{at, fmt.Sprintf("no frame can be read there, and one that was written later stands at offset %d", from+int64(i))}
			}
		}
	}
	return nil
}
