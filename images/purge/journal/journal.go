// Package journal is a file of records that are on disk when Append returns, and
// that is written afresh when most of it is of no use any more. It knows nothing
// of what the records say.
//
// Vocabulary: a record is a payload with a head that has a checksum of its own;
// a torn end is a record that the file ends in the middle of, which is what a
// crash leaves and which nobody was told is there; anything else that is no
// record is damage: bytes that had been written and are others now.
//
// Invariants: records are given in the order in which they were appended; of a
// damaged file every whole record is given, and the damage is told; after a
// write that failed nothing is appended until the file was written afresh,
// because nobody knows what a failed sync left.
package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/cespare/xxhash/v2"

	"github.com/kamado/kamado/internal/disk"
)

// The file is records, one after the other, numbers little-endian:
//
//	offset  width  what
//	0       4      "KJR1"
//	4       4      length n of the payload, at most PayloadMax
//	8       8      XXH64 of the payload
//	16      8      XXH64 of bytes 0 to 15
//	24      n      payload
const (
	recordMagic = "KJR1"
	headSize    = 24
)

// PayloadMax bounds a record. Unit: bytes.
const PayloadMax = 64 << 10

// slack is how much a file may grow beyond twice what was of use when it was
// written, before Bloated says so: small files are not rewritten for nothing.
const slack = 1 << 20

// ErrBroken says that an earlier write failed and the file must be written
// afresh first.
var ErrBroken = errors.New("journal: an earlier write failed; it must be written afresh")

// Found is what Open saw.
type Found struct {
	Records   int
	TornBytes int64 // cut off: the end of a record that was never acknowledged
	Damaged   int   // places where bytes are no record
}

// Journal is an open file. Methods may not run at the same time.
type Journal struct {
	disk   disk.Disk
	path   string
	file   disk.File
	size   int64
	base   int64 // size after the last rewrite, or of what was read
	broken bool
}

// Open opens or makes a file and gives each whole record to read, whose error
// ends it. When the file has a torn end or damage, the caller calls Rewrite
// before Append.
func Open(d disk.Disk, path string, read func(payload []byte) error) (*Journal, Found, error) {
	f, err := d.Open(path)
	if disk.Missing(err) {
		if f, err = d.Create(path); err == nil {
			err = d.SyncDir(filepath.Dir(path))
		}
	}
	if err != nil {
		return nil, Found{}, fmt.Errorf("open journal: %w", err)
	}
	size, err := f.Size()
	var found Found
	if err == nil {
		found, err = scan(io.NewSectionReader(f, 0, size), size, read)
	}
	if err != nil {
		return nil, found, errors.Join(fmt.Errorf("read journal %s: %w", path, err), f.Close())
	}
	return &Journal{disk: d, path: path, file: f, size: size, base: size, broken: found.TornBytes > 0 || found.Damaged > 0}, found, nil
}

// scan reads records and steps over what is none.
func scan(r io.Reader, size int64, read func([]byte) error) (found Found, err error) {
	b := bufio.NewReaderSize(r, headSize+PayloadMax)
	inDamage := false
	for at := int64(0); at < size; {
		payload, torn, err := next(b)
		switch {
		case err != nil:
			return found, err
		case payload != nil:
			if err := read(payload[headSize:]); err != nil {
				return found, err
			}
			found.Records++
			inDamage = false
		case torn && !inDamage:
			found.TornBytes = size - at
			return found, nil
		case !inDamage:
			found.Damaged++
			inDamage = true
		}
		step := max(len(payload), 1)
		if _, err := b.Discard(step); err != nil {
			return found, err
		}
		at += int64(step)
	}
	return found, nil
}

// next looks at the record that begins here: the record whole, or nil and
// whether the file ends before it does.
func next(b *bufio.Reader) (record []byte, torn bool, err error) {
	head, err := b.Peek(headSize)
	if errors.Is(err, io.EOF) {
		// What is left must be the beginning of a head.
		n := min(len(head), len(recordMagic))
		return nil, string(head[:n]) == recordMagic[:n], nil
	}
	if err != nil {
		return nil, false, err
	}
	le := binary.LittleEndian
	n := int64(le.Uint32(head[4:]))
	if string(head[:4]) != recordMagic || n > PayloadMax || le.Uint64(head[16:]) != xxhash.Sum64(head[:16]) {
		return nil, false, nil
	}
	whole, err := b.Peek(headSize + int(n))
	if errors.Is(err, io.EOF) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	if le.Uint64(whole[8:]) != xxhash.Sum64(whole[headSize:]) {
		return nil, false, nil
	}
	return whole, false, nil
}

// appendRecord appends the bytes of a record.
func appendRecord(b, payload []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, recordMagic...)
	b = le.AppendUint32(b, uint32(len(payload)))
	b = le.AppendUint64(b, xxhash.Sum64(payload))
	b = le.AppendUint64(b, xxhash.Sum64(b[start:]))
	return append(b, payload...)
}

// Append writes records with one sync; when it returns nil they are on disk.
func (j *Journal) Append(payloads ...[]byte) error {
	if j.broken {
		return ErrBroken
	}
	if len(payloads) == 0 {
		return nil
	}
	var b []byte
	for _, p := range payloads {
		if len(p) > PayloadMax {
			return fmt.Errorf("journal: a record of %d bytes, at most %d", len(p), PayloadMax)
		}
		b = appendRecord(b, p)
	}
	_, err := j.file.WriteAt(b, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = true
		return fmt.Errorf("append to journal: %w", err)
	}
	j.size += int64(len(b))
	return nil
}

// Broken says whether Rewrite must come before Append.
func (j *Journal) Broken() bool { return j.broken }

// Bloated says whether more than half of the file may be of no use.
func (j *Journal) Bloated() bool { return j.size > 2*j.base+slack }

// Size is the length of the file. Unit: bytes.
func (j *Journal) Size() int64 { return j.size }

// rewriteChunk is how much of a new file is written at once. Unit: bytes.
const rewriteChunk = 1 << 20

// Rewrite writes the file afresh with the records that each gives, beside its
// place, and moves it there. When it fails, the old file stands as it was.
func (j *Journal) Rewrite(each func(put func(payload []byte) error) error) (err error) {
	temp := j.path + ".new"
	f, err := j.disk.Create(temp)
	if err != nil {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	moved := false
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("rewrite journal: %w", err)
		if !moved {
			err = errors.Join(err, f.Close())
			_ = j.disk.Remove(temp) // the next rewrite empties it
		}
	}()
	var size int64
	var b []byte
	flush := func() error {
		_, err := f.WriteAt(b, size)
		size += int64(len(b))
		b = b[:0]
		return err
	}
	err = each(func(payload []byte) error {
		if len(payload) > PayloadMax {
			return fmt.Errorf("a record of %d bytes, at most %d", len(payload), PayloadMax)
		}
		if b = appendRecord(b, payload); len(b) >= rewriteChunk {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.disk.Rename(temp, j.path)
	}
	if err != nil {
		return err
	}
	moved = true
	// Whatever comes now, the old file has no name any more: the new one is
	// written on, but not believed before its name is on disk.
	_ = j.file.Close()
	j.file, j.size, j.base, j.broken = f, size, size, true
	if err = j.disk.SyncDir(filepath.Dir(j.path)); err == nil {
		j.broken = false
	}
	return err
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
