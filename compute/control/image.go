package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/schedule"
)

// Snapshot has a machine image made of an instance's disk, and gives its id; it
// becomes active later. props are the client's own properties.
func (c *Controller) Snapshot(ctx context.Context, who compute.Caller, id, name string, props map[string]string) (string, error) {
	return c.beginImage(ctx, who, id, compute.VerbSnapshot, name, props, nil)
}

// Backup is Snapshot, after which the oldest backups of that type are deleted
// until rotation are left.
func (c *Controller) Backup(ctx context.Context, who compute.Caller, id, name, backupType string, rotation int, props map[string]string) (string, error) {
	if rotation < 0 {
		return "", compute.Errorf(compute.Invalid, "rotation must not be negative")
	}
	return c.beginImage(ctx, who, id, compute.VerbBackup, name, props, map[string]string{argBackup: backupType, argRotation: strconv.Itoa(rotation)})
}

// beginImage registers the image of a task that makes one, then lets it begin:
// the row names the image before it is there, so that none is ever forgotten.
func (c *Controller) beginImage(ctx context.Context, who compute.Caller, id string, v compute.Verb, name string, props, args map[string]string) (string, error) {
	if err := c.busy(); err != nil {
		return "", err
	}
	image := compute.NewID()
	var minRAM int
	row, err := c.edit(ctx, who, id, v, func(w *change, row *compute.Instance) error {
		if err := w.beginTask(who, row, v); err != nil {
			return err
		}
		maps.Copy(row.TaskArgs, args)
		row.TaskArgs[argImage] = image
		minRAM = 0
		base, err := w.tx.MachineImages.Get(row.ImageID)
		if compute.IsKind(err, compute.NotFound) { // it was deleted since, or there was none
			return nil
		}
		if err == nil {
			minRAM = base.MinRAM
		}
		return err
	})
	if err != nil {
		return "", err
	}
	m := snapshotOf(row, image, name, props)
	m.MinRAM = minRAM // what needed that much still does
	if v == compute.VerbBackup {
		m.Properties["image_type"], m.Properties["backup_type"] = "backup", args[argBackup]
	}
	if err := c.deps.Images.Create(ctx, who, m); err != nil {
		t := &task{row, false}
		undo := c.finish(context.WithoutCancel(ctx), t, err, func(*change, *compute.Instance) error { return nil })
		if undo != nil && !errors.Is(undo, errSuperseded) {
			c.stall(id, undo) // it is then taken back as after a crash
		}
		return "", err
	}
	if err := c.still(ctx, row); err != nil { // broken off before the image was there
		c.dropHalf(context.WithoutCancel(ctx), image)
		return "", err
	}
	c.submit(id, false)
	return image, nil
}

// still refuses what was begun on an instance when something else was begun on
// it since.
func (c *Controller) still(ctx context.Context, row *compute.Instance) error {
	return c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		now, err := tx.Instances.Get(row.ID)
		if err != nil || now.Generation == row.Generation {
			return err
		}
		return compute.Errorf(compute.Conflict, "Instance %s is in task_state %s by now", row.ID, now.Task)
	})
}

// dropHalf deletes the image of a task that was broken off, unless it became whole.
func (c *Controller) dropHalf(ctx context.Context, image string) {
	active, err := c.imageActive(ctx, image)
	if err == nil && !active {
		err = c.dropImage(ctx, image)
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("the image of a snapshot that failed could not be deleted", "image", image, "error", err)
	}
}

// notInherited are properties of an image that its instances' snapshots do not
// have: they say something about its bytes.
var notInherited = []string{"image_type", "backup_type", "base_image_ref", "instance_uuid", "user_id", "owner_id", "image_location",
	"image_state", "img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid"}

// snapshotOf is the image that a snapshot of an instance makes. It boots as the
// one that the instance was made of: kernel and ramdisk are inherited.
func snapshotOf(row *compute.Instance, id, name string, props map[string]string) *compute.MachineImage {
	all := maps.Clone(row.ImageProps)
	if all == nil {
		all = map[string]string{}
	}
	maps.DeleteFunc(all, func(k, _ string) bool { return slices.Contains(notInherited, k) })
	all["image_type"] = "snapshot" // unless the client says otherwise
	maps.Copy(all, props)
	maps.Copy(all, map[string]string{"base_image_ref": row.ImageID, "instance_uuid": row.ID, "user_id": row.UserID, "owner_id": row.ProjectID})
	return &compute.MachineImage{ID: id, Name: name, ProjectID: row.ProjectID, Visibility: "private", DiskFormat: "qcow2",
		ContainerFormat: "bare", MinDisk: row.Flavor.DiskGiB, Properties: all}
}

