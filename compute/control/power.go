package control

import (
	"context"
	"sync"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
)

// resets lets a soft reboot wait for the guest's own reset.
type resets struct {
	mu      sync.Mutex
	waiting map[string]chan struct{} // by instance
}

func newResets() *resets { return &resets{waiting: map[string]chan struct{}{}} }

func (r *resets) expect(id string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	ch := make(chan struct{})
	r.waiting[id] = ch
	return ch
}

func (r *resets) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

func (r *resets) happened(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ch := r.waiting[id]; ch != nil {
		close(ch)
		delete(r.waiting, id)
	}
}

// happened takes an event of the hypervisor. It does not wait.
func (c *Controller) happened(e hypervisor.Event) {
	c.log.Info("a guest did something by itself", "instance", e.ID, "reason", e.Reason, "state", string(e.State))
	switch e.Reason {
	case hypervisor.ReasonReset:
		c.resets.happened(e.ID)
		return
	case hypervisor.ReasonPanicked, hypervisor.ReasonWatchdog:
		c.queue.add(e.ID, func(ctx context.Context) { c.stuck(ctx, e.ID, e.Reason) })
		return
	}
	c.queue.add(e.ID, func(ctx context.Context) { c.adjust(ctx, e.ID, anyGeneration, e.Reason) })
}

// anyGeneration: whatever was asked of the instance in the meantime.
const anyGeneration = -1

// adjust says of an instance to which nothing is being done what its domain
// really is. One that crashed is started again when its policy says so.
func (c *Controller) adjust(ctx context.Context, id string, generation int, reason string) {
	real, known := c.look(ctx, id)
	if !known {
		return
	}
	crashed, changed := false, false
	err := c.write(ctx, func(w *change) error {
		crashed, changed = false, false
		row, err := w.tx.Instances.Get(id)
		if err != nil {
			return err
		}
		if row.Task != compute.TaskNone || !row.Deleted.IsZero() || generation != anyGeneration && row.Generation != generation || row.Power == powerOf(real) {
			return nil
		}
		changed = true
		was := row.VM
		row.Power = powerOf(real)
		switch was {
		case compute.VMActive, compute.VMStopped, compute.VMPaused:
			row.VM = vmOf(real)
		case compute.VMError:
			return w.tx.Instances.Update(row)
		}
		crashed = real == hypervisor.Crashed && (was == compute.VMActive || was == compute.VMPaused) && recovers(row, c.cfg.AutoRecovery)
		row.Updated = w.at
		return w.tx.Instances.Update(row)
	})
	switch {
	case compute.IsKind(err, compute.NotFound):
	case err != nil:
		if ctx.Err() == nil {
			c.log.Error("the power state of an instance could not be stored", "instance", id, "error", err)
		}
	case changed:
		c.log.Info("an instance is not what it was said to be", "instance", id, "state", string(real), "reason", reason)
	}
	if crashed {
		c.again.plan(id, c.now(), c.cfg.RecoveryDelay, c.cfg.RecoveryDelayMax)
	}
}

// autoRecovery is the metadata of an instance, or the extra spec of its flavor
// (with "kamado:" before it), that says whether it is started again after a crash.
const autoRecovery = "auto_recovery"

// recovers says what the policy of an instance is.
func recovers(row *compute.Instance, otherwise bool) bool {
	for _, v := range []string{row.Metadata[autoRecovery], row.Flavor.Extra["kamado:"+autoRecovery]} {
		switch v {
		case "true":
			return true
		case "false":
			return false
		}
	}
	return otherwise
}

// stuck notes a guest whose kernel gave up, or whose watchdog ran out, and
// restarts it when its policy says so.
func (c *Controller) stuck(ctx context.Context, id, reason string) {
	again := false
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		row, err := tx.Instances.Get(id)
		again = err == nil && row.Task == compute.TaskNone && row.VM == compute.VMActive && recovers(row, c.cfg.AutoRecovery) &&
			!(reason == hypervisor.ReasonWatchdog && acted(row))
		return err
	})
	if err != nil && !compute.IsKind(err, compute.NotFound) && ctx.Err() == nil {
		c.log.Error("a stuck instance could not be read", "instance", id, "reason", reason, "error", err)
	}
	if again {
		c.again.plan(id, c.now(), c.cfg.RecoveryDelay, c.cfg.RecoveryDelayMax)
	}
}

// acted says whether the hypervisor does something itself when an instance's
// watchdog runs out.
func acted(row *compute.Instance) bool {
	action := extra(row)["hw_watchdog_action"]
	return action != "" && action != "none" && action != "disabled"
}

// recoveryTick is how often planned restarts are looked at.
const recoveryTick = 200 * time.Millisecond

// recoveries are instances to be started again, each after a wait that doubles.
type recoveries struct {
	mu   sync.Mutex
	list map[string]*recovery
}

type recovery struct {
	due     time.Time // zero: nothing is planned
	delay   time.Duration
	planned time.Time
}

func newRecoveries() *recoveries { return &recoveries{list: map[string]*recovery{}} }

// plan has an instance started after first, or after twice the last wait when
// that was not longer ago than most.
func (r *recoveries) plan(id string, now time.Time, first, most time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, p := range r.list { // those that have run for long since
		if p.due.IsZero() && now.Sub(p.planned) > p.delay+most {
			delete(r.list, other)
		}
	}
	p := r.list[id]
	if p == nil {
		p = &recovery{}
		r.list[id] = p
	}
	if !p.due.IsZero() {
		return
	}
	p.delay = min(max(first, 2*p.delay), most)
	p.planned, p.due = now, now.Add(p.delay)
}

// due gives the instances whose wait is over, once.
func (r *recoveries) due(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, p := range r.list {
		if !p.due.IsZero() && !now.Before(p.due) {
			p.due = time.Time{}
			ids = append(ids, id)
		}
	}
	return ids
}

// restart begins a hard reboot of an instance that crashed or hangs, as the
// system's own.
func (c *Controller) restart(ctx context.Context, id string) {
	who := fabric.System()
	row, err := c.begin(ctx, who, id, compute.VerbRebootHard, nil)
	outcome := compute.AuditSuccess
	switch {
	case compute.IsKind(err, compute.NotFound), compute.IsKind(err, compute.Conflict):
		return // deleted, or something else is being done to it
	case err != nil && ctx.Err() != nil:
		return
	case err != nil:
		outcome = compute.AuditFailure
		c.log.Warn("an instance could not be started again", "instance", id, "error", err)
	default:
		c.metrics.again.Inc()
		c.log.Info("an instance is started again", "instance", id)
	}
	if c.deps.Audit != nil {
		e := compute.AuditEvent{Time: c.now(), Service: "nova", Action: autoRecovery, TargetKind: "servers", TargetID: id, Outcome: outcome}
		if row != nil {
			e.ProjectID = row.ProjectID
		}
		c.deps.Audit(e)
	}
}
