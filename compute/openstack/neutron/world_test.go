package neutron_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack/keystone"
	"github.com/kamado/kamado/compute/openstack/neutron"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// cloud is Keystone and Neutron on one port, on a database of their own.
type cloud struct {
	t      *testing.T
	url    string
	store  *store.Store
	fabric *fabric.Service
	boot   identity.Bootstrap
	admin  string // tokens
	member string
	reader string
	other  string // a member of another project
	// public and private are the first networks' ids.
	public, private string
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	st, err := store.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	cfg := identity.Default()
	cfg.PasswordCost = 4
	people := identity.New(st, cfg, log, time.Now)
	nets := fabric.New(st, fabric.DefaultConfig(), log, time.Now)
	c := &cloud{t: t, store: st, fabric: nets}
	if c.boot, err = people.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := nets.Bootstrap(t.Context(), c.boot.AdminProjectID, fabric.ExternalPool{CIDR: "172.24.4.0/24"}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/identity/", http.StripPrefix("/identity", keystone.New(keystone.Deps{Identity: people, Store: st, Log: log,
		Catalog: func(base string) []keystone.CatalogEntry {
			return []keystone.CatalogEntry{{Type: "identity", Name: "keystone", URL: base + "/identity"}, {Type: "network", Name: "neutron", URL: base + "/network"}}
		}})))
	mux.Handle("/network/", http.StripPrefix("/network", neutron.New(neutron.Deps{Fabric: nets, Store: st, Auth: people, Log: log})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.url = server.URL
	c.people()
	return c
}

// people logs in an administrator, a member, a reader of the member's project and
// a member of another one.
func (c *cloud) people() {
	c.t.Helper()
	c.admin = c.login("admin", c.boot.AdminPassword, "admin")
	c.member = c.login("kamado", c.boot.MemberPassword, "kamado")
	c.identity("PUT", "/projects/"+c.boot.MemberProjectID+"/users/"+c.user("rina")+"/roles/"+c.role("reader"), nil)
	project := c.identity("POST", "/projects", map[string]any{"project": map[string]any{"name": "other"}})["project"].(map[string]any)["id"].(string)
	c.identity("PUT", "/projects/"+project+"/users/"+c.user("olga")+"/roles/"+c.role("member"), nil)
	c.reader = c.login("rina", "secret", "kamado")
	c.other = c.login("olga", "secret", "other")
	c.public = c.get(c.admin, "/networks?name=public")["networks"].([]any)[0].(map[string]any)["id"].(string)
	c.private = c.get(c.admin, "/networks?name=default")["networks"].([]any)[0].(map[string]any)["id"].(string)
}

func (c *cloud) user(name string) string {
	c.t.Helper()
	return c.identity("POST", "/users", map[string]any{"user": map[string]any{"name": name, "password": "secret"}})["user"].(map[string]any)["id"].(string)
}

func (c *cloud) role(name string) string {
	c.t.Helper()
	return c.identity("GET", "/roles?name="+name, nil)["roles"].([]any)[0].(map[string]any)["id"].(string)
}

func (c *cloud) identity(method, path string, body any) map[string]any {
	c.t.Helper()
	status, got, _ := c.send(c.admin, method, c.url+"/identity/v3"+path, body)
	if status >= 300 {
		c.t.Fatalf("%s %s = %d %v", method, path, status, got)
	}
	return got
}

func (c *cloud) login(user, password, project string) string {
	c.t.Helper()
	domain := map[string]any{"id": "default"}
	status, got, header := c.send("", "POST", c.url+"/identity/v3/auth/tokens", map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{"name": user, "password": password, "domain": domain}}},
		"scope":    map[string]any{"project": map[string]any{"name": project, "domain": domain}}}})
	if status != 201 {
		c.t.Fatalf("login of %s = %d %v", user, status, got)
	}
	return header.Get("X-Subject-Token")
}

