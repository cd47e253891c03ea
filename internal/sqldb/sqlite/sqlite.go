// Package sqlite is the embedded engine of sqldb: one file, WAL, and a sync of
// the disk at every commit. One goroutine writes; it takes the functions that
// wait in batches, so that many writers share one sync.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kamado/kamado/internal/sqldb"
)

// Bounds of the writer.
const (
	batchMax = 128  // writes that share a commit
	stmtsMax = 512  // statements that the writer keeps prepared; with more, all are dropped and made anew
	queueMax = 4096 // writes that wait; further ones fail with sqldb.ErrBusy
)

// Bounds of waiting for others that have the file open.
const (
	busyMax   = 10 * time.Second     // for a lock that SQLite itself waits for
	turnMax   = 10 * time.Second     // for the change of the journal, which SQLite does not always wait for
	turnPause = 2 * time.Millisecond // up to this between two attempts; the change takes about a sync of the disk
)

// DB is a SQLite database.
type DB struct {
	write *sql.DB              // one connection
	conn  *sql.Conn            // that one, the writer's alone
	stmts map[string]*sql.Stmt // of conn, by text; the writer's alone
	read  *sql.DB
	dsn   string // for further connections; the journal is the writer's to change
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
	pragmas := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", busyMax.Milliseconds()), "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)", "cache_size(-8000)", "journal_size_limit(67108864)"}}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
	d := &DB{dsn: dsn, queue: make(chan *job, queueMax), done: make(chan struct{})}
	if d.write, err = sql.Open("sqlite", dsn+"&_pragma=journal_mode(WAL)"); err != nil {
		return nil, err
	}
	d.write.SetMaxOpenConns(1)
	d.stmts = map[string]*sql.Stmt{}
	if d.conn, err = inTurn(ctx, d.write); err != nil {
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

// inTurn gives the writer's connection. The first one of a file changes its journal,
// and where two hold what the other needs, SQLite refuses one of them at once
// instead of waiting (sqlite.org/c3ref/busy_handler.html): that one has let go of
// everything and asks again. Its last attempt begins after turnMax at the latest and
// takes busyMax at most.
func inTurn(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	for began := time.Now(); ; {
		conn, err := db.Conn(ctx)
		var e *driver.Error
		if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY || time.Since(began) > turnMax {
			return conn, err
		}
		pause := time.NewTimer(rand.N(turnPause)) // at random, so that two do not meet again
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil, ctx.Err()
		case <-pause.C:
		}
	}
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
	return errors.Join(d.read.Close(), d.conn.Close(), d.write.Close())
}

func (d *DB) isClosed() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.closed
}

// Snapshot implements sqldb.Snapshotter.
func (d *DB) Snapshot(ctx context.Context, file string) error {
	if d.isClosed() {
		return sqldb.ErrClosed
	}
	own, err := sql.Open("sqlite", d.dsn) // those that read may write nothing, not even elsewhere
	if err != nil {
		return err
	}
	_, err = own.ExecContext(ctx, "VACUUM INTO ?", file)
	if err = errors.Join(err, own.Close()); err != nil {
		return fmt.Errorf("copy the database to %s: %w", file, named(err))
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
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
	return named(fn(txn{ctx, tx}))
}

// named gives the disk's errors their names.
func named(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the rest says more closely what happened
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", sqldb.ErrFull, err)
	case sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%w: %w", sqldb.ErrAway, err)
	}
	return err
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
			j.reply <- named(fmt.Errorf("commit: %w", err))
			continue
		}
		j.reply <- named(results[i])
	}
}

func (d *DB) runBatch(batch []*job) ([]error, error) {
	results := make([]error, len(batch))
	ctx := context.Background()
	if _, err := d.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return results, err
	}
	committed := false
	defer func() {
		if !committed {
			_, _ = d.exec(ctx, "ROLLBACK") // when that fails too, the next BEGIN says so
		}
	}()
	for i, j := range batch {
		if results[i] = j.ctx.Err(); results[i] != nil {
			continue
		}
		if _, err := d.exec(ctx, "SAVEPOINT job"); err != nil {
			return results, err
		}
		results[i] = d.run(j)
		if results[i] != nil {
			if _, err := d.exec(ctx, "ROLLBACK TO job"); err != nil {
				return results, err
			}
		}
		if _, err := d.exec(ctx, "RELEASE job"); err != nil {
			return results, err
		}
	}
	_, err := d.exec(ctx, "COMMIT")
	committed = err == nil
	return results, err
}

// run keeps a panic of one job from taking the writer, and with it every other
// job, away: it becomes the panic's error for that job.
func (d *DB) run(j *job) (err error) {
	w := &written{ctx: context.WithoutCancel(j.ctx), d: d, rows: map[string]*sql.Rows{}}
	defer func() {
		for _, rows := range slices.AppendSeq(w.more, maps.Values(w.rows)) { // those that the job forgot would keep the transaction open
			_ = rows.Close()
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v", p)
		}
	}()
	return j.fn(w)
}

// stmt gives a statement of the writer, prepared once: parsing it costs more than
// most statements do.
func (d *DB) stmt(ctx context.Context, q string) (*sql.Stmt, error) {
	if s := d.stmts[q]; s != nil {
		return s, nil
	}
	if len(d.stmts) >= stmtsMax {
		for _, s := range d.stmts {
			_ = s.Close()
		}
		clear(d.stmts)
	}
	s, err := d.conn.PrepareContext(ctx, q)
	if err == nil {
		d.stmts[q] = s
	}
	return s, err
}

func (d *DB) exec(ctx context.Context, q string, args ...any) (sql.Result, error) {
	s, err := d.stmt(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// written is the Writer of one job, on the writer's connection.
type written struct {
	ctx  context.Context
	d    *DB
	rows map[string]*sql.Rows // the last of each query
	more []*sql.Rows          // those of queries that were asked while they were being read
}

// Query uses the prepared statement, unless its rows are still being read: then
// the same text is parsed anew, because a statement has one place at a time.
func (t *written) Query(q string, args ...any) (rows *sql.Rows, err error) {
	if before := t.rows[q]; before != nil {
		if _, err := before.Columns(); err == nil { // an error says that they are closed
			if rows, err = t.d.conn.QueryContext(t.ctx, q, args...); err == nil {
				t.more = append(t.more, rows)
			}
			return rows, err
		}
	}
	s, err := t.d.stmt(t.ctx, q)
	if err != nil {
		return nil, err
	}
	if rows, err = s.QueryContext(t.ctx, args...); err == nil {
		t.rows[q] = rows
	}
	return rows, err
}

func (t *written) QueryRow(q string, args ...any) *sql.Row {
	return t.d.conn.QueryRowContext(t.ctx, q, args...)
}

func (t *written) Exec(q string, args ...any) (int64, error) {
	r, err := t.d.exec(t.ctx, q, args...)
	if err != nil {
		var e *driver.Error
		if errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) {
			return 0, fmt.Errorf("%w: %v", sqldb.ErrUnique, err)
		}
		return 0, err
	}
	return r.RowsAffected()
}

// txn is a Reader of one transaction.
type txn struct {
	ctx context.Context
	tx  *sql.Tx
}

func (t txn) Query(q string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(t.ctx, q, args...)
}
func (t txn) QueryRow(q string, args ...any) *sql.Row { return t.tx.QueryRowContext(t.ctx, q, args...) }
