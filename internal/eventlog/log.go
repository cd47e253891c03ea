package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/eventlog/segment"
)

// Event is something that happened in a room; see segment.Event. Its time is
// kept in microseconds, the finest that all readers of Parquet know.
type Event = segment.Event

// The conditions on which a caller branches.
var (
	// ErrInvalid: the event breaks a bound of package segment.
	ErrInvalid = segment.ErrInvalid

	// ErrFull: Config.PendingBytes wait for the store. Later it may work.
	ErrFull = errors.New("event log full")

	// ErrClosed: the log has ended. The event was not kept.
	ErrClosed = errors.New("event log closed")

	// ErrInUse: another process has the directory.
	ErrInUse = errors.New("event log in use")
)

// House is the room of events about the house itself.
const House = "kamado"

// Log is an event log in a directory. Its methods may be called concurrently.
type Log struct {
	dir   string
	store blob.Store
	cfg   Config
	log   *slog.Logger
	disk  disk
	lock  *os.File

	queue  chan entry
	closed chan struct{} // closed when Run has ended
	wake   chan struct{} // a segment was sealed; holds one token

	// files is held for reading while segments are read, and for writing while
	// compacted ones are removed.
	files sync.RWMutex

	mu       sync.Mutex
	manifest manifest
	active   uint64           // number of the active segment, 0 when there is none
	sizes    map[uint64]int64 // bytes of each segment that is not compacted; for the active one, what was written whole
	next     uint64           // number of the next segment

	stats struct {
		appended, dropped, failed, torn, compacted, removed atomic.Int64
	}
}

// entry is an event on its way to the disk. done gets the outcome; nil for an
// offered one. Its capacity is 1, so the writer never waits.
type entry struct {
	event Event
	done  chan error
}

// Open prepares the log in dir, which it makes, and repairs what a crash left.
// store receives the Parquet files. It starts nothing: Append and Query work
// while Run does. ErrInUse when another process has dir.
func Open(dir string, store blob.Store, cfg Config, log *slog.Logger) (*Log, error) {
	return open(dir, store, cfg, log, osDisk{})
}

func open(dir string, store blob.Store, cfg Config, log *slog.Logger, d disk) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("event log configuration: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open event log %s: %w", dir, err)
	}
	l := &Log{
		dir: dir, store: store, cfg: cfg, log: log, disk: d, lock: lock,
		queue: make(chan entry, cfg.Queue), closed: make(chan struct{}), wake: make(chan struct{}, 1),
		sizes: map[uint64]int64{},
	}
	if err := l.recover(); err != nil {
		lock.Close()
		return nil, fmt.Errorf("open event log %s: %w", dir, err)
	}
	return l, nil
}

// lockDir takes the directory for this process until the file is closed.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, err
	}
	return f, nil
}

// Append keeps an event. Three things might happen:
//  1. nil: the event is durable;
//  2. ErrInvalid, ErrFull or ErrClosed: it was not kept;
//  3. another error, also that of the context: it may have been kept.
func (l *Log) Append(ctx context.Context, e Event) error {
	if err := prepare(&e); err != nil {
		return err
	}
	done := make(chan error, 1)
	select {
	case l.queue <- entry{e, done}:
	case <-l.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closed:
		select {
		case err := <-done: // the last batch of Run
			return err
		default:
			return ErrClosed
		}
	}
}

// Offer gives an event to the log without waiting, allocating or failing. It is
// dropped, and counted in Stats, when the queue is full, when it is invalid and
// when the disk refuses it.
func (l *Log) Offer(e Event) {
	if prepare(&e) != nil {
		l.stats.dropped.Add(1)
		return
	}
	select {
	case l.queue <- entry{event: e}:
	default:
		l.stats.dropped.Add(1)
	}
}

// prepare gives an event its time and checks it.
func prepare(e *Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	return e.Check()
}

// Run writes, compacts and removes until the context ends; then it writes what
// is queued, seals the segment and gives the directory back. It is called once,
// and returns nil then: a disk or store that fails is told to callers, counted
// and tried again.
func (l *Log) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { l.compactLoop(ctx) })
	l.writeLoop(ctx)
	wg.Wait()
	close(l.closed)
	return l.lock.Close()
}

// Stats are counters since Open.
type Stats struct {
	Appended  int64 // events written, offered ones included
	Dropped   int64 // offered events that were lost
	Failed    int64 // batches that the disk refused
	Torn      int64 // segments with bytes behind the valid prefix
	Compacted int64 // segments whose events are in the store
	Removed   int64 // Parquet files that were older than RetainDays
	Pending   int64 // bytes that wait for compaction now
	Queued    int64 // events that wait for the disk now
}

// Stats gives the counters.
func (l *Log) Stats() Stats {
	s := &l.stats
	return Stats{
		Appended: s.appended.Load(), Dropped: s.dropped.Load(), Failed: s.failed.Load(), Torn: s.torn.Load(),
		Compacted: s.compacted.Load(), Removed: s.removed.Load(), Pending: l.pending(), Queued: int64(len(l.queue)),
	}
}

func (l *Log) pending() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum int64
	for _, n := range l.sizes {
		sum += n
	}
	return sum
}
