package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// stateError is ErrState with what the domain is.
func (d *domain) stateError() error {
	return fmt.Errorf("domain %s is %s: %w", d.id, d.current(), hypervisor.ErrState)
}

// on says whether a guest is there, running or paused.
func on(s hypervisor.State) bool { return s == hypervisor.Running || s == hypervisor.Paused }

// Create makes the domain's disks and starts it.
func (e *Engine) Create(ctx context.Context, s hypervisor.Spec) error {
	if err := s.Validate(); err != nil {
		return err
	}
	d, release, err := e.define(ctx, s.ID)
	if err != nil {
		return err
	}
	defer release()
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		e.forget(d)
		return hostError(fmt.Errorf("create domain %s: %w", s.ID, err))
	}
	fresh := d.gone()
	err = d.create(ctx, s)
	if err != nil && fresh && !errors.Is(err, context.Canceled) {
		return errors.Join(err, d.remove())
	}
	return err
}

func (d *domain) create(ctx context.Context, s hypervisor.Spec) error {
	if err := d.settle(ctx); err != nil {
		return err
	}
	if on(d.current()) {
		return nil
	}
	if d.gone() {
		if err := d.keep(false, func(r *record) { r.Spec, r.Wanted = onMachine(s, machineDefault), hypervisor.Off }); err != nil {
			return err
		}
	}
	if err := d.makeDisks(s); err != nil {
		return err
	}
	return d.powerOn(ctx, s)
}

// settle ends a process whose guest powered off. Preconditions: the verb lock is held.
func (d *domain) settle(ctx context.Context) error {
	d.mu.Lock()
	down := d.down
	d.mu.Unlock()
	if !down {
		return nil
	}
	return d.turnOff(ctx, hypervisor.Off)
}

// Start turns a domain on that is off.
func (e *Engine) Start(ctx context.Context, s hypervisor.Spec) error {
	if err := s.Validate(); err != nil {
		return err
	}
	d, release, err := e.take(ctx, s.ID)
	if err != nil {
		return err
	}
	defer release()
	if err := d.settle(ctx); err != nil {
		return err
	}
	switch now := d.current(); {
	case on(now):
		return nil
	case now != hypervisor.Suspended:
		if err := ignoreMissing(os.Remove(d.path(fileRescue))); err != nil {
			return err
		}
		if err := d.makeDisks(s); err != nil {
			return err
		}
	}
	return d.powerOn(ctx, s)
}

// Rebuild replaces the root disk by a fresh clone and starts.
func (e *Engine) Rebuild(ctx context.Context, s hypervisor.Spec) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if s.Root.Base != "" {
		if _, err := inspect(s.Root); err != nil { // before the old disk goes
			return err
		}
	}
	d, release, err := e.take(ctx, s.ID)
	if err != nil {
		return err
	}
	defer release()
	if err := d.endProcess(); err != nil {
		return err
	}
	if err := d.keep(true, func(r *record) { r.Wanted = hypervisor.Off }); err != nil {
		return err
	}
	for _, name := range []string{fileRoot, fileRescue, fileMemory, fileConsole} {
		if err := ignoreMissing(os.Remove(d.path(name))); err != nil {
			return fmt.Errorf("rebuild domain %s: %w", s.ID, err)
		}
	}
	if err := d.makeDisks(s); err != nil {
		return err
	}
	return d.powerOn(ctx, s)
}

// askAgain is how often a guest is told again to power off: one that boots does
// not hear the first time.
const askAgain = 5 * time.Second

// Stop asks the guest to power off, and after grace turns it off.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if grace > 0 && d.current() == hypervisor.Running {
		d.askPowerOff(ctx, grace)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.turnOff(ctx, hypervisor.Off); err != nil {
		return fmt.Errorf("stop domain %s: %w", id, err)
	}
	return ignoreMissing(os.Remove(d.path(fileMemory)))
}

// askPowerOff presses the guest's power button until it is off or grace ended.
func (d *domain) askPowerOff(ctx context.Context, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for d.command(ctx, "system_powerdown", nil, nil) == nil {
		for asked := false; !asked; {
			d.mu.Lock()
			off, changed := d.down || d.proc == nil, d.changed
			d.mu.Unlock()
			if off {
				return
			}
			select {
			case <-changed:
			case <-again.C:
				asked = true
			case <-ctx.Done():
				return
			}
		}
	}
}

// Reboot asks the guest to restart, or resets it.
func (e *Engine) Reboot(ctx context.Context, id string, hard bool) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	now := d.current()
	if !on(now) || (!hard && now != hypervisor.Running) {
		return d.stateError()
	}
	if hard {
		err = d.reset(ctx)
	} else {
		d.mu.Lock()
		d.rebooting = true // what follows its power-off
		d.mu.Unlock()
		err = d.command(ctx, "system_powerdown", nil, nil)
	}
	if err != nil {
		return fmt.Errorf("reboot domain %s: %w", id, err)
	}
	return nil
}

// Pause stops the virtual CPUs.
func (e *Engine) Pause(ctx context.Context, id string) error {
	return e.turn(ctx, id, "stop", hypervisor.Paused)
}

// Unpause lets them go on.
func (e *Engine) Unpause(ctx context.Context, id string) error {
	return e.turn(ctx, id, "cont", hypervisor.Running)
}

// turn moves a guest that is on to another state, by a command.
func (e *Engine) turn(ctx context.Context, id, command string, to hypervisor.State) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if !on(d.current()) {
		return d.stateError()
	}
	if err := d.command(ctx, command, nil, nil); err != nil {
		return fmt.Errorf("domain %s: %w", id, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = to
	d.notify()
	return nil
}

// Destroy turns a domain off and removes everything of it.
func (e *Engine) Destroy(ctx context.Context, id string) error {
	if !hypervisor.ValidID(id) {
		return nil
	}
	d, release, err := e.define(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if err := d.remove(); err != nil {
		return fmt.Errorf("destroy domain %s: %w", id, err)
	}
	return nil
}

// endStrays ends processes of the domain that we do not know of, such as that of
// a record that could not be read. A domain without a directory has none.
func (d *domain) endStrays() error {
	if _, err := os.Stat(d.dir); err != nil {
		return ignoreMissing(err)
	}
	pids, err := processes(d.engine.dir)
	if err != nil {
		return err
	}
	for _, name := range []string{d.id, d.id + workerSuffix} {
		for _, pid := range pids[name] {
			if err := d.engine.killStray(pid); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove ends the process and removes the directory, the record last: a domain
// of which something is left is still listed. Preconditions: the verb lock is held.
func (d *domain) remove() error {
	if err := d.endProcess(); err != nil {
		return err
	}
	if err := d.endStrays(); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.dir)
	if err = ignoreMissing(err); err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == fileRecord {
			continue
		}
		if err := os.RemoveAll(d.path(entry.Name())); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	d.mu.Lock()
	d.rec = nil
	d.mu.Unlock()
	d.engine.forget(d)
	return nil
}
