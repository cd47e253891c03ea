package glance_test

import (
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack/glance"
	"github.com/kamado/kamado/compute/openstack/keystone"
)

// cloud is Keystone and Glance behind one address, for the clients of others.
type cloud struct {
	t    *testing.T
	url  string
	dir  string // with clouds.yaml
	boot identity.Bootstrap
}

// program gives the path of a client.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, p := range []string{"/usr/bin/" + name, name} {
		if p, err := exec.LookPath(p); err == nil {
			return p
		}
	}
	t.Skipf("needs %s (./setup test installs it)", name)
	return ""
}

func startCloud(t *testing.T) *cloud {
	t.Helper()
	dir := t.TempDir()
	st, reg := room(t, dir)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg := identity.Default()
	cfg.PasswordCost = 4 // what is tested here is not the hash
	id := identity.New(st, cfg, log, time.Now)
	boot, err := id.Bootstrap(t.Context())
	must(t, err)
	mux := http.NewServeMux()
	images := http.StripPrefix("/image", glance.New(glance.Deps{Registry: reg, Store: st, Auth: id, Log: log}))
	mux.Handle("/image", images) // a redirect to "/image/" is no answer for keystoneauth
	mux.Handle("/image/", images)
	mux.Handle("/identity/", http.StripPrefix("/identity", keystone.New(keystone.Deps{Identity: id, Store: st, Log: log, Catalog: func(base string) []keystone.CatalogEntry {
		return []keystone.CatalogEntry{{Type: "identity", Name: "keystone", URL: base + "/identity/v3"}, {Type: "image", Name: "glance", URL: base + "/image"}}
	}})))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	c := &cloud{t: t, url: srv.URL, dir: dir, boot: boot}
	login := func(cloud, user, project, password string) string {
		return fmt.Sprintf("  %s:\n    auth:\n      auth_url: %s/identity/v3\n      username: %s\n      password: %q\n      project_name: %s\n      user_domain_id: default\n      project_domain_id: default\n    region_name: RegionOne\n    identity_api_version: 3\n    image_api_version: 2\n",
			cloud, c.url, user, password, project)
	}
	must(t, os.WriteFile(filepath.Join(dir, "clouds.yaml"), []byte("clouds:\n"+login("kamado", "kamado", "kamado", boot.MemberPassword)+login("kamado-admin", "admin", "admin", boot.AdminPassword)), 0o600))
	return c
}

// try runs the openstack client as a cloud of clouds.yaml.
func (c *cloud) try(cloud string, args ...string) (string, error) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), program(c.t, "openstack"), args...)
	cmd.Dir = c.dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "OS_") })
	cmd.Env = append(cmd.Env, "OS_CLOUD="+cloud, "OS_CLIENT_CONFIG_FILE="+filepath.Join(c.dir, "clouds.yaml"), "HOME="+c.dir)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = errors.New(errs.String())
	}
	return out.String(), err
}

