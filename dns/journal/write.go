package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/disk"
)

// groupBytesMax bounds what one sync makes durable, and so the buffer that is
// written at once. A batch that is longer is a group alone.
const groupBytesMax = 4 << 20

// Run makes appends durable until ctx ends; then it writes what was appended
// before, ends the file in order, and lets go of the directory. Appends after that
// fail with dns.Unavailable.
func (j *Journal) Run(ctx context.Context) error {
	var compactor sync.WaitGroup
	compactor.Go(func() { j.compactLoop(ctx) })
	for ctx.Err() == nil {
		select {
		case <-j.wake:
			j.commitAll()
		case <-ctx.Done():
		}
	}
	j.refuse()
	j.commitAll()
	compactor.Wait()
	j.writing.Lock()
	if j.broken == nil {
		j.mark() // without it the next Open trusts the last group a little less
	}
	j.writing.Unlock()
	return j.Close()
}

func (j *Journal) commitAll() {
	for {
		group := j.take()
		if len(group) == 0 {
			return
		}
		j.writing.Lock()
		err := failure("append to journal", j.commit(group))
		j.note(err)
		j.writing.Unlock()
		for _, b := range group {
			b.err = err
			close(b.done)
		}
	}
}

// take removes the next group from the queue.
func (j *Journal) take() []*batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	var bytes int64
	n := 0
	for n < len(j.queue) && (n == 0 || bytes+j.queue[n].bytes <= groupBytesMax) {
		bytes += j.queue[n].bytes
		n++
	}
	group := j.queue[:n:n]
	j.queue = j.queue[n:]
	j.queueBytes -= bytes
	return group
}

// commit writes a group and syncs it. Preconditions: writing is held.
func (j *Journal) commit(group []*batch) error {
	if j.broken != nil {
		if err := j.rewrite(); err != nil {
			return fmt.Errorf("make the file anew after it failed (%v): %w", j.broken, err)
		}
		j.cfg.Log.Info("journal writes again, into a new file")
		j.broken = nil
	}
	buf := j.encode(group)
	if j.size+int64(len(buf)) > j.cfg.BytesMax {
		signal(j.due)
		return &dns.Error{Op: "append to journal", Kind: dns.Exhausted, Detail: fmt.Sprintf("the journal would be longer than %d bytes", j.cfg.BytesMax)}
	}
	start := time.Now()
	if _, err := j.f.WriteAt(buf, j.size); err != nil {
		// What was written of it is void. When it cannot even be cut, the file is.
		if cut := j.f.Truncate(j.size); cut != nil {
			j.broken = cut
		}
		return err
	}
	if err := j.f.Sync(); err != nil {
		// The kernel may have dropped the pages and call the next sync a success.
		j.broken = err
		return err
	}
	j.metrics.sync.Observe(time.Since(start).Seconds())
	j.size += int64(len(buf))
	j.group++
	for _, b := range group {
		j.metrics.entries.Add(float64(len(b.entries)))
	}
	if j.cfg.Snapshot != nil && j.overgrown() {
		signal(j.due)
	}
	return nil
}

// encode gives the frames of a group.
func (j *Journal) encode(group []*batch) []byte {
	var bytes int64
	for _, b := range group {
		bytes += b.bytes
	}
	buf := make([]byte, 0, bytes)
	for i, b := range group {
		for k, e := range b.entries {
			f := frame{group: j.group + 1, kind: kindEntry, entry: e}
			if k == len(b.entries)-1 {
				f.kind |= flagBatchEnd
				if i == len(group)-1 {
					f.kind |= flagGroupEnd
				}
			}
			buf = appendFrame(buf, j.salt, f)
		}
	}
	return buf
}

// note counts the outcome of a group, and says the first failure and the recovery.
// Preconditions: writing is held.
func (j *Journal) note(err error) {
	if err != nil {
		j.metrics.failures.WithLabelValues(dns.KindOf(err).String()).Inc()
		if !j.lost {
			j.cfg.Log.Error("journal cannot be written: changes are refused", "file", j.path(fileName), "error", err)
		}
		j.lost = true
		return
	}
	if j.lost {
		j.lost = false
		j.cfg.Log.Info("journal is written again", "file", j.path(fileName))
		// The caller may hold in memory what the file does not have.
		signal(j.due)
	}
}

// rewrite copies what is known to be good into a new file. Preconditions: writing
// is held.
func (j *Journal) rewrite() error {
	old := j.f
	f, err := j.replaceFile(rewriteName, func(f disk.File) error { return copyRange(f, 0, old, 0, j.size) })
	if err != nil {
		return err
	}
	old.Close() // its errors are those of what was thrown away
	j.f = f
	return j.cfg.disk.SyncDir(j.dir)
}

// copyRange copies the bytes [from, to) of one file to an offset of another.
func copyRange(dst disk.File, at int64, src disk.File, from, to int64) error {
	n, err := io.Copy(io.NewOffsetWriter(dst, at), io.NewSectionReader(src, from, to-from))
	if err == nil && n != to-from {
		err = errors.New("the file is shorter than what was made durable")
	}
	return err
}
