package nova_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	fakehypervisor "github.com/kamado/kamado/compute/hypervisor/fake"
	"github.com/kamado/kamado/compute/identity"
	fakenetwork "github.com/kamado/kamado/compute/network/fake"
	"github.com/kamado/kamado/compute/openstack/glance"
	"github.com/kamado/kamado/compute/openstack/keystone"
	"github.com/kamado/kamado/compute/openstack/neutron"
	"github.com/kamado/kamado/compute/openstack/nova"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/compute/store"
	blobfs "github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// cloud is a whole cloud with a hypervisor that runs nothing.
type cloud struct {
	t        testing.TB
	store    compute.Store
	control  *control.Controller
	boot     identity.Bootstrap
	url      string // of the origin
	identity *identity.Service

	admin, member, reader, foreign who
	image                          string
}

// who is somebody with a token.
type who struct {
	name    string
	token   string
	caller  compute.Caller
	project string
}

// bases gives control the images of the registry.
type bases struct{ *registry.Service }

func (b bases) Base(ctx context.Context, id string) (control.Base, error) {
	base, err := b.Service.Base(ctx, id)
	return control.Base(base), err
}

// tokens stands in for identity: a token is a name.
type tokens struct {
	known map[string]compute.Caller
	next  *identity.Service
}

func (a tokens) Authenticate(ctx context.Context, token string) (compute.Caller, error) {
	if c, ok := a.known[token]; ok {
		return c, nil
	}
	return a.next.Authenticate(ctx, token)
}

type consoles struct{}

func (consoles) ConsoleURL(_ context.Context, id, kind string) (string, error) {
	if kind != "novnc" {
		return "", compute.Errorf(compute.Unsupported, "none")
	}
	return "/console/vnc_lite.html?path=" + id, nil
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	ctx, dir, log := t.Context(), t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(ctx, filepath.Join(dir, "db", "compute.db"))
	must(err)
	st, err := store.Open(ctx, db)
	must(err)
	ids := identity.New(st, identity.Default(), log, time.Now)
	boot, err := ids.Bootstrap(ctx)
	must(err)
	must(os.Mkdir(filepath.Join(dir, "blobs"), 0o700))
	blobs, err := blobfs.Open(filepath.Join(dir, "blobs"))
	must(err)
	images := registry.New(st, blobs, filepath.Join(dir, "base"), registry.Default(), log)
	fab := fabric.New(st, fabric.DefaultConfig(), log, time.Now)
	must(fab.Bootstrap(ctx, boot.AdminProjectID, fabric.ExternalPool{CIDR: "172.24.4.0/24", Gateway: "172.24.4.1"}))
	ctl := control.New(control.Deps{Store: st, Engine: fakehypervisor.New(fakehypervisor.Default(filepath.Join(dir, "instances"))),
		Network: fakenetwork.New(), Fabric: fab, Images: bases{images}, HostID: "one", Dir: filepath.Join(dir, "scratch"), Log: log,
		Registerer: prometheus.NewRegistry(), Now: time.Now}, control.Default())
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan error, 1)
	go func() { ran <- ctl.Run(runCtx) }()
	c := &cloud{t: t, store: st, control: ctl, boot: boot, identity: ids}
	auth := c.people(ids)
	c.firstRows()
	mux := http.NewServeMux()
	mount := func(prefix string, h http.Handler) {
		mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
		mux.Handle(prefix, http.StripPrefix(prefix, h))
	}
	mount("/compute", nova.New(nova.Deps{Store: st, Control: ctl, Images: images, Networks: fab, Auth: auth, Log: log, Consoles: consoles{}}))
	mount("/image", glance.New(glance.Deps{Registry: images, Store: st, Auth: auth, Log: log}))
	mount("/network", neutron.New(neutron.Deps{Fabric: fab, Store: st, Auth: auth, Log: log}))
	mount("/identity", keystone.New(keystone.Deps{Identity: ids, Store: st, Log: log, Catalog: func(base string) []keystone.CatalogEntry {
		return []keystone.CatalogEntry{{Type: "identity", Name: "keystone", URL: base + "/identity"}, {Type: "compute", Name: "nova", URL: base + "/compute/v2.1"},
			{Type: "image", Name: "glance", URL: base + "/image"}, {Type: "network", Name: "neutron", URL: base + "/network"}}
	}}))
	srv := httptest.NewServer(mux)
	c.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		stop()
		<-ran
		_ = db.Close()
	})
	poll(t, "the controller is ready", func() bool { return ctl.Ready(ctx) == nil })
	c.uploadImage(images)
	return c
}

