package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
)

// Update changes what is only said of an instance.
func (c *Controller) Update(ctx context.Context, who compute.Caller, id string, q UpdateRequest) (*compute.Instance, error) {
	row, err := c.edit(ctx, who, id, "", func(_ *change, row *compute.Instance) error {
		for _, f := range []struct{ to, v *string }{{&row.Name, q.Name}, {&row.Description, q.Description}, {&row.Hostname, q.Hostname},
			{&row.AccessIPv4, q.AccessIPv4}, {&row.AccessIPv6, q.AccessIPv6}, {&row.DiskConfig, q.DiskConfig}} {
			if f.v != nil {
				*f.to = *f.v
			}
		}
		return nil
	})
	return row, err
}

// SetMetadata adds to an instance's metadata, or replaces all of it, and gives
// what it then is.
func (c *Controller) SetMetadata(ctx context.Context, who compute.Caller, id string, meta map[string]string, replace bool) (map[string]string, error) {
	row, err := c.edit(ctx, who, id, compute.VerbUpdateMetadata, func(w *change, row *compute.Instance) error {
		all := map[string]string{}
		if !replace {
			maps.Copy(all, row.Metadata)
		}
		maps.Copy(all, meta)
		row.Metadata = all
		return checkMetadata(w.tx, row.ProjectID, len(all))
	})
	if err != nil {
		return nil, err
	}
	return row.Metadata, nil
}

// DeleteMetadata removes one item.
func (c *Controller) DeleteMetadata(ctx context.Context, who compute.Caller, id, key string) error {
	_, err := c.edit(ctx, who, id, compute.VerbDeleteMetadata, func(_ *change, row *compute.Instance) error {
		if _, there := row.Metadata[key]; !there {
			return compute.Errorf(compute.NotFound, "Metadata item was not found")
		}
		delete(row.Metadata, key)
		return nil
	})
	return err
}

// SetTags replaces an instance's tags by what change makes of them.
func (c *Controller) SetTags(ctx context.Context, who compute.Caller, id string, edit func(tags []string) ([]string, error)) ([]string, error) {
	row, err := c.edit(ctx, who, id, "", func(_ *change, row *compute.Instance) (err error) {
		row.Tags, err = edit(slices.Clone(row.Tags))
		return err
	})
	if err != nil {
		return nil, err
	}
	return row.Tags, nil
}

// AddGroup puts an instance into a security group, named or by id.
func (c *Controller) AddGroup(ctx context.Context, who compute.Caller, id, group string) error {
	_, err := c.edit(ctx, who, id, "", func(w *change, row *compute.Instance) error {
		w.network = true
		return c.deps.Fabric.AddGroup(w.tx, who, row, group)
	})
	return err
}

// RemoveGroup takes an instance out of a security group.
func (c *Controller) RemoveGroup(ctx context.Context, who compute.Caller, id, group string) error {
	_, err := c.edit(ctx, who, id, "", func(w *change, row *compute.Instance) error {
		w.network = true
		return c.deps.Fabric.RemoveGroup(w.tx, who, row, group)
	})
	return err
}