func (c *cloud) run(cloud string, args ...string) string {
	c.t.Helper()
	out, err := c.try(cloud, args...)
	if err != nil {
		c.t.Fatalf("openstack %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// show runs a command that answers one thing.
func (c *cloud) show(cloud string, args ...string) map[string]any {
	c.t.Helper()
	var m map[string]any
	out := c.run(cloud, append(args, "-f", "json")...)
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		c.t.Fatalf("openstack %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return m
}

// TestOpenStackClient is the life of an image by the stock client. The short form
// is its beginning and its end.
func TestOpenStackClient(t *testing.T) {
	program(t, "openstack")
	c := startCloud(t)
	raw, qcow := filepath.Join(c.dir, "disk.raw"), filepath.Join(c.dir, "disk.qcow2")
	data := []byte(strings.Repeat("kamado", 50_000))
	must(t, os.WriteFile(raw, data, 0o600))
	must(t, disk.CreateEmpty(qcow, 1<<30))

	c.show("kamado", "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", raw, "--property", "os_distro=debian", "--tag", "one", "--min-ram", "64", "竈")
	m := c.show("kamado", "image", "show", "竈") // what create prints is from before the upload
	if m["status"] != "active" || m["name"] != "竈" || m["size"] != float64(len(data)) || m["checksum"] != fmt.Sprintf("%x", md5.Sum(data)) {
		t.Errorf("image create = %v", m)
	}
	id := m["id"].(string)
	saved := filepath.Join(c.dir, "saved")
	c.run("kamado", "image", "save", "--file", saved, id)
	if got, err := os.ReadFile(saved); err != nil || string(got) != string(data) {
		t.Errorf("image save gave %d bytes, %v", len(got), err)
	}
	if testing.Short() { // the stock client takes 1 s a command
		c.run("kamado", "image", "delete", id)
		return
	}
	c.show("kamado", "image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", qcow, "empty")
	if m = c.show("kamado", "image", "show", "empty"); m["status"] != "active" || m["virtual_size"] != float64(1<<30) {
		t.Errorf("image show = %v", m)
	}
	if out := c.run("kamado", "image", "list", "-f", "value", "-c", "Name", "--sort", "name:asc"); out != "empty\n竈\n" {
		t.Errorf("image list = %q", out)
	}
	if out := c.run("kamado", "image", "list", "-f", "value", "-c", "Name", "--tag", "one", "--private"); out != "" {
		t.Errorf("image list --private = %q: the client's images are shared", out)
	}
	c.run("kamado", "image", "set", "--name", "renamed", "--property", "a=b", "--tag", "two", "--min-disk", "1", "--protected", id)
	m = c.show("kamado", "image", "show", id)
	if m["name"] != "renamed" || m["protected"] != true || fmt.Sprint(m["tags"]) != "[one two]" {
		t.Errorf("image set led to %v", m)
	}
	if out, err := c.try("kamado", "image", "delete", id); err == nil {
		t.Errorf("image delete of a protected image = %q", out)
	}
	c.run("kamado", "image", "unset", "--property", "a", "--tag", "two", id)
	c.run("kamado", "image", "set", "--unprotected", id)
	c.run("kamado", "image", "add", "project", id, c.boot.AdminProjectID)
	if out := c.run("kamado", "image", "member", "list", "-f", "value", "-c", "Status", id); out != "pending\n" {
		t.Errorf("image member list = %q", out)
	}
	c.run("kamado-admin", "image", "set", "--accept", id)
	c.run("kamado", "image", "remove", "project", id, c.boot.AdminProjectID)
	if _, err := c.try("kamado", "image", "set", "--public", id); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("image set --public by a member = %v, want 403", err)
	}
	c.run("kamado-admin", "image", "set", "--public", "--property", "kernel_id="+id, id)
	c.run("kamado", "image", "set", "--deactivate", id)
	if _, err := c.try("kamado", "image", "save", "--file", saved, id); err == nil {
		t.Error("image save of a deactivated image succeeded")
	}
	c.run("kamado", "image", "set", "--activate", id)
	if _, err := c.try("kamado", "image", "create", "--disk-format", "qcow2", "--file", raw, "wrong"); err == nil || !strings.Contains(err.Error(), "not taken as an image of format qcow2") {
		t.Errorf("image create of other bytes = %v", err)
	}
	c.run("kamado", "image", "create", "--disk-format", "raw", "later") // without a terminal it sends an empty file
	if m = c.show("kamado", "image", "show", "later"); m["status"] != "queued" {
		t.Errorf("image create without a file led to %v", m)
	}
	c.run("kamado", "image", "delete", id, "empty")
	if _, err := c.try("kamado", "image", "show", id); err == nil || !strings.Contains(err.Error(), "No Image found") && !strings.Contains(err.Error(), "No image found") {
		t.Errorf("image show of a deleted image = %v", err)
	}
}

// TestGlanceClient is the same for python-glanceclient, which Horizon uses: it
// reads the schemas and sends bytes in chunks.
func TestGlanceClient(t *testing.T) {
	bin := program(t, "glance")
	c := startCloud(t)
	try := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), bin, args...)
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "OS_") }), "HOME="+c.dir, "OS_AUTH_URL="+c.url+"/identity/v3", "OS_USERNAME=kamado",
			"OS_PASSWORD="+c.boot.MemberPassword, "OS_PROJECT_NAME=kamado", "OS_USER_DOMAIN_ID=default", "OS_PROJECT_DOMAIN_ID=default", "OS_IDENTITY_API_VERSION=3")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := try(args...)
		if err != nil {
			t.Fatalf("glance %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	// field reads a row of the client's table.
	field := func(out, name string) string {
		for line := range strings.Lines(out) {
			if cells := strings.Split(line, "|"); len(cells) > 2 && strings.TrimSpace(cells[1]) == name {
				return strings.TrimSpace(cells[2])
			}
		}
		return ""
	}
	file := filepath.Join(c.dir, "disk")
	must(t, os.WriteFile(file, []byte(strings.Repeat("kamado", 50_000)), 0o600))
	out := run("image-create", "--name", "x", "--disk-format", "raw", "--container-format", "bare", "--file", file, "--property", "os_distro=debian")
	id := field(out, "id")
	if field(out, "status") != "active" || field(out, "size") != "300000" || field(out, "os_distro") != "debian" {
		t.Errorf("image-create: %s", out)
	}
	staged := field(run("image-create", "--name", "y", "--disk-format", "raw", "--container-format", "bare"), "id")
	run("image-stage", "--file", file, staged)
	run("image-import", "--import-method", "glance-direct", staged)
	if out = run("image-show", staged); field(out, "status") != "active" {
		t.Errorf("image-import: %s", out)
	}
	if testing.Short() { // a command takes 1 s
		run("image-delete", id)
		return
	}
	out = run("image-update", "--name", "z", "--property", "a=b", "--remove-property", "os_distro", id)
	if field(out, "name") != "z" || field(out, "a") != "b" || field(out, "os_distro") != "" {
		t.Errorf("image-update: %s", out)
	}
	run("image-tag-update", id, "t")
	run("image-tag-delete", id, "t")
	if out = run("member-create", id, c.boot.AdminProjectID); !strings.Contains(out, "pending") {
		t.Errorf("member-create: %s", out)
	}
	if out = run("member-list", "--image-id", id); !strings.Contains(out, c.boot.AdminProjectID) {
		t.Errorf("member-list: %s", out)
	}
	run("member-delete", id, c.boot.AdminProjectID)
	run("image-deactivate", id)
	run("image-reactivate", id)
	saved := filepath.Join(c.dir, "saved")
	run("image-download", "--file", saved, id)
	if fi, err := os.Stat(saved); err != nil || fi.Size() != 300_000 {
		t.Errorf("image-download: %v, %v", fi, err)
	}
	if out = run("image-list", "--sort", "name:asc"); !strings.Contains(out, "| y ") || strings.Index(out, "| y ") > strings.Index(out, "| z ") {
		t.Errorf("image-list: %s", out)
	}
	if out, err := try("image-update", "--visibility", "public", id); err == nil || !strings.Contains(out, "403") {
		t.Errorf("image-update --visibility public by a member: %v %s", err, out)
	}
	run("image-delete", id)
	if out, err := try("image-show", id); err == nil || !strings.Contains(out, "No image found with ID "+id) {
		t.Errorf("image-show of a deleted image: %v %s", err, out)
	}
}

// TestTempest runs Tempest's tests of the Image API that need no more than this.
func TestTempest(t *testing.T) {
	tempest := program(t, "tempest")
	c := startCloud(t)
	w := filepath.Join(c.dir, "tempest")
	must(t, os.MkdirAll(w, 0o700))
	run := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = w
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "OS_") }), "HOME="+c.dir, "TEMPEST_CONFIG_DIR="+filepath.Join(w, "etc"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(tempest, "init", "."); err != nil {
		t.Skipf("needs tempest, whose init says: %v %s", err, out)
	}
	conf := strings.NewReplacer("URL", c.url, "PASSWORD", c.boot.AdminPassword, "DIR", w).Replace(`[DEFAULT]
log_file = tempest.log
[oslo_concurrency]
lock_path = DIR/lock
[auth]
use_dynamic_credentials = true
create_isolated_networks = false
admin_username = admin
admin_password = PASSWORD
admin_project_name = admin
admin_domain_name = Default
[identity]
uri_v3 = URL/identity/v3
auth_version = v3
region = RegionOne
[image]
region = RegionOne
# Random bytes are what the tests upload: only formats without a header can be here.
disk_formats = raw,ami,ari,aki
container_formats = bare,ami,ari,aki
build_timeout = 20
[image-feature-enabled]
api_v2 = true
api_v1 = false
import_image = true
os_glance_reserved = true
manage_locations = false
[service_available]
glance = true
nova = false
neutron = false
cinder = false
swift = false
`)
	must(t, os.WriteFile(filepath.Join(w, "etc", "tempest.conf"), []byte(conf), 0o600))
	out, err := run(tempest, "run", "--config-file", filepath.Join(w, "etc", "tempest.conf"), "--serial", "--regex", `tempest\.api\.image\.v2\.`)
	if err != nil {
		t.Errorf("tempest run: %v\n%s", err, out)
	}
	if i := strings.LastIndex(out, "Totals"); i >= 0 {
		t.Log(out[i:])
	}
}
