package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/blob"
)

// BackupConfig is how to back up.
type BackupConfig struct {
	// Durable says how far the ledger is, by the number of a batch: what lies behind may
	// not be there after a crash, and is left out. Nil: nobody is writing.
	Durable func(ctx context.Context) (batch uint64, err error)
}

// BackupReport is what Backup did.
type BackupReport struct {
	Manifest *Manifest
	Copied   int   // segments that were copied
	Kept     int   // segments that were there
	Bytes    int64 // that were copied
	Removed  int   // objects that no manifest names any more
}

// Backup copies the log of a directory, which may be in use, to a store that has an
// earlier backup of it or none. What the earlier backup has of segments that the
// ledger left is not copied again. It keeps the earlier backup whole until the new one
// is complete and was read back.
func Backup(ctx context.Context, dir string, store blob.Store, cfg BackupConfig) (*BackupReport, error) {
	b := &backup{dir: folder(dir), store: store, report: &BackupReport{}}
	var err error
	if b.before, err = ReadManifest(ctx, store); err != nil && !errors.Is(err, ErrNoBackup) {
		return nil, fmt.Errorf("backup: %w", err)
	}
	last := ^uint64(0)
	if cfg.Durable != nil {
		if last, err = cfg.Durable(ctx); err != nil {
			return nil, fmt.Errorf("backup: ask how far the ledger is: %w", err)
		}
	}
	if err := b.run(ctx, last); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return b.report, nil
}

// backup is one run of Backup.
type backup struct {
	dir    folder
	store  blob.Store
	before *Manifest // nil: none
	report *BackupReport
}

// errStop ends a walk behind the last batch that counts.
var errStop = errors.New("far enough")

func (b *backup) run(ctx context.Context, last uint64) error {
	m := &Manifest{Version: manifestVersion, Segments: []Piece{}}
	var wrong []error
	var at spot
	var end due
	w := &walk{shelf: b.dir, problem: func(at spot, err error) {
		wrong = append(wrong, fmt.Errorf("%s at %d: %w", segmentName(at.segment), at.offset, err))
	}}
	w.segment = func(h segmentHead) error {
		if n := len(m.Segments); n > 0 {
			m.Segments[n-1].Bytes, m.Segments[n-1].Sealed = at.offset, true
		}
		m.Segments = append(m.Segments, Piece{Number: h.number, Length: h.length})
		at, end = spot{h.number, headBytes}, w.next
		return nil
	}
	w.visit = func(f *batch) error {
		if f.number > last {
			return errStop
		}
		if b.before != nil && f.number == b.before.Batch && hex.EncodeToString(f.chain[:]) != b.before.Chain {
			return fmt.Errorf("the store has a backup whose batch %d is another one: one of the two was restored, and went on from there: use another place", f.number)
		}
		at, end = spot{f.segment, f.offset + f.length}, w.next
		return nil
	}
	_, err := w.run(ctx)
	switch {
	case len(wrong) > 0:
		return fmt.Errorf("the ledger is not in order, nothing was changed in the backup: %w", errors.Join(wrong...))
	case err != nil && !errors.Is(err, errStop):
		return err
	}
	m.Segments[len(m.Segments)-1].Bytes = at.offset
	m.Ledger, m.Batch, m.Postings, m.Time, m.Chain = hex.EncodeToString(w.id[:]), end.batch-1, end.seq-1, game.Instant(end.time), hex.EncodeToString(end.chain[:])
	if err := b.follows(m); err != nil {
		return err
	}
	return b.copy(ctx, m)
}

// follows says whether a backup may take the place of the one that is there.
func (b *backup) follows(m *Manifest) error {
	if b.before == nil {
		return nil
	}
	if b.before.Ledger != m.Ledger {
		return fmt.Errorf("the store has a backup of ledger %s, this is ledger %s: use another place", b.before.Ledger, m.Ledger)
	}
	if b.before.Batch > m.Batch {
		return fmt.Errorf("the store has a backup up to posting %d, the ledger ends at posting %d: it was restored, or the backup is of later: use another place", b.before.Postings, m.Postings)
	}
	return nil
}

