package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sweepBatch is how many files Sweep looks at before it holds its pace: at the
// default rate it rests every 13 ms.
const sweepBatch = 256

// headBytes is what a sweep reads of a file: the header and the longest label
// fit. Unit: bytes.
const headBytes = entryHeaderSize + labelBytesMax

// Sweep removes the entries whose label match says yes to, also those that wait
// to be written, and files that are no entries of the present form: nobody can
// say whose bytes they are, and they are misses anyway. An entry without a
// label is asked about with the zero Label. It reads the head of every file, at
// most SweepRate a second, and waits first until Run has counted what is there.
//
// When it returns nil, no entry is left that matched and was put before the
// call; for those put since, see DiskConfig.Refused. When ctx ends first, it
// returns its cause and what was removed so far. Several sweeps may run at
// once. A nil Disk has nothing to sweep.
func (d *Disk) Sweep(ctx context.Context, match func(Label) bool) (removed int, err error) {
	if d == nil {
		return 0, nil
	}
	select {
	case <-d.counted:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	removed = d.sweepPending(match)
	p := pace{start: time.Now(), rate: d.cfg.SweepRate}
	var errs []error
	buf := make([]byte, headBytes)
	for n := range buckets {
		names, err := os.ReadDir(d.bucket(n))
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		for _, name := range names {
			if err := p.step(ctx); err != nil {
				return removed, err
			}
			gone, err := d.sweepFile(n, name, buf, match)
			if gone {
				removed++
			}
			if err != nil && len(errs) < sweepErrorsMax {
				errs = append(errs, err)
			}
		}
	}
	return removed, errors.Join(errs...)
}

// sweepErrorsMax bounds the errors that Sweep tells of: a broken directory has
// one for each file.
const sweepErrorsMax = 8

// sweepPending forgets entries that wait to be written. A write under way is
// over when it returns.
func (d *Disk) sweepPending(match func(Label) bool) (removed int) {
	d.files.Lock()
	defer d.files.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, e := range d.pending {
		if match(e.Label) {
			delete(d.pending, key)
			removed++
		}
	}
	d.removed.Add(uint64(removed))
	return removed
}

// sweepFile looks at one file of a bucket. Temporary files are left to the
// count: their entry is asked about when it is written.
func (d *Disk) sweepFile(n int, name fs.DirEntry, buf []byte, match func(Label) bool) (gone bool, err error) {
	if !name.Type().IsRegular() || strings.HasPrefix(name.Name(), tempPrefix) {
		return false, nil
	}
	path := filepath.Join(d.bucket(n), name.Name())
	d.looked.Add(1)
	if doomed, err := doomed(path, buf, match); !doomed || err != nil {
		return false, err
	}
	d.files.Lock()
	defer d.files.Unlock()
	// It may have been replaced since, and is counted by whoever removes it.
	st, err := os.Lstat(path)
	if err != nil {
		return false, ignoreMissing(err)
	}
	if doomed, err := doomed(path, buf, match); !doomed || err != nil {
		return false, err
	}
	if err := os.Remove(path); err != nil {
		d.failures.Add(1)
		return false, ignoreMissing(err)
	}
	d.bytes.Add(-st.Size())
	d.removed.Add(1)
	return true, nil
}

// doomed says whether a file must go.
func doomed(path string, buf []byte, match func(Label) bool) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, ignoreMissing(err)
	}
	defer f.Close()
	n, err := io.ReadFull(f, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, fmt.Errorf("sweep: %w", err)
	}
	_, label, err := decodeHead(buf[:n])
	return err != nil || match(label), nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("sweep: %w", err)
}

// pace holds a rate of steps.
type pace struct {
	start time.Time
	rate  int // steps a second
	steps int
}

// step waits when steps are taken faster than the rate allows.
func (p *pace) step(ctx context.Context) error {
	p.steps++
	if p.steps%sweepBatch != 0 {
		return nil
	}
	ahead := time.Duration(p.steps)*time.Second/time.Duration(p.rate) - time.Since(p.start)
	if ahead <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
