// Package sql is the engine of points over rows of a SQL database: PostgreSQL for
// several servers at once, and SQLite for one machine.
//
// Vocabulary. A batch is orders that waited in this process together and are carried
// out in one transaction. The head is the row that says how far the ledger is: its
// last place and time, and the sums by class. A turn is the right to add to the
// ledger, which one batch has at a time, among all servers of the database.
//
// Invariants. Batches run in turns, so places have no gaps, are seen in their order,
// and time grows with them. An order that fails takes nothing else of its batch with
// it. The head is written once for each batch, not for each order; so is an account
// that many orders want at once, which is what keeps a hot one from being slow.
//
// Not for the caller who has one machine and wants most: package ledger is faster.
package sql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/sqldb"
)

// Config is what a ledger is opened with. Zero values stand for the defaults.
type Config struct {
	// Rules must be the same on all servers of one database.
	Rules game.Rules
	// Now is the clock; time.Now.
	Now func() time.Time
	// Log gets what an operator should know; nothing.
	Log *slog.Logger
	// Registerer gets the metrics; nil: nobody does.
	Registerer prometheus.Registerer
	// QueueMax bounds the orders that wait in this process; 4096.
	QueueMax int
	// BatchMax bounds the orders of one transaction, 1 to 256; 256.
	BatchMax int
	// Patience bounds how long a batch may take, retries included; 15 s.
	Patience time.Duration
}

func (c Config) complete() Config {
	c.QueueMax = cmp.Or(c.QueueMax, 4096)
	c.BatchMax = min(cmp.Or(c.BatchMax, batchMax), batchMax)
	c.Patience = cmp.Or(c.Patience, 15*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Bounds of a transaction.
const (
	batchMax = 256 // the greatest batch
	// rowsMax is the most rows of one statement. A database plans a statement anew the first
	// times that it sees it, which for one of many rows takes longer than to run it.
	rowsMax = 64
)

// migrations make the tables. body is JSON: see row.go.
var migrations = []string{
	`CREATE TABLE points_head (id BIGINT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, time BIGINT NOT NULL, accounts BIGINT NOT NULL, totals TEXT NOT NULL);
INSERT INTO points_head (id, seq, time, accounts, totals) VALUES (1, 0, 0, 0, '[]');
CREATE TABLE points_accounts (uid BIGINT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, next_end BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX points_accounts_end ON points_accounts (next_end, uid) WHERE next_end > 0;
CREATE TABLE points_postings (seq BIGINT NOT NULL PRIMARY KEY, time BIGINT NOT NULL, tx TEXT NOT NULL, op BIGINT NOT NULL, uid BIGINT NOT NULL, to_uid BIGINT NOT NULL, amount BIGINT NOT NULL, hold BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX points_postings_tx ON points_postings (tx);
CREATE INDEX points_postings_uid ON points_postings (uid, seq);
CREATE INDEX points_postings_to ON points_postings (to_uid, seq) WHERE to_uid > 0;
CREATE INDEX points_postings_hold ON points_postings (hold, seq) WHERE hold > 0`,
}

// Ledger implements points.Ledger.
type Ledger struct {
	db      sqldb.DB
	cfg     Config
	metrics *metrics
	last    atomic.Int64 // the ledger's time, as far as this process saw it
	away    atomic.Bool  // the last batch found the database away, which was said
	worker  sync.WaitGroup

	mu     sync.RWMutex // held for reading while a job is queued
	queue  chan *job
	closed bool // guarded by mu
}

var _ points.Ledger = (*Ledger)(nil)

// Open makes the tables. The database stays the caller's, and must not be closed
// before the ledger.
func Open(ctx context.Context, db sqldb.DB, cfg Config) (*Ledger, error) {
	cfg = cfg.complete()
	if err := db.Migrate(ctx, "points", migrations); err != nil {
		return nil, fmt.Errorf("prepare the tables of points: %w", err)
	}
	l := &Ledger{db: db, cfg: cfg, queue: make(chan *job, cfg.QueueMax)}
	var h head
	if err := db.Read(ctx, func(r sqldb.Reader) (err error) { h, err = readHead(r); return err }); err != nil {
		return nil, fmt.Errorf("read the head of the ledger: %w", err)
	}
	l.seen(h.time)
	var err error
	if l.metrics, err = newMetrics(cfg.Registerer, l); err != nil {
		return nil, err
	}
	l.worker.Go(l.serve)
	return l, nil
}

// Close carries out what waits.
func (l *Ledger) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	l.worker.Wait()
	l.metrics.unregister(l.cfg.Registerer)
	return nil
}

// seen notes a time of the ledger.
func (l *Ledger) seen(t game.Instant) {
	for {
		old := l.last.Load()
		if old >= int64(t) || l.last.CompareAndSwap(old, int64(t)) {
			return
		}
	}
}

// Now implements points.Ledger.
func (l *Ledger) Now() game.Instant {
	l.seen(game.At(l.cfg.Now()))
	return game.Instant(l.last.Load())
}

// job is an order that waits.
type job struct {
	order game.Order
	state atomic.Int32
	reply chan struct{} // closed when answer and err are there
	// These belong to the worker until reply is closed.
	answer points.Answer
	err    error
	tried  *game.Posting // what an attempt whose end is not known would have kept
}

// The states of a job. Its caller may leave while it waits, not once it was taken.
const (
	waits int32 = iota
	taken
	left
)

// Post implements points.Ledger.
func (l *Ledger) Post(ctx context.Context, o *game.Order) (points.Answer, error) {
	if o.Op == game.OpExpire {
		return points.Answer{}, game.Errorf(game.Invalid, "what is over is ended by the ledger alone")
	}
	if err := o.Check(0); err != nil { // what can be judged without the ledger's time
		return points.Answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return points.Answer{}, leftEarly(err, false)
	}
	j := &job{order: *o, reply: make(chan struct{})}
	if err := l.enter(j); err != nil {
		return points.Answer{}, err
	}
	select {
	case <-j.reply:
		return j.answer, j.err
	case <-ctx.Done():
	}
	return points.Answer{}, leftEarly(ctx.Err(), !j.state.CompareAndSwap(waits, left))
}

// leftEarly is the error of a caller who did not wait for the end.
func leftEarly(err error, doubt bool) error {
	return &game.Error{Op: "post", Kind: game.Unavailable, Detail: "the order was not waited for", Err: err, Doubt: doubt}
}

func (l *Ledger) enter(j *job) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return errClosed()
	}
	select {
	case l.queue <- j:
		return nil
	default:
		l.metrics.refused("queue")
		return game.Errorf(game.Unavailable, "%d orders wait for the database, which is the most; later it may work", l.cfg.QueueMax)
	}
}

