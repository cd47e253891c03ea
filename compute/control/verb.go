package control

import (
	"context"
	"slices"

	"github.com/kamado/kamado/compute"
)

// owned gives an instance of the caller's. One that is deleted is not there.
func owned(tx *compute.Tx, who compute.Caller, id string) (*compute.Instance, error) {
	row, err := tx.Instances.Get(id)
	if compute.IsKind(err, compute.NotFound) || err == nil && (!who.Owns(row.ProjectID) || !row.Deleted.IsZero()) {
		return nil, compute.Absent("Instance", id)
	}
	return row, err
}

// busy refuses when too many jobs wait.
func (c *Controller) busy() error {
	if c.queue.len() >= c.cfg.QueueMax {
		return compute.Errorf(compute.Exhausted, "Too many instances are being worked on; try again later.")
	}
	return nil
}

// edit changes an instance in one write, after a look at whose it is, its lock
// and its state. fn may be nil.
func (c *Controller) edit(ctx context.Context, who compute.Caller, id string, v compute.Verb, fn func(*change, *compute.Instance) error) (*compute.Instance, error) {
	var row *compute.Instance
	err := c.write(ctx, func(w *change) (err error) {
		if row, err = owned(w.tx, who, id); err != nil {
			return err
		}
		if err := row.Unlocked(who); err != nil {
			return err
		}
		if v != "" {
			if err := row.May(v); err != nil {
				return err
			}
		}
		before := *row
		if fn != nil {
			if err := fn(w, row); err != nil {
				return err
			}
		}
		if err := w.settle(&before, row); err != nil {
			return err
		}
		row.Updated = w.at
		return w.tx.Instances.Update(row)
	})
	return row, err
}

// begin sets an instance the task of a verb and has it worked on.
func (c *Controller) begin(ctx context.Context, who compute.Caller, id string, v compute.Verb, fn func(*change, *compute.Instance) error) (*compute.Instance, error) {
	if err := c.busy(); err != nil {
		return nil, err
	}
	was := compute.TaskNone
	row, err := c.edit(ctx, who, id, v, func(w *change, row *compute.Instance) error {
		was = row.Task
		if err := w.beginTask(who, row, v); err != nil {
			return err
		}
		if fn == nil {
			return nil
		}
		return fn(w, row)
	})
	if err != nil {
		return nil, err
	}
	c.interrupt(id, was)
	c.submit(id, false)
	return row, nil
}

// interrupt ends the job of a task that a verb did not wait for. Other jobs, such
// as one that attaches a card, end by themselves.
func (c *Controller) interrupt(id string, was compute.Task) {
	if was != compute.TaskNone {
		c.queue.cancel(id)
	}
}

// beginTask puts the task of a verb into a row. What was being done before is
// over: its job finds another generation.
func (w *change) beginTask(who compute.Caller, row *compute.Instance, v compute.Verb) error {
	if err := w.endAction(row.TaskArgs[argAction], row.HostID, nil); err != nil {
		return err
	}
	action, err := w.newAction(who, row, word(v), false)
	if err != nil {
		return err
	}
	half := row.TaskArgs[argImage]
	if half != "" && row.Task == compute.TaskShelving { // goes with the instance, even when it is whole
		row.ShelvedImageID, half = half, ""
	}
	row.Task, row.TaskArgs = v.Begins(), map[string]string{argAction: action}
	if half != "" {
		row.TaskArgs[argHalf] = half
	}
	row.Generation++
	return nil
}

// submit has the task of an instance's row worked on.
func (c *Controller) submit(id string, recovered bool) {
	c.queue.add(id, func(ctx context.Context) { c.work(ctx, id, recovered) })
}

// submitNew has an instance built that was just stored: its row is at hand. What
// is asked of it in the meantime makes another generation, which ends the job.
func (c *Controller) submitNew(row *compute.Instance) {
	own := *row
	c.queue.add(row.ID, func(ctx context.Context) { c.do(ctx, &task{&own, false}, steps[own.Task]) })
}

// Start turns an instance on that is off.
func (c *Controller) Start(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbStart, nil)
	return err
}

// Stop turns an instance off, its guest being asked first.
func (c *Controller) Stop(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbStop, nil)
	return err
}

// Reboot restarts an instance: soft asks the guest, hard turns it off and on.
func (c *Controller) Reboot(ctx context.Context, who compute.Caller, id string, hard bool) error {
	v := compute.VerbReboot
	if hard {
		v = compute.VerbRebootHard
	}
	_, err := c.begin(ctx, who, id, v, nil)
	return err
}

// Pause halts an instance's processors.
func (c *Controller) Pause(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbPause, nil)
	return err
}

