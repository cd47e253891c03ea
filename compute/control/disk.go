package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/schedule"
)

// Rebuild gives an instance a fresh disk, of the same or another image, and says
// what it is now; AdminPass is the guest's password.
func (c *Controller) Rebuild(ctx context.Context, who compute.Caller, id string, q RebuildRequest) (*compute.Instance, error) {
	if q.AdminPass == "" {
		q.AdminPass = NewPassword()
	}
	row, err := c.begin(ctx, who, id, compute.VerbRebuild, func(w *change, row *compute.Instance) error {
		if row.HostID == "" {
			return compute.Errorf(compute.Conflict, "Instance %s is not on a host.", id)
		}
		if q.ImageID != "" {
			image, err := imageFor(w.tx, who, q.ImageID, &row.Flavor)
			if err != nil {
				return err
			}
			row.ImageID, row.ImageProps = image.ID, maps.Clone(image.Properties)
		}
		row.ShelvedImageID = ""
		if q.KeyName != nil {
			row.KeyName, row.PublicKey = "", ""
			if *q.KeyName != "" {
				key, err := keyFor(w.tx, who, *q.KeyName)
				if err != nil {
					return err
				}
				row.KeyName, row.PublicKey = key.Name, key.PublicKey
			}
		}
		if err := checkMetadata(w.tx, row.ProjectID, len(q.Metadata)); err != nil {
			return err
		}
		q.apply(row)
		row.OldVM = row.VM
		return nil
	})
	return row, err
}

// apply puts what a request says into a row.
func (q *RebuildRequest) apply(row *compute.Instance) {
	set := func(to *string, v *string) {
		if v != nil {
			*to = *v
		}
	}
	set(&row.Name, q.Name)
	set(&row.Description, q.Description)
	set(&row.UserData, q.UserData)
	set(&row.Hostname, q.Hostname)
	set(&row.AccessIPv4, q.AccessIPv4)
	set(&row.AccessIPv6, q.AccessIPv6)
	set(&row.DiskConfig, q.DiskConfig)
	if q.Metadata != nil || q.ClearMetadata {
		row.Metadata = maps.Clone(q.Metadata)
	}
	if q.Files != nil {
		row.Files = q.Files
	}
	if q.TrustedCerts != nil {
		row.TrustedCerts = *q.TrustedCerts
	}
	row.AdminPass, row.AdminPassSealed, row.Fault = q.AdminPass, "", nil
}

// rebuild replaces the disk. An instance that was off is off again afterwards.
func (c *Controller) rebuild(ctx context.Context, t *task) error {
	if err := c.settleNetwork(ctx, t.Instance); err != nil {
		return err
	}
	spec, err := c.spec(ctx, t.Instance)
	if err != nil {
		return err
	}
	err = c.deps.Engine.Rebuild(ctx, spec)
	if errors.Is(err, hypervisor.ErrNotFound) {
		err = c.deps.Engine.Create(ctx, spec)
	}
	if err != nil {
		return fmt.Errorf("rebuild the domain: %w", err)
	}
	vm, power := compute.VMActive, compute.PowerRunning
	if t.OldVM == compute.VMStopped {
		if err := c.halt(ctx, t.ID, 0); err != nil {
			return err
		}
		vm, power = compute.VMStopped, compute.PowerShutdown
	}
	err = c.finish(ctx, t, nil, func(w *change, row *compute.Instance) error {
		row.VM, row.Power, row.Fault, row.OldVM = vm, power, nil, ""
		if row.Launched.IsZero() {
			row.Launched = w.at
		}
		return nil
	})
	return err
}

