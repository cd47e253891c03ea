package oidc_test

import (
	"bufio"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/oidc"
)

// built remembers the provider's program of this test binary.
var built struct {
	once    sync.Once
	program string
	missing string // reason to skip
	err     error
}

// program builds the OpenID provider from its pinned module.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		dir := filepath.Join("..", "..", "test", "oidcserver")
		run := func(args ...string) error {
			cmd := exec.Command("go", args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = fmt.Errorf("go %s: %w: %s", args[0], err, out)
			}
			return err
		}
		if err := run("list", "-deps", "."); err != nil {
			built.missing = err.Error() // the modules are neither here nor to be had
			return
		}
		tmp, err := os.MkdirTemp("", "oidcserver")
		if err != nil {
			built.err = err
			return
		}
		built.program = filepath.Join(tmp, "oidcserver")
		built.err = run("build", "-o", built.program, ".")
	})
	if built.missing != "" {
		t.Skipf("needs zitadel/oidc (./setup test installs it): %s", built.missing)
	}
	if built.err != nil {
		t.Fatalf("build the OpenID provider: %v", built.err)
	}
	return built.program
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.program != "" {
		os.RemoveAll(filepath.Dir(built.program))
	}
	os.Exit(code)
}

// callback is where browsers are sent back; nobody listens there.
const callback = "http://127.0.0.1:1/callback"

// op starts a real OpenID provider on a free port and gives its issuer.
func op(t *testing.T) (issuer string, stop func()) {
	t.Helper()
	cmd := exec.Command(program(t), "-clients", "web=secret,other=secret2,app=", "-redirects", callback)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var logs strings.Builder
	cmd.Stderr = &logs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	stop = sync.OnceFunc(func() {
		in.Close()
		cmd.Process.Kill() //nolint:errcheck // it may be gone
		cmd.Wait()         //nolint:errcheck // it was told to
	})
	t.Cleanup(stop)
	if err != nil {
		stop()
		t.Fatalf("the OpenID provider does not start: %v: %s", err, logs.String())
	}
	return strings.TrimSpace(line), stop
}

// browser signs a user in at the provider, as a person would, and gives the query with which it is sent back.
func browser(t *testing.T, start string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var back url.Values
	client := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), callback) {
			back = req.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := client.Get(start)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	login := resp.Request.URL
	if back != nil || login.Query().Get("authRequestID") == "" {
		t.Fatalf("no page to sign in, but %s at %s, back with %v", resp.Status, login, back)
	}
	resp, err = client.PostForm(login.String(), url.Values{"username": {"test-user2"}, "password": {"verysecure"}, "id": {login.Query().Get("authRequestID")}})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if back == nil {
		t.Fatalf("not sent back: %s: %.300s", resp.Status, body)
	}
	return back
}

// spent remembers in memory, as package identity does in its database.
type spent struct{ things sync.Map }

func (s *spent) spend(_ context.Context, thing string, _ time.Time) error {
	if _, ok := s.things.LoadOrStore(thing, true); ok {
		return game.Errorf(game.Conflict, "it was used before")
	}
	return nil
}

// clock is settable.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// party makes a relying party, and its clock.
func party(t *testing.T, providers map[string]game.OIDCProvider) (*oidc.RelyingParty, *clock) {
	t.Helper()
	c := &clock{}
	r, err := oidc.New(oidc.Deps{
		Providers: providers, StateKey: make([]byte, 32), Spend: (&spent{}).spend, Log: slog.New(slog.DiscardHandler), Now: c.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fake is an issuer that says whatever a test wants. The real one says only what is right.
type fake struct {
	URL     string
	keys    atomic.Pointer[jose.JSONWebKeySet]
	meta    atomic.Pointer[map[string]any]
	token   atomic.Pointer[func(form url.Values) (int, map[string]any)]
	fetches struct{ meta, keys, token atomic.Int64 }
	server  *httptest.Server
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(v) //nolint:errcheck // the test sees it
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		f.fetches.meta.Add(1)
		answer(w, 200, f.meta.Load())
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		f.fetches.keys.Add(1)
		answer(w, 200, f.keys.Load())
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		f.fetches.token.Add(1)
		r.ParseForm() //nolint:errcheck // the test sees it
		if id, secret, ok := r.BasicAuth(); ok {
			r.PostForm.Set("basic", id+":"+secret)
		}
		code, v := (*f.token.Load())(r.PostForm)
		answer(w, code, v)
	})
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	f.URL = f.server.URL
	f.describe(nil)
	f.keys.Store(&jose.JSONWebKeySet{})
	return f
}

// describe sets what the issuer says of itself.
func (f *fake) describe(change map[string]any) {
	m := map[string]any{
		"issuer": f.URL, "authorization_endpoint": f.URL + "/auth", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"},
	}
	for k, v := range change {
		m[k] = v
	}
	f.meta.Store(&m)
}

func (f *fake) publish(keys ...jose.JSONWebKey) { f.keys.Store(&jose.JSONWebKeySet{Keys: keys}) }

// sign makes an ID token.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func public(key crypto.Signer, kid string, alg jose.SignatureAlgorithm) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: string(alg), Use: "sig"}
}

// wants wants an error of a kind.
func wants(t *testing.T, err error, kind game.Kind, doing string) {
	t.Helper()
	var e *game.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%s = %v (%v), want an error of kind %q", doing, err, game.KindOf(err), kind)
	}
}
