// Package mongodbtest gives tests a MongoDB server: the double in test/mongodb,
// which is FerretDB over SQLite, or a real server or cluster if KAMADO_TEST_MONGODB is its
// URI. A real one gets databases whose names begin with "kamado_test_", and loses them
// again at the end of the test.
//
// The double is built from its pinned module by the go command and kept in its build
// cache; the first build takes about a minute. It ends with the test that
// started it. Not for production code.
package mongodbtest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startMax is how long the double may take until it answers.
const startMax = 60 * time.Second

// Server is a running server.
type Server struct {
	URI  string
	Real bool // it is not the double
}

// Database is the name of a database that no other test uses.
func (s *Server) Database() string { return "kamado_test_" + strings.ToLower(rand.Text()[:12]) }

// Start runs the double until the end of the test, or gives the real server. It skips the test where
// neither can be had.
func Start(t testing.TB) *Server {
	t.Helper()
	if uri := os.Getenv("KAMADO_TEST_MONGODB"); uri != "" {
		return &Server{URI: uri, Real: true}
	}
	built.once.Do(func() { built.program, built.missing, built.err = build() })
	if built.missing != "" {
		t.Skipf("needs the double of MongoDB (./setup test gets its modules): %s", built.missing)
	}
	if built.err != nil {
		t.Fatalf("build the double of MongoDB: %v", built.err)
	}
	uri, err := start(t, built.program)
	if err != nil {
		t.Fatalf("start the double of MongoDB: %v", err)
	}
	return &Server{URI: uri}
}

// built remembers the program of this test binary.
var built struct {
	once    sync.Once
	program string
	missing string // reason to skip
	err     error
}

// build makes the program and gives its path, which the go command keeps.
func build() (program, missing string, err error) {
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "..", "..", "test", "mongodb")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", err.Error(), nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", err.Error(), nil
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		// Without cgo and -race: the server is not what is tested.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -tags=ferretdb_no_postgresql", "GOWORK=off")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
		}
		return strings.TrimSpace(string(out)), nil
	}
	if _, err := run("list", "-deps", "."); err != nil {
		return "", err.Error(), nil // the modules are neither here nor to be had
	}
	program, err = run("tool", "-n", "github.com/kamado/kamado/test/mongodb")
	return program, "", err
}

// start gives the URI that the program prints when it can be used.
func start(t testing.TB, program string) (string, error) {
	cmd := exec.Command(program, "-dir", t.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	logs := new(bytes.Buffer) // read only after the process has ended
	cmd.Stderr = logs
	// A test binary that dies must not leave a server behind; the end of its input tells it too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = stdin.Close()
		_ = cmd.Wait() // "killed" is what was wanted
	}
	line := make(chan string, 1)
	go func() {
		first, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- strings.TrimSpace(first)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	select {
	case uri := <-line:
		if uri == "" {
			stop()
			return "", fmt.Errorf("the process ended: %s", logs)
		}
		t.Cleanup(stop)
		return uri, nil
	case <-time.After(startMax):
		stop()
		return "", errors.New("it does not answer")
	}
}
