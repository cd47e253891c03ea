package operator_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/internal/operator"
)

func newGuard(t *testing.T) (*operator.Guard, operator.Token) {
	t.Helper()
	tok, err := operator.Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return operator.NewGuard(tok), tok
}

func request(method, host, remote string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "/x", nil)
	r.Host, r.RemoteAddr = host, remote
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func status(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })

const loopback = "127.0.0.1:4444"

func TestWhoPasses(t *testing.T) {
	g, tok := newGuard(t)
	bearer := "Bearer " + tok.Reveal()
	for name, tc := range map[string]struct {
		r              *http.Request
		reads, require int
	}{
		"token from afar":                      {request("POST", "kamado.example", "192.0.2.1:9", "Authorization", bearer), 200, 200},
		"token, scheme in lower case":          {request("POST", "localhost", loopback, "Authorization", "bearer "+tok.Reveal()), 200, 200},
		"wrong token":                          {request("GET", "localhost", loopback, "Authorization", "Bearer "+strings.Repeat("0", 64)), 401, 401},
		"empty token":                          {request("GET", "localhost", loopback, "Authorization", "Bearer "), 401, 401},
		"another scheme":                       {request("GET", "localhost", loopback, "Authorization", "Basic eDp5"), 401, 401},
		"local read":                           {request("GET", "localhost:7700", loopback), 200, 401},
		"local read by address":                {request("HEAD", "127.0.0.1:7700", loopback), 200, 401},
		"local read by IPv6":                   {request("GET", "[::1]:7700", "[::1]:5"), 200, 401},
		"local read by IPv6 without port":      {request("GET", "[::1]", "[::1]:5"), 200, 401},
		"local read, IPv4 in IPv6":             {request("GET", "localhost", "[::ffff:127.0.0.1]:5"), 200, 401},
		"local write":                          {request("POST", "localhost", loopback), 401, 401},
		"local OPTIONS":                        {request("OPTIONS", "localhost", loopback), 401, 401},
		"read from afar":                       {request("GET", "localhost", "192.0.2.1:9"), 401, 401},
		"rebound name":                         {request("GET", "evil.example:7700", loopback), 401, 401},
		"name that begins well":                {request("GET", "localhost.evil.example", loopback), 401, 401},
		"no host":                              {request("GET", "", loopback), 401, 401},
		"another site's page":                  {request("GET", "localhost", loopback, "Sec-Fetch-Site", "cross-site"), 401, 401},
		"another port's page":                  {request("GET", "localhost:7700", loopback, "Sec-Fetch-Site", "same-site"), 401, 401},
		"own page":                             {request("GET", "localhost:7700", loopback, "Sec-Fetch-Site", "same-origin"), 200, 401},
		"typed address":                        {request("GET", "localhost:7700", loopback, "Sec-Fetch-Site", "none"), 200, 401},
		"foreign Origin, old browser":          {request("GET", "localhost:7700", loopback, "Origin", "http://evil.example"), 401, 401},
		"null Origin":                          {request("GET", "localhost:7700", loopback, "Origin", "null"), 401, 401},
		"own Origin, old browser":              {request("GET", "localhost:7700", loopback, "Origin", "http://localhost:7700"), 200, 401},
		"proxy on this machine":                {request("GET", "localhost", loopback, "X-Forwarded-For", "198.51.100.7"), 401, 401},
		"proxy on this machine, with Via only": {request("GET", "localhost", loopback, "Via", "1.1 varnish"), 401, 401},
		"forged session":                       {request("GET", "localhost", loopback, "Cookie", "kamado_session="+strings.Repeat("A", 75)), 200, 401},
		"forged session from afar":             {request("GET", "localhost", "192.0.2.1:9", "Cookie", "kamado_session="+strings.Repeat("A", 75)), 401, 401},
	} {
		if got := status(g.Reads(ok), tc.r); got != tc.reads {
			t.Errorf("%s: Reads answers %d, want %d", name, got, tc.reads)
		}
		if got := status(g.Require(ok), tc.r); got != tc.require {
			t.Errorf("%s: Require answers %d, want %d", name, got, tc.require)
		}
	}
	w := httptest.NewRecorder()
	g.Require(ok).ServeHTTP(w, request("GET", "localhost", loopback))
	if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="kamado"` {
		t.Errorf("WWW-Authenticate is %q", got)
	}
}

// login opens a link and gives the cookie.
func login(t *testing.T, g *operator.Guard, link string, secure bool) (*http.Cookie, int) {
	t.Helper()
	r := httptest.NewRequest("GET", link, nil)
	if !secure {
		r.TLS = nil
	} else {
		r.TLS = &tls.ConnectionState{}
	}
	w := httptest.NewRecorder()
	g.Login(w, r)
	for _, c := range w.Result().Cookies() {
		return c, w.Code
	}
	return nil, w.Code
}

func TestLoginLinkWorksOnce(t *testing.T) {
	g, _ := newGuard(t)
	link := g.LoginLink("http://127.0.0.1:7700/")
	if u, err := url.Parse(link); err != nil || u.Host != "127.0.0.1:7700" || u.Path != operator.LoginPath {
		t.Fatalf("LoginLink = %q", link)
	}
	w := httptest.NewRecorder()
	g.Login(w, httptest.NewRequest("HEAD", link, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("HEAD of a link answers %d, want 405", w.Code)
	}
	c, code := login(t, g, link, false)
	if code != http.StatusSeeOther || c == nil {
		t.Fatalf("login answers %d, cookie %v", code, c)
	}
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Name != "kamado_session" || c.Path != "/" {
		t.Errorf("cookie is %v, want HttpOnly, SameSite=Strict", c)
	}
	if c, code := login(t, g, link, false); code != http.StatusForbidden || c != nil {
		t.Errorf("second login answers %d, cookie %v, want 403", code, c)
	}
	if _, code := login(t, g, "http://127.0.0.1:7700/login", false); code != http.StatusForbidden {
		t.Errorf("login without a code answers %d, want 403", code)
	}
	c, _ = login(t, g, g.LoginLink("https://kamado.example"), true)
	if c == nil || !c.Secure || c.Name != "__Host-kamado_session" {
		t.Errorf("cookie over TLS is %v, want Secure with the __Host- prefix", c)
	}
}

func TestSessionReadsAndWritesWithItsCSRFToken(t *testing.T) {
	g, _ := newGuard(t)
	c, _ := login(t, g, g.LoginLink("http://127.0.0.1:7700"), false)
	var csrf string
	page := g.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { csrf = g.CSRFToken(r) }))
	cookie := c.Name + "=" + c.Value
	if got := status(page, request("GET", "127.0.0.1:7700", "192.0.2.1:9", "Cookie", cookie)); got != 200 || csrf == "" {
		t.Fatalf("read with a session answers %d, CSRF token %q", got, csrf)
	}
	post := func(header ...string) int {
		return status(g.Require(ok), request("POST", "127.0.0.1:7700", loopback, append([]string{"Cookie", cookie}, header...)...))
	}
	if got := post(); got != 403 {
		t.Errorf("write without CSRF token answers %d, want 403", got)
	}
	if got := post(operator.CSRFHeader, csrf[1:]+"A"); got != 403 {
		t.Errorf("write with a wrong CSRF token answers %d, want 403", got)
	}
	if got := post(operator.CSRFHeader, csrf); got != 200 {
		t.Errorf("write with the CSRF token answers %d, want 200", got)
	}
	if got := post(operator.CSRFHeader, csrf, "Sec-Fetch-Site", "cross-site"); got != 403 {
		t.Errorf("cross-site write with the CSRF token answers %d, want 403", got)
	}
	form := httptest.NewRequest("POST", "/x", strings.NewReader(url.Values{operator.CSRFField: {csrf}}.Encode()))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	form.Header.Set("Cookie", cookie)
	if got := status(g.Require(ok), form); got != 200 {
		t.Errorf("form with the CSRF token answers %d, want 200", got)
	}
	other, _ := newGuard(t)
	if got := status(other.Require(ok), request("GET", "127.0.0.1", loopback, "Cookie", cookie)); got != 401 {
		t.Errorf("session of another token answers %d, want 401", got)
	}
	flipped := []byte(c.Value)
	flipped[3] ^= 1
	if got := status(g.Require(ok), request("GET", "127.0.0.1", loopback, "Cookie", c.Name+"="+string(flipped))); got != 401 {
		t.Errorf("changed cookie answers %d, want 401", got)
	}
	if got := status(g.Require(http.HandlerFunc(g.Logout)), request("POST", "127.0.0.1:7700", loopback, "Cookie", cookie, operator.CSRFHeader, csrf)); got != 303 {
		t.Errorf("logout answers %d, want 303", got)
	}
	if got := status(g.Require(ok), request("GET", "127.0.0.1", loopback, "Cookie", cookie)); got != 401 {
		t.Errorf("session after logout answers %d, want 401", got)
	}
}

func TestLinksAndSessionsExpire(t *testing.T) {
	dir := t.TempDir()
	tok, err := operator.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		g := operator.NewGuard(tok)
		old := g.LoginLink("http://127.0.0.1:7700")
		time.Sleep(operator.LinkLife)
		if _, code := login(t, g, old, false); code != http.StatusForbidden {
			t.Errorf("login after %v answers %d, want 403", operator.LinkLife, code)
		}
		c, _ := login(t, g, g.LoginLink("http://127.0.0.1:7700"), false)
		read := request("GET", "127.0.0.1", loopback, "Cookie", c.Name+"="+c.Value)
		time.Sleep(operator.SessionLife - time.Second)
		if got := status(g.Require(ok), read); got != 200 {
			t.Errorf("session just before its end answers %d, want 200", got)
		}
		time.Sleep(time.Second)
		if got := status(g.Require(ok), read); got != 401 {
			t.Errorf("session after its end answers %d, want 401", got)
		}
	})
}

func TestWaitingLinksAreBounded(t *testing.T) {
	g, _ := newGuard(t)
	first := g.LoginLink("http://x")
	var last string
	for range 64 {
		last = g.LoginLink("http://x")
	}
	if _, code := login(t, g, first, false); code != http.StatusForbidden {
		t.Errorf("65th oldest link answers %d, want 403", code)
	}
	if _, code := login(t, g, last, false); code != http.StatusSeeOther {
		t.Errorf("newest link answers %d, want 303", code)
	}
}

func TestIssueLinkNeedsTheToken(t *testing.T) {
	g, tok := newGuard(t)
	h := g.Require(http.HandlerFunc(g.IssueLink))
	if got := status(h, request("POST", "localhost", loopback)); got != 401 {
		t.Errorf("link without token answers %d, want 401", got)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("POST", "localhost", loopback, "Authorization", "Bearer "+tok.Reveal()))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "http://localhost/login?code=") {
		t.Errorf("link with token answers %d %s", w.Code, w.Body)
	}
}
