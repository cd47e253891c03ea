package keystone_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack/keystone"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// cloud is a Keystone of its own for one test.
type cloud struct {
	t        testing.TB
	url      string // with /identity/v3
	identity *identity.Service
	store    compute.Store
	boot     identity.Bootstrap
	tokens   map[string]string
	handler  http.Handler // without the mount point

	mu     sync.Mutex
	events []compute.AuditEvent
}

// newCloud starts a Keystone over a fresh store. Passwords are hashed at the
// least cost, so that tests are quick.
func newCloud(t testing.TB) *cloud {
	t.Helper()
	cfg := identity.Default()
	cfg.PasswordCost = bcrypt.MinCost
	return newCloudWith(t, cfg, time.Now)
}

func newCloudWith(t testing.TB, cfg identity.Config, now func() time.Time) *cloud {
	t.Helper()
	ctx := context.Background()
	db, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	st, err := store.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	c := &cloud{t: t, store: st, identity: identity.New(st, cfg, log, now), tokens: map[string]string{}}
	c.identity.OnAudit(c.hear)
	if c.boot, err = c.identity.Bootstrap(ctx); err != nil {
		t.Fatal(err)
	}
	h := keystone.New(keystone.Deps{Identity: c.identity, Store: st, Log: log, Audit: c.hear, Catalog: func(base string) []keystone.CatalogEntry {
		return []keystone.CatalogEntry{
			{Type: "identity", Name: "keystone", URL: base + keystone.Prefix}, {Type: "compute", Name: "nova", URL: base + "/compute/v2.1"},
			{Type: "image", Name: "glance", URL: base + "/image"}, {Type: "network", Name: "neutron", URL: base + "/network"},
		}
	}})
	c.handler = h
	mux := http.NewServeMux()
	for _, pattern := range []string{keystone.Prefix, keystone.Prefix + "/"} {
		mux.Handle(pattern, http.StripPrefix(keystone.Prefix, h))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.url = server.URL + keystone.Prefix + "/v3"
	c.tokens["admin"] = c.login("admin", c.boot.AdminPassword, c.boot.AdminProjectID)
	c.tokens["member"] = c.login("kamado", c.boot.MemberPassword, c.boot.MemberProjectID)
	return c
}

func (c *cloud) hear(_ context.Context, e compute.AuditEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

// object is JSON.
type object = map[string]any

// answer is what a request gave.
type answer struct {
	status int
	header http.Header
	body   object
}

// at gives a value inside the body.
func (a answer) at(path ...string) any {
	var v any = a.body
	for _, p := range path {
		o, ok := v.(object)
		if !ok {
			return nil
		}
		v = o[p]
	}
	return v
}

// do sends a request with somebody's token ("" for none).
func (c *cloud) do(who, method, path string, body any, headers ...string) answer {
	c.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, c.url+path, r)
	if err != nil {
		c.t.Fatal(err)
	}
	if who != "" {
		token, ok := c.tokens[who]
		if !ok {
			token = who
		}
		req.Header.Set("X-Auth-Token", token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &a.body); err != nil {
			c.t.Fatalf("%s %s: %v in %q", method, path, err, b)
		}
	}
	return a
}

// want is do for a request whose status is known.
func (c *cloud) want(status int, who, method, path string, body any, headers ...string) answer {
	c.t.Helper()
	a := c.do(who, method, path, body, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s as %q = %d %v, want %d", method, path, who, a.status, a.body, status)
	}
	return a
}

func passwordLogin(user object, scope any) object {
	auth := object{"identity": object{"methods": []string{"password"}, "password": object{"user": user}}}
	if scope != nil {
		auth["scope"] = scope
	}
	return object{"auth": auth}
}

// login gives a token of a user of the default domain in a project.
func (c *cloud) login(name, password, projectID string) string {
	c.t.Helper()
	a := c.want(201, "", "POST", "/auth/tokens", passwordLogin(
		object{"name": name, "domain": object{"id": "default"}, "password": password}, object{"project": object{"id": projectID}}))
	return a.header.Get("X-Subject-Token")
}

// make creates something as the administrator and gives its id.
func (c *cloud) make(plural, noun string, body object) string {
	c.t.Helper()
	id, _ := c.want(201, "admin", "POST", "/"+plural, object{noun: body}).at(noun, "id").(string)
	if id == "" {
		c.t.Fatalf("a %s without id", noun)
	}
	return id
}
