package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of DiskConfig.
const (
	DefaultWritesPending = 256
	DefaultPendingBytes  = 32 << 20
	DefaultTouchAfter    = 10 * time.Minute
	DefaultSweepRate     = 20_000
)

// buckets is into how many directories a disk cache is spread: with 30 KB
// entries 256 of them keep a 100 GB cache at 13,000 files each, which one
// eviction lists in some milliseconds.
const buckets = 256

// evictShare is which part of a bucket's bytes an eviction takes, the least
// recently used first: 1/8, so that a listing is paid for by many removals
// and young entries stay.
const evictShare = 8

// entryShareMax is which part of the cache one entry may be at most: 1/8.
const entryShareMax = 8

// staleTemp is the age from which a temporary file is a crash's leftover.
const staleTemp = time.Hour

const tempPrefix = ".tmp-"

// DiskConfig says where and how large a Disk is.
type DiskConfig struct {
	Dir           string        // is made when missing; nothing else may live there
	BytesMax      int64         // sum of file sizes; required
	WritesPending int           // entries waiting to be written; more are dropped. Default 256
	PendingBytes  int64         // their bytes; default 32 MiB
	TouchAfter    time.Duration // a hit marks a file as used when its mark is older; default 10 min
	SweepRate     int           // files that Sweep looks at in a second; default 20,000
	// Refused says which originals no entry may be kept of, because they were
	// taken down; nil: of every one it may. It is asked before and after each
	// write, so that what was being made during a sweep does not stay.
	Refused func(Label) bool
	Log     *slog.Logger // required
}

// Disk keeps entries as one file each, bounded by bytes. A file is written
// beside its place and renamed into it; a crash leaves a leftover that the
// count removes, or a damaged file that Get finds out by its checksum.
//
// Opening reads nothing. What an earlier run left is served at once; it is
// counted in the background, and until that knows the whole size
// nothing is added, so that the bound holds at any moment. Memory does not
// depend on the number of entries. Safe for concurrent use.
type Disk struct {
	cfg   DiskConfig
	queue chan pendingWrite

	pendingBytes atomic.Int64
	bytes        atomic.Int64 // Invariant: ≤ BytesMax once swept
	swept        atomic.Bool
	counted      chan struct{} // closed when swept is set for the first time
	hand         int           // bucket to evict from next; Run's goroutine alone

	// files is held while files are written or removed, so that each is
	// counted once. Lock order: files before mu.
	files sync.Mutex

	mu      sync.Mutex
	pending map[Key]*Entry // queued and not yet on disk

	hits, misses, writes, dropped, damaged, evictions, failures atomic.Uint64
	looked, removed, refused                                    atomic.Uint64
	failing                                                     bool // Run's goroutine alone
}

type pendingWrite struct {
	key   Key
	entry *Entry
}

// OpenDisk opens a disk cache. Call Run for it to accept entries.
func OpenDisk(cfg DiskConfig) (*Disk, error) {
	if cfg.BytesMax <= 0 {
		return nil, fmt.Errorf("disk cache %s: size %d is not positive", cfg.Dir, cfg.BytesMax)
	}
	if cfg.WritesPending <= 0 {
		cfg.WritesPending = DefaultWritesPending
	}
	if cfg.PendingBytes <= 0 {
		cfg.PendingBytes = DefaultPendingBytes
	}
	if cfg.TouchAfter <= 0 {
		cfg.TouchAfter = DefaultTouchAfter
	}
	if cfg.SweepRate <= 0 {
		cfg.SweepRate = DefaultSweepRate
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("disk cache: %w", err)
	}
	return &Disk{
		cfg:     cfg,
		queue:   make(chan pendingWrite, cfg.WritesPending),
		pending: make(map[Key]*Entry),
		counted: make(chan struct{}),
	}, nil
}

func (d *Disk) bucket(n int) string { return filepath.Join(d.cfg.Dir, fmt.Sprintf("%02x", n)) }

func (d *Disk) path(key Key) string {
	s := key.String()
	return d.cfg.Dir + string(filepath.Separator) + s[:2] + string(filepath.Separator) + s[2:]
}

