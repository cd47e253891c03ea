package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/disk"
)

// Ledger is an open directory. Orders are carried out while Run runs.
type Ledger struct {
	cfg     Config
	deps    Deps
	dir     string
	lock    *disk.Lock
	metrics metrics

	id     ledgerID
	segs   *segments
	index  *index
	filter *filter
	w      writer // of the writer's goroutine, while Run runs

	queue     chan *request
	toWrite   chan *batch
	done      chan *batch // batches to be filled again
	toIndex   chan *indexed
	recentMax int      // the constant, less in a test
	durable   progress // seq up to which postings are durable
	indexed   progress // seq up to which the index has them
	shownNow  atomic.Int64

	spares      chan disk.File
	rolled      chan struct{} // the last spare is in use
	wantSpare   chan struct{}
	spareFailed chan struct{}
	spareErr    atomic.Pointer[error]

	toSnapshot   chan *frozenCore
	snapshotIdle atomic.Bool
	snapshotSeq  uint64 // of the snapshot that Open read

	started    atomic.Bool
	finished   chan struct{} // closed when Run has ended, or Close when it never ran
	finishOnce sync.Once
	stopped    chan struct{} // closed by the first failure
	cause      atomic.Pointer[game.Error]
	closing    chan struct{} // closed by Close
	closed     sync.Once
	lowSpace   atomic.Bool
	damaged    atomic.Bool

	// open is held to read by whoever uses the index or the segments, to write by Close.
	open     sync.RWMutex
	isClosed bool

	mu         sync.RWMutex // guards what follows; only the decider changes the core
	core       *core
	durableEnd end
}

var _ points.Ledger = (*Ledger)(nil)

// toIndexMax is how many durable batches may wait for the index; then the writer waits.
const toIndexMax = 16

// Open takes the directory, making it when it is not there, and reads the ledger
// back: the newest snapshot that is whole, and the log behind it. Errors are
// *game.Error: Conflict when another process has the directory (it names the process), Internal when
// the log is damaged or lacks what was durable (it names file, offset and posting, and what to do; nothing was changed),
// Exhausted when the disk is full. A torn end, which nobody was told of, is cut, and said in the log.
func Open(ctx context.Context, dir string, cfg Config, deps Deps) (*Ledger, error) {
	const op = "open ledger"
	if err := cfg.Validate(); err != nil {
		return nil, &game.Error{Op: op, Kind: game.Invalid, Err: err}
	}
	deps.fill()
	start := time.Now()
	lock, err := disk.TakeLock(filepath.Join(dir, lockName))
	var held *disk.HeldError
	if errors.As(err, &held) {
		return nil, &game.Error{Op: op, Kind: game.Conflict, Detail: fmt.Sprintf("%s is in use by process %s: stop it, or use another directory", dir, held.PID)}
	}
	if err != nil {
		return nil, problem(op, err)
	}
	l := newLedger(dir, cfg, deps)
	l.lock = lock
	if err := l.load(ctx); err != nil {
		err = problem(op, err)
		return nil, errors.Join(err, l.release())
	}
	l.metrics.register(deps.Registerer)
	deps.Log.Info("ledger opened", "dir", dir, "postings", l.core.seq, "accounts", l.core.table.n, "snapshot", l.snapshotSeq, "took", time.Since(start))
	return l, nil
}

func newLedger(dir string, cfg Config, deps Deps) *Ledger {
	l := &Ledger{
		cfg: cfg, deps: deps, dir: dir, recentMax: recentMax, segs: newSegments(deps.disk, dir),
		queue: make(chan *request, cfg.Queue), toWrite: make(chan *batch), done: make(chan *batch, 2), toIndex: make(chan *indexed, toIndexMax),
		spares: make(chan disk.File), rolled: make(chan struct{}, 1), wantSpare: make(chan struct{}, 1), spareFailed: make(chan struct{}, 1),
		toSnapshot: make(chan *frozenCore, 1), finished: make(chan struct{}), stopped: make(chan struct{}), closing: make(chan struct{}),
	}
	l.w = writer{disk: deps.disk, dir: dir, id: &l.id}
	l.snapshotIdle.Store(true)
	l.metrics.make(l)
	return l
}

