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

// TestAConnectionThatEndedIsAway ends the connection of a write whose caller does not look at the error that tells
// so: what follows on that connection, and at last the commit, has to say the same and not something unknown.
func TestAConnectionThatEndedIsAway(t *testing.T) {
	url := postgrestest.Start(t).Database(t)
	db, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	query := func(w sqldb.Writer) error { return w.QueryRow("SELECT 1").Scan(new(int)) }
	exec := func(w sqldb.Writer) error {
		_, err := w.Exec("CREATE TABLE lost (id TEXT)")
		return err
	}
	for name, statements := range map[string][]func(sqldb.Writer) error{
		"commit": {}, "query": {query}, "exec": {exec}, "query, query": {query, query}, "query, exec": {query, exec}, "exec, query": {exec, query}, "exec, exec": {exec, exec},
	} {
		for _, tells := range []bool{false, true} {
			ended := db.WriteInTurn(t.Context(), "x", func(w sqldb.Writer) error {
				var pid int
				if err := w.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
					return err
				}
				if err := other.Write(t.Context(), func(w sqldb.Writer) error {
					var gone bool
					return w.QueryRow("SELECT pg_terminate_backend(?, 20000)", pid).Scan(&gone)
				}); err != nil {
					return err
				}
				var told error
				for _, statement := range statements {
					told = statement(w)
				}
				if tells {
					return told
				}
				return nil
			})
			if !errors.Is(ended, sqldb.ErrAway) {
				t.Errorf("%s, error told %v: %v, want ErrAway", name, tells, ended)
			}
		}
	}
}
