// Package memcachedtest starts a real memcached for tests, on a free loopback
// port. It ends with the test that started it, which can also kill it, start it again
// on its port, stop it in time and let it go on. Not for production code.
package memcachedtest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/pausetest"
	"github.com/kamado/kamado/internal/porttest"
)

// startMax is how long a server may take until it answers; portTries how many
// ports are tried, since another process can take a free port first.
const (
	startMax  = 20 * time.Second
	portTries = 5
)

// Server is a memcached.
type Server struct {
	Addr string // 127.0.0.1:port
	t    testing.TB
	args []string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// Start runs a server until the end of the test, with arguments of memcached besides those for its address. It
// skips the test where there is no memcached.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("memcached"); err != nil {
		t.Skipf("needs memcached (./setup test installs it): %v", err)
	}
	s := &Server{t: t, args: args}
	for range portTries {
		s.Addr = porttest.Addrs(t, 1)[0]
		if s.start() {
			t.Cleanup(s.Kill)
			return s
		}
	}
	t.Fatal("memcached does not start")
	return nil
}

// start gives false when the process ended at once.
func (s *Server) start() bool {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.Addr)
	args := []string{"-l", host, "-p", port, "-U", "0", "-t", "2"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root") // it refuses to run as root otherwise
	}
	cmd := exec.Command("memcached", append(args, s.args...)...)
	logs := new(bytes.Buffer) // read only after the process has ended
	cmd.Stdout, cmd.Stderr = logs, logs
	// A test binary that dies must not leave a server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("start memcached: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.mu.Lock()
	s.cmd, s.ended = cmd, ended
	s.mu.Unlock()
	for start := time.Now(); time.Since(start) < startMax; time.Sleep(5 * time.Millisecond) {
		select {
		case <-ended:
			s.t.Logf("memcached %v ended: %s", cmd.Args, logs)
			return false
		default:
		}
		if n, err := net.DialTimeout("tcp", s.Addr, time.Second); err == nil {
			n.Close()
			return true
		}
	}
	s.Kill()
	s.t.Fatalf("memcached on port %s did not answer in %v", strconv.Quote(port), startMax)
	return false
}

// Kill ends the process; all cells are lost.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// Restart kills it, and starts it again on its port.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if !s.start() {
		s.t.Fatal("memcached does not start again")
	}
}

// Pause lets the process stand still, so that it takes connections and answers nothing.
func (s *Server) Pause() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	pausetest.Pause(s.t, s.cmd.Process.Pid)
}

// Resume lets it go on with what it was sent.
func (s *Server) Resume() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	pausetest.Resume(s.t, s.cmd.Process.Pid)
}
