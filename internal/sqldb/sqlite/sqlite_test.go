package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/sqldbtest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

func TestSQLite(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T) sqldbtest.Place {
		path := filepath.Join(t.TempDir(), "folder", "db")
		return func(ctx context.Context) (sqldb.DB, error) { return sqlite.Open(ctx, path) }
	})
}

func TestTheFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "db")
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), "test", []string{"CREATE TABLE things (id TEXT)"}); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

// TestMain runs the writer that TestKill kills when it is told to.
func TestMain(m *testing.M) {
	if path := os.Getenv("KAMADO_TEST_WRITER"); path != "" {
		if err := writeForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever writes rows from several goroutines, and says the number of each
// when it is durable.
func writeForever(path string) error {
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	if err := db.Migrate(context.Background(), "test", []string{"CREATE TABLE things (id BIGINT NOT NULL PRIMARY KEY)"}); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := worker; ; n += 4 {
				if err := db.Write(context.Background(), func(w sqldb.Writer) error {
					_, err := w.Exec("INSERT INTO things (id) VALUES (?)", int64(n))
					return err
				}); err != nil {
					return
				}
				os.Stdout.WriteString(fmt.Sprintln(n)) //nolint:errcheck // one write call: a whole line
			}
		})
	}
	wg.Wait()
	return nil
}

func TestKill(t *testing.T) {
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "db")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "KAMADO_TEST_WRITER="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := map[int]bool{}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var n int
			if _, err := fmt.Sscan(lines.Text(), &n); err == nil {
				acknowledged[n] = true
			}
			if len(acknowledged) == 100*(round+1) {
				cmd.Process.Kill() //nolint:errcheck // what it said before it died is still read
			}
		}
		cmd.Wait() //nolint:errcheck // killed
		db, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		there := map[int]bool{}
		if err := db.Read(t.Context(), func(r sqldb.Reader) error {
			rows, err := r.Query("SELECT id FROM things")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var n int
				if err := rows.Scan(&n); err != nil {
					return err
				}
				there[n] = true
			}
			return rows.Err()
		}); err != nil {
			t.Fatal(err)
		}
		lost := 0
		for n := range acknowledged {
			if !there[n] {
				lost++
			}
		}
		if lost > 0 || len(acknowledged) < 100 {
			t.Errorf("round %d: of %d acknowledged rows %d are lost", round, len(acknowledged), lost)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients-%d", clients), func(b *testing.B) {
			db, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "db"))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if err := db.Migrate(b.Context(), "test", []string{"CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY)"}); err != nil {
				b.Fatal(err)
			}
			work := make(chan int)
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for n := range work {
						if err := db.Write(b.Context(), func(w sqldb.Writer) error {
							_, err := w.Exec("INSERT INTO things (id) VALUES (?)", fmt.Sprint(n))
							return err
						}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			n := 0
			for b.Loop() {
				work <- n
				n++
			}
			close(work)
			wg.Wait()
		})
	}
}

// TestFullDatabaseHasAName fills a database up to a bound of pages: what does not
// fit is refused by name, what was written before stays, and with space it works again.
func TestFullDatabaseHasAName(t *testing.T) {
	d, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	exec := func(q string, args ...any) error {
		return d.Write(t.Context(), func(w sqldb.Writer) error { _, err := w.Exec(q, args...); return err })
	}
	count := func() (n int) {
		if err := d.Read(t.Context(), func(r sqldb.Reader) error { return r.QueryRow("SELECT count(*) FROM x").Scan(&n) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, q := range []string{"CREATE TABLE x (b BLOB)", "PRAGMA max_page_count = 40"} {
		if err := exec(q); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for err = error(nil); err == nil && kept < 1000; kept++ {
		err = exec("INSERT INTO x VALUES (?)", make([]byte, 4096))
	}
	kept--
	if !errors.Is(err, sqldb.ErrFull) {
		t.Fatalf("after %d rows: %v, want ErrFull", kept, err)
	}
	if n := count(); n != kept || n == 0 {
		t.Errorf("%d rows are kept of %d that were acknowledged", n, kept)
	}
	if err := exec("PRAGMA max_page_count = 4000"); err != nil {
		t.Fatal(err)
	}
	if err := exec("INSERT INTO x VALUES (?)", make([]byte, 4096)); err != nil || count() != kept+1 {
		t.Errorf("with space: %v, %d rows", err, count())
	}
}