// Get returns the entry of a key, from the queue of writes or from disk. A
// damaged file is removed and is a miss. A nil Disk finds nothing.
func (d *Disk) Get(key Key) (*Entry, bool) {
	if d == nil {
		return nil, false
	}
	d.mu.Lock()
	e := d.pending[key]
	d.mu.Unlock()
	if e != nil {
		d.hits.Add(1)
		return e, true
	}
	path := d.path(key)
	b, modified, err := readFile(path, d.cfg.BytesMax)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.failures.Add(1)
		}
		d.misses.Add(1)
		return nil, false
	}
	e, err = DecodeEntry(b, key)
	if err != nil {
		if !errors.Is(err, errOldForm) {
			d.damaged.Add(1)
		}
		d.misses.Add(1)
		d.files.Lock()
		if os.Remove(path) == nil {
			d.bytes.Add(-int64(len(b)))
		}
		d.files.Unlock()
		return nil, false
	}
	if now := time.Now(); now.Sub(modified) > d.cfg.TouchAfter {
		// The time of the file is its place in the order of eviction. A
		// failure makes it look older than it is and nothing worse.
		_ = os.Chtimes(path, now, now)
	}
	d.hits.Add(1)
	return e, true
}

// readFile reads a regular file of at most max bytes.
func readFile(path string, max int64) ([]byte, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !st.Mode().IsRegular() || st.Size() > max {
		return nil, time.Time{}, fmt.Errorf("%s: not a file of this cache", path)
	}
	b := make([]byte, st.Size())
	n := 0
	for n < len(b) {
		m, err := f.Read(b[n:])
		n += m
		if err != nil {
			break // shorter than it said: the checksum tells
		}
	}
	return b[:n], st.ModTime(), nil
}

// Put queues an entry for writing and does not wait. It reports false when the
// entry was dropped: the queue is full, the count is not over, the entry is
// larger than 1/8 of the cache, or its original was taken down.
func (d *Disk) Put(key Key, e *Entry) bool {
	if d == nil {
		return false
	}
	size := EntrySize(e)
	if !d.swept.Load() || size > d.cfg.BytesMax/entryShareMax || !e.Label.valid() {
		d.dropped.Add(1)
		return false
	}
	if d.cfg.Refused != nil && d.cfg.Refused(e.Label) {
		d.refused.Add(1)
		return false
	}
	if d.pendingBytes.Add(size) > d.cfg.PendingBytes {
		d.pendingBytes.Add(-size)
		d.dropped.Add(1)
		return false
	}
	d.mu.Lock()
	d.pending[key] = e
	d.mu.Unlock()
	select {
	case d.queue <- pendingWrite{key, e}:
		return true
	default:
		d.forget(key, e, size)
		d.dropped.Add(1)
		return false
	}
}

func (d *Disk) forget(key Key, e *Entry, size int64) {
	d.mu.Lock()
	if d.pending[key] == e {
		delete(d.pending, key)
	}
	d.mu.Unlock()
	d.pendingBytes.Add(-size)
}

// Run counts what is there, then writes what Put queues, until ctx ends; then
// it writes what is still queued and returns nil. Call it once.
func (d *Disk) Run(ctx context.Context) error {
	d.count(ctx)
	for {
		select {
		case w := <-d.queue:
			d.write(w)
		case <-ctx.Done():
			d.swept.Store(false) // no more entries
			for {
				select {
				case w := <-d.queue:
					d.write(w)
				default:
					return nil
				}
			}
		}
	}
}

// count counts the bytes of every bucket and removes leftovers of a crash.
func (d *Disk) count(ctx context.Context) {
	start := time.Now()
	files := 0
	for n := range buckets {
		if ctx.Err() != nil {
			return
		}
		for _, f := range d.list(n) {
			d.bytes.Add(f.size)
			files++
		}
	}
	for d.bytes.Load() > d.cfg.BytesMax && ctx.Err() == nil {
		d.evict()
	}
	d.swept.Store(true)
	close(d.counted)
	if files > 0 {
		d.cfg.Log.Info("disk cache counted", "dir", d.cfg.Dir, "entries", files, "bytes", d.bytes.Load(), "took", time.Since(start))
	}
}

func (d *Disk) write(w pendingWrite) {
	size := EntrySize(w.entry)
	defer d.forget(w.key, w.entry, size)
	d.files.Lock()
	defer d.files.Unlock()
	d.mu.Lock()
	_, wanted := d.pending[w.key] // else a sweep removed it
	d.mu.Unlock()
	if !wanted || d.cfg.Refused != nil && d.cfg.Refused(w.entry.Label) {
		d.refused.Add(1)
		return
	}
	path := d.path(w.key)
	if st, err := os.Lstat(path); err == nil {
		// A result's key names its bytes, but one made from a mezzanine or a
		// truncated original may be replaced.
		d.bytes.Add(-st.Size())
		_ = os.Remove(path)
	}
	for d.bytes.Load()+size > d.cfg.BytesMax {
		if !d.evict() {
			d.dropped.Add(1)
			return
		}
	}
	err := writeFile(path, w.key, w.entry)
	if err == nil {
		d.bytes.Add(size)
		d.writes.Add(1)
		if d.cfg.Refused != nil && d.cfg.Refused(w.entry.Label) && os.Remove(path) == nil {
			d.bytes.Add(-size) // taken down while it was written
			d.refused.Add(1)
		}
	} else {
		d.failures.Add(1)
	}
	// A full disk fails each write: say the first and the recovery.
	if (err != nil) != d.failing {
		d.failing = err != nil
		if d.failing {
			d.cfg.Log.Warn("disk cache cannot write", "dir", d.cfg.Dir, "err", err)
		} else {
			d.cfg.Log.Info("disk cache writes again", "dir", d.cfg.Dir)
		}
	}
}

