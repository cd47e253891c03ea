package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// served is a subject behind HTTP in a process of its own.
type served struct {
	title  string
	config Config
	cmd    *exec.Cmd
	exited chan error // receives once
	said   *tailWriter
	base   string
	admin  string // address of its metrics; empty: it has none
	client *http.Client
	path   func(job) string
}

// Every rendition is asked for over one connection that stays open, so that
// the cost of a connection is no part of a request's.
func newServed(c Config, title, base string, cmd *exec.Cmd, path func(job) string) *served {
	s := &served{title: title, config: c, cmd: cmd, base: base, path: path, said: &tailWriter{}, exited: make(chan error, 1)}
	s.client = &http.Client{Timeout: c.Timeout, Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: burstRequests}}
	cmd.Stdout, cmd.Stderr = s.said, s.said
	return s
}

// start runs the process and waits until ready answers below 500.
func (s *served) start(ctx context.Context, ready string) error {
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 10 * time.Second
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.title, err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if status, _, err := s.get(ctx, ready); err == nil && status < 500 && (ready == "/" || status == http.StatusOK) {
			return nil
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("%s ended before it was ready: %s", s.title, s.said.firstLine())
		case <-ctx.Done():
			s.close()
			return fmt.Errorf("%s was not ready: %w: %s", s.title, ctx.Err(), s.said.firstLine())
		case <-poll.C:
		}
	}
}

func (s *served) name() string { return s.title }
func (s *served) tree() tree   { return tree{pid: s.cmd.Process.Pid} }

func (s *served) close() error {
	s.client.CloseIdleConnections()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil // it has ended
	}
	select {
	case err := <-s.exited:
		s.exited <- err
	case <-time.After(s.config.Timeout):
		return s.cmd.Process.Kill()
	}
	return nil
}

// kill ends the process as a power cut would.
func (s *served) kill() {
	s.client.CloseIdleConnections()
	_ = s.cmd.Process.Kill() // it may have ended
	err := <-s.exited
	s.exited <- err
}

func (s *served) get(ctx context.Context, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return 0, nil, err
	}
	return s.do(req)
}

// do gives the status and the whole body of an answer.
func (s *served) do(req *http.Request) (int, []byte, error) {
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerBytesMax))
	return res.StatusCode, body, err
}

func (s *served) one(ctx context.Context, j job) outcome {
	status, body, err := s.get(ctx, s.path(j))
	switch {
	case err != nil:
		return outcome{why: err.Error()}
	case status != http.StatusOK:
		return outcome{why: fmt.Sprintf("status %d: %s", status, firstLine(body))}
	}
	return accept(body, j)
}

func (s *served) render(ctx context.Context, batch []job) ([]outcome, time.Duration, error) {
	before, err := s.tree().cpu()
	if err != nil {
		return nil, 0, s.ended(err)
	}
	outcomes := make([]outcome, len(batch))
	for i, j := range batch {
		if outcomes[i] = s.one(ctx, j); ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
	}
	after, err := s.tree().cpu()
	if err != nil {
		return nil, 0, s.ended(err)
	}
	return outcomes, after - before, nil
}

func (s *served) ended(err error) error {
	return fmt.Errorf("%s ended while it was measured (%w): %s", s.title, err, s.said.firstLine())
}

// load does a batch with several requests at once, for the memory it takes.
func (s *served) load(ctx context.Context, batch []job, concurrency int) []outcome {
	outcomes := make([]outcome, len(batch))
	next := make(chan int)
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for i := range next {
				outcomes[i] = s.one(ctx, batch[i])
			}
		})
	}
	for i := range batch {
		next <- i
	}
	close(next)
	wg.Wait()
	return outcomes
}

// tailWriter keeps the last of what a process says, for the day it fails.
type tailWriter struct {
	mu   sync.Mutex
	kept []byte
}

// saidBytesMax is how much of a process's talk is kept.
const saidBytesMax = 4096

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, p...)
	if extra := len(w.kept) - saidBytesMax; extra > 0 {
		w.kept = append(w.kept[:0], w.kept[extra:]...)
	}
	return len(p), nil
}

// firstLine is the first line that says something; for Node that is where
// the error is named, below the place it was thrown from.
func (w *tailWriter) firstLine() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return firstLine(w.kept)
}

var errSilent = errors.New("it said nothing")

// lineMax bounds what a report quotes of another program's words.
const lineMax = 200

func firstLine(b []byte) string {
	for line := range bytes.Lines(b) {
		if text := strings.TrimSpace(string(line)); text != "" {
			return text[:min(lineMax, len(text))]
		}
	}
	return errSilent.Error()
}
