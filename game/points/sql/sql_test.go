package sql_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/points/pointstest"
	"github.com/kamado/kamado/game/points/sql"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// place opens ledgers on one database.
func place(t *testing.T, db sqldb.DB, err error) pointstest.Place {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
	return func(ctx context.Context, cfg pointstest.Config) (points.Ledger, error) {
		return sql.Open(ctx, db, sql.Config{Rules: cfg.Rules, Now: cfg.Now})
	}
}

func TestSQLite(t *testing.T) {
	pointstest.Run(t, func(t *testing.T) pointstest.Place {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
		return place(t, db, err)
	})
}

func TestPostgreSQL(t *testing.T) {
	server := postgrestest.Start(t)
	t.Run("suite", func(t *testing.T) { // returns when its parallel tests have
		pointstest.Run(t, func(t *testing.T) pointstest.Place {
			db, err := postgres.Open(t.Context(), server.Database(t))
			return place(t, db, err)
		})
	})
}
