// Package sql is the engine of lock over rows of a SQL database, so that SQLite
// serves the processes of one machine and PostgreSQL those of several.
//
// Vocabulary. The row of one lock is its lease: its holder, the session, the token, the term,
// and a beat that grows with each change, which is the version of the lease.
//
// Invariants. Rows are never deleted. No clock is read, neither ours nor the
// database's: when a lease is over is judged by package lock. Whoever wrote to the table before this
// package was only a place of leases kept the same rows, so both may run at once.
package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/sqldb"
)

var migrations = []string{
	`CREATE TABLE lock_leases (
	name TEXT NOT NULL PRIMARY KEY,
	holder TEXT NOT NULL,
	session TEXT NOT NULL,
	token BIGINT NOT NULL,
	beat BIGINT NOT NULL,
	term BIGINT NOT NULL
)`, // term: milliseconds
}

// Place implements lock.Place.
type Place struct{ db sqldb.DB }

var _ lock.Place = (*Place)(nil)

// Open makes the table. The database stays the caller's.
func Open(ctx context.Context, db sqldb.DB) (*Place, error) {
	if err := db.Migrate(ctx, "lock", migrations); err != nil {
		return nil, fmt.Errorf("prepare the table of locks: %w", err)
	}
	return &Place{db: db}, nil
}

// Engine implements lock.Place.
func (p *Place) Engine() string { return "sql" }

const columns = "SELECT name, holder, session, token, beat, term FROM lock_leases "

func scan(from interface{ Scan(...any) error }) (row lock.Row, err error) {
	var token, ms int64
	err = from.Scan(&row.Name, &row.Holder, &row.Session, &token, &row.Version, &ms)
	row.Token, row.Term = uint64(token), time.Duration(ms)*time.Millisecond
	return row, err
}

// Read implements lock.Place.
func (p *Place) Read(ctx context.Context, name string) (row lock.Row, err error) {
	err = p.db.Read(ctx, func(r sqldb.Reader) error {
		row, err = scan(r.QueryRow(columns+"WHERE name = ?", name))
		if errors.Is(err, stdsql.ErrNoRows) {
			row, err = lock.Row{Name: name}, nil
		}
		return err
	})
	return row, away(err)
}

// Swap implements lock.Place.
func (p *Place) Swap(ctx context.Context, name string, version int64, next lock.Lease) (lock.Row, error) {
	var n int64
	err := p.db.Write(ctx, func(w sqldb.Writer) (err error) {
		ms := next.Term.Milliseconds()
		if version == 0 {
			n, err = w.Exec("INSERT INTO lock_leases (name, holder, session, token, beat, term) VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT DO NOTHING",
				name, next.Holder, next.Session, int64(next.Token), ms)
			return err
		}
		n, err = w.Exec("UPDATE lock_leases SET holder = ?, session = ?, token = ?, beat = beat + 1, term = ? WHERE name = ? AND beat = ?",
			next.Holder, next.Session, int64(next.Token), ms, name, version)
		return err
	})
	if err != nil {
		return lock.Row{}, away(err)
	}
	if n == 0 {
		return lock.Row{}, lock.ErrMoved
	}
	return lock.Row{Name: name, Lease: next, Version: version + 1}, nil
}

// List implements lock.Place.
func (p *Place) List(ctx context.Context, prefix, after string, limit int) (all []lock.Row, err error) {
	query, args := columns+"WHERE name > ? AND name >= ?", []any{after, prefix}
	if end := successor(prefix); end != "" {
		query, args = query+" AND name < ?", append(args, end)
	}
	err = p.db.Read(ctx, func(r sqldb.Reader) error {
		all = nil
		rows, err := r.Query(query+" ORDER BY name LIMIT ?", append(args, int64(limit))...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			row, err := scan(rows)
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return rows.Err()
	})
	return all, away(err)
}

// successor is the least text that is greater than all that begin with prefix;
// empty when there is none. Texts are compared by their bytes, which order UTF-8 as its runes.
func successor(prefix string) string {
	for prefix != "" {
		last, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case last == utf8.MaxRune: // there is none with this length
		case last == 0xD7FF: // the surrogates are no runes of UTF-8
			return prefix + "\uE000"
		default:
			return prefix + string(last+1)
		}
	}
	return ""
}

// Count implements lock.Place.
func (p *Place) Count(ctx context.Context) (n int, err error) {
	err = p.db.Read(ctx, func(r sqldb.Reader) error {
		return r.QueryRow("SELECT COUNT(*) FROM lock_leases").Scan(&n)
	})
	return n, away(err)
}

// away says that the database does not do what it is asked: it has too much to do, or whatever the reason is.
func away(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, sqldb.ErrBusy) { // nothing was written
		return fmt.Errorf("%w: %w", lock.ErrExhausted, err)
	}
	return fmt.Errorf("%w: %w", lock.ErrAway, err)
}
