package identity_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/identity/identitytest"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	identitytest.Run(t, false, func(t *testing.T) identitytest.Place {
		path := filepath.Join(t.TempDir(), "db")
		return func(t *testing.T) sqldb.DB { return open(t, path) }
	})
	t.Run("UIDs are given once when servers are killed", func(t *testing.T) {
		t.Parallel()
		killed(t, filepath.Join(t.TempDir(), "db"), 1)
	})
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	url := postgrestest.Start(t).Database(t)
	db := open(t, url)
	var schemas atomic.Int32
	schema := func(t *testing.T) string { // made in a tenth of the time of a database
		t.Helper()
		name := fmt.Sprintf("test%d", schemas.Add(1))
		if err := db.Write(t.Context(), func(w sqldb.Writer) error {
			_, err := w.Exec("CREATE SCHEMA " + name)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return url + "&search_path=" + name
	}
	t.Run("suite", func(t *testing.T) { // returns when its parallel tests have
		identitytest.Run(t, true, func(t *testing.T) identitytest.Place {
			place := schema(t)
			return func(t *testing.T) sqldb.DB { return open(t, place) }
		})
		t.Run("UIDs are given once when servers are killed", func(t *testing.T) {
			t.Parallel()
			killed(t, schema(t), 2)
		})
	})
}

// open opens a database: a URL of PostgreSQL, or a file of SQLite.
func open(t testing.TB, place string) sqldb.DB {
	t.Helper()
	db, err := connect(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
	return db
}

func connect(ctx context.Context, place string) (sqldb.DB, error) {
	if strings.HasPrefix(place, "postgres:") {
		return postgres.Open(ctx, place)
	}
	return sqlite.Open(ctx, place)
}

// childEnv makes of this test binary a server that creates users in the database that it names, until it is killed.
const childEnv = "KAMADO_TEST_IDENTITY_CHILD"

func TestMain(m *testing.M) {
	if place := os.Getenv(childEnv); place != "" {
		fmt.Fprintln(os.Stderr, child(context.Background(), place))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child prints the UID of each user once it is created.
func child(ctx context.Context, place string) error {
	db, err := connect(ctx, place)
	if err != nil {
		return err
	}
	s, err := identity.Open(ctx, identitytest.Config(), identity.Deps{DB: db, Shared: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for {
		l, err := s.CreateGuest(ctx, "", game.Client{})
		if err != nil {
			return err
		}
		fmt.Println(l.UID)
	}
}

// killed runs some servers at once, kills them in the middle of their work, and again. What they said is true and was said once.
func killed(t *testing.T, place string, servers int) {
	rounds, each := 3, 30
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		rounds, each = 30, 150
	}
	seen := map[string]bool{}
	for range rounds {
		var kids []*exec.Cmd
		var outs []*bufio.Scanner
		for range servers {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+place)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kids, outs = append(kids, cmd), append(outs, bufio.NewScanner(out))
		}
		for i, out := range outs {
			for n := 0; out.Scan(); n++ { // also what it said before it died
				if seen[out.Text()] {
					t.Errorf("user id %s was given twice", out.Text())
				}
				seen[out.Text()] = true
				if n == each {
					kids[i].Process.Kill() //nolint:errcheck // Wait tells
				}
			}
			kids[i].Wait() //nolint:errcheck // it was killed
		}
	}
	if len(seen) < rounds*servers*each {
		t.Fatalf("only %d users were created", len(seen))
	}
	db := open(t, place)
	for text := range seen {
		uid, err := game.ParseUID(text)
		var n int
		if err == nil {
			err = db.Read(t.Context(), func(r sqldb.Reader) error {
				return r.QueryRow("SELECT COUNT(*) FROM identity_pairs WHERE uid = ?", int64(uid)).Scan(&n)
			})
		}
		if err != nil || n != 1 {
			t.Fatalf("user %s, which was told, has %d pairs: %v", text, n, err)
		}
	}
}