// send sends a request and gives the answer's status and body.
func (c *cloud) send(token, method, url string, body any) (int, map[string]any, http.Header) {
	c.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Error(err)
		return 0, nil, http.Header{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Error(err)
	}
	var got map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &got); err != nil {
			c.t.Errorf("%s %s answers no JSON: %q", method, url, text)
		}
	}
	return resp.StatusCode, got, resp.Header
}

// call sends a request to Neutron.
func (c *cloud) call(token, method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	status, got, _ := c.send(token, method, c.url+"/network/v2.0"+path, body)
	return status, got
}

// get is a GET that must succeed.
func (c *cloud) get(token, path string) map[string]any {
	c.t.Helper()
	status, got := c.call(token, "GET", path, nil)
	if status != 200 {
		c.t.Fatalf("GET %s = %d %v", path, status, got)
	}
	return got
}

// make makes a thing and gives it.
func (c *cloud) make(token, path, noun string, attrs map[string]any) map[string]any {
	c.t.Helper()
	status, got := c.call(token, "POST", path, map[string]any{noun: attrs})
	if status != 201 {
		c.t.Fatalf("POST %s %v = %d %v", path, attrs, status, got)
	}
	return got[noun].(map[string]any)
}

// fails sends a request that must be answered with a status and Neutron's name
// for it.
func (c *cloud) fails(token, method, path string, body any, status int, name string) {
	c.t.Helper()
	gotStatus, got := c.call(token, method, path, body)
	e, _ := got["NeutronError"].(map[string]any)
	if gotStatus != status || e["type"] != name {
		c.t.Errorf("%s %s %v = %d %v, want %d %s", method, path, body, gotStatus, got, status, name)
	}
}

type attrs = map[string]any

// net is a network with a subnet of the member's.
func (c *cloud) net(token, cidr string) (network, subnet string) {
	c.t.Helper()
	network = c.make(token, "/networks", "network", attrs{"name": "n"})["id"].(string)
	subnet = c.make(token, "/subnets", "subnet", attrs{"network_id": network, "cidr": cidr, "ip_version": 4})["id"].(string)
	return network, subnet
}

// stock runs the stock client as somebody.
type stock struct {
	t   *testing.T
	env []string
}

func (c *cloud) stock(user, password, project string) *stock {
	c.t.Helper()
	if _, err := os.Stat("/usr/bin/openstack"); err != nil {
		c.t.Skip("needs the stock client openstack (python3-openstackclient)")
	}
	if testing.Short() {
		c.t.Skip("the stock client takes 1 s a command")
	}
	return &stock{c.t, []string{"PATH=/usr/bin:/bin", "HOME=" + c.t.TempDir(), "OS_IDENTITY_API_VERSION=3", "OS_AUTH_URL=" + c.url + "/identity/v3",
		"OS_USERNAME=" + user, "OS_PASSWORD=" + password, "OS_PROJECT_NAME=" + project, "OS_USER_DOMAIN_ID=default", "OS_PROJECT_DOMAIN_ID=default"}}
}

// script runs commands in one process of the stock client, one a line. What is
// behind " => " must be in the output, in the order of the lines. It gives all
// that was printed.
func (s *stock) script(lines string) string {
	s.t.Helper()
	var commands, wants []string
	for line := range strings.Lines(lines) {
		command, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
		commands, wants = append(commands, command), append(wants, want)
	}
	cmd := exec.CommandContext(s.t.Context(), "/usr/bin/openstack")
	cmd.Env, cmd.Stdin = s.env, strings.NewReader(strings.Join(commands, "\n")+"\n")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || strings.Contains(stderr.String(), "Error") {
		s.t.Fatalf("openstack: %v\n%s\nafter\n%s", err, stderr.String(), stdout.String())
	}
	rest := stdout.String()
	for i, want := range wants {
		_, behind, found := strings.Cut(rest, want)
		if !found {
			s.t.Fatalf("openstack %s: want %q in\n%s", commands[i], want, rest)
		}
		rest = behind
	}
	return stdout.String()
}
