package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/blob"
)

// restoringSuffix is behind the name of a directory that is not restored yet.
const restoringSuffix = ".restoring"

// Restore makes the directory of a ledger from a backup: all of it, or, when at is
// not zero, up to the last posting whose time is not after it. dir must be empty, or
// not be there; it appears when all in it is durable and was verified.
func Restore(ctx context.Context, store blob.Store, dir string, at game.Instant) (*Report, error) {
	if files, err := os.ReadDir(dir); err == nil && len(files) > 0 {
		return nil, fmt.Errorf("restore: %s is not empty", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("restore: %w", err)
	}
	m, err := ReadManifest(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	temp := filepath.Clean(dir) + restoringSuffix
	if err := os.RemoveAll(temp); err != nil { // of a restore that was interrupted
		return nil, fmt.Errorf("restore: %w", err)
	}
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(temp) //nolint:errcheck // it has been renamed, or is of no use
	r := &restore{vault: vault{store, m}, dir: temp, at: at}
	if err := r.run(ctx); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	report, err := Verify(ctx, temp, VerifyConfig{})
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if !report.OK() {
		return report, fmt.Errorf("restore: the backup is not in order: %v", report.Problems[0])
	}
	return report, r.finish(temp, dir)
}

// restore is one run of Restore.
type restore struct {
	vault vault
	dir   string
	at    game.Instant
}

func (r *restore) run(ctx context.Context) error {
	for _, p := range r.vault.manifest.Segments {
		if err := r.segment(ctx, p); err != nil {
			return fmt.Errorf("segment %d: %w", p.Number, err)
		}
	}
	if r.at == 0 {
		return nil
	}
	return r.cut(ctx)
}

// segment copies a piece, and makes the file as long as it was.
func (r *restore) segment(ctx context.Context, p Piece) error {
	o, err := r.vault.open(ctx, p.Number)
	if err != nil {
		return err
	}
	defer o.Close()
	f, err := os.OpenFile(filepath.Join(r.dir, segmentName(p.Number)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, o)
	if err == nil {
		err = f.Truncate(p.Length)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// cut ends the log behind the last posting that is not after the moment. Times never
// go down, so all postings behind one that is after it are after it too.
func (r *restore) cut(ctx context.Context) error {
	var at spot     // where the first batch that does not stay whole lies
	var part []byte // what stays of it
	var count uint32
	var before due
	var wrong []error
	w := &walk{shelf: folder(r.dir), problem: func(at spot, err error) {
		wrong = append(wrong, fmt.Errorf("%s at %d: %w", segmentName(at.segment), at.offset, err))
	}}
	stays := uint32(0) // postings of the batch that is read
	size := int64(0)
	w.posting = func(p *posting) error {
		if game.Instant(p.time) <= r.at {
			stays++
			size = int64(p.place&0xffffffff) + postingBytes(p)
		}
		return nil
	}
	whole := due{seq: 1, batch: 1}
	w.visit = func(b *batch) error {
		if stays < b.count {
			at, before, count = spot{b.segment, b.offset}, whole, stays
			if stays > 0 {
				part = append(part, b.bytes[:size-b.offset]...)
			}
			return errStop
		}
		stays, whole = 0, w.next
		return nil
	}
	_, err := w.run(ctx)
	switch {
	case len(wrong) > 0:
		return errors.Join(wrong...)
	case err == nil:
		return nil // nothing is after it
	case !errors.Is(err, errStop):
		return err
	}
	if part != nil {
		shorten(w.id, part, count, before.chain)
	}
	return r.end(at, part)
}

// postingBytes is the length of a posting in a batch.
func postingBytes(p *posting) int64 {
	return postingBytesMin + int64(len(p.tx)+len(p.reason)+len(p.by)+len(p.entries)*entryBytes)
}

// shorten makes a batch of the first count postings of one.
func shorten(id ledgerID, b []byte, count uint32, before chain) {
	le.PutUint32(b[8:], uint32(len(b)))
	le.PutUint32(b[32:], count)
	c := link(b, before)
	copy(b[40:], c[:])
	le.PutUint32(b[4:], id.sum(b[8:batchHeadBytes]))
}

// end writes what stays of the last batch, zeros behind it, and removes later segments.
func (r *restore) end(at spot, part []byte) error {
	f, err := os.OpenFile(filepath.Join(r.dir, segmentName(at.segment)), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(at.offset)
	}
	if err == nil {
		_, err = f.WriteAt(part, at.offset)
	}
	if err == nil {
		err = f.Truncate(info.Size())
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for n := at.segment + 1; n <= uint64(len(r.vault.manifest.Segments)); n++ {
		if err := os.Remove(filepath.Join(r.dir, segmentName(n))); err != nil {
			return err
		}
	}
	return nil
}

// finish makes the directory durable and gives it its name.
func (r *restore) finish(temp, dir string) error {
	if err := syncDir(temp); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := os.Rename(temp, dir); err != nil { // an empty directory makes room
		return fmt.Errorf("restore: %w", err)
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