// people makes tokens for one of each role, and for a stranger.
func (c *cloud) people(ids *identity.Service) tokens {
	make := func(name, user, project string, roles ...string) who {
		return who{name: name, token: "token-" + name, project: project,
			caller: compute.Caller{UserID: user, UserName: name, ProjectID: project, ProjectName: name, Roles: roles}}
	}
	other := compute.NewHexID()
	c.admin = make("admin", c.boot.AdminUserID, c.boot.AdminProjectID, compute.RoleAdmin)
	c.member = make("member", c.boot.MemberUserID, c.boot.MemberProjectID, compute.RoleMember)
	c.reader = make("reader", compute.NewHexID(), c.boot.MemberProjectID, compute.RoleReader)
	c.foreign = make("foreign", compute.NewHexID(), other, compute.RoleMember)
	auth := tokens{known: map[string]compute.Caller{}, next: ids}
	for _, w := range []who{c.admin, c.member, c.reader, c.foreign} {
		auth.known[w.token] = w.caller
	}
	return auth
}

func (c *cloud) firstRows() {
	c.write(func(tx *compute.Tx) error {
		for _, f := range nova.DefaultFlavors() {
			if err := tx.Flavors.Insert(&f); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *cloud) write(fn func(tx *compute.Tx) error) {
	c.t.Helper()
	if err := c.store.Write(c.t.Context(), fn); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cloud) uploadImage(images *registry.Service) {
	m := &compute.MachineImage{Name: "tiny", Visibility: "public", DiskFormat: "raw", ContainerFormat: "bare"}
	if err := images.Create(c.t.Context(), c.admin.caller, m); err != nil {
		c.t.Fatal(err)
	}
	b := bytes.Repeat([]byte("kamado\n"), 8192)
	if _, err := images.Upload(c.t.Context(), m.ID, bytes.NewReader(b), int64(len(b))); err != nil {
		c.t.Fatal(err)
	}
	c.image = m.ID
}

// poll waits until something holds.
func poll(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		case <-tick.C:
		}
	}
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// ask sends a request as somebody. version "" is none.
func (c *cloud) ask(w who, version, method, path, body string) reply {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+"/compute"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", w.token)
	if version != "" {
		req.Header.Set("OpenStack-API-Version", "compute "+version)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(b)}
	_ = json.Unmarshal(b, &r.body)
	return r
}

// must is ask for an answer with a status.
func (c *cloud) must(status int, w who, version, method, path, body string) reply {
	c.t.Helper()
	r := c.ask(w, version, method, path, body)
	if r.status != status {
		c.t.Fatalf("%s %s %s as %s = %d %s, want %d", version, method, path, w.name, r.status, r.text, status)
	}
	return r
}

// at follows names into an answer's body.
func (r reply) at(path ...string) any {
	var v any = r.body
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// server makes a server and waits until it is ACTIVE.
func (c *cloud) server(w who, name string) string {
	c.t.Helper()
	r := c.must(202, w, "", "POST", "/v2.1/servers", `{"server":{"name":"`+name+`","imageRef":"`+c.image+`","flavorRef":"42"}}`)
	id, _ := r.at("server", "id").(string)
	c.becomes(w, id, "ACTIVE")
	return id
}

// becomes waits for a status without a task.
func (c *cloud) becomes(w who, id, status string) {
	c.t.Helper()
	last := ""
	poll(c.t, "server is "+status, func() bool {
		r := c.must(200, w, "", "GET", "/v2.1/servers/"+id, "")
		last, _ = r.at("server", "status").(string)
		if last == "ERROR" && status != "ERROR" {
			c.t.Fatalf("server in ERROR: %s", r.text)
		}
		return last == status && r.at("server", "OS-EXT-STS:task_state") == nil
	})
}

// act does an action and waits for a status.
func (c *cloud) act(w who, version, id, body string, code int, status string) reply {
	c.t.Helper()
	r := c.must(code, w, version, "POST", "/v2.1/servers/"+id+"/action", body)
	if status != "" {
		c.becomes(w, id, status)
	}
	return r
}
