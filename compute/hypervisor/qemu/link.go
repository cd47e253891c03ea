package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/qmp"
)

// connect speaks to the process and asks it what it is. Preconditions: there is
// a process.
func (d *domain) connect(ctx context.Context) error {
	d.mu.Lock()
	p := d.proc
	d.mu.Unlock()
	if p == nil {
		return errors.New("the process of the domain is gone")
	}
	conn, err := dial(ctx, d.dir, sockQMP)
	if err != nil {
		return fmt.Errorf("connect to QEMU: %w", err)
	}
	link, err := qmp.Open(ctx, conn, func(ev qmp.Event) { d.on(p, ev) })
	if err != nil {
		return err
	}
	var status struct{ Status string }
	if err := link.Execute(ctx, "query-status", nil, &status); err != nil {
		link.Close()
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != p {
		link.Close()
		return errors.New("the process of the domain ended meanwhile")
	}
	d.link, d.hung = link, false
	d.setStatus(status.Status)
	d.notify()
	go d.watch(p, link)
	if d.down && !d.rebooting {
		go d.afterPowerOff(p)
	}
	return nil
}

// setStatus takes over QEMU's run state. Preconditions: mu is held.
func (d *domain) setStatus(status string) {
	switch status {
	case "running":
		d.state = hypervisor.Running
	case "shutdown":
		d.down = true
	default: // prelaunch, paused, inmigrate, postmigrate, save-vm, io-error, guest-panicked, watchdog …
		d.state = hypervisor.Paused
	}
}

// watch waits for the end of a connection, which is nearly always that of the
// process.
func (d *domain) watch(p *process, link *qmp.Client) {
	<-link.Done()
	d.mu.Lock()
	if d.link == link {
		d.link = nil
	}
	ours := d.proc == p
	d.mu.Unlock()
	if !ours {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if p.wait(ctx) == nil {
		d.ended(p)
	}
}

// endTimeout is how long the kernel may take to take a killed process apart,
// guests with much memory included.
const endTimeout = 20 * time.Second

// ended takes note of the process's end, once.
func (d *domain) ended(p *process) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != p {
		return
	}
	crashed := !d.expected && !d.down
	d.proc, d.link, d.down, d.rebooting = nil, nil, false, false
	d.notify()
	p.close()
	if crashed && d.rec != nil {
		d.log.Warn("a guest's process ended by itself", "pid", p.pid)
		d.engine.emit(hypervisor.Event{ID: d.id, State: hypervisor.Crashed, Reason: hypervisor.ReasonCrashed})
	}
}

// firmwareReset is how long after a reset of ours the guest's firmware may reset
// once more by itself, as SeaBIOS does to begin from a clean state. That is no news.
const firmwareReset = 2 * time.Second

// on takes an event of QEMU. It must not execute commands.
func (d *domain) on(p *process, ev qmp.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc != p {
		return
	}
	tell := func(reason string) {
		d.engine.emit(hypervisor.Event{ID: d.id, State: d.now(), Reason: reason})
	}
	switch ev.Name {
	case "RESUME":
		d.state = hypervisor.Running
	case "STOP":
		d.state = hypervisor.Paused
	case "SHUTDOWN":
		var data struct{ Guest bool }
		_ = json.Unmarshal(ev.Data, &data) // no data: not by the guest
		if data.Guest {
			d.down = true
			go d.afterPowerOff(p)
		}
	case "RESET":
		var data struct{ Guest bool }
		_ = json.Unmarshal(ev.Data, &data)
		if data.Guest && time.Since(d.resetAt) > firmwareReset {
			tell(hypervisor.ReasonReset)
		}
	case "GUEST_PANICKED":
		tell(hypervisor.ReasonPanicked)
	case "WATCHDOG":
		tell(hypervisor.ReasonWatchdog)
	case "DEVICE_DELETED":
		var data struct{ Device string }
		_ = json.Unmarshal(ev.Data, &data) // no data: no device of ours
		d.cardGone(data.Device)
	default:
		return
	}
	d.notify()
}

// afterPowerOff does what follows when a guest powered off by itself: the end of
// its process, or, when it was asked to restart, its next start. A verb that is
// at work does it instead.
func (d *domain) afterPowerOff(p *process) {
	ctx, cancel := context.WithTimeout(context.Background(), d.engine.cfg.StartTimeout)
	defer cancel()
	release, err := d.lock(ctx)
	if err != nil {
		return
	}
	defer release()
	d.mu.Lock()
	ours, again := d.proc == p && d.down, d.rebooting
	d.mu.Unlock()
	if !ours {
		return
	}
	if again && d.reset(ctx) == nil {
		d.engine.emit(hypervisor.Event{ID: d.id, State: hypervisor.Running, Reason: hypervisor.ReasonReset})
		return
	}
	if err := d.turnOff(ctx, hypervisor.Off); err != nil {
		d.log.Warn("a guest powered off, and its process stays", "error", err)
		return
	}
	d.engine.emit(hypervisor.Event{ID: d.id, State: hypervisor.Off, Reason: hypervisor.ReasonShutdown})
}

// reset restarts the guest in its process.
func (d *domain) reset(ctx context.Context) error {
	d.mu.Lock()
	d.resetAt = time.Now()
	d.mu.Unlock()
	if err := d.command(ctx, "system_reset", nil, nil); err != nil {
		return err
	}
	if err := d.command(ctx, "cont", nil, nil); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down, d.rebooting, d.state = false, false, hypervisor.Running
	d.notify()
	return nil
}

// quitTimeout is how long QEMU may take to write back what it holds of its disks
// before it is killed.
const quitTimeout = 10 * time.Second

// turnOff ends the process, letting it write back first, and keeps that the
// domain is now wanted so. Preconditions: the verb lock is held.
func (d *domain) turnOff(ctx context.Context, wanted hypervisor.State) error {
	d.mu.Lock()
	p, link := d.proc, d.link
	d.expected = true
	d.mu.Unlock()
	if p != nil {
		quit, cancel := context.WithTimeout(ctx, quitTimeout)
		if link != nil && link.Execute(quit, "quit", nil, nil) == nil {
			_ = p.wait(quit)
		}
		cancel()
		if err := d.endProcess(); err != nil {
			return err
		}
	}
	return d.keep(true, func(r *record) { r.Wanted = wanted })
}

// endProcess kills the process and returns when it is dead.
func (d *domain) endProcess() error {
	d.mu.Lock()
	p := d.proc
	d.expected = true
	d.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := p.kill(); err != nil {
		return fmt.Errorf("kill the process of %s: %w", d.id, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := p.wait(ctx); err != nil {
		return err
	}
	d.ended(p)
	return nil
}

// setHung keeps whether QEMU answers; the first time is logged, and the last.
func (d *domain) setHung(hung bool) {
	d.mu.Lock()
	was := d.hung
	d.hung = hung
	link := d.link
	if hung {
		d.link = nil // tend connects again
	}
	d.mu.Unlock()
	if hung && link != nil {
		link.Close()
	}
	if hung && !was {
		d.log.Warn("a guest's QEMU does not answer")
	}
	if !hung && was {
		d.log.Info("a guest's QEMU answers again")
	}
}

// reconnect tries once more to speak to a process that does not answer.
func (e *Engine) reconnect(ctx context.Context, d *domain) {
	select {
	case <-d.verb:
		defer func() { d.verb <- struct{}{} }()
	default:
		return // a verb is at work on it
	}
	if !d.lost() {
		return
	}
	d.mu.Lock()
	p, was := d.proc, d.hung
	d.mu.Unlock()
	if p.dead() {
		_ = p.wait(ctx) // at once: it is dead
		d.ended(p)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.AdoptTimeout)
	defer cancel()
	if d.connect(ctx) == nil && was {
		d.log.Info("a guest's QEMU answers again")
	}
}
