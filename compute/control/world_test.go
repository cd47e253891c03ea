package control_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/fake"
	netfake "github.com/kamado/kamado/compute/network/fake"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/compute/store"
	blobfs "github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// world is all parts of a server but its protocols: the real store, networks and
// images, and engines that run nothing. Its controller can be killed and started
// again.
type world struct {
	t      testing.TB
	dir    string
	store  compute.Store
	engine *fake.Engine
	net    *netfake.Engine
	fabric *fabric.Service
	images *registry.Service
	cfg    control.Config
	deps   func(*control.Deps) // changes what the next controller gets; may be nil
	fail   func(ctx context.Context, verb, id string) error
	room   fake.Config // size of the host

	c    *control.Controller
	stop func()

	who, other, admin compute.Caller
	image             string
}

// nobodyWaits makes waits short: nothing in these tests takes long.
func newWorld(t testing.TB, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), cfg: control.Default(), net: netfake.New(),
		who:   compute.Caller{UserID: "alice", ProjectID: "p1", Roles: []string{"member", "reader"}},
		other: compute.Caller{UserID: "mallory", ProjectID: "p2", Roles: []string{"member", "reader"}},
		admin: compute.Caller{UserID: "root", ProjectID: "adm", Roles: []string{"admin"}},
	}
	w.cfg.RecoveryDelay = 10 * time.Millisecond
	if change != nil {
		change(w)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(w.dir, "db", "compute.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if w.store, err = store.Open(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	w.must(os.MkdirAll(filepath.Join(w.dir, "blobs"), 0o700))
	blobs, err := blobfs.Open(filepath.Join(w.dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	w.images = registry.New(w.store, blobs, filepath.Join(w.dir, "images"), registry.Default(), log)
	fcfg := fabric.DefaultConfig()
	fcfg.FixedRange = "10.20.0.0/16"
	w.fabric = fabric.New(w.store, fcfg, log, time.Now)
	w.must(w.fabric.Bootstrap(t.Context(), "p1", fabric.ExternalPool{CIDR: "172.24.4.0/24"}))
	w.write(func(tx *compute.Tx) error {
		for _, f := range []*compute.Flavor{
			{ID: "1", Name: "m1.tiny", VCPUs: 1, MemoryMiB: 512, DiskGiB: 1, Public: true},
			{ID: "2", Name: "m1.small", VCPUs: 2, MemoryMiB: 2048, DiskGiB: 2, Public: true},
			{ID: "huge", Name: "huge", VCPUs: 1000, MemoryMiB: 512, DiskGiB: 2, Public: true},
			{ID: "secret", Name: "secret", VCPUs: 1, MemoryMiB: 512, DiskGiB: 1},
		} {
			if err := tx.Flavors.Insert(f); err != nil {
				return err
			}
		}
		return tx.Keypairs.Insert(&compute.Keypair{ID: compute.KeypairID("alice", "key"), UserID: "alice", Name: "key", PublicKey: "ssh-ed25519 AAAA"})
	})
	w.image = w.newImage(map[string]string{"os_type": "linux"})
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(fn func(*compute.Tx) error) {
	w.t.Helper()
	w.must(w.store.Write(context.Background(), fn))
}

func (w *world) read(fn func(*compute.Tx) error) {
	w.t.Helper()
	w.must(w.store.Read(context.Background(), fn))
}

// newImage makes a public raw image of 1 MiB.
func (w *world) newImage(props map[string]string) string {
	w.t.Helper()
	m := &compute.MachineImage{Name: "tiny", Visibility: "public", DiskFormat: "raw", ContainerFormat: "bare", MinRAM: 96, Properties: props}
	w.must(w.images.Create(w.t.Context(), w.admin, m))
	_, err := w.images.Upload(w.t.Context(), m.ID, bytes.NewReader(make([]byte, 1<<20)), 1<<20)
	w.must(err)
	return m.ID
}

// start starts a controller, as a new process would: with a new engine on the
// same directory.
func (w *world) start() {
	w.t.Helper()
	w.room.Dir = filepath.Join(w.dir, "instances")
	w.room.Fail = func(ctx context.Context, verb, id string) error {
		if w.fail == nil {
			return nil
		}
		return w.fail(ctx, verb, id)
	}
	w.engine = fake.New(w.room)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(testWriter{w.t}, nil))
	}
	deps := control.Deps{Store: w.store, Engine: w.engine, Network: w.net, Fabric: w.fabric, Images: w.images, HostID: "host-a",
		Dir: filepath.Join(w.dir, "scratch"), Log: log}
	if w.deps != nil {
		w.deps(&deps)
	}
	w.c = control.New(deps, w.cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	c := w.c
	go func() { done <- c.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
	w.until("the controller is ready", func() bool { return c.Ready(context.Background()) == nil })
}

// restart kills the controller and starts another. A job that runs is cut.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

// until waits for a condition.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *world) get(id string) *compute.Instance {
	w.t.Helper()
	var row *compute.Instance
	w.read(func(tx *compute.Tx) (err error) {
		row, err = tx.Instances.Get(id)
		return err
	})
	return row
}

// settled waits until nothing is being done to an instance and gives it.
func (w *world) settled(id string) *compute.Instance {
	w.t.Helper()
	var row *compute.Instance
	w.until("nothing is being done to the instance", func() bool {
		row = w.get(id)
		return row.Task == compute.TaskNone
	})
	return row
}

// become waits until an instance has a status.
func (w *world) become(id, status string) *compute.Instance {
	w.t.Helper()
	row := w.settled(id)
	if row.Status() != status {
		w.t.Fatalf("instance is %s (%s/%s, fault %+v), want %s", row.Status(), row.VM, row.Task, row.Fault, status)
	}
	return row
}

func (w *world) request() control.CreateRequest {
	return control.CreateRequest{Name: "web", FlavorID: "1", ImageID: w.image}
}

// create makes one active instance.
func (w *world) create() *compute.Instance {
	w.t.Helper()
	made, err := w.c.Create(w.t.Context(), w.who, w.request())
	w.must(err)
	return w.become(made[0].ID, "ACTIVE")
}

// domain gives the state of an instance's domain, "" when there is none.
func (w *world) domain(id string) hypervisor.State {
	w.t.Helper()
	list, err := w.engine.List(context.Background())
	w.must(err)
	for _, d := range list {
		if d.ID == id {
			return d.State
		}
	}
	return ""
}

func (w *world) used(project string, r compute.Resource) int {
	w.t.Helper()
	n := 0
	w.read(func(tx *compute.Tx) (err error) {
		n, err = tx.Used(project, r)
		return err
	})
	return n
}

func (w *world) limit(project string, r compute.Resource, n int) {
	w.t.Helper()
	w.write(func(tx *compute.Tx) error {
		return tx.Quotas.Insert(&compute.Quota{ID: compute.QuotaID(project, r), ProjectID: project, Resource: r, Limit: n})
	})
}

func (w *world) unlimited(project string) {
	w.t.Helper()
	for _, r := range []compute.Resource{compute.QuotaInstances, compute.QuotaCores, compute.QuotaRAM, compute.QuotaPorts} {
		w.limit(project, r, compute.Unlimited)
	}
}

func (w *world) host(id string) *compute.Host {
	w.t.Helper()
	var row *compute.Host
	w.read(func(tx *compute.Tx) (err error) {
		row, err = tx.Hosts.Get(id)
		return err
	})
	return row
}

func wantKind(t testing.TB, err error, kind compute.Kind) {
	t.Helper()
	if !compute.IsKind(err, kind) {
		t.Fatalf("error %v is of kind %v, want %v", err, compute.KindOf(err), kind)
	}
}
