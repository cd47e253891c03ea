package control_test

import (
	"context"
	"sync"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
)

func TestCreate(t *testing.T) {
	w := newWorld(t, nil)
	q := w.request()
	q.KeyName, q.Metadata = "key", map[string]string{"a": "b"}
	made, err := w.c.Create(t.Context(), w.who, q)
	w.must(err)
	if got := made[0]; got.Status() != "BUILD" || got.AdminPass == "" || got.HostID != "host-a" {
		t.Errorf("answer = %s, password %q, host %q", got.Status(), got.AdminPass, got.HostID)
	}
	row := w.become(made[0].ID, "ACTIVE")
	if row.Launched.IsZero() || row.Power != compute.PowerRunning || row.Hostname != "web" || row.PublicKey == "" || row.Zone != "nova" {
		t.Errorf("row = %+v", row)
	}
	if len(row.Ports) != 1 || len(row.Addresses) != 1 {
		t.Errorf("ports %v, addresses %v", row.Ports, row.Addresses)
	}
	if got := w.domain(row.ID); got != hypervisor.Running {
		t.Errorf("domain is %q", got)
	}
	if h := w.host("host-a"); h.VCPUsUsed != 1 || h.MemoryUsed != 512 || h.DiskUsed != 1 || h.Instances != 1 {
		t.Errorf("host = %+v", h)
	}
	var actions []*compute.Action
	w.read(func(tx *compute.Tx) (err error) {
		actions, err = tx.Actions.List(compute.Query{Where: compute.Where{"instance_id": row.ID}})
		return err
	})
	if len(actions) != 1 || actions[0].Name != "create" || actions[0].Events[0].Result != "Success" {
		t.Errorf("actions = %+v", actions)
	}
	w.until("the network engine is told", func() bool { return len(w.net.State().Ports) == 1 })
}

func TestDeleteFreesEverything(t *testing.T) {
	w := newWorld(t, nil)
	ports := w.used("p1", compute.QuotaPorts)
	row := w.create()
	w.must(w.c.Delete(t.Context(), w.who, row.ID))
	gone := w.become(row.ID, "DELETED")
	if gone.Deleted.IsZero() || gone.AdminPass != "" {
		t.Errorf("row = %+v", gone)
	}
	if d := w.domain(row.ID); d != "" {
		t.Errorf("domain is %q", d)
	}
	for r, want := range map[compute.Resource]int{compute.QuotaInstances: 0, compute.QuotaCores: 0, compute.QuotaRAM: 0, compute.QuotaPorts: ports} {
		if n := w.used("p1", r); n != want {
			t.Errorf("%d %s are held, want %d", n, r, want)
		}
	}
	if h := w.host("host-a"); h.VCPUsUsed != 0 || h.MemoryUsed != 0 || h.DiskUsed != 0 || h.Instances != 0 {
		t.Errorf("host = %+v", h)
	}
	wantKind(t, w.c.Delete(t.Context(), w.who, row.ID), compute.NotFound)
	wantKind(t, w.c.Start(t.Context(), w.who, row.ID), compute.NotFound)
}