// load reads the directory, or makes a new ledger in it.
func (l *Ledger) load(ctx context.Context) error {
	f, err := l.look()
	if err != nil {
		return err
	}
	if len(f.heads) == 0 {
		err = l.create(f)
	} else {
		err = l.recover(ctx, f)
	}
	if err != nil {
		return err
	}
	l.durableEnd = l.w.end
	l.durable.set(l.core.seq)
	l.indexed.set(l.core.seq)
	l.shownNow.Store(int64(l.core.now))
	return nil
}

// create begins a ledger. The first segment is its birth: until it has its name there is none.
func (l *Ledger) create(f found) error {
	if len(f.snapshots) > 0 {
		return &damage{at(1, 0), 1, fmt.Sprintf("the file is missing: postings up to %d were durable", f.snapshots[0])}
	}
	var err error
	if l.index, err = openIndex(l.deps.indexFS, filepath.Join(l.dir, indexName), int64(l.cfg.IndexCacheBytes), l.deps.Log); err != nil {
		return err
	}
	if _, e, err := l.index.position(); err != nil || e.seq > 0 {
		return errors.Join(err, &damage{at(1, 0), 1, fmt.Sprintf("the file is missing: postings up to %d were durable", e.seq)})
	}
	rand.Read(l.id[:])
	l.segs.id = l.id
	l.filter = newFilter(int64(l.cfg.FilterBytes))
	l.core = newCore(l.cfg.Rules)
	spare, err := makeSpare(l.deps.disk, l.dir, int64(l.cfg.SegmentBytes))
	if err != nil {
		return err
	}
	return l.w.rollTo(spare)
}

// Run carries orders out until ctx ends or Close is called; then those that wait,
// and it ends the log in order. After a failed write or sync it returns that error: nothing is
// answered any more, and the owner opens the ledger again, most simply by ending the process.
func (l *Ledger) Run(ctx context.Context) error {
	if !l.started.CompareAndSwap(false, true) {
		select {
		case <-l.closing: // Close came first
			return nil
		default:
			return game.Errorf(game.Internal, "the ledger was run before")
		}
	}
	defer l.finishOnce.Do(func() { close(l.finished) })
	stop := make(chan struct{})
	var watcher, before, behind sync.WaitGroup
	watcher.Go(func() {
		defer close(stop)
		select {
		case <-ctx.Done():
		case <-l.closing:
		case <-l.stopped:
		}
	})
	d := l.newDecider()
	spareStop := make(chan struct{})
	before.Go(func() { l.spareLoop(spareStop) })
	before.Go(l.writeLoop)
	behind.Go(l.indexLoop)
	behind.Go(l.snapshotLoop)
	behind.Go(func() { l.scrubLoop(stop) })
	d.run(stop)
	close(l.toWrite)
	close(spareStop)
	before.Wait()
	close(l.toIndex)
	close(l.toSnapshot)
	behind.Wait()
	watcher.Wait()
	if err := l.failed(); err != nil {
		return err
	}
	return l.seal()
}

// seal ends the log in order. Without it the next Open trusts the last batch a little less, no more.
func (l *Ledger) seal() error {
	if l.w.end.batch > 0 {
		if err := l.w.control(kindSeal); err != nil && !disk.Full(err) {
			return l.fail("end the ledger", err)
		}
		l.mu.Lock()
		l.durableEnd = l.w.end
		l.mu.Unlock()
	}
	if err := l.index.flush(); err != nil {
		return l.indexFailed(err)
	}
	l.saveFilter(l.w.end)
	return nil
}