func errClosed() error { return game.Errorf(game.Unavailable, "the ledger of points is closed") }

// serve is the worker: it takes what waits, batch by batch.
func (l *Ledger) serve() {
	batch := make([]*job, 0, l.cfg.BatchMax)
	for j := range l.queue {
		batch = append(batch[:0], j)
	fill:
		for len(batch) < l.cfg.BatchMax {
			select {
			case j, ok := <-l.queue:
				if !ok {
					break fill
				}
				batch = append(batch, j)
			default:
				break fill
			}
		}
		stay := batch[:0]
		for _, j := range batch {
			if j.state.CompareAndSwap(waits, taken) {
				stay = append(stay, j)
			}
		}
		l.carryOut(stay)
		for i, j := range stay {
			close(j.reply)
			stay[i] = nil
		}
	}
}

// carryOut answers every job of a batch.
func (l *Ledger) carryOut(batch []*job) {
	if len(batch) == 0 {
		return
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Patience) // the orders outlive those who wait for them
	defer cancel()
	err := l.try(ctx, batch)
	l.metrics.batch(len(batch), time.Since(begin))
	switch {
	case err == nil:
		l.told(nil)
	case len(batch) > 1 && !isPassing(err): // one of them is the cause: the others shall not suffer
		l.carryOut(batch[:len(batch)/2])
		l.carryOut(batch[len(batch)/2:])
	default:
		l.told(err)
		for _, j := range batch {
			j.answer, j.err = points.Answer{}, l.failure("post", err, j.tried != nil)
		}
	}
}

// isPassing says whether an error is one of the database, not of an order.
func isPassing(err error) bool {
	for _, passing := range []error{sqldb.ErrAway, sqldb.ErrBusy, sqldb.ErrClosed, sqldb.ErrFull, context.DeadlineExceeded, context.Canceled, errBroken} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// failure turns an error of the database into one that a caller may see.
func (l *Ledger) failure(op string, err error, doubt bool) error {
	var known *game.Error
	if errors.As(err, &known) {
		return err
	}
	e := &game.Error{Op: op, Kind: game.Unavailable, Err: err, Doubt: doubt}
	reason := "away"
	switch {
	case errors.Is(err, sqldb.ErrFull):
		reason, e.Kind, e.Detail = "full", game.Exhausted, "the database of points has no space left"
	case errors.Is(err, sqldb.ErrBusy):
		reason, e.Detail = "busy", "too much waits for the database of points; later it may work"
	case errors.Is(err, sqldb.ErrAway):
		e.Detail = "the database of points does not answer; later it may work"
	case errors.Is(err, sqldb.ErrClosed):
		reason, e.Detail = "closed", "the database of points is closed"
	case errors.Is(err, context.Canceled):
		reason, e.Detail = "left", "the answer was not waited for"
	case errors.Is(err, context.DeadlineExceeded):
		reason, e.Detail = "slow", "the database of points did not answer in time; later it may work"
	default:
		reason, e.Kind, e.Detail = "internal", game.Internal, "the database of points answered what it should not"
	}
	l.metrics.refused(reason)
	return e
}

// told says once that the database went away, and once that it is back.
func (l *Ledger) told(err error) {
	switch {
	case err == nil:
		if l.away.CompareAndSwap(true, false) {
			l.cfg.Log.Info("database of points is back")
		}
	case !isPassing(err) || errors.Is(err, errBroken):
		l.cfg.Log.Error("points could not be kept", "error", err)
	case l.away.CompareAndSwap(false, true):
		l.cfg.Log.Warn("database of points is away", "error", err)
	}
}