// copy puts what is missing, then the manifest, and removes what it replaces.
func (b *backup) copy(ctx context.Context, m *Manifest) error {
	for i := range m.Segments {
		p := &m.Segments[i]
		p.Key = pieceKey(p.Number, p.Bytes)
		kept, err := b.kept(ctx, p)
		if err != nil {
			return err
		}
		if kept {
			b.report.Kept++
			continue
		}
		if err := b.put(ctx, p); err != nil {
			return fmt.Errorf("segment %d: %w", p.Number, err)
		}
		b.report.Copied++
		b.report.Bytes += p.Bytes
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	if _, err := b.store.Put(ctx, manifestKey, bytes.NewReader(text), int64(len(text)), blob.PutOptions{ContentType: "application/json"}); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	back, err := ReadManifest(ctx, b.store)
	if err != nil {
		return fmt.Errorf("read the manifest back: %w", err)
	}
	if back.Batch != m.Batch || back.Chain != m.Chain || !slices.Equal(back.Segments, m.Segments) {
		return fmt.Errorf("the manifest was written for batch %d, and read back for batch %d: does another backup run?", m.Batch, back.Batch)
	}
	b.report.Manifest = m
	return b.sweep(ctx, m)
}

// kept says whether the backup has a piece that cannot have changed.
func (b *backup) kept(ctx context.Context, p *Piece) (bool, error) {
	if b.before == nil || p.Number > uint64(len(b.before.Segments)) {
		return false, nil
	}
	old := b.before.Segments[p.Number-1]
	if !old.Sealed || !p.Sealed || old.Key != p.Key || old.Length != p.Length {
		return false, nil
	}
	info, err := b.store.Stat(ctx, old.Key)
	if errors.Is(err, blob.ErrNotFound) || err == nil && info.Size != old.Bytes {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.SHA256 = old.SHA256
	return true, nil
}

// put copies a piece and reads it back.
func (b *backup) put(ctx context.Context, p *Piece) error {
	f, err := os.Open(filepath.Join(string(b.dir), segmentName(p.Number)))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, p.Bytes)); err != nil {
		return err
	}
	p.SHA256 = hex.EncodeToString(h.Sum(nil))
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := b.store.Put(ctx, p.Key, io.LimitReader(f, p.Bytes), p.Bytes, blob.PutOptions{ContentType: "application/octet-stream"}); err != nil {
		return err
	}
	o, err := b.store.Get(ctx, p.Key)
	if err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	back := &hashed{ReadCloser: o, hash: sha256.New(), piece: *p}
	defer back.Close()
	_, err = io.Copy(io.Discard, back)
	return err
}

// sweep removes pieces that the manifest does not name.
func (b *backup) sweep(ctx context.Context, m *Manifest) error {
	named := map[string]bool{}
	for _, p := range m.Segments {
		named[p.Key] = true
	}
	for after := ""; ; {
		page, err := b.store.List(ctx, segmentsPrefix, after, 0)
		if err != nil {
			return fmt.Errorf("look for old pieces: %w", err)
		}
		for _, i := range page {
			if after = i.Key; !named[i.Key] {
				if err := b.store.Delete(ctx, i.Key); err != nil {
					return fmt.Errorf("remove an old piece: %w", err)
				}
				b.report.Removed++
			}
		}
		if len(page) < blob.ListMax {
			return nil
		}
	}
}

// VerifyBackup reads a backup whole, as Verify does a directory, and holds each piece
// against the hash of the manifest.
func VerifyBackup(ctx context.Context, store blob.Store, cfg VerifyConfig) (*Manifest, *Report, error) {
	m, err := ReadManifest(ctx, store)
	if err != nil {
		return nil, nil, fmt.Errorf("verify a backup: %w", err)
	}
	v := newVerifier(vault{store, m}, cfg)
	defer v.ids.close()
	if err := v.run(ctx); err != nil {
		return m, nil, fmt.Errorf("verify a backup: %w", err)
	}
	r, end := v.report, v.walk.next
	if r.Ledger != m.Ledger || end.batch-1 != m.Batch || r.Postings != m.Postings || game.Instant(end.time) != m.Time || hex.EncodeToString(end.chain[:]) != m.Chain || r.End != endClean {
		v.wrong(Problem{File: manifestKey, What: fmt.Sprintf("it names batch %d, posting %d and chain %.16s; the segments end %s at batch %d, posting %d and chain %x", m.Batch, m.Postings, m.Chain, r.End, end.batch-1, r.Postings, end.chain[:8])})
	}
	return m, r, nil
}