// Close ends Run, waits for it, and lets go of the directory. Whatever is called
// afterwards fails as Unavailable.
func (l *Ledger) Close() error {
	var err error
	l.closed.Do(func() {
		close(l.closing)
		if l.started.CompareAndSwap(false, true) {
			l.finishOnce.Do(func() { close(l.finished) })
		}
		<-l.finished
		l.open.Lock()
		defer l.open.Unlock()
		l.isClosed = true
		l.metrics.unregister(l.deps.Registerer)
		err = l.release()
	})
	return err
}

// release closes what Open opened, however far it came.
func (l *Ledger) release() error {
	var errs []error
	if l.index != nil {
		errs = append(errs, l.index.close())
	}
	if l.w.active != nil {
		errs = append(errs, l.w.active.Close())
	}
	l.segs.close()
	return errors.Join(append(errs, l.lock.Release())...)
}

// failed is why nothing is answered any more; nil: it works.
func (l *Ledger) failed() error {
	if e := l.cause.Load(); e != nil {
		return e
	}
	return nil
}

// fail stops the ledger for a failure, and gives what callers are told.
func (l *Ledger) fail(op string, err error) error {
	e := &game.Error{Op: op, Kind: game.Unavailable, Detail: "the ledger stopped after a failure of its disk, and must be opened again", Err: err}
	if disk.Full(err) {
		e.Kind, e.Detail = game.Exhausted, "the disk of the ledger is full; the ledger stopped, and must be opened again"
	}
	if l.cause.CompareAndSwap(nil, e) {
		l.deps.Log.Error("ledger stopped: it must be opened again, and then goes on from what is durable", "dir", l.dir, "error", err)
		l.metrics.stopped.Set(1)
		close(l.stopped)
	}
	return l.cause.Load()
}

// indexFailed stops the ledger, and lets the next Open make the index anew.
func (l *Ledger) indexFailed(err error) error {
	f, mark := l.deps.disk.Create(filepath.Join(l.dir, indexBadName))
	if mark == nil {
		mark = errors.Join(f.Sync(), f.Close(), l.deps.disk.SyncDir(l.dir))
	}
	if mark != nil {
		err = errors.Join(err, fmt.Errorf("remove the index by hand: %w", mark))
	}
	return l.fail("use the index of the ledger", err)
}

// noSpace is the error of an order that found no space; nothing was done.
func noSpace(op string, err error) error {
	e := &game.Error{Op: op, Kind: game.Exhausted, Detail: "the disk of the ledger is full; nothing was moved", Err: err}
	if !disk.Full(err) && !errors.As(err, new(*spaceError)) {
		e.Kind, e.Detail = game.Unavailable, "the disk of the ledger fails; nothing was moved"
	}
	return e
}

// spaceError says that too little space is free.
type spaceError struct{ free, want int64 }

func (e *spaceError) Error() string {
	return fmt.Sprintf("%d bytes are free on the disk of the ledger: want at least %d", e.free, e.want)
}

// noteSpace says when space runs out, and when it is there again.
func (l *Ledger) noteSpace(err error) {
	if l.lowSpace.Swap(err != nil) == (err != nil) {
		return
	}
	if err != nil {
		l.deps.Log.Error("disk of the ledger is full: orders are refused", "dir", l.dir, "error", err)
		return
	}
	l.deps.Log.Info("disk of the ledger has space again: orders are carried out")
}

// problem makes of an error what callers are promised.
func problem(op string, err error) error {
	var e *game.Error
	var d *damage
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.As(err, &d):
		return &game.Error{Op: op, Kind: game.Internal, Err: err, Detail: fmt.Sprintf(
			"the ledger is damaged at %v, posting %d. Nothing was changed. Put back the files from a backup (kamado game ledger verify tells which are whole); do not remove any", d.at, d.seq)}
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return &game.Error{Op: op, Kind: game.Unavailable, Err: err}
	case disk.Full(err):
		return &game.Error{Op: op, Kind: game.Exhausted, Detail: "the disk of the ledger is full", Err: err}
	}
	return &game.Error{Op: op, Kind: game.Internal, Err: err}
}
