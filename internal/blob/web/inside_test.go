package web_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/web"
)

// refused asks for a key in both ways and wants both refused.
func refused(t *testing.T, s *web.Store, name, key string) {
	t.Helper()
	if b, _, err := blob.GetAll(t.Context(), s, key, nil, 0); !errors.Is(err, web.ErrRefused) && !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("%s: Get(%q) = %q, %v, want it refused", name, key, b, err)
	}
	if in, err := s.Stat(t.Context(), key); !errors.Is(err, web.ErrRefused) && !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("%s: Stat(%q) = %v, %v, want it refused", name, key, in, err)
	}
}

// TestNothingInsideIsReached lists every name and every address that leads
// inside, so that only the guard is left between a URL and the server there, and
// has DNS say that all names are there.
func TestNothingInsideIsReached(t *testing.T) {
	t.Parallel()
	port, connections := serve(t, "0.0.0.0", 0, text("secret"))
	six, connections6 := serveSix(t)
	cfg := config(port, six)
	cfg.AllowNetworks = nil
	cfg.URLKeys = true
	cfg.Resolver = resolver(t, func(string, int) []string { return []string{inside, "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"} })
	cfg.Hosts = []string{
		"*", "127.0.0.1", "127.1.2.3", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fe80::1",
		"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "10.0.0.1",
	}
	s := open(t, cfg)
	for _, c := range web.Spellings() {
		for _, p := range []int{port, six} {
			refused(t, s, c.Name, strings.ReplaceAll(c.URL, "%PORT%", fmt.Sprint(p)))
		}
	}
	for _, name := range []string{"allowed.example", "a.wild.example", "metadata.google.internal"} {
		refused(t, s, "a listed name that leads inside", fmt.Sprintf("http://%s:%d/x", name, port))
	}
	if n, m := connections.Load(), connections6.Load(); n+m != 0 {
		t.Errorf("the servers inside counted %d and %d connections, want none", n, m)
	}
	if s.Stats().Refused == 0 {
		t.Error("the guard has refused nothing: the list did all the work")
	}
}

// serveSix is a server on ::1, or none where the system has no IPv6.
func serveSix(t *testing.T) (int, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 here: %v", err)
		return 1, new(atomic.Int32)
	}
	return serveOn(t, l, text("secret"))
}

// TestDNSThatChangesItsMind answers each question otherwise than the one before.
func TestDNSThatChangesItsMind(t *testing.T) {
	t.Parallel()
	port, connections := serve(t, inside, 0, text("secret"))
	_, fromOutside := serve(t, outside, port, text("public"))
	cfg := config(port)
	cfg.URLKeys, cfg.Hosts = true, []string{"*.example"}
	cfg.Attempts = 1
	cfg.Resolver = resolver(t, func(name string, n int) []string {
		switch {
		case strings.HasPrefix(name, "both"):
			return []string{inside, outside}
		case n%2 == 0:
			return []string{outside}
		}
		return []string{inside}
	})
	s := open(t, cfg)
	got := map[string]int{}
	for i := range 20 {
		b, _, err := blob.GetAll(t.Context(), s, fmt.Sprintf("http://turning.example:%d/%d", port, i), nil, 0)
		s.Close() // the next connection asks DNS again
		switch {
		case err == nil:
			got[string(b)]++
		case errors.Is(err, web.ErrRefused) && errors.Is(err, blob.ErrDenied):
			got["refused"]++
		default:
			t.Error(err)
		}
	}
	if got["public"] != 10 || got["refused"] != 10 || len(got) != 2 {
		t.Errorf("answers: %v, want 10 public and 10 refused", got)
	}
	if b, _, err := blob.GetAll(t.Context(), s, fmt.Sprintf("http://both.example:%d/", port), nil, 0); string(b) != "public" {
		t.Errorf("an answer with both addresses: %q, %v, want the public one asked", b, err)
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() { _, _ = s.Stat(t.Context(), fmt.Sprintf("http://w%d.example:%d/", i%4, port)) })
	}
	wg.Wait()
	if n := connections.Load(); n != 0 {
		t.Errorf("the server inside counted %d connections, want none", n)
	}
	if fromOutside.Load() == 0 {
		t.Error("the server outside was never asked")
	}
}

