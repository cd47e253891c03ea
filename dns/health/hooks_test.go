package health_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/health"
	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/sql"
	"github.com/kamado/kamado/internal/programtest"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestHooksAreRealPrograms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "hook")
	script := `#!/bin/sh
echo "$KAMADO_DNS_EVENT $KAMADO_DNS_NODE name=$KAMADO_DNS_NAME status=$KAMADO_DNS_STATUS address=$KAMADO_DNS_ADDRESS owner=$KAMADO_DNS_OWNER initial=$KAMADO_DNS_INITIAL secret=$KAMADO_TEST_SECRET args=$*" >>` + dir + `/log
echo some words
case $KAMADO_DNS_EVENT in leave) exit 3 ;; inactivate) sleep 1000 ;; esac
`
	programtest.Write(t, path, []byte(script))
	var log buffer
	w := newWorld()
	n1 := w.add("n1")
	origin := web("10.0.0.9", dns.Origin, 100)
	origin.Name = "n1.svc.test"
	n1.own(origin)
	n1.own(web("10.0.0.1", dns.Master, 100))
	cfg := health.Config{Hooks: dns.HooksConfig{
		Names: []string{"web"}, Fencing: dns.FenceAlways, Timeout: 300 * time.Millisecond, Start: path, Leave: path, Activate: path + " extra", Inactivate: path,
	}}
	n1.programs = true
	n1.start(t, cfg, health.Deps{Log: slog.New(slog.NewTextHandler(&log, nil))})
	lines := func() []string {
		b, _ := os.ReadFile(dir + "/log")
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	until(t, "the name is active", func() bool { return len(lines()) == 2 && strings.Count(log.String(), "hook ran") == 2 })
	n1.stop()
	want := []string{
		"start n1 name= status= address=10.0.0.9 owner= initial= secret= args=10.0.0.9 n1",
		"activate n1 name=web.svc.test status=active address=10.0.0.1 owner=n1 initial=1 secret= args=extra 10.0.0.1 web.svc.test active",
		"inactivate n1 name=web.svc.test status=inactive address=10.0.0.1 owner=n1 initial= secret= args=10.0.0.1 web.svc.test inactive",
		"leave n1 name= status= address=10.0.0.9 owner= initial= secret= args=10.0.0.9 n1",
	}
	if got := lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the hooks wrote\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, words := range []string{`said="some words"`, "took too long and was killed", "exit status 3"} {
		if !strings.Contains(log.String(), words) {
			t.Errorf("the log has no %q:\n%s", words, log.String())
		}
	}
	if done, failed := counter(t, n1.reg, "kamado_dns_hooks_total", "activate", "done"), counter(t, n1.reg, "kamado_dns_hooks_total", "inactivate", "failed"); done != 1 || failed != 1 {
		t.Errorf("%v done, %v failed are counted", done, failed)
	}
}

// Two members over a real database of locks, in a cut that the lock decides and a
// death that passes it on.
func TestRealLocks(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "locks")
		db, err := sqlite.Open(t.Context(), path) // one process, one writer
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
		realLocks(t, func(context.Context) (sqldb.DB, error) { return db, nil }, false)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := postgrestest.Start(t).Database(t)
		realLocks(t, func(ctx context.Context) (sqldb.DB, error) { return postgres.Open(ctx, url) }, true)
	})
}

func realLocks(t *testing.T, open func(context.Context) (sqldb.DB, error), own bool) {
	w := newWorld()
	n1, n2 := w.add("n1"), w.add("n2")
	n1.own(web("10.0.0.1", dns.Master, 100))
	n2.own(web("10.0.0.2", dns.Backup, 100))
	cfg := hooksOf(dns.FenceLock)
	cfg.LockTerm = 1200 * time.Millisecond // short, and long enough for a busy machine
	for _, node := range []string{"n1", "n2"} {
		w.members[node].start(t, cfg, health.Deps{OpenLease: func(ctx context.Context) (health.Lease, func() error, error) {
			db, err := open(ctx)
			if err != nil {
				return nil, nil, err
			}
			end := db.Close
			if !own {
				end = nil
			}
			place, err := sql.Open(ctx, db)
			return lock.NewLocker(place, node, nil), end, err
		}})
	}
	active := func(node string) bool {
		ok, _ := w.members[node].service.Active("web.svc.test")
		return ok
	}
	until(t, "the master is active", func() bool { return active("n1") })
	w.cut([]string{"n1"}, []string{"n2"})
	until(t, "the backup is kept out by the lock", func() bool {
		_, why := n2.service.Active("web.svc.test")
		return strings.Contains(why, "held by n1")
	})
	first := n1.service.Activity("web.svc.test").Token
	n1.stop() // gives it back
	until(t, "the backup takes over", func() bool { return active("n2") })
	if second := n2.service.Activity("web.svc.test").Token; second <= first {
		t.Errorf("token %d after %d", second, first)
	}
	if w.overlap(t) {
		t.Error("two were active at once")
	}
}
