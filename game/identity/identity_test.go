package identity_test

import (
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/game/identity/identitytest"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

func TestSQLite(t *testing.T) {
	identitytest.Run(t, false, func(t *testing.T) identitytest.Place {
		path := filepath.Join(t.TempDir(), "db")
		return func(t *testing.T) sqldb.DB {
			db, err := sqlite.Open(t.Context(), path)
			return opened(t, db, err)
		}
	})
}

func TestPostgreSQL(t *testing.T) {
	server := postgrestest.Start(t)
	t.Run("suite", func(t *testing.T) { // returns when its parallel tests have
		identitytest.Run(t, true, func(t *testing.T) identitytest.Place {
			url := server.Database(t)
			return func(t *testing.T) sqldb.DB {
				db, err := postgres.Open(t.Context(), url)
				return opened(t, db, err)
			}
		})
	})
}

func opened(t *testing.T, db sqldb.DB, err error) sqldb.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
	return db
}