// Resize gives an instance another flavor on its host, until that is confirmed or
// reverted. diskConfig may be empty.
func (c *Controller) Resize(ctx context.Context, who compute.Caller, id, flavorID, diskConfig string) error {
	_, err := c.begin(ctx, who, id, compute.VerbResize, func(w *change, row *compute.Instance) error {
		f, err := flavorFor(w.tx, who, flavorID)
		if err != nil {
			return err
		}
		switch {
		case f.ID == row.Flavor.ID:
			return compute.Errorf(compute.Invalid, "When resizing, instances must change flavor!")
		case f.DiskGiB < row.Flavor.DiskGiB || f.EphemeralGiB < row.Flavor.EphemeralGiB:
			return compute.Errorf(compute.Invalid, "Cannot resize to a flavor with a smaller disk.")
		}
		old := row.Flavor
		more := claimOf(f).Plus(claimOf(&old), -1)
		more.VCPUs, more.MemoryMiB, more.DiskGiB = max(more.VCPUs, 0), max(more.MemoryMiB, 0), max(more.DiskGiB, 0)
		fits, err := c.room(w, row.HostID, &schedule.Request{Claim: more, Extra: f.Extra})
		if err != nil {
			return err
		}
		if !fits {
			// A project that may not have this much is told so first; what is charged here goes with the error.
			if err := w.tx.ChargeAll(row.ProjectID, []compute.Charge{{Resource: compute.QuotaCores, N: more.VCPUs},
				{Resource: compute.QuotaRAM, N: more.MemoryMiB}}); err != nil {
				return err
			}
			return compute.Errorf(compute.Invalid, "No valid host was found. No valid host found for resize")
		}
		row.OldFlavor, row.OldVM = &old, row.VM
		row.Flavor = *f
		row.Flavor.Access = nil
		if diskConfig != "" {
			row.DiskConfig = diskConfig
		}
		return w.newMigration(who, row, old.ID)
	})
	return err
}

// resize restarts the domain with the new flavor, when it was on; one that was off
// gets it when it is started.
func (c *Controller) resize(ctx context.Context, t *task) error {
	if err := c.advance(ctx, t, compute.TaskResizing); err != nil {
		return err
	}
	power := compute.PowerShutdown
	if err := c.halt(ctx, t.ID, c.cfg.StopGrace); err != nil {
		return err
	}
	if t.OldVM != compute.VMStopped {
		if err := c.start(ctx, t.Instance); err != nil {
			return err
		}
		power = compute.PowerRunning
	}
	return c.finish(ctx, t, nil, func(w *change, row *compute.Instance) error {
		row.VM, row.Power, row.Fault = compute.VMResized, power, nil
		return w.endMigration(row.ID, "finished")
	})
}

// ConfirmResize forgets the old flavor.
func (c *Controller) ConfirmResize(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.edit(ctx, who, id, compute.VerbConfirmResize, func(w *change, row *compute.Instance) error {
		row.OldFlavor, row.VM = nil, compute.VMActive
		if row.Power != compute.PowerRunning {
			row.VM = compute.VMStopped
		}
		row.OldVM = ""
		if _, err := w.newAction(who, row, "confirmResize", true); err != nil {
			return err
		}
		return w.endMigration(row.ID, "confirmed")
	})
	return err
}

// RevertResize goes back to the old flavor. The disk keeps what was written, and
// the size that it grew to.
func (c *Controller) RevertResize(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbRevertResize, nil)
	return err
}

func (c *Controller) revert(ctx context.Context, t *task) error {
	back := *t.Instance
	if t.OldFlavor != nil {
		back.Flavor, back.OldFlavor = *t.OldFlavor, nil
	}
	if err := c.halt(ctx, t.ID, c.cfg.StopGrace); err != nil {
		return err
	}
	vm, power := compute.VMStopped, compute.PowerShutdown
	if t.OldVM != compute.VMStopped {
		if err := c.start(ctx, &back); err != nil {
			return err
		}
		vm, power = compute.VMActive, compute.PowerRunning
	}
	return c.finish(ctx, t, nil, func(w *change, row *compute.Instance) error {
		row.VM, row.Power, row.Flavor, row.OldFlavor, row.OldVM = vm, power, back.Flavor, nil, ""
		return w.endMigration(row.ID, "reverted")
	})
}

