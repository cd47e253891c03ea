package postgres_test

import (
	"context"
	"errors"
	"os"
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

// TestAWriterThatStandsStillIsEnded stops in the middle of a write in turn, as a
// process does that is paused: the others must not wait for it for ever.
func TestAWriterThatStandsStillIsEnded(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("takes 10 s, the time that a writer may stand still (KAMADO_TEST_ALL)")
	}
	url := postgrestest.Start(t).Database(t)
	var dbs [2]*postgres.DB
	for i := range dbs {
		var err error
		if dbs[i], err = postgres.Open(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		defer dbs[i].Close()
	}
	inside, still, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- dbs[0].WriteInTurn(t.Context(), "x", func(w sqldb.Writer) error {
			close(inside)
			<-still
			_, err := w.Exec("CREATE TABLE late (id TEXT)")
			return err
		})
	}()
	<-inside
	if err := dbs[1].WriteInTurn(t.Context(), "x", func(sqldb.Writer) error { return nil }); err != nil {
		t.Errorf("a write behind one that stands still = %v", err)
	}
	close(still)
	if err := <-ended; !errors.Is(err, sqldb.ErrAway) {
		t.Errorf("the write that stood still = %v, want ErrAway", err)
	}
}
