package sql_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
	"github.com/kamado/kamado/internal/lock/sql"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	locktest.Run(t, func(t *testing.T) locktest.Open {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
		return place(t, db, err)
	})
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t)
	t.Run("suite", func(t *testing.T) { // returns when its parallel tests have
		// A schema for each test is made faster than a database.
		where := server.Database(t)
		all, err := postgres.Open(t.Context(), where)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { all.Close() }) //nolint:errcheck // the test is over
		var schemas atomic.Int64
		locktest.Run(t, func(t *testing.T) locktest.Open {
			schema := fmt.Sprint("test", schemas.Add(1))
			err := all.Write(t.Context(), func(w sqldb.Writer) error {
				_, err := w.Exec("CREATE SCHEMA " + schema)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			db, err := postgres.Open(t.Context(), where+"&search_path="+schema)
			return place(t, db, err)
		})
	})
	t.Run("a paused process has lost", func(t *testing.T) {
		where := server.Database(t)
		db, err := postgres.Open(t.Context(), where)
		paused(t, place(t, db, err), "postgres "+where)
	})
	t.Run("connections break", func(t *testing.T) { breaks(t, server.Database(t)) })
	t.Run("rows of the engine before", func(t *testing.T) {
		db, err := postgres.Open(t.Context(), server.Database(t))
		before(t, place(t, db, err), db)
	})
}

// behind gives a place whose database is behind a network that can be cut.
func behind(t *testing.T, where string) (locktest.Open, *locktest.Proxy) {
	t.Helper()
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	const socket = "/.s.PGSQL.5432"
	dir, err := os.MkdirTemp("", "pg") // short: the path of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // the test is over
	far := locktest.NewProxy(t, "unix", dir+socket, q.Get("host")+socket)
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	db, err := postgres.Open(t.Context(), u.String())
	return place(t, db, err), far
}

// breaks ends connections again and again: some calls fail, and no grant is lost, or given twice.
func breaks(t *testing.T, where string) {
	open, far := behind(t, where)
	var both [2]*lock.Registry
	for i := range both {
		p, err := open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if both[i], err = lock.NewRegistry(p, lock.Default(), nil); err != nil {
			t.Fatal(err)
		}
	}
	mine, rival := both[0], both[1]
	h, err := mine.Acquire(t.Context(), "x", "client", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var renewed, away atomic.Int64
	turn := func() {
		switch _, err := mine.Renew(t.Context(), "x", h.Token, h.Session); {
		case err == nil:
			renewed.Add(1)
		case errors.Is(err, lock.ErrAway):
			away.Add(1)
		default:
			t.Errorf("Renew = %v", err)
		}
		if _, err := rival.Acquire(t.Context(), "x", "rival", time.Hour); !errors.Is(err, lock.ErrHeld) && !errors.Is(err, lock.ErrAway) {
			t.Errorf("the rival's Acquire = %v", err)
		}
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				turn()
			}
		})
	}
	for deadline := time.Now().Add(60 * time.Second); away.Load() < 10 && time.Now().Before(deadline); {
		before := renewed.Load()
		for renewed.Load() < before+5 && time.Now().Before(deadline) { // all is well, and much is under way
			time.Sleep(time.Millisecond)
		}
		far.Cut(true)
		far.Cut(false)
	}
	stop.Store(true)
	wg.Wait()
	if away.Load() < 10 {
		t.Errorf("%d renewals were answered and %d were not: want some of both", renewed.Load(), away.Load())
	}
	until(t, func() error { return mine.Release(t.Context(), "x", h.Token, h.Session) })
	var next lock.Held
	until(t, func() (err error) {
		next, err = rival.Acquire(t.Context(), "x", "rival", time.Hour)
		return err
	})
	if next.Token <= h.Token {
		t.Errorf("token %d after %d", next.Token, h.Token)
	}
}

// until calls f again while the database is away.
func until(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) { // a condition is polled
		err := f()
		if err == nil {
			return
		}
		if !errors.Is(err, lock.ErrAway) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestPausedProcessHasLost(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "db")
	db, err := sqlite.Open(t.Context(), file)
	paused(t, place(t, db, err), "sqlite "+file)
}

