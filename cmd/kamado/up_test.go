package main

import (
	"bufio"
	"context"
	"encoding/json"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// started is a command that works until the test ends.
type started struct {
	stdout *bufio.Reader
	stderr *lockedText
	stop   func() int // asks it to end and gives the exit code
}

type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedText) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func startCommand(t *testing.T, environ []string, args ...string) *started {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{stdout: bufio.NewReader(r), stderr: new(lockedText)}
	code := make(chan int, 1)
	go func() {
		code <- newApp(strings.NewReader(""), w, s.stderr, environ).execute(ctx, args)
		w.Close()
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		go io.Copy(io.Discard, r) // what is still written is not waited for
		return <-code
	})
	t.Cleanup(func() { s.stop() })
	return s
}

// upOnFreePorts starts everything on ports that nobody else uses.
func upOnFreePorts(t *testing.T, data string, args ...string) (*started, upReport) {
	t.Helper()
	environ := []string{"KAMADO_ADMIN=127.0.0.1:0", "KAMADO_IMAGES_HTTP=127.0.0.1:0", "KAMADO_CONSOLE_HTTP=127.0.0.1:0", "KAMADO_DNS_DNS=127.0.0.1:0", "KAMADO_DNS_HTTP=127.0.0.1:0", "KAMADO_GAME_HTTP=127.0.0.1:0", "KAMADO_COMPUTE_HTTP=127.0.0.1:0", "KAMADO_COMPUTE_HYPERVISOR=fake"}
	s := startCommand(t, environ, append([]string{"up", "--data", data, "-o", "json"}, args...)...)
	var report upReport
	if err := json.NewDecoder(s.stdout).Decode(&report); err != nil {
		t.Fatalf("up prints no report: %v\n%s", err, s.stderr)
	}
	return s, report
}

func (r upReport) service(t *testing.T, name string) upLink {
	t.Helper()
	for _, l := range r.Services {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("up lists no %s: %+v", name, r)
	return upLink{}
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestUpOnFreshGroundDeliversAPicture(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s, report := upOnFreePorts(t, data)
	pictures := report.service(t, "images")
	_, rest, _ := strings.Cut(pictures.Try, "'")
	url, _, _ := strings.Cut(rest, "'")
	resp, err := http.Get(url)
	if err != nil {
		t.Fatalf("try this: %q: %v", pictures.Try, err)
	}
	defer resp.Body.Close()
	img, err := jpeg.Decode(resp.Body)
	if err != nil || resp.StatusCode != 200 || img.Bounds().Dx() != 480 || img.Bounds().Dy() != 360 {
		t.Fatalf("%s answers %d, %v, want a JPEG of 480x360", url, resp.StatusCode, err)
	}
	if got := status(t, strings.SplitN(url, "?", 2)[0]); got != http.StatusForbidden {
		t.Errorf("the same picture without its signature answers %d, want 403", got)
	}
	for _, path := range []string{"/readyz", "/healthz"} {
		if got := status(t, pictures.URL+path); got != 200 {
			t.Errorf("%s answers %d, want 200", path, got)
		}
	}
	admin := report.service(t, "admin")
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if got := status(t, admin.URL+path); got != 200 {
			t.Errorf("admin %s answers %d, want 200", path, got)
		}
	}
	// The whole process is ready only with the parts of a guest, which no test brings; it says so here, and pictures are ready all the same.
	res, err := http.Get(admin.URL + "/health")
	if err != nil {
		t.Fatal(err)
	}
	health, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !strings.Contains(string(health), "compute-first-start") {
		t.Errorf("admin /health = %s, %v, want every service's checks", health, err)
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("up exits %d, want 0:\n%s", code, s.stderr)
	}
	info, err := os.Stat(filepath.Join(data, "operator.token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("operator's token: %v, %v", info, err)
	}
}

func TestUpServesGivenOriginalsUnsignedWhenAsked(t *testing.T) {
	originals := t.TempDir()
	if err := writeSample(filepath.Join(originals, "recipes", "7.jpg")); err != nil {
		t.Fatal(err)
	}
	_, report := upOnFreePorts(t, t.TempDir(), "--originals", originals, "--insecure-unsigned")
	pictures := report.service(t, "images")
	if !strings.HasSuffix(pictures.Try, pictures.URL+"/recipes/7/480x360cq70/picture.jpg'") {
		t.Errorf("try this: %q", pictures.Try)
	}
	if got := status(t, pictures.URL+"/recipes/7/120x90cq50/any.jpg"); got != 200 {
		t.Errorf("unsigned picture answers %d, want 200", got)
	}
}

func TestUpPrintsATableForPeople(t *testing.T) {
	environ := []string{"KAMADO_ADMIN=127.0.0.1:0", "KAMADO_IMAGES_HTTP=127.0.0.1:0", "KAMADO_CONSOLE_HTTP=127.0.0.1:0", "KAMADO_DNS_DNS=127.0.0.1:0", "KAMADO_DNS_HTTP=127.0.0.1:0", "KAMADO_GAME_HTTP=127.0.0.1:0", "KAMADO_COMPUTE_HTTP=127.0.0.1:0", "KAMADO_COMPUTE_HYPERVISOR=fake"}
	s := startCommand(t, environ, "up", "--data", t.TempDir())
	var text strings.Builder
	for !strings.Contains(text.String(), "Ctrl-C") {
		line, err := s.stdout.ReadString('\n')
		if err != nil {
			t.Fatalf("up ends: %v\n%s", err, s.stderr)
		}
		text.WriteString(line)
	}
	if !strings.HasPrefix(text.String(), "Open this: it leads you through the first five minutes (the link works once;") {
		t.Errorf("up does not begin with what to do first:\n%s", text.String())
	}
	for _, want := range []string{"/login?code=", "SERVICE  URL", "\nimages ", "\nadmin ", "Try this:\n  curl "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("up prints no %q:\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "\x1b") || strings.Contains(s.stderr.String(), "\x1b") {
		t.Errorf("up writes escapes where there is no terminal")
	}
}
