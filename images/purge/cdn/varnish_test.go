package cdn_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/cdn"
	"github.com/kamado/kamado/internal/porttest"
)

// vcl is a Varnish that bans what has one of the surrogate keys in
// X-Surrogate-Keys, separated by bars. Tokens need no quoting in an expression.
const vcl = `vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "%s"; }
acl nodes { "127.0.0.1"; }
sub vcl_recv {
  if (req.method == "BAN") {
    if (client.ip !~ nodes) { return (synth(403, "Forbidden")); }
    if (!req.http.X-Surrogate-Keys) { return (synth(400, "X-Surrogate-Keys is missing")); }
    ban("obj.http.Surrogate-Key ~ (^|\s)(" + req.http.X-Surrogate-Keys + ")(\s|$)");
    return (synth(200, "Banned"));
  }
  return (hash);
}
sub vcl_backend_response { set beresp.ttl = 1h; }
`

// TestVarnishForgetsWhatItIsTold puts a real Varnish before an origin that tells
// its surrogate keys: after an order it asks the origin again for what the order
// is about, and for nothing else.
func TestVarnishForgetsWhatItIsTold(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("varnishd")
	if err != nil {
		t.Skip("varnishd is not installed (Debian: varnish)")
	}
	var asked atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.URL.Path, "/")
		kind, _, _ := strings.Cut(key, "/")
		w.Header().Set("Surrogate-Key", strings.Join(purge.SurrogateKeys("default", key, kind, ""), " "))
		fmt.Fprint(w, asked.Add(1))
	}))
	defer origin.Close()
	dir, err := os.MkdirTemp("", "kamado-varnish") // varnishd's own user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "test.vcl")
	if err := os.WriteFile(file, fmt.Appendf(nil, vcl, origin.URL[strings.LastIndexByte(origin.URL, ':')+1:]), 0o644); err != nil {
		t.Fatal(err)
	}
	front := fmt.Sprint("127.0.0.1:", porttest.Free(t))
	cmd := exec.CommandContext(t.Context(), program, "-F", "-a", front, "-f", file, "-n", filepath.Join(dir, "n"), "-s", "malloc,16m", "-p", "thread_pool_min=5", "-p", "thread_pools=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it ends its child
	cmd.WaitDelay = 10 * time.Second
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	get := func(key string) string {
		resp, err := http.Get("http://" + front + "/" + key)
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			return ""
		}
		return string(b)
	}
	eventually(t, "varnish answers", func() bool { return get("recipes/1.jpg") != "" })

	cfg := cdn.Examples()["varnish"]
	cfg.URL, cfg.Rate, cfg.Again = "http://"+front+"/", 1000, -1
	h, run := hook(t, cdn.Config{CDN: cfg}, cdn.Deps{})
	run()
	keys := []string{"recipes/1.jpg", "recipes/2.jpg", "recipes/2024/a.jpg", "users/1.jpg"}
	for n, c := range []struct {
		tag   string
		fresh []bool // which of keys are asked for again
	}{
		{"key/default/recipes/1.jpg", []bool{true, false, false, false}},
		{"prefix/default/recipes/2024/", []bool{false, false, true, false}},
		{"kind/users", []bool{false, false, false, true}},
		{"kind/other", []bool{false, false, false, false}},
		{"all", []bool{true, true, true, true}},
	} {
		var before []string
		for _, k := range keys {
			if before = append(before, get(k)); get(k) != before[len(before)-1] {
				t.Fatalf("varnish does not keep %s", k)
			}
		}
		if err := h.Tell(order(t, n+1, c.tag)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is told", func() bool { return h.Stats().Waiting == 0 })
		for i, k := range keys {
			if got := get(k); (got != before[i]) != c.fresh[i] {
				t.Errorf("after an order about %s: %s is fresh: %v, want %v", c.tag, k, got != before[i], c.fresh[i])
			}
		}
	}
	if s := h.Stats(); s.Failed > 0 {
		t.Errorf("stats %+v; varnish says %s", s, said.String())
	}
}
