// Package postgres is the engine of sqldb for several servers at once: a
// PostgreSQL server (13 or newer), with every write serializable. A write that
// met another one is run again, with no more than a few writes of one process at
// the same time, so that they meet seldom.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/kamado/kamado/internal/sqldb"
)

// Bounds of one process.
const (
	writersMax = 4    // writes that run at the same time
	queueMax   = 4096 // writes that run or wait; further ones fail with sqldb.ErrBusy
	readersMax = 12   // reads that run at the same time; further ones wait
	triesMax   = 200  // runs of one write, before it fails with sqldb.ErrBusy
	pauseMax   = 50 * time.Millisecond
	idleMax    = 10 * time.Second // a write in turn that stands still for so long between two statements is ended by the server, so that others go on
)

// DB is a PostgreSQL database.
type DB struct {
	db      *sql.DB
	writers chan struct{} // a place for each write that runs
	readers chan struct{}
	waiting atomic.Int64
	closed  atomic.Bool
	closing chan struct{} // closed when Close begins
}

// Open connects to the database of a URL, postgres://user:password@host/name.
func Open(ctx context.Context, url string) (*DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err) // its text leaves the password out
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	cfg.RuntimeParams["application_name"] = "kamado"
	cfg.RuntimeParams["synchronous_commit"] = "on" // a write that returned is durable
	d := &DB{db: stdlib.OpenDB(*cfg), writers: make(chan struct{}, writersMax), readers: make(chan struct{}, readersMax), closing: make(chan struct{})}
	d.db.SetMaxOpenConns(writersMax + readersMax)
	d.db.SetMaxIdleConns(writersMax + readersMax)
	d.db.SetConnMaxIdleTime(5 * time.Minute)
	if err := d.db.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("connect to the database at %s: %w", cfg.Host, errors.Join(err, d.db.Close()))
	}
	return d, nil
}

// Close waits for what runs and closes the connections.
func (d *DB) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	close(d.closing)
	for range writersMax {
		d.writers <- struct{}{}
	}
	for range readersMax {
		d.readers <- struct{}{}
	}
	return d.db.Close()
}

// enter takes a place, which the caller gives back.
func (d *DB) enter(ctx context.Context, places chan struct{}) error {
	if d.closed.Load() {
		return sqldb.ErrClosed
	}
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closing:
		return sqldb.ErrClosed
	}
	if d.closed.Load() {
		<-places
		return sqldb.ErrClosed
	}
	return nil
}

