package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute/client"
)

// none is an environment without variables.
func none(string) string { return "" }

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoClouds = `
clouds:
  kamado: {auth: {auth_url: "http://one/v3", username: u, password: p, project_name: x, user_domain_name: Default}, region_name: RegionOne}
  other: {auth: {auth_url: "http://two", token: t}, verify: false}
`

func TestSearchFinds(t *testing.T) {
	file := write(t, twoClouds)
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		search client.Search
		want   string // the address; empty: ErrNoCloud
	}{
		"the default of a file":           {client.Search{File: file, Default: "kamado", Getenv: none}, "http://one/v3"},
		"a name":                          {client.Search{File: file, Cloud: "other", Default: "kamado", Getenv: none}, "http://two"},
		"a name that is not there":        {client.Search{File: file, Cloud: "third", Getenv: none}, ""},
		"no name among two":               {client.Search{File: file, Getenv: none}, ""},
		"OS_CLOUD":                        {client.Search{Default: "kamado", Getenv: env("OS_CLOUD", "other", "OS_CLIENT_CONFIG_FILE", file)}, "http://two"},
		"OS_AUTH_URL":                     {client.Search{Default: "kamado", Getenv: env("OS_AUTH_URL", "http://three", "OS_CLIENT_CONFIG_FILE", file)}, "http://three"},
		"a file before OS_AUTH_URL":       {client.Search{File: file, Default: "kamado", Getenv: env("OS_AUTH_URL", "http://three")}, "http://one/v3"},
		"the fallback":                    {client.Search{Default: "kamado", Fallback: file, Getenv: none}, "http://one/v3"},
		"OS_CLIENT_CONFIG_FILE, not home": {client.Search{Default: "kamado", Fallback: "nowhere", Getenv: env("OS_CLIENT_CONFIG_FILE", file)}, "http://one/v3"},
		"nothing":                         {client.Search{Default: "kamado", Fallback: "nowhere", Getenv: none}, ""},
	} {
		got, err := c.search.Find()
		if c.want == "" && !errors.Is(err, client.ErrNoCloud) || c.want != "" && (err != nil || got.Auth.AuthURL != c.want) {
			t.Errorf("%s = %q, %v; want %q", name, got.Auth.AuthURL, err, c.want)
		}
	}
}