// AttachInterface gives an instance one more card and waits until it has it.
func (c *Controller) AttachInterface(ctx context.Context, who compute.Caller, id string, want fabric.Want) (*compute.Port, error) {
	var port *compute.Port
	err := c.inLine(ctx, who, id, compute.VerbAttachInterface, func(ctx context.Context) error {
		row, err := c.edit(ctx, who, id, compute.VerbAttachInterface, func(w *change, row *compute.Instance) (err error) {
			w.network = true
			if _, err := w.newAction(who, row, "attach_interface", true); err != nil {
				return err
			}
			port, err = c.deps.Fabric.PlugOne(w.tx, who, row, want)
			return err
		})
		if err != nil {
			return err
		}
		if err := c.plugIn(ctx, row, port.ID); err != nil {
			return c.unplugOne(ctx, id, port.ID, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return port, nil
}

// plugIn gives a running domain the card of a port; one that is off gets it when
// it starts.
func (c *Controller) plugIn(ctx context.Context, row *compute.Instance, portID string) error {
	if err := c.settleNetwork(ctx, row); err != nil {
		return err
	}
	var nic hypervisor.NIC
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) (err error) {
		nic, err = c.nic(tx, portID)
		return err
	})
	if err != nil {
		return err
	}
	err = c.deps.Engine.AttachNIC(ctx, row.ID, nic)
	if errors.Is(err, hypervisor.ErrState) && row.VM == compute.VMStopped {
		return nil
	}
	return engineError(err, "attach the interface")
}

// unplugOne takes a port from an instance's row again, because of cause.
func (c *Controller) unplugOne(ctx context.Context, id, portID string, cause error) error {
	err := c.write(ctx, func(w *change) error {
		row, err := w.tx.Instances.Get(id)
		if err != nil {
			return err
		}
		w.network = true
		if err := c.deps.Fabric.UnplugOne(w.tx, row, portID); err != nil {
			return err
		}
		row.Updated = w.at
		return w.tx.Instances.Update(row)
	})
	return errors.Join(cause, err)
}

// DetachInterface takes a card from an instance and waits until it is gone.
func (c *Controller) DetachInterface(ctx context.Context, who compute.Caller, id, portID string) error {
	return c.inLine(ctx, who, id, compute.VerbDetachInterface, func(ctx context.Context) error {
		row, err := c.edit(ctx, who, id, compute.VerbDetachInterface, func(w *change, row *compute.Instance) error {
			if !slices.Contains(row.Ports, portID) {
				return &compute.Error{Kind: compute.NotFound, Name: "PortNotFound", Detail: "Port id " + portID + " could not be found."}
			}
			_, err := w.newAction(who, row, "detach_interface", true)
			return err
		})
		if err != nil {
			return err
		}
		err = c.deps.Engine.DetachNIC(ctx, id, portID)
		if err != nil && !(errors.Is(err, hypervisor.ErrState) && row.VM == compute.VMStopped) {
			return engineError(err, "detach the interface")
		}
		return c.unplugOne(ctx, id, portID, nil)
	})
}

// inLine runs what is done at once in the instance's own queue, so that no task
// is worked on at the same time. Whether it is legal is looked at before as well:
// a refusal does not wait.
func (c *Controller) inLine(ctx context.Context, who compute.Caller, id string, v compute.Verb, f func(context.Context) error) error {
	if err := c.busy(); err != nil {
		return err
	}
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		row, err := owned(tx, who, id)
		if err != nil {
			return err
		}
		return errors.Join(row.Unlocked(who), row.May(v))
	})
	if err != nil {
		return err
	}
	return c.queue.call(ctx, id, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, c.cfg.TaskTimeout)
		defer cancel()
		return f(ctx)
	})
}

// engineError says what a client may know of a hypervisor's refusal.
func engineError(err error, doing string) error {
	kind, detail := compute.Internal, ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hypervisor.ErrUnsupported):
		kind, detail = compute.Unsupported, "The hypervisor of the host cannot do that."
	case errors.Is(err, hypervisor.ErrState), errors.Is(err, hypervisor.ErrNotFound):
		kind, detail = compute.Conflict, "Instance not yet ready"
	case errors.Is(err, context.DeadlineExceeded):
		kind, detail = compute.Unavailable, "The hypervisor did not answer in time."
	}
	if kind == compute.Internal {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &compute.Error{Op: doing, Kind: kind, Detail: detail, Err: err}
}

