package nova_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/openstack/nova"

	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var goldenTime = time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC)

// still is a Control in which nothing moves.
type still struct {
	*control.Controller
	row *compute.Instance
}

func (still) HostUp(string) (bool, time.Time) { return true, goldenTime }

func (s still) Update(_ context.Context, _ compute.Caller, _ string, q control.UpdateRequest) (*compute.Instance, error) {
	row := *s.row
	if q.Name != nil {
		row.Name = *q.Name
	}
	return &row, nil
}

func (s still) Rebuild(context.Context, compute.Caller, string, control.RebuildRequest) (*compute.Instance, error) {
	row := *s.row
	row.Task, row.AdminPass = compute.TaskRebuilding, "rebuilt"
	return &row, nil
}

func (s still) Snapshot(context.Context, compute.Caller, string, string, map[string]string) (string, error) {
	return "99999999-8888-4777-8666-555555555555", nil
}

func (s still) Create(context.Context, compute.Caller, control.CreateRequest) ([]*compute.Instance, error) {
	row := *s.row
	row.AdminPass = "made"
	return []*compute.Instance{&row}, nil
}

func (still) Diagnostics(context.Context, compute.Caller, string) (hypervisor.Diagnostics, error) {
	return hypervisor.Diagnostics{State: hypervisor.Running, Uptime: time.Hour, CPU: []time.Duration{time.Second}, MemoryMiB: 512, RSSBytes: 64 << 20,
		Disks: []hypervisor.DiskStats{{ReadBytes: 1, ReadRequests: 2, WriteBytes: 3, WriteRequests: 4}},
		NICs:  []hypervisor.NICStats{{MAC: "fa:16:3e:00:00:01", RXBytes: 5, RXPackets: 6, TXBytes: 7, TXPackets: 8}}}, nil
}

func goldenRow() *compute.Instance {
	row := crowdRow(7, goldenTime)
	row.Created, row.Updated, row.Launched = goldenTime, goldenTime, goldenTime
	row.ImageProps, row.UserData, row.HostID, row.GroupID = map[string]string{"kernel_id": "k"}, "IyEvYmluL3No", "one", "22222222-2222-4222-8222-222222222222"
	row.Flavor.Extra = map[string]string{"hw:cpu_policy": "shared"}
	row.Locked, row.LockedReason, row.Description, row.ConfigDrive = true, "being baked", "a loaf", true
	row.Name = "brot & \"käse\""
	row.Addresses = append(row.Addresses, compute.InstanceAddress{Network: "default", IP: "172.24.4.9", Version: 4, MAC: "fa:16:3e:00:00:01", Type: "floating"},
		compute.InstanceAddress{Network: "inner", IP: "fd00::9", Version: 6, MAC: "fa:16:3e:00:00:02", Type: "fixed"})
	return row
}

// plainAPI is the dialect over a store with the rows that fill makes.
func plainAPI(t testing.TB, ctl nova.Control, fill func(tx *compute.Tx) error) http.Handler {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	db, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	st, err := store.Open(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Write(ctx, fill); err != nil {
		t.Fatal(err)
	}
	auth := tokens{known: map[string]compute.Caller{"m": {UserID: "u", ProjectID: benchProject, Roles: []string{compute.RoleMember}},
		"a": {UserID: "a", ProjectID: benchProject, Roles: []string{compute.RoleAdmin}}}}
	return nova.New(nova.Deps{Store: st, Control: ctl, Auth: auth, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return goldenTime }, Public: "https://cloud.example"})
}