// TestRedirectsLeadNowhereInside lets a server outside send a request on.
func TestRedirectsLeadNowhereInside(t *testing.T) {
	t.Parallel()
	port, connections := serve(t, inside, 0, text("secret"))
	mux := http.NewServeMux()
	serve(t, outside, port, mux)
	cfg := config(port)
	cfg.URLKeys = true
	cfg.Hosts = []string{"out.example", "in.example", outside, inside, "*.listed.example"}
	cfg.Resolver = resolver(t, func(name string, _ int) []string {
		if name == "out.example" || name == "not.example" { // the second is not listed
			return []string{outside}
		}
		return []string{inside}
	})
	s := open(t, cfg)
	in, out := fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("out.example:%d", port)
	locations := map[string]string{
		"an address":            "http://" + in + "/",
		"a name":                fmt.Sprintf("http://in.example:%d/", port),
		"without a scheme":      "//" + in + "/",
		"a name below":          fmt.Sprintf("http://x.listed.example:%d/", port),
		"decimal":               fmt.Sprintf("http://2130706433:%d/", port),
		"octal":                 fmt.Sprintf("http://0177.0.0.1:%d/", port),
		"mapped":                fmt.Sprintf("http://[::ffff:127.0.0.1]:%d/", port),
		"credentials":           "http://" + out + "@" + in + "/",
		"credentials of a host": "http://user:secret@" + out + "/ok",
		"backslash":             "/\\" + in + "/",
		"backslashes":           "\\\\" + in + "\\",
		"another name":          fmt.Sprintf("http://not.example:%d/", port),
		"another port":          "http://out.example:22/",
		"file":                  "file:///etc/passwd",
		"gopher":                "gopher://" + in + "/",
		"data":                  "data:image/png;base64,AAAA",
		"script":                "javascript:alert(1)",
		"metadata":              "http://169.254.169.254/latest/",
		"escaped host":          fmt.Sprintf("http://%%31%%32%%37.0.0.1:%d/", port),
		"upper case":            fmt.Sprintf("HTTP://IN.EXAMPLE:%d/", port),
		"trailing dot":          fmt.Sprintf("http://in.example.:%d/", port),
		"nothing":               "",
		"long":                  "/" + strings.Repeat("a", 3000),
		"escaped line break":    "/%0d%0aHost:%20" + in,
		"full width":            fmt.Sprintf("http://１２７.0.0.1:%d/", port),
	}
	sendOn(mux, locations, in)
	for name := range locations {
		refused(t, s, "redirect to "+name, fmt.Sprintf("http://%s/to?what=%s", out, strings.ReplaceAll(name, " ", "%20")))
	}
	refused(t, s, "two locations", "http://"+out+"/two")
	refused(t, s, "the third hop leads inside", fmt.Sprintf("http://%s/hops/3?end=http://%s/", out, in))
	refused(t, s, "too many hops", "http://"+out+"/hops/4?end=/ok")
	if b, _, err := blob.GetAll(t.Context(), s, "http://"+out+"/hops/3?end=/ok%23part", nil, 0); string(b) != "fine" {
		t.Errorf("three hops: %q, %v, want what they lead to", b, err)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("the server inside counted %d connections, want none", n)
	}
}

// sendOn lets a server send requests on: to a location by its name, to two
// places at once, and over a number of hops.
func sendOn(mux *http.ServeMux, locations map[string]string, in string) {
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", locations[r.URL.Query().Get("what")])
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/two", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = []string{"/ok", "http://" + in + "/"}
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/ok", text("fine"))
	mux.HandleFunc("/hops/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.PathValue("n"), &n)
		to := map[bool]string{true: fmt.Sprintf("/hops/%d", n-1), false: r.URL.Query().Get("end")}[n > 1]
		http.Redirect(w, r, to+map[bool]string{true: "?" + r.URL.RawQuery}[n > 1], []int{301, 302, 303, 307, 308}[n%5])
	})
}
