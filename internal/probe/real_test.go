package probe_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/porttest"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
)

// daemon runs a server of Debian's until the test ends, or skips the test. The
// function ends it sooner.
func daemon(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (apt-get install -y %s; ./setup test installs it)", name, name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			cmd.Process.Kill() //nolint:errcheck // it may be gone
			cmd.Wait()         //nolint:errcheck // killed
			stopped = true
		}
	}
	t.Cleanup(stop)
	return stop
}

// eventually waits until a spec lives, or does not, and gives its words.
func eventually(t *testing.T, spec string, lives bool) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // a condition is polled
		text, err := attempt(t, spec)
		if lives == (err == nil) {
			if err != nil {
				text = err.Error()
			}
			return text
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q, %v, want lives = %v", spec, text, err, lives)
		}
	}
}

func TestRealMemcached(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	port := strconv.Itoa(porttest.Free(t))
	stop := daemon(t, "memcached", "-u", "root", "-l", "127.0.0.1", "-p", port)
	if text := eventually(t, "memcached::"+port, true); !strings.HasPrefix(text, "VERSION 1.") {
		t.Errorf("memcached says %q", text)
	}
	stop()
	eventually(t, "memcached::"+port, false)
	daemon(t, "memcached", "-u", "root", "-s", socket)
	eventually(t, "memcached:unix:"+socket, true)
}

func TestRealRedis(t *testing.T) {
	t.Parallel()
	port, locked := strconv.Itoa(porttest.Free(t)), strconv.Itoa(porttest.Free(t))
	stop := daemon(t, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "")
	eventually(t, "redis::"+port, true)
	stop()
	eventually(t, "redis::"+port, false)

	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon(t, "redis-server", "--port", locked, "--bind", "127.0.0.1", "--save", "", "--requirepass", "s3cret")
	eventually(t, "redis::"+locked+" auth-file="+password, true)
	eventually(t, "redis::"+locked+" user=default auth-file="+password, true)
	if text := eventually(t, "redis::"+locked, false); !strings.Contains(text, "auth-file=") {
		t.Errorf("without a password: %q", text)
	}
	if text := eventually(t, "redis::"+locked+" user=nobody auth-file="+password, false); !strings.Contains(text, "WRONGPASS") || strings.Contains(text, "s3cret") {
		t.Errorf("with a wrong one: %q", text)
	}
}

func TestRealPostgreSQL(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(postgrestest.Start(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	spec := "postgres:unix:" + u.Query().Get("host") + "/.s.PGSQL.5432"
	if text := eventually(t, spec, true); !strings.Contains(text, `"kamado"`) && text != "answers" {
		t.Errorf("PostgreSQL says %q", text)
	}
	expect(t, spec+" user=nobody", true, `role "nobody" does not exist`)
	expect(t, spec+" database=nothing", true, `database "nothing" does not exist`)
}

func TestRealMySQL(t *testing.T) {
	t.Parallel()
	server := "/usr/sbin/mariadbd"
	install, err := exec.LookPath("mariadb-install-db")
	if _, e := os.Stat(server); e != nil || err != nil {
		t.Skip("needs MariaDB (apt-get install -y mariadb-server-core mariadb-client-core; TestMySQL has what it says, recorded)")
	}
	dir, port := t.TempDir(), strconv.Itoa(porttest.Free(t))
	if out, err := exec.Command(install, "--no-defaults", "--user=root", "--datadir="+dir, "--auth-root-authentication-method=normal", "--skip-test-db").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stop := daemon(t, server, "--no-defaults", "--user=root", "--datadir="+dir, "--bind-address=127.0.0.1", "--port="+port, "--socket="+dir+"/s", "--max-connect-errors=1")
	if text := eventually(t, "mysql::"+port, true); !strings.Contains(text, "MariaDB") {
		t.Errorf("MariaDB says %q", text)
	}
	for range 20 { // it does not count them as broken handshakes
		expect(t, "mysql::"+port, true, "MariaDB")
	}
	expect(t, "mysql:unix:"+dir+"/s", true, "MariaDB")
	stop()
	eventually(t, "mysql::"+port, false)
}
