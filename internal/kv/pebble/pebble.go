// Package pebble keeps values on one machine, in a directory, by
// github.com/cockroachdb/pebble. It is the engine of a single server: nothing
// else may open the directory while it is open.
//
// Vocabulary. The committer is the one goroutine that writes: it takes the writes
// that wait, in groups, and gives each to the engine, which syncs its log for all
// that came meanwhile. A
// stripe is a lock for the keys of one hash: a write holds it from the look at its
// base until the disk has said that it is durable, or never will be.
//
// Invariants. A write is acknowledged, and a value is shown to a reader, only
// after its group was synced. Versions are those of the whole store and each is
// greater than all before: the next number, or the time in microseconds where
// that is greater, so that a store that was put back from a backup does not give
// a number again which it gave after the backup. The greatest is written with
// each group. After the disk has refused a write or a sync for another reason
// than its being full, nothing is written, shown or acknowledged any more
// (kv.ErrStopped): what is on the disk is read again by the next Open, and the
// writes that were under way were told kv.ErrDoubt. A full disk stops nothing:
// new writes are kv.ErrFull as soon as less than FreeBytesMin is left, and the
// log waits for space where it meets the end all the same.
package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kamado/kamado/internal/kv"
)

// Config of a store. The memory that it needs at most is about
// CacheBytes + 4*MemTableBytes + QueueBytes.
type Config struct {
	// CacheBytes is the memory for blocks of tables that were read.
	CacheBytes int64
	// MemTableBytes is the memory for writes until they become a table. Up to four are kept.
	MemTableBytes int64
	// Queue is how many writes may be under way; more are kv.ErrExhausted.
	Queue int
	// QueueBytes is how many bytes of values may be under way.
	QueueBytes int64
	// FreeBytesMin is the space on the disk below which writes are kv.ErrFull. It is
	// for the log and for compactions, which must not meet a full disk.
	FreeBytesMin int64

	// Log gets what the engine says. nil: nothing is said.
	Log *slog.Logger
	// Now is the clock. nil: time.Now.
	Now func() time.Time

	// fs is the file system. nil: the system's.
	fs vfs.FS
}

// Default is for a small machine: an empty store needs a few MiB.
func Default() Config {
	return Config{CacheBytes: 8 << 20, MemTableBytes: 4 << 20, Queue: 4096, QueueBytes: 32 << 20, FreeBytesMin: 64 << 20}
}

// Validate tells all that is wrong.
func (c Config) Validate() error {
	var errs []error
	within := func(name string, v, least, most int64) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s = %d: want %d to %d", name, v, least, most))
		}
	}
	within("cache_bytes", c.CacheBytes, 1<<20, 1<<40)
	within("memtable_bytes", c.MemTableBytes, 2<<20, 1<<30)
	within("queue", int64(c.Queue), 1, 1<<20)
	within("queue_bytes", c.QueueBytes, kv.ValueBytesMax, 1<<36)
	within("free_bytes_min", c.FreeBytesMin, 0, 1<<50)
	return errors.Join(errs...)
}

// stripes is the number of locks. Writes whose keys share one wait for each other;
// with 64 callers on other keys it is about one in ten.
const stripes = 512

// Store is a directory that is open. It is a kv.Store, a kv.Snapshotter, a
// kv.Fallible and a kv.Sharded.
type Store struct {
	c    Config
	log  *slog.Logger
	db   *pebble.DB
	lock *pebble.Lock
	disk *disk
	dir  string
	met  metrics

	stripes [stripes]stripe
	queue   chan *write
	writes  atomic.Int64           // whose callers wait
	bytes   atomic.Int64           // of their values
	group   atomic.Pointer[commit] // the last that was given to the engine; nil: none
	// version is the greatest that was given. The committer's alone.
	version kv.Version

	mu        sync.RWMutex
	closed    bool
	calls     sync.WaitGroup // under way; added to under mu
	ending    chan struct{}  // closed by Close
	closeWait time.Duration
	done      chan struct{} // closed when the committer and its helper have returned
}

var (
	_ kv.Store       = (*Store)(nil)
	_ kv.Snapshotter = (*Store)(nil)
	_ kv.Fallible    = (*Store)(nil)
	_ kv.Sharded     = (*Store)(nil)
)