// SetPassword tells the guest's agent a new password for root. Its error is of
// kind Unsupported when no agent answers.
func (c *Controller) SetPassword(ctx context.Context, who compute.Caller, id, password string) error {
	row, err := c.edit(ctx, who, id, compute.VerbPassword, func(w *change, row *compute.Instance) error {
		return w.beginTask(who, row, compute.VerbPassword)
	})
	if err != nil {
		return err
	}
	return c.queue.call(ctx, id, func(ctx context.Context) error {
		err := c.deps.Engine.SetPassword(ctx, id, "root", password)
		if ctx.Err() != nil {
			return compute.Errorf(compute.Conflict, "Instance %s is being changed by another request.", id)
		}
		ferr := c.finish(ctx, &task{row, false}, err, func(*change, *compute.Instance) error { return nil })
		if errors.Is(err, hypervisor.ErrUnsupported) {
			return &compute.Error{Op: "set password", Kind: compute.Unsupported, Detail: "Unable to set password on instance", Err: err}
		}
		return errors.Join(engineError(err, "set password"), ferr)
	})
}

// Migrate moves an instance to another host. There is no other that could take
// it: each host keeps the disks of its own instances.
func (c *Controller) Migrate(ctx context.Context, who compute.Caller, id, host string) error {
	return c.move(ctx, who, id, host, compute.VerbMigrate)
}

// LiveMigrate is Migrate while the guest runs.
func (c *Controller) LiveMigrate(ctx context.Context, who compute.Caller, id, host string) error {
	return c.move(ctx, who, id, host, compute.VerbLiveMigrate)
}

func (c *Controller) move(ctx context.Context, who compute.Caller, id, host string, v compute.Verb) error {
	_, err := c.edit(ctx, who, id, v, func(_ *change, row *compute.Instance) error {
		switch {
		case host != "" && !c.hosts.has(host):
			return compute.Errorf(compute.Invalid, "Compute host %s could not be found.", host)
		case host != "" && host == row.HostID:
			return compute.Errorf(compute.Invalid, "The target host can't be the same one.")
		}
		return compute.Errorf(compute.Invalid, "No valid host was found. There are not enough hosts available.")
	})
	return err
}

// ConsoleLog gives the end of what a guest wrote to its serial console; lines <=
// 0: all that is kept.
func (c *Controller) ConsoleLog(ctx context.Context, who compute.Caller, id string, lines int) ([]byte, error) {
	row, err := c.see(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if row.HostID == "" {
		return nil, compute.Errorf(compute.Conflict, "Instance not yet ready")
	}
	b, err := c.deps.Engine.Console(ctx, id, lines)
	return b, engineError(err, "read the console")
}

// Diagnostics gives what a running instance used so far.
func (c *Controller) Diagnostics(ctx context.Context, who compute.Caller, id string) (hypervisor.Diagnostics, error) {
	row, err := c.see(ctx, who, id)
	if err != nil {
		return hypervisor.Diagnostics{}, err
	}
	if err := row.May(compute.VerbDiagnostics); err != nil {
		return hypervisor.Diagnostics{}, err
	}
	d, err := c.deps.Engine.Diagnostics(ctx, id)
	return d, engineError(err, "read diagnostics")
}

// MayConsole says whether a caller may have a console of an instance now. Display
// and Serial do not ask: they serve whoever shows the token that was given then.
func (c *Controller) MayConsole(ctx context.Context, who compute.Caller, id string) error {
	row, err := c.see(ctx, who, id)
	if err != nil {
		return err
	}
	if row.May(compute.VerbConsole) != nil {
		return compute.Errorf(compute.Conflict, "Instance not yet ready")
	}
	return nil
}

// see gives an instance of the caller's.
func (c *Controller) see(ctx context.Context, who compute.Caller, id string) (*compute.Instance, error) {
	var row *compute.Instance
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) (err error) {
		row, err = owned(tx, who, id)
		return err
	})
	return row, err
}

// Display connects to a guest's display (RFB).
func (c *Controller) Display(ctx context.Context, id string) (net.Conn, error) {
	conn, err := c.deps.Engine.VNC(ctx, id)
	return conn, engineError(err, "connect to the display")
}

// Serial connects to a guest's serial console.
func (c *Controller) Serial(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	conn, err := c.deps.Engine.Serial(ctx, id)
	return conn, engineError(err, "connect to the serial console")
}
