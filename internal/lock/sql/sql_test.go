package sql_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
	"github.com/kamado/kamado/internal/lock/sql"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

func TestSQLite(t *testing.T) {
	locktest.Run(t, func(t *testing.T) locktest.Open {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
		return place(t, db, err)
	})
}

func TestPostgreSQL(t *testing.T) {
	server := postgrestest.Start(t)
	t.Run("suite", func(t *testing.T) { // returns when its parallel tests have
		locktest.Run(t, func(t *testing.T) locktest.Open {
			db, err := postgres.Open(t.Context(), server.Database(t))
			return place(t, db, err)
		})
	})
}

func place(t *testing.T, db sqldb.DB, err error) locktest.Open {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
	return func(ctx context.Context) (lock.Place, error) { return sql.Open(ctx, db) }
}
