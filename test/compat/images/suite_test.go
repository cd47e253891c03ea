package images_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/porttest"
)

// verdict is what the suite says about one case.
type verdict struct {
	Kind, Why string
	Passed    bool
}

// ownNginx is the cache as the suite's authors configure it (docker/nginx/nginx.conf).
const ownNginx = `
proxy_cache_path DIR/cache levels=1:2 keys_zone=my-cache:8m max_size=1000m inactive=600m;
server {
  listen LISTEN;
  location / {
    proxy_pass http://%s;
    proxy_cache my-cache;
    proxy_cache_revalidate on;
  }
}`

// runSuite runs the suite's client.
func runSuite(t *testing.T, suite, base string, env ...string) map[string]verdict {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "--no-warnings", "testdata/suite.mjs")
	cmd.Env = append(append(os.Environ(), "SUITE="+suite, "BASE=http://"+base), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var results map[string]verdict
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v: %.200s", err, out)
	}
	return results
}

func score(results map[string]verdict) (passed int) {
	for _, v := range results {
		if v.Passed {
			passed++
		}
	}
	return passed
}

// TestHTTPCacheTests: behind the same nginx, every case that nginx passes with the suite's
// own origin it passes with Kamado's answers, too. It is about the cases whose
// origin answers as Kamado does; the others say what other answers would lead to.
// With KAMADO_TEST_ALL=1 nginx's score of the whole suite is told beside it.
func TestHTTPCacheTests(t *testing.T) {
	t.Parallel()
	needsNginx(t)
	suite := filepath.Join(needsModule(t, "http-cache-tests"), "http-cache-tests")

	own := &process{addr: fmt.Sprint("127.0.0.1:", porttest.Free(t)), ready: "/", dir: t.TempDir(), args: []string{"node", filepath.Join(suite, "server/server.mjs")}}
	_, port, _ := net.SplitHostPort(own.addr)
	own.env = []string{"npm_config_port=" + port, "npm_config_protocol=http", "npm_config_pidfile=" + filepath.Join(own.dir, "pid")}
	own.run(t)
	var all []string
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		all = []string{"ALL=1"}
	}
	alone := runSuite(t, suite, nginx(t, fmt.Sprintf(ownNginx, own.addr)).addr, all...)
	t.Logf("nginx with the suite's own origin: %d of %d cases", score(alone), len(alone))

	facts, err := json.Marshal(kamadoFacts(t))
	if err != nil {
		t.Fatal(err)
	}
	ours := &process{addr: fmt.Sprint("127.0.0.1:", porttest.Free(t)), ready: "/", dir: t.TempDir()}
	_, port, _ = net.SplitHostPort(ours.addr)
	script, err := filepath.Abs("testdata/origin.mjs")
	if err != nil {
		t.Fatal(err)
	}
	ours.args, ours.env = []string{"node", script}, []string{"PORT=" + port, "SUITE=" + suite}
	ours.run(t)
	behind := runSuite(t, suite, nginx(t, fmt.Sprintf(ownNginx, ours.addr)).addr, "FACTS="+string(facts))
	compareScores(t, alone, behind)
}

func compareScores(t *testing.T, alone, behind map[string]verdict) {
	t.Helper()
	if len(behind) < 30 {
		t.Fatalf("only %d cases were run with Kamado", len(behind))
	}
	was := 0
	for _, id := range slices.Sorted(maps.Keys(behind)) {
		a, b := alone[id], behind[id]
		if a.Passed {
			was++
		}
		switch {
		case a.Passed && !b.Passed:
			t.Errorf("%s (%s): nginx passes alone, and not with Kamado behind it: %s", id, b.Kind, b.Why)
		case a.Passed != b.Passed:
			t.Logf("%s (%s): passes with Kamado only; alone: %s", id, b.Kind, a.Why)
		case !b.Passed:
			t.Logf("%s (%s): passes neither way: %s", id, b.Kind, b.Why)
		}
	}
	t.Logf("of the %d cases that Kamado answers: nginx alone %d, with Kamado behind it %d", len(behind), was, score(behind))
}

// kamadoFacts runs the three Kamados of the restated cases and says what they answer.
func kamadoFacts(t *testing.T) map[string]any {
	t.Helper()
	dir := originals(t)
	old := time.Now().Add(-3000 * time.Second) // as old as the suite's are
	if err := os.Chtimes(filepath.Join(dir, "photos/1.jpg"), old, old); err != nil {
		t.Fatal(err)
	}
	bases := map[string]string{}
	for name, age := range map[string]string{"fresh": "1h", "stale": "1s", "none": "0s"} {
		p := kamado(t, fmt.Sprintf("originals = %q\n[images.signing]\ninsecure_unsigned = true\n[images.caching]\nmax_age = %q\nerror_max_age = %q\n[images.negotiation]\nformats = [\"png\"]\nbackground = []\n", dir, age, age))
		bases[name] = "http://" + p.addr
	}
	a := get(t, bases["fresh"]+picture)
	if a.String() != "300x200 jpeg" {
		t.Fatal(a)
	}
	return map[string]any{
		"bases": bases,
		"paths": map[string]string{
			"picture": picture, "missing": "/photos/none/300x200cq70/any.jpg", "wrong": "/photos/1/0x0/any.jpg", "negotiated": "/i/-/w:90,format:auto/photos/1.jpg",
		},
		"etag": a.header.Get("Etag"), "modified": a.header.Get("Last-Modified"), "cacheControl": a.header.Get("Cache-Control"),
		"contentType": a.header.Get("Content-Type"), "contentLength": a.header.Get("Content-Length"),
	}
}
