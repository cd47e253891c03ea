package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// TestSnapshotIsOneMoment: a copy made under writes has a whole number of them, and is a database.
func TestSnapshotIsOneMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), "test", []string{"CREATE TABLE pairs (n BIGINT NOT NULL)"}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 50 {
				if err := db.Write(t.Context(), func(w sqldb.Writer) error {
					for range 2 {
						if _, err := w.Exec("INSERT INTO pairs (n) VALUES (?)", n); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	file := filepath.Join(dir, "copy.db")
	if err := db.Snapshot(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := db.Snapshot(t.Context(), file); err == nil {
		t.Error("a file that is there is replaced")
	}
	again, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var rows int
	if err := again.Read(t.Context(), func(r sqldb.Reader) error { return r.QueryRow("SELECT COUNT(*) FROM pairs").Scan(&rows) }); err != nil || rows%2 != 0 {
		t.Errorf("%d rows, %v; want pairs", rows, err)
	}
}