// Open opens a directory, which is made when it is not there.
func Open(dir string, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.fs == nil {
		c.fs = vfs.Default
	}
	s := &Store{
		c: c, log: c.Log, dir: dir, disk: newDisk(c.fs, dir, c.Log),
		queue: make(chan *write, c.Queue), ending: make(chan struct{}), done: make(chan struct{}),
		closeWait: closeWait,
	}
	s.met = newMetrics(s)
	for i := range s.stripes {
		s.stripes[i].held = make(chan struct{}, 1)
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	go s.committer()
	return s, nil
}

// open opens the engine and reads the greatest version.
func (s *Store) open() error {
	if err := s.c.fs.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := pebble.LockDirectory(s.dir, s.c.fs)
	if err != nil {
		return fmt.Errorf("in use by another process: %w", err)
	}
	db, err := pebble.Open(s.dir, s.options(lock))
	if err == nil {
		s.db, s.lock = db, lock
		if s.version, err = lastVersion(db); err == nil {
			return nil
		}
		err = errors.Join(err, db.Close())
	}
	return errors.Join(err, lock.Close())
}

func (s *Store) options(lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                          s.disk,
		Lock:                        lock,
		CacheSize:                   s.c.CacheBytes,
		MemTableSize:                uint64(s.c.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		FormatMajorVersion:          pebble.FormatTableFormatV6, // the newest that this version of the engine does not call an experiment
		MaxOpenFiles:                1000,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000, // slow reads are better than refused writes
		Logger:                      words{s},
		EventListener:               s.listener(),
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // a create looks for a key that is not there
	}
	return o
}

// Keys in the engine. A group has no byte 0, so that the order of the engine is
// that of groups and, in one, of names by bytes.
//
//	'd' group 0 name  ->  version (8 bytes, big-endian), value
//	'v'               ->  greatest version given (8 bytes, big-endian)
var versionKey = []byte("v")

func appendGroup(b []byte, group string) []byte {
	b = append(b, 'd')
	b = append(b, group...)
	return append(b, 0)
}

func appendKey(b []byte, k kv.Key) []byte { return append(appendGroup(b, k.Group), k.Name...) }

// errMangled is a record that this package did not write.
var errMangled = errors.New("a record that is none of this store's")

func parseKey(b []byte) (kv.Key, error) {
	if len(b) > 0 && b[0] == 'd' {
		for i, c := range b {
			if c == 0 {
				k := kv.Key{Group: string(b[1:i]), Name: string(b[i+1:])}
				return k, k.Check()
			}
		}
	}
	return kv.Key{}, fmt.Errorf("key %q: %w", b, errMangled)
}

// parseValue gives a record's version and value, which lies in b.
func parseValue(b []byte) (kv.Version, []byte, error) {
	if len(b) < 8 {
		return 0, nil, fmt.Errorf("value of %d bytes: %w", len(b), errMangled)
	}
	return kv.Version(binary.BigEndian.Uint64(b)), b[8:], nil
}

func lastVersion(db *pebble.DB) (kv.Version, error) {
	b, closer, err := db.Get(versionKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	v, _, err := parseValue(b)
	return v, errors.Join(err, closer.Close())
}

// enter begins a call; leave ends it.
func (s *Store) enter() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return kv.ErrClosed
	}
	if err := s.stoppedError(); err != nil {
		return err
	}
	s.calls.Add(1)
	return nil
}

func (s *Store) leave() { s.calls.Done() }

// stoppedError is not nil once the store has stopped itself.
func (s *Store) stoppedError() error {
	if err := s.disk.fault(); err != nil {
		return fmt.Errorf("%w: %w", kv.ErrStopped, err)
	}
	return nil
}

// Stopped is closed when the disk has failed.
func (s *Store) Stopped() <-chan struct{} { return s.disk.stopped }

// Fault is how the disk failed.
func (s *Store) Fault() error { return s.disk.fault() }

// closeWait is how long Close waits for an engine whose disk is full or has failed:
// its goroutines may hang for good.
const closeWait = 5 * time.Second

// Close waits for calls that are under way and closes the directory. Where the disk
// is full and stays so, or has failed, it gives up after a while: nothing is written
// after it, and what was acknowledged is there at the next Open.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.ending)
	s.mu.Unlock()
	s.calls.Wait()
	ended := make(chan error, 1)
	go func() { ended <- s.end() }()
	t := time.NewTicker(s.closeWait)
	defer t.Stop()
	for {
		select {
		case err := <-ended:
			if stopped := s.stoppedError(); stopped != nil {
				return stopped
			}
			return err
		case <-t.C:
		}
		if err := s.stoppedError(); err != nil {
			s.log.Warn("the engine of a failed disk does not end; its files stay open until this process ends", "dir", s.dir)
			return err
		}
		if s.disk.waiting.Load() > 0 {
			s.disk.stop(errors.New("closed while the disk was full"))
		}
	}
}

// end closes the engine, as far as it can be when the disk has failed.
func (s *Store) end() (err error) {
	defer func() {
		if r := recover(); r != nil { // a second fault of the same disk
			err = fmt.Errorf("%w: %v", kv.ErrStopped, r)
		}
	}()
	close(s.queue)
	select {
	case <-s.done:
	case <-s.disk.stopped:
	}
	return errors.Join(s.db.Close(), s.lock.Close())
}