// snapshot makes the image of a snapshot or a backup. One that a crash cut is
// taken back: its moment has passed.
func (c *Controller) snapshot(ctx context.Context, t *task) error {
	image := t.TaskArgs[argImage]
	if t.recovered {
		active, err := c.imageActive(ctx, image)
		if err != nil {
			return err
		}
		if !active {
			return c.takeBack(ctx, t, errors.New("the server was restarted"))
		}
	} else if err := c.save(ctx, t, image); err != nil {
		if ctx.Err() != nil && context.Cause(ctx) == errSuperseded { //nolint:errorlint // the very value that cancel gives
			// Deleted in the meantime: nobody else knows of the image.
			if derr := c.dropImage(context.WithoutCancel(ctx), image); derr != nil {
				c.log.Warn("the image of a snapshot that failed could not be deleted", "image", image, "error", derr)
			}
			return errSuperseded
		}
		if derr := c.dropImage(ctx, image); derr != nil && ctx.Err() == nil {
			c.log.Warn("the image of a snapshot that failed could not be deleted", "image", image, "error", derr)
		}
		return err
	}
	if err := c.rotate(ctx, t); err != nil {
		c.log.Warn("old backups could not be deleted", "instance", t.ID, "error", err)
	}
	return c.finish(ctx, t, nil, func(*change, *compute.Instance) error { return nil })
}

// takeBack deletes the image that a task was making and ends the task.
func (c *Controller) takeBack(ctx context.Context, t *task, cause error) error {
	if err := c.dropImage(ctx, t.TaskArgs[argImage]); err != nil {
		return err
	}
	return c.finish(ctx, t, cause, func(*change, *compute.Instance) error { return nil })
}

// snapshotFile is where a disk is written before it is uploaded.
func (c *Controller) snapshotFile(image string) string {
	return filepath.Join(c.deps.Dir, "snapshot-"+image+".qcow2")
}

// sweepSnapshots removes files that a crash left.
func (c *Controller) sweepSnapshots() error {
	names, err := filepath.Glob(filepath.Join(c.deps.Dir, "snapshot-*.qcow2"))
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// save writes an instance's disk into an image.
func (c *Controller) save(ctx context.Context, t *task, image string) (err error) {
	file := c.snapshotFile(image)
	if err := os.MkdirAll(c.deps.Dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if rerr := os.Remove(file); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			c.log.Warn("the file of a snapshot could not be removed", "file", file, "error", rerr)
		}
	}()
	if err := c.deps.Engine.Snapshot(ctx, t.ID, file); err != nil {
		return fmt.Errorf("snapshot the domain: %w", err)
	}
	if t.Task != compute.TaskShelving {
		if err := c.advance(ctx, t, compute.TaskSnapshotUpload); err != nil {
			return err
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open the snapshot: %w", err)
	}
	if _, err := c.deps.Images.Upload(ctx, image, f, info.Size()); err != nil {
		return fmt.Errorf("upload the snapshot: %w", err)
	}
	return nil
}

func (c *Controller) imageActive(ctx context.Context, id string) (bool, error) {
	active := false
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		m, err := tx.MachineImages.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			return nil
		}
		active = err == nil && m.Status == compute.ImageActive
		return err
	})
	return active, err
}

// dropImage deletes an image of ours; one that is not there is no error.
func (c *Controller) dropImage(ctx context.Context, id string) error {
	if err := c.deps.Images.Delete(ctx, fabric.System(), id); err != nil && !compute.IsKind(err, compute.NotFound) {
		return fmt.Errorf("delete image %s: %w", id, err)
	}
	return nil
}

