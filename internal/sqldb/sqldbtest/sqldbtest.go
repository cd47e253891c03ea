// Package sqldbtest holds what every engine of sqldb promises, as tests. A
// promise that is not here is not one.
package sqldbtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/sqldb"
)

// Place is a database that can be opened, closed and opened again.
type Place func(ctx context.Context) (sqldb.DB, error)

// Run tests an engine. fresh gives a new, empty place; it may skip the test.
func Run(t *testing.T, fresh func(t *testing.T) Place) {
	for name, test := range map[string]func(*testing.T, Place){
		"what was written is there after a reopen":    durable,
		"a write that fails leaves nothing":           allOrNothing,
		"writes run as if alone":                      serialized,
		"decisions hold under many writers":           noSkew,
		"writes in turn see those before them":        inTurn,
		"a write in turn that fails leaves nothing":   inTurnFails,
		"a value that is not unique is told":          unique,
		"a write whose context ended does not run":    cancelled,
		"too many waiting writes are refused":         bounded,
		"a read sees one state":                       snapshot,
		"migrations are applied once and in order":    migrations,
		"a schema from the future is refused":         newer,
		"a migration that fails leaves nothing":       failedMigration,
		"servers that start at once migrate in turns": manyMigrations,
		"many rows and long texts":                    large,
		"text is ordered by its bytes":                order,
		"after Close nothing runs":                    closed,
		"Close waits for the write that runs":         closeWaits,
		"rows that were changed are counted":          counted,
		"quotes and question marks in texts are kept": texts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// open opens a place with one table of texts and numbers.
func open(t *testing.T, p Place) sqldb.DB {
	t.Helper()
	db, err := p(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // closed twice by tests that close it
	if err := db.Migrate(t.Context(), "test", []string{"CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, body TEXT NOT NULL);\nCREATE INDEX things_n ON things (n)"}); err != nil {
		t.Fatal(err)
	}
	return db
}

func write(t *testing.T, db sqldb.DB, fn func(sqldb.Writer) error) {
	t.Helper()
	if err := db.Write(context.WithoutCancel(t.Context()), fn); err != nil {
		t.Fatal(err)
	}
}

// put is a write of one row.
func put(id string, n int) func(sqldb.Writer) error {
	return func(w sqldb.Writer) error {
		_, err := w.Exec("INSERT INTO things (id, n, body) VALUES (?, ?, ?)", id, int64(n), "")
		return err
	}
}

// count counts rows.
func count(t *testing.T, db sqldb.DB) int {
	t.Helper()
	n := -1
	if err := db.Read(context.WithoutCancel(t.Context()), func(r sqldb.Reader) error { return r.QueryRow("SELECT COUNT(*) FROM things").Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func durable(t *testing.T, p Place) {
	db := open(t, p)
	write(t, db, put("a", 1))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, p)); n != 1 {
		t.Errorf("%d rows after a reopen, want 1", n)
	}
}

func allOrNothing(t *testing.T, p Place) {
	db := open(t, p)
	mine := errors.New("mine")
	err := db.Write(t.Context(), func(w sqldb.Writer) error {
		if err := put("a", 1)(w); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", mine)
	})
	if !errors.Is(err, mine) {
		t.Errorf("a write that fails gives %v, want its own error", err)
	}
	err = db.Write(t.Context(), func(w sqldb.Writer) error {
		if err := put("b", 1)(w); err != nil {
			return err
		}
		panic("a bug")
	})
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("a write that panics gives %v, want the panic's text", err)
	}
	if err := db.Write(t.Context(), func(w sqldb.Writer) error {
		put("c", 1)(w) //nolint:errcheck // the next statement fails
		_, err := w.Exec("INSERT INTO nothing VALUES (1)")
		return err
	}); err == nil {
		t.Error("a write into no table succeeded")
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows after writes that failed, want 0", n)
	}
	write(t, db, put("d", 1)) // it goes on
}

// clients is how many write at the same time.
const clients = 64

func serialized(t *testing.T, p Place) {
	db := open(t, p)
	write(t, db, put("counter", 0))
	const each = 5
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				if err := db.Write(t.Context(), func(w sqldb.Writer) error {
					var n int64
					if err := w.QueryRow("SELECT n FROM things WHERE id = ?", "counter").Scan(&n); err != nil {
						return err
					}
					_, err := w.Exec("UPDATE things SET n = ? WHERE id = ?", n+1, "counter")
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := db.Read(t.Context(), func(r sqldb.Reader) error { return r.QueryRow("SELECT n FROM things").Scan(&n) }); err != nil || n != clients*each {
		t.Errorf("%d clients counted %d times to %d, %v", clients, each, n, err)
	}
}

// inTurn counts with writes in turn, through two openings of one database, and
// counts how often their function runs.
func inTurn(t *testing.T, p Place) {
	const each = 5
	dbs := []sqldb.DB{open(t, p), open(t, p)}
	write(t, dbs[0], put("counter", 0))
	var runs atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for range each {
				if err := sqldb.WriteInTurn(t.Context(), dbs[i%2], "counter", func(w sqldb.Writer) error {
					runs.Add(1)
					var n int64
					if err := w.QueryRow("SELECT n FROM things WHERE id = ?", "counter").Scan(&n); err != nil {
						return err
					}
					_, err := w.Exec("UPDATE things SET n = ? WHERE id = ?", n+1, "counter")
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := dbs[0].Read(t.Context(), func(r sqldb.Reader) error { return r.QueryRow("SELECT n FROM things").Scan(&n) }); err != nil || n != clients*each {
		t.Errorf("%d clients counted %d times to %d, %v", clients, each, n, err)
	}
	if runs.Load() != clients*each {
		t.Errorf("%d writes in turn ran %d times, want once each", clients*each, runs.Load())
	}
}

func inTurnFails(t *testing.T, p Place) {
	db := open(t, p)
	mine := errors.New("mine")
	for _, fail := range []func() error{func() error { return mine }, func() error { panic("a bug") }} {
		err := sqldb.WriteInTurn(t.Context(), db, "things", func(w sqldb.Writer) error {
			if err := put("a", 1)(w); err != nil {
				return err
			}
			return fail()
		})
		if err == nil || !errors.Is(err, mine) && !strings.Contains(err.Error(), "a bug") {
			t.Errorf("a write in turn that fails gives %v", err)
		}
	}
	if err := sqldb.WriteInTurn(t.Context(), db, "things", put("b", 1)); err != nil { // it goes on
		t.Error(err)
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// noSkew takes what there is only some of: each client looks how much is taken
// and then takes one, in rows of its own.
func noSkew(t *testing.T, p Place) {
	db := open(t, p)
	const places = 10
	var got atomic.Int64
	full := errors.New("full")
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			err := db.Write(t.Context(), func(w sqldb.Writer) error {
				var n int
				if err := w.QueryRow("SELECT COUNT(*) FROM things").Scan(&n); err != nil {
					return err
				}
				if n >= places {
					return full
				}
				return put(fmt.Sprint(i), 1)(w)
			})
			switch {
			case err == nil:
				got.Add(1)
			case !errors.Is(err, full):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db); n != places || got.Load() != places {
		t.Errorf("%d of %d places are taken, %d clients were told that they have one", n, places, got.Load())
	}
}

func unique(t *testing.T, p Place) {
	db := open(t, p)
	write(t, db, put("a", 1))
	if err := db.Write(t.Context(), put("a", 2)); !errors.Is(err, sqldb.ErrUnique) {
		t.Errorf("a second row of one id gives %v, want ErrUnique", err)
	}
	write(t, db, func(w sqldb.Writer) error {
		if err := put("b", 1)(w); err != nil {
			return err
		}
		if err := put("a", 2)(w); !errors.Is(err, sqldb.ErrUnique) {
			return fmt.Errorf("inside: %v, want ErrUnique", err)
		}
		var n int
		if err := w.QueryRow("SELECT COUNT(*) FROM things").Scan(&n); err != nil || n != 2 {
			return fmt.Errorf("after ErrUnique the write sees %d rows, %v", n, err)
		}
		return put("c", 1)(w)
	})
	if n := count(t, db); n != 3 {
		t.Errorf("%d rows, want 3: a write may go on after ErrUnique", n)
	}
	if err := db.Write(t.Context(), func(w sqldb.Writer) error {
		_, err := w.Exec("UPDATE things SET id = ? WHERE id = ?", "a", "b")
		return err
	}); !errors.Is(err, sqldb.ErrUnique) {
		t.Errorf("an update to an id that is taken gives %v, want ErrUnique", err)
	}
}

func cancelled(t *testing.T, p Place) {
	db := open(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	if err := db.Write(ctx, func(sqldb.Writer) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
		t.Errorf("a write whose context ended: %v, ran: %v", err, ran)
	}
	if err := db.Read(ctx, func(sqldb.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a read whose context ended: %v", err)
	}
	write(t, db, put("a", 1)) // it goes on
}

// bounded holds every place of the writer and queues until it is refused.
func bounded(t *testing.T, p Place) {
	db := open(t, p)
	const enough = 20000
	release := make(chan struct{})
	var busy, done, failed atomic.Int64
	var wg sync.WaitGroup
	for range enough {
		if busy.Load() > 0 {
			break
		}
		wg.Go(func() {
			switch err := db.Write(t.Context(), func(sqldb.Writer) error { <-release; return nil }); {
			case err == nil:
				done.Add(1)
			case errors.Is(err, sqldb.ErrBusy):
				busy.Add(1)
			default:
				failed.Add(1)
			}
		})
	}
	for deadline := time.Now().Add(30 * time.Second); busy.Load() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // a condition is polled
	}
	close(release)
	wg.Wait()
	if busy.Load() == 0 || failed.Load() > 0 || done.Load() == 0 {
		t.Errorf("of at most %d waiting writes %d ran, %d were refused, %d failed", enough, done.Load(), busy.Load(), failed.Load())
	}
	write(t, db, put("a", 1)) // it goes on
}

func snapshot(t *testing.T, p Place) {
	db := open(t, p)
	write(t, db, put("a", 1))
	if err := db.Read(t.Context(), func(r sqldb.Reader) error {
		for i := range 3 {
			var n int
			if err := r.QueryRow("SELECT COUNT(*) FROM things").Scan(&n); err != nil {
				return err
			}
			if n != 1 {
				t.Errorf("the read sees %d rows after %d more writes, want 1", n, i)
			}
			write(t, db, put(fmt.Sprint(i), 1))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	write(t, db, func(w sqldb.Writer) error {
		if err := put("unseen", 1)(w); err != nil {
			return err
		}
		if n := count(t, db); n != 4 {
			t.Errorf("a read sees %d rows during a write, want 4", n)
		}
		return nil
	})
	mine := errors.New("mine")
	if err := db.Read(t.Context(), func(sqldb.Reader) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("a read that fails gives %v, want its own error", err)
	}
}

func migrations(t *testing.T, p Place) {
	db := open(t, p) // "test", version 1
	write(t, db, put("a", 1))
	steps := []string{"CREATE TABLE one (id TEXT NOT NULL);\nINSERT INTO one (id) VALUES ('1')", "INSERT INTO one (id) VALUES ('2')", "INSERT INTO one (id) SELECT id FROM things"}
	for _, to := range []int{1, 1, 3, 3} {
		if err := db.Migrate(t.Context(), "another", steps[:to]); err != nil {
			t.Fatalf("to version %d: %v", to, err)
		}
	}
	var ids []string
	if err := db.Read(t.Context(), func(r sqldb.Reader) error {
		rows, err := r.Query("SELECT id FROM one ORDER BY id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	}); err != nil || !slices.Equal(ids, []string{"1", "2", "a"}) {
		t.Errorf("each step once gives %v, %v", ids, err)
	}
}

func newer(t *testing.T, p Place) {
	db := open(t, p)
	steps := []string{"CREATE TABLE one (id TEXT NOT NULL)", "CREATE TABLE two (id TEXT NOT NULL)"}
	if err := db.Migrate(t.Context(), "another", steps); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), "another", steps[:1]); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a schema that is newer than the program: %v, want a refusal", err)
	}
}

func failedMigration(t *testing.T, p Place) {
	db := open(t, p)
	if err := db.Migrate(t.Context(), "another", []string{"CREATE TABLE one (id TEXT NOT NULL)", "CREATE TABLE two (id TEXT NOT NULL);\nNONSENSE"}); err == nil {
		t.Fatal("nonsense was applied")
	}
	if err := db.Migrate(t.Context(), "another", []string{"CREATE TABLE one (id TEXT NOT NULL)", "CREATE TABLE two (id TEXT NOT NULL)"}); err != nil {
		t.Errorf("after a migration that failed: %v", err)
	}
}

func manyMigrations(t *testing.T, p Place) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := p(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Migrate(t.Context(), "test", []string{"CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY)", "INSERT INTO things (id) VALUES ('a')"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func large(t *testing.T, p Place) {
	db := open(t, p)
	const rows = 5000
	write(t, db, func(w sqldb.Writer) error {
		for i := range rows {
			if err := put(fmt.Sprint(i), i)(w); err != nil {
				return err
			}
		}
		_, err := w.Exec("INSERT INTO things (id, n, body) VALUES (?, ?, ?)", "long", int64(-1), strings.Repeat("long", 1<<18))
		return err
	})
	if n := count(t, db); n != rows+1 {
		t.Errorf("%d rows, want %d", n, rows+1)
	}
	var body string
	if err := db.Read(t.Context(), func(r sqldb.Reader) error {
		return r.QueryRow("SELECT body FROM things WHERE n = ?", int64(-1)).Scan(&body)
	}); err != nil || len(body) != 4<<18 {
		t.Errorf("a text of %d bytes, %v; want %d", len(body), err, 4<<18)
	}
}

func order(t *testing.T, p Place) {
	db := open(t, p)
	want := []string{"B", "a", "_", "Ä", "ä", "a b", "a-b", "ab", "~", "é", "10", "9", ""}
	write(t, db, func(w sqldb.Writer) error {
		for _, id := range want {
			if err := put(id, 1)(w); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(want)
	var got []string
	if err := db.Read(t.Context(), func(r sqldb.Reader) error {
		rows, err := r.Query("SELECT id FROM things ORDER BY id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			got = append(got, id)
		}
		return rows.Err()
	}); err != nil || !slices.Equal(got, want) {
		t.Errorf("order %q, %v, want %q", got, err, want)
	}
}

func closed(t *testing.T, p Place) {
	db := open(t, p)
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Write(t.Context(), put("a", 1)); !errors.Is(err, sqldb.ErrClosed) {
		t.Errorf("a write after Close: %v, want ErrClosed", err)
	}
	if err := db.Read(t.Context(), func(sqldb.Reader) error { return nil }); !errors.Is(err, sqldb.ErrClosed) {
		t.Errorf("a read after Close: %v, want ErrClosed", err)
	}
}

func closeWaits(t *testing.T, p Place) {
	db := open(t, p)
	began, release := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	go func() {
		result <- db.Write(t.Context(), func(w sqldb.Writer) error {
			close(began)
			<-release
			return put("a", 1)(w)
		})
	}()
	<-began
	end := make(chan error, 1)
	go func() { end <- db.Close() }()
	select {
	case <-end:
		t.Error("Close did not wait")
	default:
	}
	close(release)
	if err := errors.Join(<-result, <-end); err != nil {
		t.Error(err)
	}
	if n := count(t, open(t, p)); n != 1 {
		t.Errorf("%d rows, want the one of the write that ran", n)
	}
}

func counted(t *testing.T, p Place) {
	db := open(t, p)
	write(t, db, func(w sqldb.Writer) error {
		for i := range 3 {
			if err := put(fmt.Sprint(i), i)(w); err != nil {
				return err
			}
		}
		for _, c := range []struct {
			statement string
			want      int64
		}{{"UPDATE things SET n = n + 10 WHERE n >= ?", 2}, {"DELETE FROM things WHERE n = ?", 0}, {"DELETE FROM things WHERE n > ?", 2}} {
			if n, err := w.Exec(c.statement, int64(1)); err != nil || n != c.want {
				return fmt.Errorf("%s changed %d rows, %v, want %d", c.statement, n, err, c.want)
			}
		}
		return nil
	})
}

func texts(t *testing.T, p Place) {
	db := open(t, p)
	const text = `{"a": "what's ? in \"quotes\"", "b": "ü 竈"}`
	write(t, db, put(text, 1))
	var got, literal string
	if err := db.Read(t.Context(), func(r sqldb.Reader) error {
		return r.QueryRow("SELECT id, 'is it? ' || id FROM things WHERE id = ?", text).Scan(&got, &literal)
	}); err != nil || got != text || literal != "is it? "+text {
		t.Errorf("%q and %q, %v", got, literal, err)
	}
}