func TestReadCloudsRefuses(t *testing.T) {
	for name, text := range map[string]string{"no YAML": "clouds: [", "too large": strings.Repeat("#", 1<<20+1)} {
		if _, err := client.ReadClouds(write(t, text)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// fake is a cloud that remembers its last login.
type fake struct {
	*httptest.Server
	login map[string]any
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{}
	answer := func(w http.ResponseWriter, text string, args ...any) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, text, args...)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /identity/v3/auth/tokens", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&f.login)
		w.Header().Set("X-Subject-Token", "secret")
		answer(w, `{"token": {"user": {"id": "me"}, "project": {"id": "mine"}, "catalog": [
			{"type": "compute", "endpoints": [{"interface": "admin", "region": "R", "url": "http://wrong"}, {"interface": "public", "region": "R", "url": "%[1]s/compute/v2.1"}]},
			{"type": "image", "endpoints": [{"interface": "public", "region": "R", "url": "%[1]s/image"}]}]}}`, f.URL)
	})
	mux.HandleFunc("GET /compute/v2.1/servers", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != "secret" || r.Header.Get("OpenStack-API-Version") != "compute 2.93" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		if r.URL.Query().Get("marker") == "" {
			answer(w, `{"servers": [{"id": "1", "name": "a"}, {"id": "2", "name": "twin"}], "servers_links": [{"rel": "next", "href": "http://elsewhere.invalid/compute/v2.1/servers?marker=2"}]}`)
			return
		}
		answer(w, `{"servers": [{"id": "3", "name": "twin"}]}`)
	})
	mux.HandleFunc("GET /image/v2/images", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("marker") == "" {
			answer(w, `{"images": [{"id": "i1", "name": "x", "size": 12345678901234567}], "next": "/v2/images?marker=i1"}`)
			return
		}
		answer(w, `{"images": [{"id": "i2", "name": "y"}]}`)
	})
	mux.HandleFunc("DELETE /compute/v2.1/servers/1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Openstack-Request-Id", "req-7")
		w.WriteHeader(409)
		answer(w, `{"conflictingRequest": {"code": 409, "message": "it is locked"}}`)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) client(t *testing.T, a client.Auth) *client.Client {
	t.Helper()
	a.AuthURL = f.URL + "/identity"
	c, err := client.New(t.Context(), client.Cloud{Auth: a, RegionName: "R"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLogins(t *testing.T) {
	f := newFake(t)
	for name, c := range map[string]struct {
		auth client.Auth
		want string
	}{
		"a password": {client.Auth{Username: "u", Password: "p", ProjectName: "x", UserDomainName: "D"},
			`{"auth":{"identity":{"methods":["password"],"password":{"user":{"domain":{"name":"D"},"name":"u","password":"p"}}},"scope":{"project":{"domain":{"id":"default"},"name":"x"}}}}`},
		"ids": {client.Auth{UserID: "u", Password: "p", ProjectID: "x"},
			`{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u","password":"p"}}},"scope":{"project":{"id":"x"}}}}`},
		"the system": {client.Auth{UserID: "u", Password: "p", SystemScope: "all"},
			`{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u","password":"p"}}},"scope":{"system":{"all":true}}}}`},
		"a token": {client.Auth{Token: "t"}, `{"auth":{"identity":{"methods":["token"],"token":{"id":"t"}}}}`},
		"an application credential": {client.Auth{AppCredentialID: "a", AppCredentialSecret: "s", ProjectID: "x"},
			`{"auth":{"identity":{"application_credential":{"id":"a","secret":"s"},"methods":["application_credential"]}}}`},
	} {
		f.client(t, c.auth)
		if got, _ := json.Marshal(f.login); string(got) != c.want {
			t.Errorf("%s: login = %s, want %s", name, got, c.want)
		}
		f.login = nil
	}
	if _, err := client.New(t.Context(), client.Cloud{Auth: client.Auth{AuthURL: f.URL}}); !errors.Is(err, client.ErrNoCloud) {
		t.Errorf("without a login: %v", err)
	}
}

func TestListsFollowPagesOnTheSameHost(t *testing.T) {
	f := newFake(t)
	c := f.client(t, client.Auth{Token: "t"})
	servers, err := c.List(t.Context(), "compute", "/servers", "servers")
	if err != nil || len(servers) != 3 {
		t.Errorf("servers = %v, %v; want 3", servers, err)
	}
	images, err := c.List(t.Context(), "image", "/images", "images")
	if err != nil || len(images) != 2 || images[0].Text("size") != "12345678901234567" {
		t.Errorf("images = %v, %v; want 2, sizes whole", images, err)
	}
}

func TestFind(t *testing.T) {
	f := newFake(t)
	c := f.client(t, client.Auth{Token: "t"})
	find := func(name string) (client.Row, error) {
		return c.Find(t.Context(), "compute", "/servers", "servers", name)
	}
	if r, err := find("a"); err != nil || r.Text("id") != "1" {
		t.Errorf("by name = %v, %v", r, err)
	}
	if r, err := find("3"); err != nil || r.Text("id") != "3" {
		t.Errorf("by id = %v, %v", r, err)
	}
	if _, err := find("twin"); err == nil || client.NotFound(err) {
		t.Errorf("a name of two = %v, want an error that is not NotFound", err)
	}
	if _, err := find("none"); !client.NotFound(err) {
		t.Errorf("none = %v, want NotFound", err)
	}
}

func TestRefusals(t *testing.T) {
	f := newFake(t)
	c := f.client(t, client.Auth{Token: "t"})
	err := c.Do(t.Context(), "compute", "DELETE", "/servers/1", nil, nil)
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 409 || e.Error() != "it is locked (HTTP 409), request req-7" {
		t.Errorf("refusal = %v", err)
	}
	if err := c.Do(t.Context(), "compute", "GET", "/nothing", nil, nil); !client.NotFound(err) {
		t.Errorf("absent = %v, want NotFound", err)
	}
	if err := c.Do(t.Context(), "volume", "GET", "/", nil, nil); err == nil {
		t.Error("a service that is not in the catalog answers")
	}
}