// rotate deletes the oldest backups of a backup's type over its rotation.
func (c *Controller) rotate(ctx context.Context, t *task) error {
	rotation, err := strconv.Atoi(t.TaskArgs[argRotation])
	if err != nil { // no backup
		return nil
	}
	var old []string
	err = c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		old = nil
		list, err := tx.MachineImages.List(compute.Query{Where: compute.Where{"project_id": t.ProjectID}, Order: "-created"})
		for _, m := range list {
			p := m.Properties
			if p["instance_uuid"] == t.ID && p["image_type"] == "backup" && p["backup_type"] == t.TaskArgs[argBackup] && m.Status == compute.ImageActive {
				old = append(old, m.ID)
			}
		}
		return err
	})
	if err != nil || len(old) <= rotation {
		return err
	}
	for _, id := range old[rotation:] {
		if err := c.dropImage(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// shelvedSuffix is what Nova puts after the name of a shelved instance's image.
const shelvedSuffix = "-shelved"

// Shelve saves an instance's disk as an image and frees its host.
func (c *Controller) Shelve(ctx context.Context, who compute.Caller, id string) error {
	var name string
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		row, err := owned(tx, who, id)
		if err == nil {
			name = row.Name
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = c.beginImage(ctx, who, id, compute.VerbShelve, name+shelvedSuffix, nil, nil)
	return err
}

func (c *Controller) shelve(ctx context.Context, t *task) error {
	image := t.TaskArgs[argImage]
	saved, err := c.imageActive(ctx, image)
	if err != nil {
		return err
	}
	if !saved {
		if t.recovered {
			return c.takeBack(ctx, t, errors.New("the server was restarted"))
		}
		if t.VM == compute.VMActive { // so that the guest's file systems are whole
			if err := c.halt(ctx, t.ID, c.cfg.StopGrace); err != nil {
				return err
			}
		}
		if err := c.save(ctx, t, image); err != nil {
			if derr := c.dropImage(context.WithoutCancel(ctx), image); derr != nil {
				c.log.Warn("the image of a snapshot that failed could not be deleted", "image", image, "error", derr)
			}
			return err
		}
	}
	if err := c.deps.Engine.Destroy(ctx, t.ID); err != nil && !errors.Is(err, hypervisor.ErrNotFound) {
		return fmt.Errorf("destroy the domain: %w", err)
	}
	return c.finish(ctx, t, nil, func(w *change, row *compute.Instance) error {
		row.VM, row.Power, row.HostID, row.ShelvedImageID = compute.VMShelved, compute.PowerShutdown, "", image
		w.network = true
		return c.deps.Fabric.Bind(w.tx, row, "")
	})
}

// ShelveOffload frees the host of a shelved instance. Shelve has done so, and so
// it is a Conflict in every state.
func (c *Controller) ShelveOffload(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.edit(ctx, who, id, compute.VerbShelveOffload, nil)
	return err
}

// Unshelve gives a shelved instance a host and starts it. zone may be empty.
func (c *Controller) Unshelve(ctx context.Context, who compute.Caller, id, zone string) error {
	_, err := c.begin(ctx, who, id, compute.VerbUnshelve, func(w *change, row *compute.Instance) error {
		q := schedule.Request{Claim: claimOf(&row.Flavor), Zone: zone, Extra: row.Flavor.Extra}
		host, err := c.find(w, &q, "")
		if err != nil {
			return err
		}
		if host == "" {
			return compute.Errorf(compute.Conflict, "%s", strings.TrimSpace(noHost))
		}
		row.HostID, row.Zone = host, c.hosts.zone(host)
		w.network = true
		return c.deps.Fabric.Bind(w.tx, row, host)
	})
	return err
}

// unshelve makes the domain of the saved disk. The image's bytes stay as the
// disk's base after the image itself is deleted.
func (c *Controller) unshelve(ctx context.Context, t *task) error {
	if err := c.start(ctx, t.Instance); err != nil {
		return err
	}
	err := c.finish(ctx, t, nil, func(_ *change, row *compute.Instance) error {
		row.VM, row.Power, row.Fault = compute.VMActive, compute.PowerRunning, nil
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.dropImage(ctx, t.ShelvedImageID); err != nil && ctx.Err() == nil {
		c.log.Warn("the image of an instance that is no longer shelved could not be deleted", "image", t.ShelvedImageID, "error", err)
	}
	return nil
}
