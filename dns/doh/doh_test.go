package doh_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/doh"
)

// answer answers some names, by their first label.
func answer(_ context.Context, packet []byte, client netip.AddrPort) ([]byte, error) {
	q := new(miekg.Msg)
	if err := q.Unpack(packet); err != nil {
		return nil, &dns.Error{Kind: dns.Invalid, Detail: "no DNS message"}
	}
	if !client.Addr().IsLoopback() {
		return nil, errors.New("the client is " + client.String())
	}
	m := new(miekg.Msg)
	m.SetReply(q)
	add := func(to *[]miekg.RR, text string) {
		rr, err := miekg.NewRR(text)
		if err != nil {
			panic(err)
		}
		*to = append(*to, rr)
	}
	switch name := q.Question[0].Name; strings.Split(name, ".")[0] {
	case "two":
		add(&m.Answer, name+" 300 IN A 192.0.2.1")
		add(&m.Answer, name+" 60 IN A 192.0.2.2")
	case "none":
		m.Rcode = miekg.RcodeNameError
		add(&m.Ns, "svc.test. 600 IN SOA a. b. 1 2 3 4 5")
	case "failing":
		m.Rcode = miekg.RcodeServerFailure
	case "cut":
		m.Truncated = true
		add(&m.Answer, name+" 300 IN A 192.0.2.1")
	case "dropped":
		return nil, nil
	case "busy":
		return nil, &dns.Error{Kind: dns.Unavailable, Detail: "busy"}
	case "broken":
		return nil, errors.New("secret")
	}
	return m.Pack()
}

func ask(name string) []byte {
	m := new(miekg.Msg)
	m.SetQuestion(name, miekg.TypeA)
	m.Id = 0 // RFC 8484 4.1
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func TestRequests(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(doh.Handler{Exchange: answer})
	defer s.Close()
	get := func(name string) string {
		return doh.Path + "?dns=" + base64.RawURLEncoding.EncodeToString(ask(name))
	}
	for _, c := range []struct {
		name         string
		method, path string
		kind         string
		body         []byte
		status       int
		cache        string
	}{
		{"GET", "GET", get("two.svc.test."), "", nil, 200, "max-age=60"},
		{"HEAD", "HEAD", get("two.svc.test."), "", nil, 200, "max-age=60"},
		{"POST", "POST", doh.Path, doh.MediaType, ask("two.svc.test."), 200, "max-age=60"},
		{"POST with a parameter in its type", "POST", doh.Path, doh.MediaType + "; x=y", ask("two.svc.test."), 200, "max-age=60"},
		{"no such name", "GET", get("none.svc.test."), "", nil, 200, "max-age=5"},
		{"a failure", "GET", get("failing.svc.test."), "", nil, 200, "no-store"},
		{"a cut reply", "GET", get("cut.svc.test."), "", nil, 200, "no-store"},
		{"an empty reply", "GET", get("x.svc.test."), "", nil, 200, "no-store"},
		{"no parameter", "GET", doh.Path, "", nil, 400, ""},
		{"two parameters", "GET", get("a.") + "&dns=AAAA", "", nil, 400, ""},
		{"base64 with padding", "GET", doh.Path + "?dns=AA%3D%3D", "", nil, 400, ""},
		{"no message", "GET", doh.Path + "?dns=AAAA", "", nil, 400, ""},
		{"nothing", "POST", doh.Path, doh.MediaType, nil, 400, ""},
		{"a long parameter", "GET", doh.Path + "?dns=" + strings.Repeat("A", 100_000), "", nil, 414, ""},
		{"a long body", "POST", doh.Path, doh.MediaType, make([]byte, 65536), 413, ""},
		{"another type", "POST", doh.Path, "application/json", ask("a."), 415, ""},
		{"no type", "POST", doh.Path, "", ask("a."), 415, ""},
		{"another method", "PUT", doh.Path, doh.MediaType, ask("a."), 405, ""},
		{"a client that gets nothing", "GET", get("dropped.svc.test."), "", nil, 403, ""},
		{"too much to do", "GET", get("busy.svc.test."), "", nil, 503, ""},
		{"a fault", "GET", get("broken.svc.test."), "", nil, 500, ""},
	} {
		r, err := http.NewRequest(c.method, s.URL+c.path, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || c.cache != "" && resp.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %s, Cache-Control %q, want %d, %q", c.name, resp.Status, resp.Header.Get("Cache-Control"), c.status, c.cache)
		}
		if c.status == 405 && resp.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", c.name)
		}
		if bytes.Contains(body, []byte("secret")) {
			t.Errorf("%s: %s", c.name, body)
		}
		if c.status == 200 && (resp.Header.Get("Content-Type") != doh.MediaType || c.method != "HEAD" && new(miekg.Msg).Unpack(body) != nil) {
			t.Errorf("%s: %s, %x", c.name, resp.Header.Get("Content-Type"), body)
		}
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.Handle(doh.Path, doh.Handler{Exchange: answer})
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(s.URL)
	_, port, _ := net.SplitHostPort(u.Host)
	t.Run("kdig", func(t *testing.T) {
		kdig, err := exec.LookPath("kdig")
		if err != nil {
			t.Skip("kdig is not installed: ./setup installs knot-dnsutils")
		}
		for _, how := range []string{"+https", "+https-get"} {
			out, err := exec.Command(kdig, "@127.0.0.1", "-p", port, "+https", how, "+tls-ca="+ca, "+tls-host=example.com", "+timeout=5", "two.svc.test").CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("192.0.2.2")) {
				t.Errorf("kdig %s: %v\n%s", how, err, out)
			}
		}
	})
	t.Run("curl", func(t *testing.T) {
		curl, err := exec.LookPath("curl")
		if err != nil {
			t.Skip("curl is not installed: ./setup installs it")
		}
		cmd := exec.Command(curl, "-sS", "--http2", "--cacert", ca, "--resolve", "example.com:"+port+":127.0.0.1", "-H", "Content-Type: "+doh.MediaType,
			"--data-binary", "@-", "-D", filepath.Join(t.TempDir(), "head"), "https://example.com:"+port+doh.Path)
		cmd.Stdin = bytes.NewReader(ask("two.svc.test."))
		out, err := cmd.Output()
		var m miekg.Msg
		if err != nil || m.Unpack(out) != nil || len(m.Answer) != 2 {
			t.Errorf("curl: %v\n%v", err, &m)
		}
	})
}

// FuzzRequest looks for replies that break the reckoning of freshness, and requests that break the reading.
func FuzzRequest(f *testing.F) {
	reply, _ := answer(context.Background(), ask("two.svc.test."), netip.MustParseAddrPort("127.0.0.1:1"))
	none, _ := answer(context.Background(), ask("none.svc.test."), netip.MustParseAddrPort("127.0.0.1:1"))
	f.Add("AAAA", reply)
	f.Add(base64.RawURLEncoding.EncodeToString(ask("a.")), none)
	f.Fuzz(func(t *testing.T, text string, reply []byte) {
		h := doh.Handler{Exchange: func(context.Context, []byte, netip.AddrPort) ([]byte, error) { return reply, nil }}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", doh.Path, nil)
		r.URL.RawQuery = url.Values{"dns": {text}}.Encode()
		h.ServeHTTP(w, r)
		if w.Code == 200 && (w.Header().Get("Cache-Control") == "" || !bytes.Equal(w.Body.Bytes(), reply)) {
			t.Fatalf("%d %v %x", w.Code, w.Header(), w.Body.Bytes())
		}
	})
}
