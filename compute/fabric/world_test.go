package fabric_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// world is the rules over a database of their own, with two projects.
type world struct {
	*testing.T
	*fabric.Service
	store *store.Store
	ctx   context.Context
}

var (
	admin  = compute.Caller{UserID: "root", ProjectID: "admin-project", Roles: []string{compute.RoleAdmin}}
	member = compute.Caller{UserID: "hana", ProjectID: "mine", Roles: []string{compute.RoleMember}}
	other  = compute.Caller{UserID: "olga", ProjectID: "theirs", Roles: []string{compute.RoleMember}}
)

func newWorld(t *testing.T) *world {
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
	start := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	now := func() time.Time { // one second a call, so that the order of making shows
		mu.Lock()
		defer mu.Unlock()
		start = start.Add(time.Second)
		return start
	}
	s := fabric.New(st, fabric.DefaultConfig(), slog.New(slog.DiscardHandler), now)
	return &world{t, s, st, t.Context()}
}

// started is a world with the first networks.
func started(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.must(w.Bootstrap(w.ctx, admin.ProjectID, fabric.ExternalPool{CIDR: "172.24.4.0/24"}))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wants checks the kind and Neutron's name of an error.
func (w *world) wants(err error, kind compute.Kind, name string) {
	w.Helper()
	var e *compute.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Name != name {
		w.Errorf("error = %v (%v), want %s %s", err, compute.KindOf(err), kind, name)
	}
}

func (w *world) write(fn func(tx *compute.Tx) error) error {
	return w.store.Write(w.ctx, fn)
}

func (w *world) read(fn func(tx *compute.Tx) error) {
	w.Helper()
	w.must(w.store.Read(w.ctx, fn))
}

// network makes a network with a subnet, of which the bits may be changed.
func (w *world) network(who compute.Caller, cidr string, change ...func(*fabric.SubnetAttrs)) (*compute.Network, *compute.Subnet) {
	w.Helper()
	nets, err := w.CreateNetworks(w.ctx, who, []fabric.NetworkAttrs{{Name: fabric.Some("n")}})
	w.must(err)
	return nets[0], w.subnet(who, nets[0].ID, cidr, change...)
}

func (w *world) subnet(who compute.Caller, networkID, cidr string, change ...func(*fabric.SubnetAttrs)) *compute.Subnet {
	w.Helper()
	a := subnetOn(networkID, cidr)
	for _, f := range change {
		f(&a)
	}
	subs, err := w.CreateSubnets(w.ctx, who, []fabric.SubnetAttrs{a})
	w.must(err)
	return subs[0]
}

func subnetOn(networkID, cidr string) fabric.SubnetAttrs {
	version := 4
	for _, c := range cidr {
		if c == ':' {
			version = 6
		}
	}
	return fabric.SubnetAttrs{NetworkID: fabric.Some(networkID), CIDR: fabric.Some(cidr), IPVersion: fabric.Some(version)}
}

func (w *world) port(who compute.Caller, a fabric.PortAttrs) *compute.Port {
	w.Helper()
	ports, err := w.CreatePorts(w.ctx, who, []fabric.PortAttrs{a})
	w.must(err)
	return ports[0]
}

// instance makes an instance with ports in one write, as a controller does.
func (w *world) instance(who compute.Caller, name, host string, wants []fabric.Want, groups ...string) (*compute.Instance, error) {
	inst := &compute.Instance{ID: compute.NewID(), Name: name, Hostname: name, ProjectID: who.ProjectID, UserID: who.UserID, VM: compute.VMActive, HostID: host}
	blank := *inst
	err := w.write(func(tx *compute.Tx) error {
		*inst = blank
		if err := w.Plug(tx, who, inst, wants, groups, host); err != nil {
			return err
		}
		return tx.Instances.Insert(inst)
	})
	return inst, err
}

// stored is the instance as the store has it.
func (w *world) stored(id string) *compute.Instance {
	w.Helper()
	var inst *compute.Instance
	w.read(func(tx *compute.Tx) (err error) { inst, err = tx.Instances.Get(id); return err })
	return inst
}

func (w *world) used(project string, r compute.Resource) int {
	w.Helper()
	var n int
	w.read(func(tx *compute.Tx) (err error) { n, err = tx.Used(project, r); return err })
	return n
}

// first gives the network of a name.
func (w *world) first(name string) *compute.Network {
	w.Helper()
	var n *compute.Network
	w.read(func(tx *compute.Tx) error {
		list, err := tx.Networks.List(compute.Query{Where: compute.Where{"name": name}})
		if err == nil {
			n = list[0]
		}
		return err
	})
	return n
}

func (w *world) state(host string) network.State {
	w.Helper()
	var st network.State
	w.read(func(tx *compute.Tx) (err error) { st, err = w.State(tx, host); return err })
	return st
}