// Read implements sqldb.DB.
func (d *DB) Read(ctx context.Context, fn func(sqldb.Reader) error) error {
	if err := d.enter(ctx, d.readers); err != nil {
		return err
	}
	defer func() { <-d.readers }()
	return named(d.attempt(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", func(t *txn) error { return fn(t) }))
}

// named gives a database that is full, or away, its name.
func named(err error) error {
	var e *pgconn.PgError
	var connect *pgconn.ConnectError
	var broken net.Error
	switch {
	case errors.As(err, &e) && e.Code == "53100": // disk_full
		return fmt.Errorf("%w: %w", sqldb.ErrFull, err)
	case errors.As(err, &e) && e.Code == "25P03": // idle_in_transaction_session_timeout
		return fmt.Errorf("%w: %w", sqldb.ErrAway, err)
	case errors.As(err, &e) && slices.Contains([]string{"08", "53", "57", "58"}, e.Code[:min(2, len(e.Code))]): // connection, resources, operator, system
		return fmt.Errorf("%w: %w", sqldb.ErrAway, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &connect), errors.As(err, &broken), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, pgconn.ErrConnClosed), errors.Is(err, sql.ErrConnDone): // a statement before this one saw it end
		return fmt.Errorf("%w: %w", sqldb.ErrAway, err)
	}
	return err
}

// Write implements sqldb.DB.
func (d *DB) Write(ctx context.Context, fn func(sqldb.Writer) error) error {
	return named(d.write(ctx, func() error {
		return d.attempt(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE", func(t *txn) error { return guarded(t, fn) })
	}))
}

// WriteInTurn implements sqldb.TurnWriter: with a lock that the server keeps until
// the transaction is over, so that a writer waits instead of being sent back. Each
// statement sees what is committed when it begins, thus all of the turn before.
func (d *DB) WriteInTurn(ctx context.Context, turn string, fn func(sqldb.Writer) error) error {
	h := fnv.New64a()
	h.Write([]byte("kamado turn " + turn)) //nolint:errcheck // never fails
	begin := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = %d; SELECT pg_advisory_xact_lock(%d)", idleMax.Milliseconds(), int64(h.Sum64()))
	return named(d.write(ctx, func() error {
		return d.attempt(ctx, begin, func(t *txn) error { return guarded(t, fn) })
	}))
}

// write runs one attempt after another until one does not meet another write.
func (d *DB) write(ctx context.Context, attempt func() error) error {
	if d.waiting.Add(1) > queueMax {
		d.waiting.Add(-1)
		return sqldb.ErrBusy
	}
	defer d.waiting.Add(-1)
	if err := d.enter(ctx, d.writers); err != nil {
		return err
	}
	defer func() { <-d.writers }()
	var err error
	for try := range triesMax {
		if err = ctx.Err(); err != nil {
			return err
		}
		if err = attempt(); !errors.Is(err, errMet) {
			return err
		}
		// A random wait that grows with the tries, so that those who met part.
		pause := time.NewTimer(rand.N(min(pauseMax, time.Millisecond<<min(try, 10))))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
	return fmt.Errorf("%w: %d tries of a write met others: %v", sqldb.ErrBusy, triesMax, err)
}

// guarded turns a panic of fn into an error, as every engine does.
func guarded(t *txn, fn func(sqldb.Writer) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v", p)
		}
	}()
	return fn(t)
}

// errMet: the transaction met another one and may be run again.
var errMet = errors.New("met another write")

// met says whether an error is a serialization failure or a deadlock.
func met(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// attempt runs fn in one transaction.
func (d *DB) attempt(ctx context.Context, begin string, fn func(*txn) error) error {
	c, err := d.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, begin); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &txn{ctx: ctx, c: c}
	ended := false
	defer func() {
		if !ended { // fn failed, or a read panicked; a ctx that ended must not leave a transaction open
			t.end(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // the connection is broken then, and thrown away
		}
	}()
	err = fn(t)
	if t.met || met(err) {
		return errMet
	}
	if err != nil {
		return err
	}
	ended = true
	tag, err := t.end(ctx, "COMMIT")
	switch {
	case met(err), err == nil && tag == "ROLLBACK": // the server answers so to COMMIT after an error that fn did not tell
		return errMet
	case err != nil:
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Migrate implements sqldb.DB. Several servers may start at once: they take
// turns. Text is compared byte by byte, as in SQLite, whatever the database's
// locale says.
func (d *DB) Migrate(ctx context.Context, owner string, migrations []string) error {
	texts := make([]string, len(migrations))
	for i, text := range migrations {
		texts[i] = strings.ReplaceAll(text, " TEXT", ` TEXT COLLATE "C"`)
	}
	c, err := d.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer c.Close()
	const lock = 0x6b616d61646f // "kamado"
	if _, err := c.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		return fmt.Errorf("wait for another server's migration: %w", err)
	}
	defer c.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(lock)) //nolint:errcheck // goes with the connection
	return d.Write(ctx, func(w sqldb.Writer) error { return sqldb.ApplyMigrations(w, owner, texts) })
}

// txn is a Writer, and a Reader, of one transaction.
type txn struct {
	ctx context.Context
	c   *sql.Conn
	met bool // a statement met another write: nothing that follows counts
}

// Query implements sqldb.Reader.
func (t *txn) Query(q string, args ...any) (*sql.Rows, error) {
	rows, err := t.c.QueryContext(t.ctx, numbered(q), args...)
	t.met = t.met || met(err)
	return rows, err
}

// QueryRow implements sqldb.Reader.
func (t *txn) QueryRow(q string, args ...any) *sql.Row {
	return t.c.QueryRowContext(t.ctx, numbered(q), args...)
}

// Exec implements sqldb.Writer. The server ends a transaction at its first error;
// a savepoint around each statement, sent along with it, lets the caller go on
// after one that was not unique.
func (t *txn) Exec(q string, args ...any) (int64, error) {
	var n int64
	err := t.c.Raw(func(driver any) error {
		batch := &pgx.Batch{}
		batch.Queue("SAVEPOINT statement")
		batch.Queue(numbered(q), args...)
		batch.Queue("RELEASE statement")
		results := driver.(*stdlib.Conn).Conn().SendBatch(t.ctx, batch)
		_, err := results.Exec()
		if err == nil {
			var tag pgconn.CommandTag
			if tag, err = results.Exec(); err == nil {
				n = tag.RowsAffected()
			}
		}
		return errors.Join(err, results.Close())
	})
	var e *pgconn.PgError
	switch {
	case met(err):
		t.met = true
	case errors.As(err, &e):
		if _, back := t.end(t.ctx, "ROLLBACK TO statement"); back != nil {
			return 0, errors.Join(err, back)
		}
		if e.Code == "23505" {
			return 0, fmt.Errorf("%w: %s", sqldb.ErrUnique, e.Message)
		}
	}
	return n, err
}

// end runs a statement that has no rows and gives its tag.
func (t *txn) end(ctx context.Context, statement string) (tag string, err error) {
	err = t.c.Raw(func(driver any) error {
		got, err := driver.(*stdlib.Conn).Conn().Exec(ctx, statement)
		tag = got.String()
		return err
	})
	return tag, err
}

// numbered writes the arguments of a statement as PostgreSQL does: "?" becomes
// $1, $2 …, except inside quotes.
func numbered(q string) string {
	if !strings.Contains(q, "?") {
		return q
	}
	var b strings.Builder
	n, quote := 0, byte(0)
	for i := range len(q) {
		switch c := q[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			b.WriteByte(c)
		case c == '\'' || c == '"':
			quote = c
			b.WriteByte(c)
		case c == '?':
			n++
			fmt.Fprintf(&b, "$%d", n)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
