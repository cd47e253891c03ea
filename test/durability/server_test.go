package durability

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// built gives the program that KAMADO_BIN names, or builds it once.
var built = sync.OnceValues(func() (string, error) {
	if program := os.Getenv("KAMADO_BIN"); program != "" {
		return program, nil
	}
	dir, err := os.MkdirTemp("", "durability")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "kamado")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/kamado")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return program, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program, err := built(); err == nil && program != os.Getenv("KAMADO_BIN") {
		os.RemoveAll(filepath.Dir(program)) //nolint:errcheck // in a folder of temporary files
	}
	os.Exit(code)
}

// server is the game server as a process, on one directory and, each time it is
// started, another port.
type server struct {
	dir   string
	url   string
	token string
	cmd   *exec.Cmd
	out   *bytes.Buffer // of cmd; read when it has ended
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{dir: t.TempDir()}
	t.Cleanup(s.kill)
	s.start(t)
	return s
}

// start runs the server and waits until it answers.
func (s *server) start(t *testing.T) {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.url, s.out = "http://"+address, &bytes.Buffer{}
	s.cmd = exec.Command(program, "game", "serve", "--http", address, "--data", s.dir, "--access-log", "off")
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) { // another process is waited for
		token, err := os.ReadFile(filepath.Join(s.dir, "service.token"))
		if err == nil {
			s.token = strings.TrimSpace(string(token))
			var res *http.Response
			if res, err = http.Get(s.url + "/readyz"); err == nil {
				res.Body.Close() //nolint:errcheck // not read
				if res.StatusCode == http.StatusOK {
					return
				}
				err = fmt.Errorf("status %d", res.StatusCode)
			}
		}
		if time.Now().After(deadline) {
			s.kill()
			t.Fatalf("the server does not answer: %v\n%s", err, s.out)
		}
	}
}

// kill ends the process as a power cut of the process would: without a word.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill() //nolint:errcheck // it may be gone
	s.cmd.Wait()         //nolint:errcheck // it was killed
	s.cmd = nil
}