func goldenFill(row *compute.Instance) func(tx *compute.Tx) error {
	return func(tx *compute.Tx) error {
		for _, f := range nova.DefaultFlavors() {
			f.Created = goldenTime
			if err := tx.Flavors.Insert(&f); err != nil {
				return err
			}
		}
		host := &compute.Host{ID: "one", Hypervisor: "QEMU", HypervisorVersion: 7002000, Address: "10.0.0.1", Zone: "nova", VCPUs: 8, MemoryMiB: 16384,
			DiskGiB: 100, CPUModel: "EPYC", VCPUsUsed: 1, MemoryUsed: 512, DiskUsed: 1, Instances: 1, Created: goldenTime, Heartbeat: goldenTime,
			Started: goldenTime.Add(-26 * time.Hour)}
		action := &compute.Action{ID: "x", InstanceID: row.ID, RequestID: "req-1", Name: "create", UserID: "u", ProjectID: benchProject, Started: goldenTime,
			Updated: goldenTime, Events: []compute.ActionEvent{{Name: "compute__do_build_and_run_instance", Result: "Success", Host: "one", Started: goldenTime, Finished: goldenTime}}}
		return firstError(tx.Hosts.Insert(host), tx.Instances.Insert(row), tx.Actions.Insert(action),
			tx.Keypairs.Insert(&compute.Keypair{ID: compute.KeypairID("u", "key"), UserID: "u", Name: "key", Type: "ssh", PublicKey: "ssh-ed25519 AAAA", Fingerprint: "aa:bb", Created: goldenTime}),
			tx.ServerGroups.Insert(&compute.ServerGroup{ID: row.GroupID, Name: "g", ProjectID: benchProject, UserID: "u", Policy: "anti-affinity", MaxPerHost: 2, Members: []string{row.ID}}),
			tx.Aggregates.Insert(&compute.Aggregate{ID: "1", UUID: "33333333-3333-4333-8333-333333333333", Name: "fast", Zone: "nova", Hosts: []string{"one"}, Created: goldenTime}),
			tx.Migrations.Insert(&compute.Migration{ID: "1", UUID: "44444444-4444-4444-8444-444444444444", InstanceID: row.ID, UserID: "u", ProjectID: benchProject, Type: "resize", Status: "confirmed", SourceHost: "one", DestHost: "one", OldFlavor: "1", NewFlavor: "2", Created: goldenTime, Updated: goldenTime}))
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// goldenCalls are calls whose answers changed with microversions: one of each
// shape.
func goldenCalls(id string) []struct{ file, versions, token, method, path, body string } {
	servers := "2.1 2.3 2.9 2.16 2.19 2.26 2.47 2.63 2.71 2.73 2.75 2.90 2.95"
	return []struct{ file, versions, token, method, path, body string }{
		{"server", servers, "m", "GET", "/servers/" + id, ""},
		{"server", servers, "a", "GET", "/servers/" + id, ""},
		{"server", "2.1 2.47 2.71 2.95", "m", "GET", "/servers/detail", ""},
		{"server", "2.1", "m", "GET", "/servers?limit=1", ""},
		{"change", "2.1 2.9 2.19 2.26 2.47 2.71 2.75", "m", "PUT", "/servers/" + id, `{"server":{"name":"new"}}`},
		{"change", "2.1 2.54 2.57 2.63 2.75", "m", "POST", "/servers/" + id + "/action", `{"rebuild":{"imageRef":"11111111-2222-4333-8444-555555555555"}}`},
		{"change", "2.1 2.45", "m", "POST", "/servers/" + id + "/action", `{"createImage":{"name":"i"}}`},
		{"change", "2.1", "m", "POST", "/servers", `{"server":{"name":"n","imageRef":"11111111-2222-4333-8444-555555555555","flavorRef":"1"}}`},
		{"change", "2.1", "m", "POST", "/servers", `{"server":{"name":"n","imageRef":"11111111-2222-4333-8444-555555555555","flavorRef":"1","return_reservation_id":true}}`},
		{"part", "2.1 2.21 2.58", "m", "GET", "/servers/" + id + "/os-instance-actions", ""},
		{"part", "2.1 2.51 2.58 2.62 2.84", "m", "GET", "/servers/" + id + "/os-instance-actions/req-1", ""},
		{"part", "2.1 2.84", "a", "GET", "/servers/" + id + "/os-instance-actions/req-1", ""},
		{"part", "2.1 2.48", "a", "GET", "/servers/" + id + "/diagnostics", ""},
		{"part", "2.1", "m", "GET", "/servers/" + id + "/ips", ""},
		{"part", "2.1", "m", "GET", "/servers/" + id + "/ips/inner", ""},
		{"flavor", "2.1 2.55 2.61 2.75", "m", "GET", "/flavors/1", ""},
		{"flavor", "2.1 2.55", "m", "GET", "/flavors?limit=2", ""},
		{"keypair", "2.1 2.2", "m", "GET", "/os-keypairs", ""},
		{"keypair", "2.1 2.2", "m", "GET", "/os-keypairs/key", ""},
		{"quota", "2.1 2.36 2.57", "m", "GET", "/os-quota-sets/" + benchProject, ""},
		{"quota", "2.1 2.57", "m", "GET", "/os-quota-sets/" + benchProject + "/detail", ""},
		{"quota", "2.1 2.50 2.57", "a", "GET", "/os-quota-class-sets/default", ""},
		{"quota", "2.1 2.36 2.39 2.57", "m", "GET", "/limits", ""},
		{"host", "2.1 2.11 2.53", "a", "GET", "/os-services", ""},
		{"host", "2.1 2.53", "a", "GET", "/os-hypervisors", ""},
		{"host", "2.1 2.28 2.53 2.88", "a", "GET", "/os-hypervisors/detail", ""},
		{"host", "2.1", "a", "GET", "/os-hypervisors/statistics", ""},
		{"host", "2.1", "a", "GET", "/os-hosts", ""},
		{"host", "2.1 2.41", "a", "GET", "/os-aggregates", ""},
		{"host", "2.1 2.23 2.59 2.80", "a", "GET", "/os-migrations", ""},
		{"host", "2.1", "m", "GET", "/os-availability-zone", ""},
		{"host", "2.1", "a", "GET", "/os-availability-zone/detail", ""},
		{"group", "2.1 2.13 2.64", "m", "GET", "/os-server-groups", ""},
		{"version", "", "", "GET", "../", ""},
		{"version", "", "", "GET", "", ""},
	}
}

// TestBodies compares every answer with the committed one: a change of shape is
// seen in the diff. Rewrite with: go test -run Bodies -update
func TestBodies(t *testing.T) {
	t.Parallel()
	row := goldenRow()
	h := plainAPI(t, still{row: row}, goldenFill(row))
	got := map[string]*bytes.Buffer{}
	var files []string
	for _, c := range goldenCalls(row.ID) {
		if got[c.file] == nil {
			got[c.file] = &bytes.Buffer{}
			files = append(files, c.file)
		}
		versions := strings.Fields(c.versions)
		if len(versions) == 0 {
			versions = []string{""}
		}
		for _, v := range versions {
			r := httptest.NewRequest(c.method, strings.Replace("/v2.1"+c.path, "/v2.1../", "/", 1), strings.NewReader(c.body))
			r.Header.Set("X-Auth-Token", c.token)
			if v != "" {
				r.Header.Set("X-OpenStack-Nova-API-Version", v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			fmt.Fprintf(got[c.file], "# %s %s %s %s %s\n%d %s\n%s\n\n", v, c.token, c.method, c.path, c.body, w.Code, w.Header().Get("Location"), indented(w.Body.Bytes()))
		}
	}
	for _, file := range files {
		name := filepath.Join("testdata", file+".golden")
		if *update {
			if err := os.WriteFile(name, got[file].Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got[file].Bytes()) {
			t.Errorf("%s differs: %s", name, firstDifference(string(want), got[file].String()))
		}
	}
}

func indented(b []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, b, "", " ") != nil {
		return string(b)
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	call := ""
	for i := range min(len(w), len(g)) {
		if strings.HasPrefix(w[i], "# ") {
			call = w[i]
		}
		if w[i] != g[i] {
			return fmt.Sprintf("in %s, line %d: got %s, want %s", call, i+1, g[i], w[i])
		}
	}
	return "one ends before the other"
}
