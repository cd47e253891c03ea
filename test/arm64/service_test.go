package arm64_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/porttest"
)

// readyWithin is how long a service may take under the emulator.
const readyWithin = 2 * time.Minute

// serve starts a service of pictures, waits until it is ready, and returns its URL.
func serve(t *testing.T, program, originals string) string {
	t.Helper()
	addr := porttest.Addrs(t, 1)[0]
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "images", "serve", "--http", addr, "--originals", originals, "--insecure-unsigned")
	cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "TMPDIR="+home)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	words, err := os.Create(filepath.Join(home, "words"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the end is asked for with a signal
		_ = words.Close()
	}()
	t.Cleanup(func() { <-ended }) // the test's context is cancelled by then
	said := func() []byte {
		text, _ := os.ReadFile(words.Name()) // none: nothing was said
		return text
	}
	for end := time.Now().Add(readyWithin); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("the service ended:\n%s", said())
		default:
		}
		if r, err := http.Get("http://" + addr + "/readyz"); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return "http://" + addr
			}
		}
	}
	t.Fatalf("the service is not ready within %v:\n%s", readyWithin, said())
	return ""
}

// get reads an answer of 200.
func get(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %.300s", url, r.Status, err, body)
	}
	return body
}
