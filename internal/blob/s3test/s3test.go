// Package s3test starts a real S3 server for tests: versitygw on a free loopback
// port, with a directory of its own as backend. It checks signatures and
// checksums of what it is sent, so a test against it says more than a fake.
//
// The server is built from the pinned module in test/s3server by the go command
// and kept in its build cache; the first build takes about a minute. It ends
// with the test that started it. Not for production code.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/kamado/kamado/internal/blob/s3"
)

// The server's one account.
const (
	accessKey = "KAMADOTESTACCESS"
	secretKey = "kamado/test+secret=0123456789"
	region    = "us-east-1"
)

// startMax is how long a server may take until it answers; portTries how many
// ports are tried, since another process can take a free port first.
const (
	startMax  = 30 * time.Second
	portTries = 5
)

// Server is a running S3 server.
type Server struct {
	URL     string // http://127.0.0.1:port
	admin   *minio.Client
	buckets atomic.Int64
}

// Start runs a server until the end of the test. It skips the test where the
// server cannot be had.
func Start(t testing.TB) *Server {
	t.Helper()
	program := build(t)
	for range portTries {
		s, err := start(t, program)
		if err == nil {
			return s
		}
		t.Logf("start of the S3 server: %v", err)
	}
	t.Fatalf("S3 server does not start")
	return nil
}

// Config is a configuration for an empty bucket of its own. Waits are short:
// the server is near.
func (s *Server) Config(t testing.TB) s3.Config {
	t.Helper()
	cfg := s3.Default()
	cfg.Endpoint = s.URL
	cfg.Region = region
	cfg.AccessKey, cfg.SecretKey = accessKey, secretKey
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 5*time.Millisecond
	cfg.Bucket = fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	if err := s.admin.MakeBucket(t.Context(), cfg.Bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatalf("make bucket: %v", err)
	}
	return cfg
}

// built remembers the program of this test binary.
var built struct {
	once    sync.Once
	program string
	missing string // reason to skip
	err     error
}

func build(t testing.TB) string {
	t.Helper()
	built.once.Do(func() { built.program, built.missing, built.err = goTool() })
	if built.missing != "" {
		t.Skipf("needs versitygw (./setup test installs it): %s", built.missing)
	}
	if built.err != nil {
		t.Fatalf("build the S3 server: %v", built.err)
	}
	return built.program
}

// goTool builds the server and gives its path.
func goTool() (program, missing string, err error) {
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "..", "..", "..", "test", "s3server")
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
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
		}
		return strings.TrimSpace(string(out)), nil
	}
	if _, err := run("list", "-deps", "tool"); err != nil {
		return "", err.Error(), nil // the modules are neither here nor to be had
	}
	program, err = run("tool", "-n", "versitygw")
	return program, "", err
}

func start(t testing.TB, program string) (*Server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir := t.TempDir()
	logs := new(bytes.Buffer) // read only after the process has ended
	cmd := exec.Command(program, "--port", addr, "--region", region, "--health", "/health", "--quiet", "posix", dir)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey, "HOME=" + dir, "TMPDIR=" + dir}
	cmd.Stdout, cmd.Stderr = logs, logs
	// A test binary that dies must not leave a server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	stop := func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	s := &Server{URL: "http://" + addr}
	if err := s.wait(ended); err != nil {
		stop()
		return nil, fmt.Errorf("%w: %s", err, logs)
	}
	t.Cleanup(stop)
	s.admin, err = minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: region})
	return s, err
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// wait asks for the server's health until it is good or the process has ended.
func (s *Server) wait(ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startMax)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ended:
			return errors.New("the process ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
