package registry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/internal/blob"
)

func TestBase(t *testing.T) {
	r := open(t, nil)
	data := noise(2 << 20)
	m := r.active(t, alice, "raw", data)
	b, err := r.Base(t.Context(), m.ID)
	must(t, err)
	if b.Format != "raw" || b.VirtualSize != 2<<20 || b.Kernel != "" {
		t.Errorf("Base = %+v", b)
	}
	got, err := os.ReadFile(b.Path)
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Error("the base has other bytes")
	}
	fi, err := os.Stat(b.Path)
	must(t, err)
	objects := slices.DeleteFunc(r.files(t), func(f string) bool { return !strings.HasPrefix(f, r.dir) })
	object, err := os.Stat(objects[0])
	must(t, err)
	if !os.SameFile(fi, object) {
		t.Error("the base is a copy, though both lie in one file system")
	}
	again, err := r.again().Base(t.Context(), m.ID)
	if err != nil || again != b {
		t.Errorf("Base of the next process = %+v, %v, want %+v", again, err, b)
	}
	for what, id := range map[string]string{"no image": compute.NewID(), "a path": "../../etc/passwd", "nothing": ""} {
		_, err = r.Base(t.Context(), id)
		wantKind(t, "Base of "+what, err, compute.NotFound)
	}
	_, err = r.Base(t.Context(), r.create(t, alice, "raw").ID)
	wantKind(t, "Base of a queued image", err, compute.Conflict)
}

// TestBaseOutlivesItsImage: instances start again from what they started from.
func TestBaseOutlivesItsImage(t *testing.T) {
	r := open(t, nil)
	m, idle := r.active(t, alice, "raw", noise(1<<20)), r.active(t, alice, "raw", noise(1<<20))
	b, err := r.Base(t.Context(), m.ID)
	must(t, err)
	idleBase, err := r.Base(t.Context(), idle.ID)
	must(t, err)
	inst := &compute.Instance{ID: compute.NewID(), ProjectID: "p1", ImageID: m.ID}
	must(t, r.store.Write(t.Context(), func(tx *compute.Tx) error { return tx.Instances.Insert(inst) }))
	must(t, r.Delete(t.Context(), alice, m.ID))
	must(t, r.Delete(t.Context(), alice, idle.ID))
	must(t, r.Recover(t.Context()))
	if again, err := r.Base(t.Context(), m.ID); err != nil || again != b {
		t.Errorf("Base of a deleted image that an instance needs = %+v, %v", again, err)
	}
	if _, err := os.Stat(idleBase.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the base that nobody needs: %v, want it gone", err)
	}
	must(t, r.store.Write(t.Context(), func(tx *compute.Tx) error { return tx.Instances.Delete(inst.ID) }))
	must(t, r.Recover(t.Context()))
	if files := r.files(t); len(files) != 0 {
		t.Errorf("left are %q", files)
	}
}

// TestKernelOfAnotherProject: a property may name any image, but only one that
// the owner sees is opened.
func TestKernelOfAnotherProject(t *testing.T) {
	r := open(t, nil)
	kernel, ramdisk := r.active(t, alice, "aki", noise(5000)), r.active(t, alice, "ari", noise(6000))
	foreign, disk := r.active(t, bob, "aki", []byte("secret")), r.active(t, alice, "raw", noise(1000))
	for _, c := range []struct {
		name, kernel, ramdisk string
		ok                    bool
	}{
		{"both", kernel.ID, ramdisk.ID, true}, {"a kernel", kernel.ID, "", true}, {"none", "", "", true}, {"a RAM disk alone", "", ramdisk.ID, true},
		{"a foreign kernel", foreign.ID, "", false}, {"no such kernel", compute.NewID(), "", false}, {"a disk as a kernel", disk.ID, "", false},
		{"a RAM disk as a kernel", ramdisk.ID, "", false}, {"a foreign RAM disk", kernel.ID, foreign.ID, false}, {"a path", "../../../etc/passwd", "", false},
	} {
		m := r.active(t, alice, "raw", noise(1000))
		_, err := r.Update(t.Context(), alice, m.ID, func(m *compute.MachineImage) error {
			m.Properties = map[string]string{"kernel_id": c.kernel, "ramdisk_id": c.ramdisk}
			return nil
		})
		must(t, err)
		b, err := r.Base(t.Context(), m.ID)
		if !c.ok {
			wantKind(t, "Base with "+c.name, err, compute.Invalid)
			continue
		}
		if err != nil || (b.Kernel != "") != (c.kernel != "") || (b.Ramdisk != "") != (c.ramdisk != "" && c.kernel != "") {
			t.Errorf("Base with %s = %+v, %v", c.name, b, err)
		}
	}
}

// TestBaseIsInspectedAgain: bytes that changed behind the registry's back do not
// reach an instance.
func TestBaseIsInspectedAgain(t *testing.T) {
	r := open(t, nil)
	m := r.active(t, alice, "raw", noise(1<<20))
	must(t, os.WriteFile(r.files(t)[0], []byte("QFI\xfb and more"), 0o600))
	_, err := r.Base(t.Context(), m.ID)
	wantKind(t, "Base of bytes that became qcow2", err, compute.Invalid)
	for _, f := range r.files(t) {
		if strings.HasPrefix(f, r.own) {
			t.Errorf("%s is left", f)
		}
	}
}

// plainStore hides what fs can do beyond blob.Store.
type plainStore struct{ blob.Store }

func TestWithoutLinks(t *testing.T) {
	r := open(t, nil)
	r.Service = registry.New(r.store, plainStore{r.blobs}, r.own, registry.Default(), slog.New(slog.DiscardHandler))
	data := noise(1 << 20)
	m := r.active(t, alice, "raw", data)
	b, err := r.Base(t.Context(), m.ID)
	must(t, err)
	if got, err := os.ReadFile(b.Path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the copied base has other bytes, %v", err)
	}
	if files := r.files(t); len(files) != 3 {
		t.Errorf("the image and its base are %q", files)
	}
}