// writeFile writes an entry beside its place and renames it. It is not synced:
// after a crash of the machine the checksum tells what arrived.
func writeFile(path string, key Key, e *Entry) (err error) {
	dir, name := filepath.Split(path)
	temp := dir + tempPrefix + name
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			f, err = os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		}
	}
	if err != nil {
		return err
	}
	var room [entryHeaderSize + 128]byte
	_, err = f.Write(appendHeader(room[:0], key, e))
	if err == nil {
		_, err = f.Write(e.Data)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

type diskFile struct {
	path string
	size int64
	used time.Time
}

// list returns the entries of a bucket and removes leftovers of a crash.
func (d *Disk) list(n int) []diskFile {
	dir := d.bucket(n)
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	files := make([]diskFile, 0, len(names))
	for _, name := range names {
		st, err := name.Info()
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(dir, name.Name())
		if strings.HasPrefix(name.Name(), tempPrefix) {
			if time.Since(st.ModTime()) > staleTemp || !d.swept.Load() {
				_ = os.Remove(path)
			}
			continue
		}
		files = append(files, diskFile{path, st.Size(), st.ModTime()})
	}
	return files
}

// evict removes the least recently used part of the next bucket that holds
// anything. It reports false when nothing could be removed.
func (d *Disk) evict() bool {
	found := false
	for range buckets {
		files := d.list(d.hand)
		d.hand = (d.hand + 1) % buckets
		if len(files) == 0 {
			continue
		}
		found = true
		if d.evictOldest(files) > 0 {
			return true
		}
	}
	if !found && d.bytes.Load() > 0 {
		// Somebody emptied the directory: the count was wrong.
		d.bytes.Store(0)
		return true
	}
	return false
}

// evictOldest removes files, the least recently used first, until 1/evictShare
// of their bytes is gone. It returns how many it removed.
func (d *Disk) evictOldest(files []diskFile) (removed int) {
	slices.SortFunc(files, func(a, b diskFile) int { return a.used.Compare(b.used) })
	var total, gone int64
	for _, f := range files {
		total += f.size
	}
	for _, f := range files {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.failures.Add(1)
			continue
		}
		removed++
		gone += f.size
		d.bytes.Add(-f.size)
		d.evictions.Add(1)
		if gone*evictShare >= total {
			break
		}
	}
	return removed
}

// Ready reports whether the count is over and entries are accepted.
func (d *Disk) Ready() bool { return d != nil && d.swept.Load() }

// DiskStats are the counters of a Disk since it was opened.
type DiskStats struct {
	Hits      uint64 `json:"hits"`
	Misses    uint64 `json:"misses"`
	Writes    uint64 `json:"writes"`
	Dropped   uint64 `json:"dropped"`  // queue full, counting, or too large
	Damaged   uint64 `json:"damaged"`  // wrong checksum, found when read
	Failures  uint64 `json:"failures"` // of the file system
	Evictions uint64 `json:"evictions"`
	Looked    uint64 `json:"sweep_looked"`  // files that sweeps looked at
	Removed   uint64 `json:"sweep_removed"` // entries that sweeps removed
	Refused   uint64 `json:"refused"`       // not written, or removed again: the original was taken down
	Bytes     int64  `json:"bytes"`
	BytesMax  int64  `json:"bytes_max"`
	Pending   int    `json:"pending"` // entries waiting to be written
}

// Stats counts what is held.
func (d *Disk) Stats() DiskStats {
	if d == nil {
		return DiskStats{}
	}
	return DiskStats{
		Hits: d.hits.Load(), Misses: d.misses.Load(), Writes: d.writes.Load(), Dropped: d.dropped.Load(),
		Damaged: d.damaged.Load(), Failures: d.failures.Load(), Evictions: d.evictions.Load(), Looked: d.looked.Load(), Removed: d.removed.Load(), Refused: d.refused.Load(),
		Bytes: d.bytes.Load(), BytesMax: d.cfg.BytesMax, Pending: len(d.queue),
	}
}
