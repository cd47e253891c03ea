package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// TestOpenWaitsForTheOneWhoChangesTheFile opens a new file that another handle is
// writing to with the journal that SQLite begins with: to change the journal Open
// needs what that one holds, and SQLite refuses it at once.
func TestOpenWaitsForTheOneWhoChangesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	other, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	run := func(q string) {
		t.Helper()
		if _, err := other.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE x (n INT)")
	run("BEGIN IMMEDIATE")
	done := make(chan error, 1)
	go func() { done <- openAndRead(t.Context(), path) }()
	select {
	case err := <-done:
		t.Fatalf("open beside a writer: %v; want that it waits", err)
	case <-time.After(200 * time.Millisecond): // long enough to be refused, were it not to wait
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := openAndRead(short, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("open beside a writer with little time: %v, want its context's end", err)
	}
	run("COMMIT")
	if err := <-done; err != nil {
		t.Errorf("open after the writer's end: %v", err)
	}
}

// TestHandlesThatOpenANewFileAtOnceTakeTurns opens one file that is not there from
// many goroutines. Of those that change the journal at once SQLite refuses some
// without waiting for the others.
func TestHandlesThatOpenANewFileAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	const rounds, handles = 15, 8
	for range rounds {
		path := filepath.Join(t.TempDir(), "db")
		start := make(chan struct{})
		var wg sync.WaitGroup
		for range handles {
			wg.Go(func() {
				<-start
				if err := openAndRead(t.Context(), path); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if t.Failed() {
			return
		}
	}
}

// openAndRead opens a database, reads on a connection of its own and closes it.
func openAndRead(ctx context.Context, path string) error {
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Read(ctx, func(r sqldb.Reader) error {
		var n int
		return r.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&n)
	})
}
