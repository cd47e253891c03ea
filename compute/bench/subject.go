package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// subject is the program that is measured: a process, its data and its clients.
type subject struct {
	cfg    Config
	dir    string // of the data; the subject's own
	url    string
	admin  string // where profiles are read; empty: nowhere
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	said   *tailWriter
	began  time.Time

	member, administrator *client
}

// pollEvery is how often a state is asked for that will come.
const pollEvery = time.Millisecond

// stopTimeout is how long a subject may take to end before it is killed.
const stopTimeout = 20 * time.Second

// startSubject starts the program on a directory, with more flags of "compute
// serve", and waits until a client can use it.
func startSubject(ctx context.Context, cfg Config, dir string, args ...string) (*subject, error) {
	s, err := launch(cfg, dir, args...)
	if err != nil {
		return nil, err
	}
	if err := s.login(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// launch starts the process and does not wait.
func launch(cfg Config, dir string, args ...string) (*subject, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &subject{cfg: cfg, dir: dir, url: "http://" + address, exited: make(chan struct{}), said: &tailWriter{}}
	args = append([]string{"compute", "serve", "--http", address, "--data", dir}, args...)
	if cfg.Profiles != "" {
		if s.admin, err = freeAddress(); err != nil {
			return nil, err
		}
		args = append(args, "--admin", s.admin)
	}
	s.cmd = exec.Command(cfg.Program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	if cfg.Parts != "" {
		s.cmd.Env = append(os.Environ(), "KAMADO_GUEST_PARTS="+cfg.Parts)
	}
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Program, err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is seen in what it said
		close(s.exited)
	}()
	return s, nil
}

// login reads the clients' file as soon as it is there, and gets a token for the
// member.
func (s *subject) login(ctx context.Context) error {
	if err := s.clients(ctx); err != nil {
		return err
	}
	return s.member.login(ctx)
}

// clients reads the clients' file as soon as it is there.
func (s *subject) clients(ctx context.Context) error {
	var clouds []byte
	err := s.until(ctx, "clouds.yaml", func() (bool, error) {
		var err error
		clouds, err = os.ReadFile(filepath.Join(s.dir, "clouds.yaml"))
		return err == nil && bytes.Contains(clouds, []byte(s.url)), nil
	})
	if err != nil {
		return err
	}
	if s.member, err = newClient(s.url, clouds, "kamado", 1); err != nil {
		return err
	}
	s.administrator, err = newClient(s.url, clouds, "kamado-admin", 1)
	return err
}

// asAdmin gives the administrator's client, logged in when it is first needed.
func (s *subject) asAdmin(ctx context.Context) (*client, error) {
	if s.administrator.token == "" {
		if err := s.administrator.login(ctx); err != nil {
			return nil, err
		}
	}
	return s.administrator, nil
}

// ready waits until /readyz says yes.
func (s *subject) ready(ctx context.Context) error {
	return s.until(ctx, "/readyz", func() (bool, error) {
		res, err := s.member.http.Get(s.url + "/readyz")
		if err != nil {
			return false, nil //nolint:nilerr // it is not there yet
		}
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode == http.StatusOK, res.Body.Close()
	})
}

// until asks until the answer is yes, the process has ended, or it takes too long.
func (s *subject) until(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := ask(); err != nil || ok {
			return err
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the program ended while %s was waited for: %s", what, s.said.last())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: the program said: %s", what, ctx.Err(), s.said.last())
		case <-tick.C:
		}
	}
}

func (s *subject) pid() int { return s.cmd.Process.Pid }

// cpu is the time that the program itself took so far, without guests.
func (s *subject) cpu() time.Duration {
	d, err := cpuOf(s.pid())
	if err != nil {
		return 0 // it has ended: the next request says so
	}
	return d
}

// stop ends the process in its own way, or kills it.
func (s *subject) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		s.kill()
	}
}

// kill ends the process without warning.
func (s *subject) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// profile writes a profile of the inside of the program while work is done.
func (s *subject) profile(name string, work func() error) error {
	if s.admin == "" {
		return work()
	}
	done := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		done <- s.fetch("/debug/pprof/profile?seconds=8", name+".cpu")
	}()
	<-begun
	err := work()
	if perr := <-done; err == nil {
		err = perr
	}
	if err == nil {
		err = s.fetch("/debug/pprof/heap", name+".heap")
	}
	return err
}

func (s *subject) fetch(path, name string) error {
	res, err := http.Get("http://" + s.admin + path)
	if err != nil {
		return fmt.Errorf("read a profile: %w", err)
	}
	defer res.Body.Close()
	f, err := os.Create(filepath.Join(s.cfg.Profiles, name))
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, res.Body); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// freeAddress is a loopback address that nobody listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tailWriter keeps the last of what a process says, for the day it fails.
type tailWriter struct {
	mu   sync.Mutex
	kept []byte
}

// saidBytesMax is how much of a process's talk is kept.
const saidBytesMax = 2048

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, p...)
	if extra := len(w.kept) - saidBytesMax; extra > 0 {
		w.kept = append(w.kept[:0], w.kept[extra:]...)
	}
	return len(p), nil
}

func (w *tailWriter) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text := strings.TrimSpace(string(w.kept)); text != "" {
		return text
	}
	return "it said nothing"
}
