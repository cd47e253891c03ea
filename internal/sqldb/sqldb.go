// Package sqldb keeps rows in a SQL database, the same ones in SQLite on one
// machine and in PostgreSQL for several servers at once. An engine is a package
// one level below; sqldbtest holds what both promise.
//
// Vocabulary. A read sees one consistent state. A write is a function that runs
// as if alone: SQLite has one writer that takes waiting functions in batches,
// each in a savepoint, and syncs once for all of them; PostgreSQL runs them
// serializable and again when they met another. A migration is a numbered text
// of statements, applied once, in order.
//
// Invariants. A write that returned nil is durable. A write that failed left
// nothing. Statements use "?" for arguments and the types TEXT and BIGINT alone,
// so that one text serves both engines. Not for large values: those belong in
// blob.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
)

// The conditions on which a caller branches.
var (
	// ErrUnique: a value that must be there once is there already.
	ErrUnique = errors.New("not unique")
	// ErrBusy: too many writes wait. Later it may work.
	ErrBusy = errors.New("database busy")
	// ErrFull: there is no space for what was written. Nothing of it is kept; with space it works again.
	ErrFull = errors.New("no space left for the database")
	// ErrAway: the database does not answer, or its disk does not. Whether a write is kept is not known when it was being committed.
	ErrAway = errors.New("database away")
	// ErrClosed: the database was closed.
	ErrClosed = errors.New("database closed")
)

// DB is a database. Its methods may be called concurrently.
type DB interface {
	// Read runs fn on one consistent state.
	Read(ctx context.Context, fn func(Reader) error) error
	// Write runs fn as if alone. Three things might happen:
	//  1. nil: what fn wrote is durable;
	//  2. fn's own error: nothing was written;
	//  3. another error: nothing was written, but when the connection broke
	//     during the commit (PostgreSQL), or ctx ended, it may have been.
	// fn may run more than once and must not outlive its call, nor call Write.
	Write(ctx context.Context, fn func(Writer) error) error
	// Migrate brings the schema of an owner up to its newest migration, which is
	// the last of the list; a database that is newer is refused.
	Migrate(ctx context.Context, owner string, migrations []string) error
	Close() error
}

// TurnWriter is the optional ability of an engine to let writes wait for each other
// instead of running them again; WriteInTurn finds it.
type TurnWriter interface {
	WriteInTurn(ctx context.Context, turn string, fn func(Writer) error) error
}

// WriteInTurn is Write for functions that would meet each other every time, as those
// of all servers that add to one list do. Those of one turn, which is a name, run one
// after the other, and each sees what the one before it committed. That is all: what
// fn reads must be written in this turn only. fn must not pause: a database that
// several processes share ends the write of one that stands still.
func WriteInTurn(ctx context.Context, db DB, turn string, fn func(Writer) error) error {
	if t, ok := db.(TurnWriter); ok {
		return t.WriteInTurn(ctx, turn, fn)
	}
	return db.Write(ctx, fn)
}

// Reader asks. It is used by one goroutine, inside its Read or Write.
type Reader interface {
	// Query gives rows, which the caller closes.
	Query(query string, args ...any) (*sql.Rows, error)
	QueryRow(query string, args ...any) *sql.Row
}

// Writer asks and changes.
type Writer interface {
	Reader
	// Exec changes rows and says how many. Its error wraps ErrUnique when a value
	// was not unique; fn may go on after that.
	Exec(query string, args ...any) (int64, error)
}

// Snapshotter is a DB that can copy itself, as of one moment, into a file that does
// not exist, while it is written to. The file is a database of the same engine,
// durable when Snapshot returns.
type Snapshotter interface {
	Snapshot(ctx context.Context, file string) error
}
