package fake

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// Create defines a domain and starts it.
func (e *Engine) Create(ctx context.Context, s hypervisor.Spec) error {
	if err := e.fail(ctx, "create", s.ID); err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.load(); err != nil {
		return err
	}
	d := &domain{}
	if old := e.domains[s.ID]; old != nil {
		*d = *old
		if on(d.State) {
			return nil
		}
	}
	e.start(d, s)
	if err := e.save(d); err != nil {
		return err
	}
	e.domains[s.ID] = d
	return nil
}

// start turns d on as s says. Preconditions: d is off.
func (e *Engine) start(d *domain, s hypervisor.Spec) {
	bytes := max(d.Spec.Root.Bytes, s.Root.Bytes) // a root disk never shrinks
	d.Spec = s
	d.Spec.Root.Bytes = bytes
	if d.State != hypervisor.Suspended {
		d.Boots++
	}
	d.State = hypervisor.Running
	d.Started = e.cfg.Now()
}

// check tells whether an engine could run s: what it says, and its files.
func check(s hypervisor.Spec) error {
	if err := s.Validate(); err != nil {
		return err
	}
	files := []string{s.Root.Base, s.Kernel, s.Ramdisk}
	if s.Rescue != nil {
		files = append(files, s.Rescue.Base)
	}
	for _, f := range files {
		if f == "" {
			continue
		}
		if _, err := os.Stat(f); err != nil {
			return fmt.Errorf("%w: %w", hypervisor.ErrNoImage, err)
		}
	}
	return nil
}

// Start turns a domain on that is off.
func (e *Engine) Start(ctx context.Context, s hypervisor.Spec) error {
	if err := e.fail(ctx, "start", s.ID); err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	return e.change(s.ID, func(d *domain) error {
		if !on(d.State) {
			e.start(d, s)
		}
		return nil
	})
}

// Rebuild starts a domain from a fresh disk.
func (e *Engine) Rebuild(ctx context.Context, s hypervisor.Spec) error {
	if err := e.fail(ctx, "rebuild", s.ID); err != nil {
		return err
	}
	if err := check(s); err != nil {
		return err
	}
	return e.change(s.ID, func(d *domain) error {
		d.State, d.Boots, d.Spec = hypervisor.Off, 0, hypervisor.Spec{}
		e.start(d, s)
		return nil
	})
}

// Stop turns a domain off; a made-up guest powers off when it is asked.
func (e *Engine) Stop(ctx context.Context, id string, _ time.Duration) error {
	if err := e.fail(ctx, "stop", id); err != nil {
		return err
	}
	return e.change(id, func(d *domain) error {
		d.State = hypervisor.Off
		return nil
	})
}

// Reboot restarts a guest.
func (e *Engine) Reboot(ctx context.Context, id string, hard bool) error {
	if err := e.fail(ctx, "reboot", id); err != nil {
		return err
	}
	err := e.change(id, func(d *domain) error {
		if d.State != hypervisor.Running && !(hard && d.State == hypervisor.Paused) {
			return hypervisor.ErrState
		}
		d.State = hypervisor.Running
		d.Boots++
		return nil
	})
	if err == nil && !hard {
		select {
		case e.events <- hypervisor.Event{ID: id, State: hypervisor.Running, Reason: hypervisor.ReasonReset}:
		default: // nobody runs Run
		}
	}
	return err
}

// move takes a domain that is on to the state to.
func (e *Engine) move(id string, to hypervisor.State) error {
	return e.change(id, func(d *domain) error {
		if d.State == to {
			return nil
		}
		if !on(d.State) {
			return hypervisor.ErrState
		}
		d.State = to
		return nil
	})
}

// Pause stops the virtual CPUs.
func (e *Engine) Pause(ctx context.Context, id string) error {
	if err := e.fail(ctx, "pause", id); err != nil {
		return err
	}
	return e.move(id, hypervisor.Paused)
}

// Unpause lets them go on.
func (e *Engine) Unpause(ctx context.Context, id string) error {
	if err := e.fail(ctx, "unpause", id); err != nil {
		return err
	}
	return e.move(id, hypervisor.Running)
}

// Suspend turns a domain off so that Start lets it go on.
func (e *Engine) Suspend(ctx context.Context, id string) error {
	if err := e.fail(ctx, "suspend", id); err != nil {
		return err
	}
	return e.move(id, hypervisor.Suspended)
}

// AttachNIC adds a card.
func (e *Engine) AttachNIC(ctx context.Context, id string, n hypervisor.NIC) error {
	if err := e.fail(ctx, "attach", id); err != nil {
		return err
	}
	if err := n.Validate(); err != nil {
		return err
	}
	return e.change(id, func(d *domain) error {
		if !on(d.State) {
			return hypervisor.ErrState
		}
		if len(d.Spec.NICs) >= hypervisor.NICsMax {
			return hypervisor.ErrUnsupported
		}
		if !slices.ContainsFunc(d.Spec.NICs, func(have hypervisor.NIC) bool { return have.PortID == n.PortID }) {
			d.Spec.NICs = append(slices.Clone(d.Spec.NICs), n)
		}
		return nil
	})
}

// DetachNIC takes a card away.
func (e *Engine) DetachNIC(ctx context.Context, id, portID string) error {
	if err := e.fail(ctx, "detach", id); err != nil {
		return err
	}
	return e.change(id, func(d *domain) error {
		if !on(d.State) {
			return hypervisor.ErrState
		}
		d.Spec.NICs = slices.DeleteFunc(slices.Clone(d.Spec.NICs), func(have hypervisor.NIC) bool { return have.PortID == portID })
		return nil
	})
}

// SetPassword counts that a password was set; a made-up agent takes any.
func (e *Engine) SetPassword(ctx context.Context, id, _, _ string) error {
	if err := e.fail(ctx, "password", id); err != nil {
		return err
	}
	return e.change(id, func(d *domain) error {
		if d.State != hypervisor.Running {
			return hypervisor.ErrState
		}
		d.Passwords++
		return nil
	})
}
