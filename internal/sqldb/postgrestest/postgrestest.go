// Package postgrestest starts a real PostgreSQL server for a test, from Debian's
// package, in a folder of its own and on a socket there. It is for tests alone:
// its server does not wait for the disk, and asks nobody who he is.
package postgrestest

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running server.
type Server struct {
	dir       string
	bin       string
	attr      *syscall.SysProcAttr
	extra     []string
	cmd       *exec.Cmd
	log       *bytes.Buffer // of cmd; read when it has ended
	databases atomic.Int64
}

// Start runs a server until the test ends. It skips the test when PostgreSQL is
// not installed, or when root has nobody to run it as. extra are further arguments,
// as "-c", "fsync=on".
func Start(t testing.TB, extra ...string) *Server {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(bins) == 0 {
		t.Skip("needs PostgreSQL (apt-get install -y postgresql; ./setup test installs it)")
	}
	slices.Sort(bins)
	bin := filepath.Dir(bins[len(bins)-1])
	dir, err := os.MkdirTemp("", "pg") // short: the path of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := account(t, dir)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "kamado", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	s := &Server{dir: dir, bin: bin, attr: attr, extra: extra}
	s.Resume(t)
	t.Cleanup(s.end)
	return s
}

// end shuts the server down at once, as a crash would.
func (s *Server) end() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGQUIT) //nolint:errcheck // it may be gone
	s.cmd.Wait()                          //nolint:errcheck // it was told to
	s.cmd = nil
}

// Kill shuts the server down at once, as a crash would: what was not committed is
// lost, and connections break. Resume starts it again.
func (s *Server) Kill() { s.end() }

// Resume runs the server, which does not run, and waits until it answers.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.log = &bytes.Buffer{}
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), append([]string{"-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-F",
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "autovacuum=off"}, s.extra...)...)
	s.cmd.SysProcAttr, s.cmd.Dir = s.attr, s.dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		c, err := pgx.Connect(t.Context(), s.url("postgres"))
		if err == nil {
			c.Close(t.Context()) //nolint:errcheck // it was there
			return
		}
		if time.Now().After(deadline) {
			s.end()
			t.Fatalf("PostgreSQL does not answer: %v: %s", err, s.log.String())
		}
		time.Sleep(20 * time.Millisecond) // a condition is polled
	}
}

// account gives the folder to whoever runs the server: PostgreSQL refuses root.
func account(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		return attr
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr
	}
	t.Skip("needs a user postgres or nobody: PostgreSQL does not run as root")
	return nil
}

func (s *Server) url(name string) string {
	return "postgres:///" + name + "?" + url.Values{"host": {s.dir}, "user": {"kamado"}, "sslmode": {"disable"}}.Encode()
}

// Database makes an empty database and gives its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx) //nolint:errcheck // nothing is lost
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}
