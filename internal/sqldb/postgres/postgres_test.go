package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqldbtest"
)

func TestPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	t.Run("suite", func(t *testing.T) { // returns when its parallel tests have
		sqldbtest.Run(t, func(t *testing.T) sqldbtest.Place {
			url := server.Database(t)
			return func(ctx context.Context) (sqldb.DB, error) { return postgres.Open(ctx, url) }
		})
	})
}

func TestOpenTellsNoPassword(t *testing.T) {
	for _, url := range []string{"postgres://kamado:secret@127.0.0.1:1/kamado?connect_timeout=1", "postgres://kamado:secret@127.0.0.1:notaport/kamado"} {
		_, err := postgres.Open(t.Context(), url)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q) = %v, want an error without the password", url, err)
		}
	}
}
