package control_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/hypervisor"
)

// recorder is an engine that remembers the specs that it was given.
type recorder struct {
	hypervisor.Engine
	mu    sync.Mutex
	specs []hypervisor.Spec
}

func (e *recorder) keep(s hypervisor.Spec) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.specs = append(e.specs, s)
}

func (e *recorder) last() hypervisor.Spec {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.specs[len(e.specs)-1]
}

func (e *recorder) Create(ctx context.Context, s hypervisor.Spec) error {
	e.keep(s)
	return e.Engine.Create(ctx, s)
}

func (e *recorder) Start(ctx context.Context, s hypervisor.Spec) error {
	e.keep(s)
	return e.Engine.Start(ctx, s)
}

// bootImage makes an image of a kind, of one MiB.
func (w *world) bootImage(disk, container string, props map[string]string) string {
	w.t.Helper()
	m := &compute.MachineImage{Name: disk, Visibility: "public", DiskFormat: disk, ContainerFormat: container, Properties: props}
	w.must(w.images.Create(w.t.Context(), w.admin, m))
	_, err := w.images.Upload(w.t.Context(), m.ID, bytes.NewReader(make([]byte, 1<<20)), 1<<20)
	w.must(err)
	return m.ID
}

func TestSpec(t *testing.T) {
	rec := &recorder{}
	w := newWorld(t, func(w *world) {
		w.cfg.ConfigDriveAlways = true
		w.deps = func(d *control.Deps) {
			rec.Engine, d.Engine = d.Engine, rec
			d.ConfigDrive = func(_ context.Context, i *compute.Instance) ([]byte, error) { return []byte("iso of " + i.Name), nil }
		}
	})
	ctx := t.Context()
	kernel, ramdisk := w.bootImage("aki", "aki", nil), w.bootImage("ari", "ari", nil)
	image := w.newImage(map[string]string{"kernel_id": kernel, "ramdisk_id": ramdisk, "os_command_line": "root=/dev/vda quiet", "hw_disk_bus": "virtio"})
	w.write(func(tx *compute.Tx) error {
		return tx.Flavors.Insert(&compute.Flavor{ID: "x", Name: "x", VCPUs: 3, MemoryMiB: 100, DiskGiB: 1, EphemeralGiB: 2, SwapMiB: 64, Public: true,
			Extra: map[string]string{"hw:watchdog_action": "reset", "other": "x"}})
	})
	q := w.request()
	q.FlavorID, q.ImageID = "x", image
	made, err := w.c.Create(ctx, w.who, q)
	w.must(err)
	id := made[0].ID
	w.become(id, "ACTIVE")
	s := rec.last()
	if s.VCPUs != 3 || s.MemoryMiB != 100 || s.Root.Bytes != 1<<30 || s.Root.BaseFormat != "raw" || s.EphemeralBytes != 2<<30 || s.SwapBytes != 64<<20 {
		t.Errorf("sizes: %+v", s)
	}
	if s.Kernel == "" || s.Ramdisk == "" || s.Append != "root=/dev/vda quiet" {
		t.Errorf("boot: kernel %q, ramdisk %q, append %q", s.Kernel, s.Ramdisk, s.Append)
	}
	if s.Extra["hw_disk_bus"] != "virtio" || s.Extra["hw_watchdog_action"] != "reset" || len(s.Extra) != 3 { // and os_command_line
		t.Errorf("extra: %v", s.Extra)
	}
	if string(s.ConfigDrive) != "iso of web" || len(s.NICs) != 1 || s.NICs[0].MAC == "" || s.NICs[0].MTU == 0 {
		t.Errorf("config drive %q, cards %+v", s.ConfigDrive, s.NICs)
	}

	// A rescue boots the rescue image's own way, and a disk whose image is gone still starts.
	_, err = w.c.Rescue(ctx, w.who, id, w.image, "")
	w.must(err)
	w.become(id, "RESCUE")
	if s := rec.last(); s.Rescue == nil || s.Rescue.Base == s.Root.Base || s.Kernel != "" || s.Append != "" {
		t.Errorf("rescue: %+v", s)
	}
	w.must(w.c.Unrescue(ctx, w.who, id))
	w.become(id, "ACTIVE")
	w.must(w.images.Delete(ctx, w.admin, image))
	w.must(w.c.Reboot(ctx, w.who, id, true))
	w.become(id, "ACTIVE")
	if s := rec.last(); s.Rescue != nil || s.Root.Base == "" || s.Kernel == "" || s.Append != "root=/dev/vda quiet" {
		t.Errorf("after the image was deleted: %+v", s)
	}
}

func TestPurge(t *testing.T) {
	w := newWorld(t, func(w *world) { w.cfg.KeepDeleted = time.Hour })
	old, young := w.create().ID, w.create().ID
	for _, id := range []string{old, young} {
		w.must(w.c.Delete(t.Context(), w.who, id))
		w.become(id, "DELETED")
	}
	w.write(func(tx *compute.Tx) error {
		row, err := tx.Instances.Get(old)
		if err != nil {
			return err
		}
		row.Deleted = row.Deleted.Add(-2 * time.Hour)
		return tx.Instances.Update(row)
	})
	w.restart() // a controller purges when it starts, and each hour
	w.until("the old row is purged", func() bool {
		gone := false
		w.read(func(tx *compute.Tx) error {
			_, err := tx.Instances.Get(old)
			gone = compute.IsKind(err, compute.NotFound)
			return nil
		})
		return gone
	})
	w.read(func(tx *compute.Tx) error {
		n, err := tx.Actions.Count(compute.Query{Where: compute.Where{"instance_id": old}})
		if n != 0 {
			t.Errorf("%d actions are left", n)
		}
		return err
	})
	if row := w.get(young); row.Status() != "DELETED" {
		t.Errorf("the young row is %s", row.Status())
	}
}

func TestConfigValidate(t *testing.T) {
	if err := control.Default().Validate(); err != nil {
		t.Errorf("the default is refused: %v", err)
	}
	c := control.Default()
	c.Workers, c.Zone, c.Heartbeat, c.Ratios.CPU = 0, "", compute.HeartbeatMax, 0
	err := c.Validate()
	for _, word := range []string{"workers", "zone", "heartbeat", "ratios"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Validate = %v, want a complaint about %s", err, word)
		}
	}
}

func TestNewPassword(t *testing.T) {
	seen := map[string]bool{}
	var letters []rune
	for range 1000 {
		p := control.NewPassword()
		if len(p) != 12 || seen[p] {
			t.Fatalf("password %q", p)
		}
		seen[p] = true
		letters = append(letters, []rune(p)...)
	}
	slices.Sort(letters)
	if n := len(slices.Compact(letters)); n != 55 {
		t.Errorf("%d different letters, want 55", n)
	}
}
