// Package sqlite is the embedded engine of sqldb: one file, WAL, and a sync of
// the disk at every commit. One goroutine writes; it takes the functions that
// wait in batches, so that many writers share one sync.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kamado/kamado/internal/sqldb"
)

// Bounds of the writer.
const (
	batchMax = 128  // writes that share a commit
	queueMax = 4096 // writes that wait; further ones fail with sqldb.ErrBusy
)

// DB is a SQLite database.
type DB struct {
	write *sql.DB // one connection
	read  *sql.DB
	queue chan *job
	done  chan struct{}

	mu     sync.RWMutex // held for reading while a job is queued
	closed bool         // guarded by mu
}

type job struct {
	ctx   context.Context
	fn    func(sqldb.Writer) error
	reply chan error
}

// Open opens the database of a file, which it makes, readable by its owner only.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	pragmas := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)", "cache_size(-8000)", "journal_size_limit(67108864)"}}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
	d := &DB{queue: make(chan *job, queueMax), done: make(chan struct{})}
	if d.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return nil, err
	}
	d.write.SetMaxOpenConns(1)
	if err := d.write.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(err, d.write.Close()))
	}
	if d.read, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, d.write.Close())
	}
	d.read.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	d.read.SetMaxIdleConns(max(4, runtime.GOMAXPROCS(0)))
	go d.serve()
	return d, nil
}

// Close waits for the writes that were queued and closes the file.
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	close(d.queue)
	d.mu.Unlock()
	<-d.done
	return errors.Join(d.read.Close(), d.write.Close())
}

func (d *DB) isClosed() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.closed
}

// Read implements sqldb.DB.
func (d *DB) Read(ctx context.Context, fn func(sqldb.Reader) error) error {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		if d.isClosed() {
			return sqldb.ErrClosed
		}
		return fmt.Errorf("begin read: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return fn(txn{ctx, tx})
}

// Write implements sqldb.DB.
func (d *DB) Write(ctx context.Context, fn func(sqldb.Writer) error) error {
	j := &job{ctx: ctx, fn: fn, reply: make(chan error, 1)}
	d.mu.RLock()
	if d.closed {
		d.mu.RUnlock()
		return sqldb.ErrClosed
	}
	select {
	case d.queue <- j:
		d.mu.RUnlock()
	default:
		d.mu.RUnlock()
		return sqldb.ErrBusy
	}
	return <-j.reply // the writer answers every job, and looks at ctx first
}

// Migrate implements sqldb.DB.
func (d *DB) Migrate(ctx context.Context, owner string, migrations []string) error {
	return d.Write(ctx, func(w sqldb.Writer) error { return sqldb.ApplyMigrations(w, owner, migrations) })
}

// serve is the writer.
func (d *DB) serve() {
	defer close(d.done)
	batch := make([]*job, 0, batchMax)
	for j := range d.queue {
		batch = append(batch[:0], j)
	fill:
		for len(batch) < batchMax {
			select {
			case j, ok := <-d.queue:
				if !ok {
					break fill
				}
				batch = append(batch, j)
			default:
				break fill
			}
		}
		d.commit(batch)
	}
}

// commit runs a batch in one transaction and answers each job.
func (d *DB) commit(batch []*job) {
	results, err := d.runBatch(batch)
	for i, j := range batch {
		if err != nil && results[i] == nil {
			j.reply <- fmt.Errorf("commit: %w", err)
			continue
		}
		j.reply <- results[i]
	}
}

func (d *DB) runBatch(batch []*job) ([]error, error) {
	results := make([]error, len(batch))
	tx, err := d.write.BeginTx(context.Background(), nil)
	if err != nil {
		return results, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	for i, j := range batch {
		if results[i] = j.ctx.Err(); results[i] != nil {
			continue
		}
		if _, err := tx.Exec("SAVEPOINT job"); err != nil {
			return results, err
		}
		results[i] = run(j, tx)
		if results[i] != nil {
			if _, err := tx.Exec("ROLLBACK TO job"); err != nil {
				return results, err
			}
		}
		if _, err := tx.Exec("RELEASE job"); err != nil {
			return results, err
		}
	}
	return results, tx.Commit()
}

// run keeps a panic of one job from taking the writer, and with it every other
// job, away: it becomes the panic's error for that job.
func run(j *job, tx *sql.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v", p)
		}
	}()
	return j.fn(txn{context.WithoutCancel(j.ctx), tx})
}

// txn is a Writer, and a Reader, of one transaction.
type txn struct {
	ctx context.Context
	tx  *sql.Tx
}

func (t txn) Query(q string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(t.ctx, q, args...)
}
func (t txn) QueryRow(q string, args ...any) *sql.Row { return t.tx.QueryRowContext(t.ctx, q, args...) }

func (t txn) Exec(q string, args ...any) (int64, error) {
	r, err := t.tx.ExecContext(t.ctx, q, args...)
	if err != nil {
		var e *driver.Error
		if errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) {
			return 0, fmt.Errorf("%w: %v", sqldb.ErrUnique, err)
		}
		return 0, err
	}
	return r.RowsAffected()
}
