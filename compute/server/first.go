package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/guest"
	"github.com/kamado/kamado/compute/openstack/nova"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/internal/httpserver"
)

// TinyImage is the machine image that the first start makes.
const TinyImage = "tiny"

// first makes what must be there before clients come: flavors, and the machine
// image "tiny" with its kernel and its ramdisk. It is done once; what an
// administrator removes afterwards stays away.
type first struct {
	adminProject, memberProject string

	store   compute.Store
	images  *registry.Service
	parts   string // directory of guest.Parts
	scratch string
	log     *slog.Logger

	mu   sync.Mutex
	err  error // guarded by mu; of the last attempt
	done bool  // guarded by mu
}

// firstSetting says in the store that all of it was made.
const firstSetting = "first_start"

var errFirstStart = fmt.Errorf("%w: the first start makes the machine image %s", httpserver.ErrStarting, TinyImage)

// Ready says whether everything is there.
func (f *first) Ready(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.done:
		return nil
	case f.err != nil:
		return f.err
	}
	return errFirstStart
}

// Run makes what is missing. When that fails the cloud works all the same, and
// is not called ready.
func (f *first) Run(ctx context.Context) error {
	err := f.make(ctx)
	f.mu.Lock()
	f.err, f.done = err, err == nil
	f.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		f.log.Error("first start is incomplete", "error", err)
	}
	return nil
}

func (f *first) make(ctx context.Context) error {
	var done bool
	err := f.store.Read(ctx, func(tx *compute.Tx) error {
		_, err := tx.Settings.Get(firstSetting)
		done = err == nil
		if compute.IsKind(err, compute.NotFound) {
			return nil
		}
		return err
	})
	if err != nil || done {
		return err
	}
	if err := f.flavors(ctx); err != nil {
		return fmt.Errorf("make flavors: %w", err)
	}
	if err := f.tiny(ctx); err != nil {
		return fmt.Errorf("make the machine image %s: %w", TinyImage, err)
	}
	return f.store.Write(ctx, func(tx *compute.Tx) error {
		err := tx.Settings.Insert(&compute.Setting{ID: firstSetting, Value: "done"})
		if compute.IsKind(err, compute.Conflict) {
			return nil // another controller was first
		}
		return err
	})
}

func (f *first) flavors(ctx context.Context) error {
	return f.store.Write(ctx, func(tx *compute.Tx) error {
		for _, flavor := range nova.DefaultFlavors() {
			if _, err := tx.Flavors.Get(flavor.ID); err == nil {
				continue
			} else if !compute.IsKind(err, compute.NotFound) {
				return err
			}
			if err := tx.Flavors.Insert(&flavor); err != nil {
				return err
			}
		}
		return nil
	})
}

// tiny builds the small guest and registers its images. The disk comes
// last and names the others: a crash before it leaves images that the next
// attempt takes away.
func (f *first) tiny(ctx context.Context) error {
	parts, err := guest.Parts(f.parts)
	if err != nil {
		return fmt.Errorf("%w: ./setup build leaves what it is made of in %s", err, f.parts)
	}
	dir, err := os.MkdirTemp(f.scratch, "tiny-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := guest.Build(ctx, parts, dir)
	if err != nil {
		return err
	}
	who := compute.Caller{ProjectID: f.adminProject, Roles: []string{compute.RoleAdmin}}
	kernel, err := f.register(ctx, who, &compute.MachineImage{Name: TinyImage + "-kernel", DiskFormat: "aki", ContainerFormat: "aki"}, files.Kernel)
	if err != nil {
		return err
	}
	ramdisk, err := f.register(ctx, who, &compute.MachineImage{Name: TinyImage + "-ramdisk", DiskFormat: "ari", ContainerFormat: "ari"}, files.Ramdisk)
	if err != nil {
		return err
	}
	// The second is what "server rescue --image" boots: an instance's own image is the wrong one when that is what broke.
	for _, name := range []string{TinyImage + "-rescue", TinyImage} {
		_, err := f.register(ctx, who, &compute.MachineImage{
			Name: name, DiskFormat: "raw", ContainerFormat: "bare", MinRAM: guest.TinyMemoryMiB,
			Properties: map[string]string{"kernel_id": kernel, "ramdisk_id": ramdisk, "os_distro": "debian", "os_type": "linux", "os_admin_user": "root",
				"os_command_line": files.CommandLine},
		}, files.Disk)
		if err != nil {
			return err
		}
	}
	return nil
}

// register gives a public image its bytes, unless one of its name is there.
func (f *first) register(ctx context.Context, who compute.Caller, m *compute.MachineImage, path string) (string, error) {
	var there string
	err := f.store.Read(ctx, func(tx *compute.Tx) error {
		list, err := tx.MachineImages.List(compute.Query{Where: compute.Where{"project_id": f.adminProject, "name": m.Name}})
		for _, other := range list {
			if other.Status == compute.ImageActive {
				there = other.ID
			}
		}
		return err
	})
	if err != nil || there != "" {
		return there, err
	}
	m.ID, m.ProjectID, m.Visibility = compute.NewID(), f.adminProject, "public"
	if err := f.images.Create(ctx, who, m); err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if _, err := f.images.Upload(ctx, m.ID, file, info.Size()); err != nil {
		return "", fmt.Errorf("upload %s: %w", filepath.Base(path), err)
	}
	return m.ID, nil
}