// child is, in the environment of a helper process, the kind of database and where it is.
const child = "KAMADO_TEST_LOCK_CHILD"

func paused(t *testing.T, p locktest.Open, where string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+where)
	locktest.Paused(t, p, cmd)
}

func TestMain(m *testing.M) {
	kind, where, ok := strings.Cut(os.Getenv(child), " ")
	if !ok {
		os.Exit(locktest.Main(m))
	}
	if err := hold(context.Background(), kind, where); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// hold is the helper process.
func hold(ctx context.Context, kind, where string) (err error) {
	var db sqldb.DB
	if kind == "sqlite" {
		db, err = sqlite.Open(ctx, where)
	} else {
		db, err = postgres.Open(ctx, where)
	}
	if err != nil {
		return err
	}
	p, err := sql.Open(ctx, db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(locktest.Child(ctx, p, os.Stdout), db.Close())
}

func TestRowsOfTheEngineBefore(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	before(t, place(t, db, err), db)
}

// before shares the table with a process that runs the engine as it was before package
// lock had the rules; the statements are that engine's.
func before(t *testing.T, p locktest.Open, db sqldb.DB) {
	pl, err := p(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := func(statement string, args ...any) (n int64) {
		t.Helper()
		err := db.Write(t.Context(), func(w sqldb.Writer) (err error) {
			n, err = w.Exec(statement, args...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const renewal = "UPDATE lock_leases SET beat = beat + 1 WHERE name = ? AND session = ? AND token = ?"
	old("INSERT INTO lock_leases (name, holder, session, token, beat, term) VALUES (?, ?, ?, ?, ?, ?)", "x", "old", "0123456789abcdef0123456789abcdef", int64(4), int64(9), int64(3600_000))
	l := lock.NewLocker(pl, "new", nil)
	if _, err := l.Acquire(t.Context(), "x", time.Hour); !errors.Is(err, lock.ErrHeld) {
		t.Fatalf("Acquire of what the engine before holds = %v", err)
	}
	row, err := pl.Read(t.Context(), "x")
	if err != nil || row.Holder != "old" || row.Token != 4 || row.Term != time.Hour {
		t.Fatalf("Read = %+v, %v", row, err)
	}
	if old(renewal, "x", "0123456789abcdef0123456789abcdef", int64(4)) != 1 {
		t.Error("the engine before cannot renew")
	}
	if _, err := pl.Swap(t.Context(), "x", row.Version, row.Lease); !errors.Is(err, lock.ErrMoved) {
		t.Errorf("Swap after its renewal = %v, want ErrMoved", err)
	}
	old("UPDATE lock_leases SET holder = '', session = '', beat = beat + 1 WHERE name = ? AND session = ? AND token = ?", "x", "0123456789abcdef0123456789abcdef", int64(4))
	g, err := l.Acquire(t.Context(), "x", time.Hour)
	if err != nil || g.Token != 5 {
		t.Fatalf("Acquire of what it gave back = %+v, %v, want token 5", g, err)
	}
	if old(renewal, "x", "0123456789abcdef0123456789abcdef", int64(4)) != 0 {
		t.Error("the engine before renews what it lost")
	}
}

func TestClosedDatabaseIsAway(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	p, err2 := place(t, db, err)(t.Context())
	if err2 != nil {
		t.Fatal(err2)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, read := p.Read(t.Context(), "x")
	_, swap := p.Swap(t.Context(), "x", 0, lock.Lease{Holder: "h", Session: "s", Token: 1, Term: time.Second})
	_, list := p.List(t.Context(), "", "", 1)
	_, count := p.Count(t.Context())
	for i, err := range []error{read, swap, list, count} {
		if !errors.Is(err, lock.ErrAway) {
			t.Errorf("call %d = %v, want ErrAway", i, err)
		}
	}
}

func place(t *testing.T, db sqldb.DB, err error) locktest.Open {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
	return func(ctx context.Context) (lock.Place, error) { return sql.Open(ctx, db) }
}