// migrationCounter is the setting that holds the last number of a migration.
const migrationCounter = "migrations"

func (w *change) newMigration(who compute.Caller, row *compute.Instance, oldFlavor string) error {
	n := 0
	counter, err := w.tx.Settings.Get(migrationCounter)
	switch {
	case err == nil:
		if n, err = strconv.Atoi(counter.Value); err != nil {
			return fmt.Errorf("setting %s: %w", migrationCounter, err)
		}
	case !compute.IsKind(err, compute.NotFound):
		return err
	}
	next := &compute.Setting{ID: migrationCounter, Value: strconv.Itoa(n + 1)}
	if n == 0 {
		err = w.tx.Settings.Insert(next)
	} else {
		err = w.tx.Settings.Update(next)
	}
	if err != nil {
		return err
	}
	return w.tx.Migrations.Insert(&compute.Migration{
		ID: next.Value, UUID: compute.NewID(), InstanceID: row.ID, UserID: who.UserID, ProjectID: row.ProjectID,
		Type: "resize", Status: "migrating", SourceHost: row.HostID, DestHost: row.HostID,
		OldFlavor: oldFlavor, NewFlavor: row.Flavor.ID, Created: w.at, Updated: w.at,
	})
}

// endMigration says how the instance's last migration ended, when there is one
// that has not.
func (w *change) endMigration(instanceID, status string) error {
	list, err := w.tx.Migrations.List(compute.Query{Where: compute.Where{"instance_id": instanceID}, Order: "-created", Limit: 1})
	if err != nil || len(list) == 0 || !slices.Contains([]string{"migrating", "finished"}, list[0].Status) {
		return err
	}
	list[0].Status, list[0].Updated = status, w.at
	return w.tx.Migrations.Update(list[0])
}

// Rescue starts an instance from another disk, with its own as the second one,
// and gives the password that the guest is told. imageID empty: the image that it
// was made of; password empty: one is made.
func (c *Controller) Rescue(ctx context.Context, who compute.Caller, id, imageID, password string) (string, error) {
	if password == "" {
		password = NewPassword()
	}
	_, err := c.begin(ctx, who, id, compute.VerbRescue, func(w *change, row *compute.Instance) error {
		row.RescueImageID = imageID
		if imageID == "" {
			row.RescueImageID = row.ImageID
		}
		image, err := w.tx.MachineImages.Get(row.RescueImageID)
		if compute.IsKind(err, compute.NotFound) || err == nil && !image.Visible(who) {
			return compute.Errorf(compute.Invalid, "Image %s could not be found.", row.RescueImageID)
		}
		if err != nil {
			return err
		}
		if image.Status != compute.ImageActive {
			return compute.Errorf(compute.Invalid, "Image %s is not active.", image.ID)
		}
		row.AdminPass = password
		return nil
	})
	return password, err
}

func (c *Controller) rescue(ctx context.Context, t *task) error {
	if err := c.halt(ctx, t.ID, c.cfg.StopGrace); err != nil {
		return err
	}
	if err := c.start(ctx, t.Instance); err != nil {
		return err
	}
	return c.became(ctx, t, compute.VMRescued, compute.PowerRunning)
}

// Unrescue starts a rescued instance from its own disk again.
func (c *Controller) Unrescue(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbUnrescue, nil)
	return err
}

func (c *Controller) unrescue(ctx context.Context, t *task) error {
	if err := c.halt(ctx, t.ID, 0); err != nil {
		return err
	}
	own := *t.Instance
	own.RescueImageID = ""
	if err := c.start(ctx, &own); err != nil {
		return err
	}
	return c.finish(ctx, t, nil, func(_ *change, row *compute.Instance) error {
		row.VM, row.Power, row.Fault, row.RescueImageID = compute.VMActive, compute.PowerRunning, nil, ""
		return nil
	})
}
