package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// migrationStep is how often QEMU is asked how far it is.
const migrationStep = 10 * time.Millisecond

// Suspend saves the guest's memory in a file and turns it off.
func (e *Engine) Suspend(ctx context.Context, id string) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	now := d.current()
	switch {
	case now == hypervisor.Suspended:
		return nil
	case !on(now):
		return d.stateError()
	case d.leaving():
		return fmt.Errorf("domain %s has not let go of a card that was detached: %w", id, hypervisor.ErrState)
	}
	if err := d.saveMemory(ctx); err != nil {
		back := d.takeBack(now)
		return errors.Join(fmt.Errorf("suspend domain %s: %w", id, err), back)
	}
	if err := d.turnOff(ctx, hypervisor.Suspended); err != nil {
		return fmt.Errorf("suspend domain %s: %w", id, err)
	}
	return nil
}

// saveMemory stops the guest and writes its memory and devices.
func (d *domain) saveMemory(ctx context.Context) error {
	if err := d.command(ctx, "stop", nil, nil); err != nil {
		return err
	}
	f, err := os.OpenFile(d.path(fileMemory), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return hostError(err)
	}
	defer f.Close()
	const unlimited = 1 << 40 // bytes a second: the disk is the limit
	if err := d.command(ctx, "migrate-set-parameters", node{"max-bandwidth": unlimited}, nil); err != nil {
		return err
	}
	if err := d.command(ctx, "getfd", node{"fdname": "memory"}, nil, f); err != nil {
		return err
	}
	if err := d.command(ctx, "migrate", node{"uri": "fd:memory"}, nil); err != nil {
		return err
	}
	if err := d.migrated(ctx); err != nil {
		return err
	}
	return hostError(f.Sync())
}

// takeBack lets a guest go on whose memory could not be saved.
func (d *domain) takeBack(was hypervisor.State) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.engine.cfg.CommandTimeout)
	defer cancel()
	_ = d.command(ctx, "migrate_cancel", nil, nil) // it may have ended by itself
	var err error
	for was == hypervisor.Running {
		if err = d.command(ctx, "cont", nil, nil); err == nil || ctx.Err() != nil {
			break
		}
		wait(ctx, migrationStep) // until the cancelled one is over
	}
	return errors.Join(err, ignoreMissing(os.Remove(d.path(fileMemory))))
}

// migrated waits for the end of what QEMU calls a migration.
func (d *domain) migrated(ctx context.Context) error {
	for {
		var info struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := d.command(ctx, "query-migrate", nil, &info); err != nil {
			return err
		}
		switch info.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			if strings.Contains(info.Error, "No space left") {
				return fmt.Errorf("%w: %s", hypervisor.ErrNoSpace, info.Error)
			}
			return fmt.Errorf("memory not moved: %s %s", info.Status, info.Error)
		}
		if !wait(ctx, migrationStep) {
			return ctx.Err()
		}
	}
}

// wait waits; false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// loadMemory reads into a waiting process what saveMemory wrote. From here on
// the domain is no longer suspended: its disks will change.
func (d *domain) loadMemory(ctx context.Context) error {
	f, err := openPlain(d.path(fileMemory), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := d.command(ctx, "getfd", node{"fdname": "memory"}, nil, f); err != nil {
		return err
	}
	if err := d.command(ctx, "migrate-incoming", node{"uri": "fd:memory"}, nil); err != nil {
		return err
	}
	if err := d.migrated(ctx); err != nil {
		return err
	}
	if err := d.keep(true, func(r *record) { r.Wanted = hypervisor.Running }); err != nil {
		return err
	}
	return os.Remove(d.path(fileMemory))
}
