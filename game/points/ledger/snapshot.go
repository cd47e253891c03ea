package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk"
)

// snapshotsKept is how many snapshots stay.
const snapshotsKept = 2

// frozenCore is the core at the end of a batch.
type frozenCore struct {
	accounts frozen
	totals   game.Totals
	seq      uint64
	end      end // of the batch, when it is durable
}

// freeze takes the core as it is; what follows does not change it.
func (c *core) freeze() *frozenCore {
	return &frozenCore{accounts: c.table.freeze(), totals: c.totals, seq: c.seq}
}

// snapshotLoop writes the snapshots that are due. The first failure and the recovery are said.
func (l *Ledger) snapshotLoop() {
	failing := false
	for f := range l.toSnapshot {
		start := time.Now()
		err := l.writeSnapshot(f)
		switch {
		case l.failed() != nil:
		case err != nil && !failing:
			l.deps.Log.Warn("ledger snapshot cannot be written: starts take longer until one is", "dir", l.dir, "error", err)
		case err == nil && failing:
			l.deps.Log.Info("ledger snapshot is written again")
		}
		if failing = err != nil; !failing {
			l.metrics.snapshotSeconds.Set(time.Since(start).Seconds())
			l.metrics.snapshotSeq.Set(float64(f.seq))
			l.metrics.snapshotTime.Set(float64(l.deps.Clock().UnixMicro()) / 1e6)
		}
		l.snapshotIdle.Store(true)
	}
}

func (l *Ledger) writeSnapshot(f *frozenCore) error {
	h := &snapshotHead{id: l.id, end: f.end, accounts: uint64(f.accounts.n), totals: f.totals}
	err := l.replace(snapshotTemp, snapshotName(f.seq), func(w io.Writer) error { return writeSnapshot(w, h, f.accounts.each) })
	if err != nil {
		return err
	}
	if err := l.dropSnapshots(); err != nil {
		return err
	}
	if err := l.index.flush(); err != nil {
		return fmt.Errorf("flush the index: %w", err)
	}
	l.saveFilter(f.end)
	return nil
}

// replace writes a file under a name that does not count, makes it durable, and gives it its own.
func (l *Ledger) replace(temp, name string, fill func(io.Writer) error) error {
	path := filepath.Join(l.dir, temp)
	f, err := l.deps.disk.Create(path)
	if err != nil {
		return err
	}
	if err = fill(io.NewOffsetWriter(f, 0)); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, l.deps.disk.Remove(path)) // it is in the way of space
	}
	if err := l.deps.disk.Rename(path, filepath.Join(l.dir, name)); err != nil {
		return err
	}
	return l.deps.disk.SyncDir(l.dir)
}

// dropSnapshots removes all but the newest.
func (l *Ledger) dropSnapshots() error {
	names, err := l.deps.disk.Names(l.dir)
	if err != nil {
		return err
	}
	var seqs []uint64
	for _, name := range names {
		if n, ok := numberOf(name, ".snap", 20); ok {
			seqs = append(seqs, n)
		}
	}
	slices.Sort(seqs)
	for _, seq := range seqs[:max(0, len(seqs)-snapshotsKept)] {
		if err := l.deps.disk.Remove(filepath.Join(l.dir, snapshotName(seq))); err != nil && !disk.Missing(err) {
			return err
		}
	}
	return nil
}

// The filter's file: magic, version, position, length of the words, the words, and a CRC of the ledger over all of it.
const filterMagic = "KAMADOLF"

// filterBytesPerTx is how many bytes of the filter's file are read in the time in which one id of the index is.
const filterBytesPerTx = 64

// saveFilter keeps the filter for the next Open, which can do without. It has all
// ids up to an end, and perhaps some behind it. With few ids it is not worth its space.
func (l *Ledger) saveFilter(e end) {
	if e.seq*filterBytesPerTx < uint64(len(l.filter.words)*8) {
		return
	}
	err := l.replace(filterTemp, filterName, func(w io.Writer) error {
		head := le.AppendUint32([]byte(filterMagic), version)
		head = appendPosition(head, &l.id, &e)
		head = le.AppendUint64(head, uint64(len(l.filter.words))*8)
		sum := l.id.crc(head)
		if _, err := w.Write(head); err != nil {
			return err
		}
		buf := make([]byte, 0, 64<<10)
		for words := l.filter.words; len(words) > 0; {
			n := min(len(words), cap(buf)/8)
			buf = buf[:0]
			for i := range n {
				buf = le.AppendUint64(buf, words[i].Load())
			}
			words = words[n:]
			sum = crcMore(sum, buf)
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		_, err := w.Write(le.AppendUint32(nil, sum))
		return err
	})
	if err != nil && l.failed() == nil {
		l.deps.Log.Debug("filter of transaction ids was not kept: the next start makes it from the index", "error", err)
	}
}

// loadFilter reads the filter into the empty one. A zero end: it has another size.
func (l *Ledger) loadFilter() (e end, err error) {
	f, err := l.deps.disk.Open(filepath.Join(l.dir, filterName))
	if err != nil {
		return e, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return e, err
	}
	const headBytes = 12 + positionBytes + 8
	if size != headBytes+int64(len(l.filter.words))*8+4 {
		return e, nil
	}
	r := io.NewSectionReader(f, 0, size)
	head := make([]byte, headBytes)
	if _, err := io.ReadFull(r, head); err != nil {
		return e, err
	}
	id, e, err := parsePosition(head[12 : 12+positionBytes])
	if err != nil || !bytes.HasPrefix(head, []byte(filterMagic)) || le.Uint32(head[8:]) != version || id != l.id || le.Uint64(head[12+positionBytes:]) != uint64(len(l.filter.words))*8 {
		return end{}, errFormat
	}
	sum := l.id.crc(head)
	buf := make([]byte, 64<<10)
	for words := l.filter.words; len(words) > 0; {
		n := min(len(words), len(buf)/8)
		if _, err := io.ReadFull(r, buf[:n*8]); err != nil {
			return end{}, err
		}
		sum = crcMore(sum, buf[:n*8])
		for i := range n {
			if v := le.Uint64(buf[i*8:]); v != 0 { // what is zero stays out of memory
				words[i].Store(v)
			}
		}
		words = words[n:]
	}
	if _, err := io.ReadFull(r, buf[:4]); err != nil || le.Uint32(buf) != sum {
		return end{}, errFormat
	}
	return e, nil
}
