package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/disk"
)

// Bounds of entries, batches, and what waits for the disk.
const (
	EntryBytesMax = 1 << 20
	BatchBytesMax = 32 << 20
	QueueBytesMax = 64 << 20
)

// Config is what a journal needs.
type Config struct {
	Log        *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: no metrics

	// Snapshot gives every entry that matters now. It is called by Run when the file
	// should be compacted, in another goroutine than Append's callers. It must give
	// the effect of every entry that was given to Append before it was called;
	// entries appended meanwhile may be in it or not, and are read after it, so
	// reading an entry twice, or an old one after a newer, must do no harm.
	// Nil: the file is compacted only by Compact.
	Snapshot iter.Seq[[]byte]

	// BytesMax bounds the file; 0: BytesMaxDefault. An append over it fails with
	// dns.Exhausted. Compaction needs as much again beside it.
	BytesMax int64
	// CompactBytesMin is the size under which the file is left alone; 0: CompactBytesMinDefault.
	CompactBytesMin int64
	// CompactRatio is how many times the size after the last compaction the file may
	// grow to before the next; 0: CompactRatioDefault. With 2, a byte is written at
	// most twice more on the whole: each compaction writes as much as was appended since.
	CompactRatio float64

	disk disk.Disk // nil: the real one
}

// Defaults of Config.
const (
	BytesMaxDefault        = 1 << 30
	CompactBytesMinDefault = 4 << 20
	CompactRatioDefault    = 2
)

func (c *Config) fill() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.BytesMax == 0 {
		c.BytesMax = BytesMaxDefault
	}
	if c.CompactBytesMin == 0 {
		c.CompactBytesMin = CompactBytesMinDefault
	}
	if c.CompactRatio == 0 {
		c.CompactRatio = CompactRatioDefault
	}
	if c.disk == nil {
		c.disk = disk.OS{}
	}
}

// Journal is an open directory. Safe for concurrent use. Lock order: writing, mu.
type Journal struct {
	cfg     Config
	dir     string
	lock    *disk.Lock
	metrics metrics

	wake    chan struct{} // something waits in queue
	due     chan struct{} // the file should be compacted
	compact sync.Mutex    // held by the one compaction

	writing   sync.Mutex // guards the file and what is known of it
	f         disk.File
	salt      uint64
	size      int64  // what is durable; whatever lies behind it is void
	compacted int64  // size after the last compaction
	group     uint64 // the last durable one
	broken    error  // f must not be written any more
	lost      bool   // an append failed since the last snapshot: memory and file differ

	mu         sync.Mutex // guards what follows
	queue      []*batch
	queueBytes int64
	closed     bool
}

// batch is what one Append wants durable.
type batch struct {
	entries [][]byte
	bytes   int64 // on the disk
	done    chan struct{}
	err     error // after done
}

// Open takes the directory, making it when it is not there, and checks all of its
// file. It fails with a *dns.Error of kind Conflict when another process has the
// directory (it names the process), and Internal when the file is damaged (it
// names file and offset, and what to do). A torn end is cut, and said in the log.
func Open(dir string, cfg Config) (*Journal, error) {
	cfg.fill()
	lock, err := lockDir(dir)
	if err != nil {
		return nil, failure("open journal", err)
	}
	j := &Journal{cfg: cfg, dir: dir, lock: lock, wake: make(chan struct{}, 1), due: make(chan struct{}, 1)}
	if err := j.openFile(); err != nil {
		if j.f != nil {
			j.f.Close()
		}
		lock.Release()
		return nil, failure("open journal", err)
	}
	j.metrics.register(cfg.Registerer, j)
	return j, nil
}

func (j *Journal) path(name string) string { return filepath.Join(j.dir, name) }

// openFile finds the file as the last process left it, and makes it good to append to.
func (j *Journal) openFile() error {
	for _, left := range []string{compactName, rewriteName} {
		if err := j.cfg.disk.Remove(j.path(left)); err != nil && !disk.Missing(err) {
			return err
		}
	}
	f, err := j.cfg.disk.Open(j.path(fileName))
	if disk.Missing(err) {
		return j.createFile()
	}
	if err != nil {
		return err
	}
	j.f = f
	size, err := f.Size()
	if err != nil {
		return err
	}
	s, err := scan(f, size, nil)
	var d *damaged
	if errors.As(err, &d) {
		return &dns.Error{
			Op: "open journal", Kind: dns.Internal, Err: err,
			Detail: fmt.Sprintf("%s is damaged at offset %d. Nothing was changed. Put back a copy of the file, or move it away and start again: "+
				"this member then gets from the others all that they know of it, and only what no other member ever saw is lost", j.path(fileName), d.offset),
		}
	}
	if err != nil {
		return err
	}
	j.salt, j.size, j.compacted, j.group = s.salt, s.good, s.compacted, s.group
	if s.torn {
		j.cfg.Log.Warn("journal has a torn end, which was never acknowledged; it is cut", "file", j.path(fileName), "offset", s.good, "cut_bytes", size-s.good)
	}
	if !s.torn && s.ended {
		return nil
	}
	if err := f.Truncate(s.good); err != nil {
		return err
	}
	return j.mark()
}