// Unpause lets a paused instance go on.
func (c *Controller) Unpause(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbUnpause, nil)
	return err
}

// Suspend saves an instance's memory on disk and turns it off.
func (c *Controller) Suspend(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbSuspend, nil)
	return err
}

// Resume lets a suspended instance go on.
func (c *Controller) Resume(ctx context.Context, who compute.Caller, id string) error {
	_, err := c.begin(ctx, who, id, compute.VerbResume, nil)
	return err
}

// Delete removes an instance. One that is being deleted is no error.
func (c *Controller) Delete(ctx context.Context, who compute.Caller, id string) error {
	if err := c.busy(); err != nil {
		return err
	}
	gone, under, was := false, false, compute.TaskNone
	_, err := c.edit(ctx, who, id, compute.VerbDelete, func(w *change, row *compute.Instance) error {
		gone, under, was = false, row.Task == compute.TaskDeleting, row.Task
		if under {
			return nil
		}
		if err := w.beginTask(who, row, compute.VerbDelete); err != nil {
			return err
		}
		// What never was on a host has nothing to be removed there.
		gone = row.HostID == "" && row.ShelvedImageID == ""
		if !gone {
			return nil
		}
		if err := w.endAction(row.TaskArgs[argAction], "", nil); err != nil {
			return err
		}
		return c.bury(w, row)
	})
	if err != nil || under {
		return err
	}
	c.interrupt(id, was)
	if gone {
		return nil
	}
	c.submit(id, false)
	return nil
}

// ForceDelete is Delete: nothing is kept for a while after a Delete either.
func (c *Controller) ForceDelete(ctx context.Context, who compute.Caller, id string) error {
	return c.Delete(ctx, who, id)
}

// bury turns a row into that of a deleted instance and frees what it had.
func (c *Controller) bury(w *change, row *compute.Instance) error {
	if err := c.deps.Fabric.Unplug(w.tx, row); err != nil {
		return err
	}
	w.network = true
	if row.GroupID != "" {
		g, err := w.tx.ServerGroups.Get(row.GroupID)
		if err != nil && !compute.IsKind(err, compute.NotFound) {
			return err
		}
		if err == nil {
			g.Members = slices.DeleteFunc(g.Members, func(id string) bool { return id == row.ID })
			if err := w.tx.ServerGroups.Update(g); err != nil {
				return err
			}
		}
	}
	row.VM, row.Task, row.TaskArgs, row.Power = compute.VMDeleted, compute.TaskNone, nil, compute.PowerNone
	row.Deleted, row.AdminPass = w.at, ""
	row.Generation++
	return nil
}

// Lock keeps everybody but administrators from changing an instance.
func (c *Controller) Lock(ctx context.Context, who compute.Caller, id, reason string) error {
	return c.lock(ctx, who, id, true, reason)
}

// Unlock ends that.
func (c *Controller) Unlock(ctx context.Context, who compute.Caller, id string) error {
	return c.lock(ctx, who, id, false, "")
}

func (c *Controller) lock(ctx context.Context, who compute.Caller, id string, on bool, reason string) error {
	return c.write(ctx, func(w *change) error {
		row, err := owned(w.tx, who, id)
		if err != nil {
			return err
		}
		row.Locked, row.LockedReason, row.Updated = on, reason, w.at
		name := "unlock"
		if on {
			name = "lock"
		}
		if _, err := w.newAction(who, row, name, true); err != nil {
			return err
		}
		return w.tx.Instances.Update(row)
	})
}

// ResetState says what an instance is, whatever was being done to it: "active" or
// "error". For administrators, which the caller looks at.
func (c *Controller) ResetState(ctx context.Context, who compute.Caller, id, state string) error {
	was, half := compute.TaskNone, ""
	err := c.write(ctx, func(w *change) error {
		row, err := owned(w.tx, who, id)
		if err != nil {
			return err
		}
		was, half = row.Task, row.TaskArgs[argImage]
		if err := w.endAction(row.TaskArgs[argAction], row.HostID, nil); err != nil {
			return err
		}
		switch state {
		case "active":
			row.VM, row.Fault = compute.VMActive, nil
		case "error":
			row.VM = compute.VMError
		default:
			return compute.Errorf(compute.Invalid, "Invalid state %q: must be active or error.", state)
		}
		row.Task, row.TaskArgs, row.Updated = compute.TaskNone, nil, w.at
		row.Generation++
		return w.tx.Instances.Update(row)
	})
	if err == nil {
		c.interrupt(id, was)
		if half != "" {
			c.queue.add(id, func(ctx context.Context) { c.dropHalf(ctx, half) })
		}
	}
	return err
}