// TestVerbs walks the verbs that only turn a guest on and off.
func TestVerbs(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	ctx := t.Context()
	for _, step := range []struct {
		name   string
		do     func() error
		status string
		power  compute.PowerState
		domain hypervisor.State
	}{
		{"soft reboot", func() error { return w.c.Reboot(ctx, w.who, id, false) }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
		{"hard reboot", func() error { return w.c.Reboot(ctx, w.who, id, true) }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
		{"pause", func() error { return w.c.Pause(ctx, w.who, id) }, "PAUSED", compute.PowerPaused, hypervisor.Paused},
		{"unpause", func() error { return w.c.Unpause(ctx, w.who, id) }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
		{"suspend", func() error { return w.c.Suspend(ctx, w.who, id) }, "SUSPENDED", compute.PowerShutdown, hypervisor.Suspended},
		{"resume", func() error { return w.c.Resume(ctx, w.who, id) }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
		{"stop", func() error { return w.c.Stop(ctx, w.who, id) }, "SHUTOFF", compute.PowerShutdown, hypervisor.Off},
		{"start", func() error { return w.c.Start(ctx, w.who, id) }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
		{"stop again", func() error { return w.c.Stop(ctx, w.who, id) }, "SHUTOFF", compute.PowerShutdown, hypervisor.Off},
		{"hard reboot of one that is off", func() error { return w.c.Reboot(ctx, w.who, id, true) }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
		{"rescue", func() error { _, err := w.c.Rescue(ctx, w.who, id, "", ""); return err }, "RESCUE", compute.PowerRunning, hypervisor.Running},
		{"unrescue", func() error { return w.c.Unrescue(ctx, w.who, id) }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
		{"error by an administrator", func() error { return w.c.ResetState(ctx, w.admin, id, "error") }, "ERROR", compute.PowerRunning, hypervisor.Running},
		{"rebuild from error", func() error { _, err := w.c.Rebuild(ctx, w.who, id, control.RebuildRequest{}); return err }, "ACTIVE", compute.PowerRunning, hypervisor.Running},
	} {
		w.must(step.do())
		row := w.become(id, step.status)
		if row.Power != step.power || w.domain(id) != step.domain {
			t.Errorf("after %s: power %d, domain %s; want %d, %s", step.name, row.Power, w.domain(id), step.power, step.domain)
		}
	}
}

func TestResize(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	id := w.create().ID
	check := func(when string, status string, cores, ram, hostCores int, flavor string) {
		t.Helper()
		row := w.become(id, status)
		if c, r, h := w.used("p1", compute.QuotaCores), w.used("p1", compute.QuotaRAM), w.host("host-a").VCPUsUsed; c != cores || r != ram || h != hostCores || row.Flavor.ID != flavor {
			t.Errorf("%s: quota %d cores %d MiB, host %d cores, flavor %s; want %d, %d, %d, %s", when, c, r, h, row.Flavor.ID, cores, ram, hostCores, flavor)
		}
	}
	w.must(w.c.Resize(ctx, w.who, id, "2", ""))
	check("resized", "VERIFY_RESIZE", 2, 2048, 2, "2")
	w.must(w.c.RevertResize(ctx, w.who, id))
	check("reverted", "ACTIVE", 1, 512, 1, "1")
	w.must(w.c.Resize(ctx, w.who, id, "2", ""))
	check("resized again", "VERIFY_RESIZE", 2, 2048, 2, "2")
	w.must(w.c.ConfirmResize(ctx, w.who, id))
	check("confirmed", "ACTIVE", 2, 2048, 2, "2")
	wantKind(t, w.c.Resize(ctx, w.who, id, "2", ""), compute.Invalid)
	wantKind(t, w.c.Resize(ctx, w.who, id, "1", ""), compute.Invalid) // a smaller disk
	wantKind(t, w.c.Resize(ctx, w.who, id, "secret", ""), compute.Invalid)
	var list []*compute.Migration
	w.read(func(tx *compute.Tx) (err error) {
		list, err = tx.Migrations.List(compute.Query{Order: "created"})
		return err
	})
	if len(list) != 2 || list[0].Status != "reverted" || list[1].Status != "confirmed" {
		t.Errorf("migrations = %+v", list)
	}
	w.must(w.c.Stop(ctx, w.who, id))
	w.become(id, "SHUTOFF")
}

// TestResizeStopped: an instance that is off stays off.
func TestResizeStopped(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	id := w.create().ID
	w.must(w.c.Stop(ctx, w.who, id))
	w.become(id, "SHUTOFF")
	w.must(w.c.Resize(ctx, w.who, id, "2", ""))
	w.become(id, "VERIFY_RESIZE")
	w.must(w.c.ConfirmResize(ctx, w.who, id))
	w.become(id, "SHUTOFF")
	if d := w.domain(id); d != hypervisor.Off {
		t.Errorf("domain is %s", d)
	}
}

func TestSnapshot(t *testing.T) {
	w := newWorld(t, nil)
	row := w.create()
	image, err := w.c.Snapshot(t.Context(), w.who, row.ID, "copy", map[string]string{"mine": "yes"})
	w.must(err)
	w.become(row.ID, "ACTIVE")
	m, err := w.images.Get(t.Context(), w.who, image)
	w.must(err)
	if m.Status != compute.ImageActive || m.DiskFormat != "qcow2" || m.ProjectID != "p1" || m.MinRAM != 96 {
		t.Errorf("image = %+v", m)
	}
	for k, v := range map[string]string{"mine": "yes", "os_type": "linux", "image_type": "snapshot", "instance_uuid": row.ID, "base_image_ref": w.image} {
		if m.Properties[k] != v {
			t.Errorf("property %s = %q, want %q", k, m.Properties[k], v)
		}
	}
	q := w.request()
	q.ImageID = image
	made, err := w.c.Create(t.Context(), w.who, q)
	w.must(err)
	w.become(made[0].ID, "ACTIVE")
}

func TestBackupRotates(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	var images []string
	for range 3 {
		image, err := w.c.Backup(t.Context(), w.who, id, "nightly", "daily", 2, nil)
		w.must(err)
		w.become(id, "ACTIVE")
		images = append(images, image)
	}
	for i, image := range images {
		_, err := w.images.Get(t.Context(), w.who, image)
		if there := err == nil; there != (i > 0) {
			t.Errorf("backup %d is there: %v", i, there)
		}
	}
}

func TestShelve(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	id := w.create().ID
	w.must(w.c.Shelve(ctx, w.who, id))
	row := w.become(id, "SHELVED_OFFLOADED")
	if h := w.host("host-a"); h.Instances != 0 || row.HostID != "" || w.domain(id) != "" {
		t.Errorf("the host still has it: %+v", h)
	}
	w.must(w.c.Unshelve(ctx, w.who, id, ""))
	row = w.become(id, "ACTIVE")
	if h := w.host("host-a"); h.Instances != 1 || h.VCPUsUsed != 1 || row.HostID != "host-a" || w.domain(id) != hypervisor.Running {
		t.Errorf("the host does not have it: %+v", h)
	}
	w.until("the image is deleted", func() bool {
		_, err := w.images.Get(ctx, w.who, row.ShelvedImageID)
		return compute.IsKind(err, compute.NotFound)
	})
	w.must(w.c.Shelve(ctx, w.who, id))
	w.become(id, "SHELVED_OFFLOADED")
	w.must(w.c.Delete(ctx, w.who, id))
	w.become(id, "DELETED")
	if n := w.used("p1", compute.QuotaInstances); n != 0 {
		t.Errorf("%d instances are charged", n)
	}
}

// lateImages deletes an instance before the image of its snapshot is registered.
type lateImages struct {
	control.Images
	before func()
}

func (l *lateImages) Create(ctx context.Context, who compute.Caller, m *compute.MachineImage) error {
	l.before()
	return l.Images.Create(ctx, who, m)
}

// TestDeleteWhileAnImageIsMade deletes an instance at several points of a task
// that makes an image of it: no image is left of which nobody knows.
func TestDeleteWhileAnImageIsMade(t *testing.T) {
	verbs := map[string]func(*world, string) error{
		"shelve": func(w *world, id string) error { return w.c.Shelve(t.Context(), w.who, id) },
		"snapshot": func(w *world, id string) error {
			_, err := w.c.Snapshot(t.Context(), w.who, id, "snap", nil)
			return err
		},
	}
	for name, begin := range verbs {
		for _, point := range []string{"before the image is there", "while the disk is copied", "when the disk goes"} {
			if name == "snapshot" && point == "when the disk goes" {
				continue
			}
			t.Run(name+" "+point, func(t *testing.T) {
				w := newWorld(t, nil)
				id, once := "", sync.Once{}
				remove := func() { once.Do(func() { w.must(w.c.Delete(context.Background(), w.who, id)) }) }
				late := &lateImages{before: func() {}}
				w.deps = func(d *control.Deps) { late.Images, d.Images = d.Images, late }
				w.restart()
				id = w.create().ID
				switch point {
				case "before the image is there":
					late.before = func() { remove(); w.become(id, "DELETED") }
				default:
					at := map[string]string{"while the disk is copied": "snapshot", "when the disk goes": "destroy"}[point]
					w.fail = func(_ context.Context, verb, _ string) error {
						if verb == at {
							remove()
						}
						return nil
					}
				}
				if err := begin(w, id); err != nil && !compute.IsKind(err, compute.Conflict) {
					t.Error(err)
				}
				w.become(id, "DELETED")
				w.until("no image is left", func() bool {
					left := 0
					w.read(func(tx *compute.Tx) error {
						list, err := tx.MachineImages.List(compute.Query{Where: compute.Where{"project_id": "p1"}})
						left = len(list)
						return err
					})
					return left == 0
				})
			})
		}
	}
}

func TestRebuild(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	id := w.create().ID
	image, name := w.newImage(map[string]string{"os_type": "other"}), "new"
	row, err := w.c.Rebuild(ctx, w.who, id, control.RebuildRequest{ImageID: image, Name: &name, AdminPass: "geheim", Metadata: map[string]string{"x": "y"}})
	w.must(err)
	if row.Status() != "REBUILD" || row.AdminPass != "geheim" {
		t.Errorf("answer = %s, %q", row.Status(), row.AdminPass)
	}
	row = w.become(id, "ACTIVE")
	if row.Name != "new" || row.ImageID != image || row.ImageProps["os_type"] != "other" || row.Metadata["x"] != "y" {
		t.Errorf("row = %+v", row)
	}
	w.must(w.c.Stop(ctx, w.who, id))
	w.become(id, "SHUTOFF")
	_, err = w.c.Rebuild(ctx, w.who, id, control.RebuildRequest{})
	w.must(err)
	w.become(id, "SHUTOFF")
}

func TestInterfaces(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	row := w.create()
	var network string
	w.read(func(tx *compute.Tx) error {
		p, err := tx.Ports.Get(row.Ports[0])
		network = p.NetworkID
		return err
	})
	port, err := w.c.AttachInterface(ctx, w.who, row.ID, fabric.Want{NetworkID: network})
	w.must(err)
	if got := w.get(row.ID); len(got.Ports) != 2 || len(got.Addresses) != 2 {
		t.Errorf("ports %v, addresses %v", got.Ports, got.Addresses)
	}
	w.must(w.c.DetachInterface(ctx, w.who, row.ID, port.ID))
	if got := w.get(row.ID); len(got.Ports) != 1 || len(got.Addresses) != 1 {
		t.Errorf("ports %v, addresses %v", got.Ports, got.Addresses)
	}
	wantKind(t, w.c.DetachInterface(ctx, w.who, row.ID, port.ID), compute.NotFound)
}

func TestPassword(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	w.must(w.c.SetPassword(t.Context(), w.who, id, "geheim"))
	w.become(id, "ACTIVE")
}

func TestForeignIsAbsent(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	ctx := t.Context()
	for name, err := range map[string]error{
		"start": w.c.Start(ctx, w.other, id), "stop": w.c.Stop(ctx, w.other, id), "delete": w.c.Delete(ctx, w.other, id),
		"lock": w.c.Lock(ctx, w.other, id, ""), "reset": w.c.ResetState(ctx, w.other, id, "error"),
		"password": w.c.SetPassword(ctx, w.other, id, "x"), "console": w.c.MayConsole(ctx, w.other, id),
		"detach": w.c.DetachInterface(ctx, w.other, id, "x"), "shelve": w.c.Shelve(ctx, w.other, id),
	} {
		absent := w.c.Start(ctx, w.other, compute.NewID())
		if !compute.IsKind(err, compute.NotFound) || !compute.IsKind(absent, compute.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLock(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	id := w.create().ID
	w.must(w.c.Lock(ctx, w.who, id, "because"))
	wantKind(t, w.c.Stop(ctx, w.who, id), compute.Conflict)
	wantKind(t, w.c.Delete(ctx, w.who, id), compute.Conflict)
	w.must(w.c.Stop(ctx, w.admin, id))
	w.become(id, "SHUTOFF")
	w.must(w.c.Unlock(ctx, w.who, id))
	w.must(w.c.Delete(ctx, w.who, id))
	w.become(id, "DELETED")
}

// TestZoneOfAnAggregateOutlivesAStart starts again with another zone: a host in
// an aggregate with a zone stays there, and one that left it moves.
func TestZoneOfAnAggregateOutlivesAStart(t *testing.T) {
	w := newWorld(t, nil)
	zone := func() (zone string) {
		w.read(func(tx *compute.Tx) error {
			h, err := tx.Hosts.Get("host-a")
			zone = h.Zone
			return err
		})
		return zone
	}
	w.write(func(tx *compute.Tx) error {
		return tx.Aggregates.Insert(&compute.Aggregate{ID: "1", UUID: compute.NewID(), Name: "fast", Zone: "north", Hosts: []string{"host-a"}})
	})
	w.cfg.Zone = "south"
	w.restart()
	if got := zone(); got != "north" {
		t.Errorf("in an aggregate of the zone north the host is in %q", got)
	}
	w.write(func(tx *compute.Tx) error { return tx.Aggregates.Delete("1") })
	w.restart()
	if got := zone(); got != "south" {
		t.Errorf("without an aggregate the host is in %q, want south", got)
	}
}