// mark ends the group that a crash may have left without an end, so that later
// groups prove it durable. Preconditions: writing is held, or nobody else knows j.
func (j *Journal) mark() error {
	b := appendFrame(nil, j.salt, frame{group: j.group + 1, kind: kindMark | flagBatchEnd | flagGroupEnd})
	if _, err := j.f.WriteAt(b, j.size); err != nil {
		return err
	}
	if err := j.f.Sync(); err != nil {
		return err
	}
	j.size, j.group = j.size+int64(len(b)), j.group+1
	return nil
}

func (j *Journal) createFile() error {
	var salt [8]byte
	rand.Read(salt[:])
	j.salt = binary.LittleEndian.Uint64(salt[:])
	head := appendHeader(nil, j.salt)
	f, err := j.replaceFile(rewriteName, func(f disk.File) error {
		_, err := f.WriteAt(head, 0)
		return err
	})
	if err != nil {
		return err
	}
	j.f, j.size, j.compacted = f, headerBytes, headerBytes
	return j.cfg.disk.SyncDir(j.dir)
}

// replaceFile makes a file under a name of its own, makes it durable, and gives it
// the name of the journal's. The caller syncs the directory.
func (j *Journal) replaceFile(name string, fill func(disk.File) error) (disk.File, error) {
	f, err := j.cfg.disk.Create(j.path(name))
	if err != nil {
		return nil, err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.cfg.disk.Rename(j.path(name), j.path(fileName))
	}
	if err != nil {
		f.Close()
		j.cfg.disk.Remove(j.path(name)) // it is in the way of space; the next Open removes it too
		return nil, err
	}
	return f, nil
}

// Each visits every entry of the file in the order of appending. It is called
// once, before the first Append.
func (j *Journal) Each(visit func(entry []byte) error) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	_, err := scan(j.f, j.size, visit)
	return err
}

// Size is the size of the file, and the one it had after the last compaction.
func (j *Journal) Size() (bytes, compacted int64) {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.size, j.compacted
}

// Close lets go of the directory of a journal whose Run was never called.
func (j *Journal) Close() error {
	j.refuse()
	j.writing.Lock()
	defer j.writing.Unlock()
	j.metrics.unregister(j.cfg.Registerer)
	return errors.Join(j.f.Close(), j.lock.Release())
}

// refuse lets later appends fail.
func (j *Journal) refuse() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
}

// Wait waits until what was appended is durable. Nil: it is. A *dns.Error of kind
// Exhausted (no space, or over a bound), TooLarge or Unavailable (the disk failed,
// or the journal was closed): it is not, and may be tried again. The context's
// error: unknown, it may yet become durable.
type Wait func(ctx context.Context) error

// Append queues entries as one batch, in the order of the calls, and returns at
// once; the entries must not be changed before the wait has returned. Run must be
// running for a wait to return.
func (j *Journal) Append(entries [][]byte) Wait {
	b := &batch{entries: entries, done: make(chan struct{})}
	if err := j.enqueue(b); err != nil {
		return func(context.Context) error { return err }
	}
	if len(entries) > 0 {
		signal(j.wake)
	}
	return func(ctx context.Context) error {
		select {
		case <-b.done:
			return b.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (j *Journal) enqueue(b *batch) error {
	const op = "append to journal"
	for _, e := range b.entries {
		if len(e) > EntryBytesMax {
			return &dns.Error{Op: op, Kind: dns.TooLarge, Detail: fmt.Sprintf("an entry of %d bytes, at most %d", len(e), EntryBytesMax)}
		}
		b.bytes += frameBytes + int64(len(e))
	}
	if b.bytes > BatchBytesMax {
		return &dns.Error{Op: op, Kind: dns.TooLarge, Detail: fmt.Sprintf("a change of %d bytes, at most %d", b.bytes, BatchBytesMax)}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return &dns.Error{Op: op, Kind: dns.Unavailable, Detail: "this member is stopping"}
	case len(b.entries) == 0:
		close(b.done)
		return nil
	case j.queueBytes+b.bytes > QueueBytesMax:
		j.metrics.failures.WithLabelValues(dns.Exhausted.String()).Inc()
		return &dns.Error{Op: op, Kind: dns.Exhausted, Detail: fmt.Sprintf("more than %d bytes wait for the disk", QueueBytesMax)}
	}
	j.queue = append(j.queue, b)
	j.queueBytes += b.bytes
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
