package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/hypervisor"
)

// task is the task of a row, as its job found it.
type task struct {
	*compute.Instance
	recovered bool // it was begun by a controller that is no more
}

// step is how a task is worked on.
type step struct {
	run func(*Controller, context.Context, *task) error
	// breaks: a failure leaves the instance in the state "error"; else it stays
	// what it really is.
	breaks bool
	long   bool // it copies disks
}

// steps are the tasks. They are begun by verbs (compute.Verb.Begins) and go on
// through the tasks that a step sets itself.
var steps = map[compute.Task]step{
	compute.TaskScheduling:      {run: (*Controller).build, breaks: true},
	compute.TaskNetworking:      {run: (*Controller).build, breaks: true},
	compute.TaskSpawning:        {run: (*Controller).build, breaks: true},
	compute.TaskDeleting:        {run: (*Controller).remove, breaks: true},
	compute.TaskPoweringOn:      {run: (*Controller).powerOn},
	compute.TaskPoweringOff:     {run: (*Controller).powerOff},
	compute.TaskRebooting:       {run: (*Controller).rebootSoft},
	compute.TaskRebootingHard:   {run: (*Controller).rebootHard, breaks: true},
	compute.TaskPausing:         {run: (*Controller).pause},
	compute.TaskUnpausing:       {run: (*Controller).unpause},
	compute.TaskSuspending:      {run: (*Controller).suspend},
	compute.TaskResuming:        {run: (*Controller).resume},
	compute.TaskRescuing:        {run: (*Controller).rescue, breaks: true},
	compute.TaskUnrescuing:      {run: (*Controller).unrescue, breaks: true},
	compute.TaskRebuilding:      {run: (*Controller).rebuild, breaks: true},
	compute.TaskResizePrep:      {run: (*Controller).resize, breaks: true},
	compute.TaskResizing:        {run: (*Controller).resize, breaks: true},
	compute.TaskResizeFinish:    {run: (*Controller).resize, breaks: true},
	compute.TaskResizeReverting: {run: (*Controller).revert, breaks: true},
	compute.TaskSnapshotPending: {run: (*Controller).snapshot, long: true},
	compute.TaskSnapshot:        {run: (*Controller).snapshot, long: true},
	compute.TaskSnapshotUpload:  {run: (*Controller).snapshot, long: true},
	compute.TaskBackup:          {run: (*Controller).snapshot, long: true},
	compute.TaskShelving:        {run: (*Controller).shelve, long: true},
	compute.TaskUnshelving:      {run: (*Controller).unshelve, breaks: true},
	compute.TaskPassword:        {run: (*Controller).forgetPassword},
}

// work does what the row of an instance says is to be done.
func (c *Controller) work(ctx context.Context, id string, recovered bool) {
	var row *compute.Instance
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) (err error) {
		row, err = tx.Instances.Get(id)
		return err
	})
	if compute.IsKind(err, compute.NotFound) || err == nil && row.Task == compute.TaskNone {
		return // something later was asked and done
	}
	if err != nil {
		if ctx.Err() == nil {
			c.stall(id, err)
		}
		return
	}
	c.do(ctx, &task{row, recovered}, steps[row.Task])
}

// recoveryTimeout bounds what a crash left: nobody waits for it any more, and
// within a minute it is to be done or said to be in error.
const recoveryTimeout = 50 * time.Second

// do runs a step within its time, and says when it failed. A job that is cut, by
// the end of the controller or by a later request, says nothing: whoever works on
// the row next finds it as it is.
func (c *Controller) do(ctx context.Context, t *task, s step) {
	if s.run == nil {
		c.log.Error("a task that nobody knows", "instance", t.ID, "task", string(t.Task))
		return
	}
	timeout := c.cfg.TaskTimeout
	switch {
	case s.long:
		timeout = c.cfg.SnapshotTimeout
	case t.recovered:
		timeout = min(timeout, recoveryTimeout)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	err := s.run(c, limited, t)
	if ctx.Err() != nil || errors.Is(err, errSuperseded) {
		return
	}
	c.metrics.task(string(t.Task), time.Since(began), err)
	if err == nil {
		c.stalls.over(t.ID)
		return
	}
	if errors.Is(err, errStore) {
		c.stall(t.ID, err)
		return
	}
	c.log.Warn("a task of an instance failed", "instance", t.ID, "task", string(t.Task), "error", err)
	if err := c.failed(ctx, t, s, err); err != nil && ctx.Err() == nil && !errors.Is(err, errSuperseded) {
		c.stall(t.ID, err)
		return
	}
	c.stalls.over(t.ID)
}

// finish ends a task in one write: fn says what the instance now is. The error is
// errSuperseded when the task is somebody else's by now.
func (c *Controller) finish(ctx context.Context, t *task, cause error, fn func(*change, *compute.Instance) error) error {
	return c.write(ctx, func(w *change) error {
		row, err := t.current(w)
		if err != nil {
			return err
		}
		before := *row
		row.Task, row.TaskArgs = compute.TaskNone, nil
		if err := fn(w, row); err != nil {
			return err
		}
		if err := w.settle(&before, row); err != nil {
			return err
		}
		row.Updated = w.at
		if err := w.tx.Instances.Update(row); err != nil {
			return err
		}
		return w.endAction(t.TaskArgs[argAction], row.HostID, cause)
	})
}

// current gives the row when the task is still this one.
func (t *task) current(w *change) (*compute.Instance, error) {
	row, err := w.tx.Instances.Get(t.ID)
	if compute.IsKind(err, compute.NotFound) || err == nil && row.Generation != t.Generation {
		return nil, errSuperseded
	}
	return row, err
}

// advance changes the task on the way.
func (c *Controller) advance(ctx context.Context, t *task, to compute.Task) error {
	if t.Task == to {
		return nil
	}
	return c.write(ctx, func(w *change) error {
		row, err := t.current(w)
		if err != nil {
			return err
		}
		row.Task, row.Updated = to, w.at
		t.Task = to
		return w.tx.Instances.Update(row)
	})
}

// became is a finish for verbs that change nothing but the state.
func (c *Controller) became(ctx context.Context, t *task, vm compute.VMState, power compute.PowerState) error {
	return c.finish(ctx, t, nil, func(_ *change, row *compute.Instance) error {
		row.VM, row.Power, row.Fault = vm, power, nil
		return nil
	})
}

// failed ends a task that could not be done.
func (c *Controller) failed(ctx context.Context, t *task, s step, cause error) error {
	var real hypervisor.State
	var known bool
	switch t.Task {
	case compute.TaskScheduling, compute.TaskNetworking, compute.TaskSpawning, compute.TaskUnshelving:
		c.tidy(ctx, t.ID)
	}
	if !s.breaks {
		real, known = c.look(ctx, t.ID)
	}
	return c.finish(ctx, t, cause, func(w *change, row *compute.Instance) error {
		row.Fault = fault(cause, w.at)
		switch {
		case s.breaks:
			row.VM = compute.VMError
		case known && t.VM != compute.VMResized && t.VM != compute.VMRescued:
			row.VM, row.Power = vmOf(real), powerOf(real)
		}
		return c.unwind(w, t, row)
	})
}

// unwind gives back what a task took that is of no use after its failure.
func (c *Controller) unwind(w *change, t *task, row *compute.Instance) error {
	switch t.Task {
	case compute.TaskScheduling, compute.TaskNetworking, compute.TaskSpawning:
		// The place on the host and the networks are free; the quota is held until it is deleted.
		row.HostID, row.Zone = "", ""
		w.network = true
		return c.deps.Fabric.Unplug(w.tx, row)
	case compute.TaskUnshelving:
		row.HostID, row.VM = "", compute.VMShelved
		w.network = true
		return c.deps.Fabric.Bind(w.tx, row, "")
	case compute.TaskResizePrep, compute.TaskResizing, compute.TaskResizeFinish:
		if row.OldFlavor != nil {
			row.Flavor, row.OldFlavor = *row.OldFlavor, nil
		}
		return w.endMigration(row.ID, "error")
	case compute.TaskResizeReverting: // it goes on with the old flavor as soon as it starts
		if row.OldFlavor != nil {
			row.Flavor, row.OldFlavor = *row.OldFlavor, nil
		}
		return w.endMigration(row.ID, "error")
	case compute.TaskRescuing:
		row.RescueImageID = ""
	}
	return nil
}

// fault says what went wrong: to the owner in general, to administrators all.
func fault(cause error, at time.Time) *compute.Fault {
	f := &compute.Fault{Code: 500, Message: "The hypervisor could not do that.", Details: cause.Error(), Created: at}
	var e *compute.Error
	switch {
	case errors.Is(cause, hypervisor.ErrNoSpace):
		f.Message = "No space left on the host."
	case errors.Is(cause, hypervisor.ErrNoImage):
		f.Message = "The machine image is missing or not usable."
	case errors.Is(cause, hypervisor.ErrUnsupported):
		f.Message = "The hypervisor of the host cannot do that."
	case errors.Is(cause, context.DeadlineExceeded):
		f.Message = "The hypervisor did not answer in time."
	case errors.As(cause, &e) && e.Kind != compute.Internal && e.Detail != "":
		f.Message = e.Detail
	}
	return f
}

// look asks the hypervisor what a domain is; false: it does not say.
func (c *Controller) look(ctx context.Context, id string) (hypervisor.State, bool) {
	list, err := c.deps.Engine.List(ctx)
	if err != nil {
		return "", false
	}
	for _, d := range list {
		if d.ID == id {
			return d.State, true
		}
	}
	return hypervisor.Off, true
}

// vmOf is the state of an instance whose domain is in a state.
func vmOf(s hypervisor.State) compute.VMState {
	switch s {
	case hypervisor.Running:
		return compute.VMActive
	case hypervisor.Paused:
		return compute.VMPaused
	case hypervisor.Suspended:
		return compute.VMSuspended
	}
	return compute.VMStopped
}

func powerOf(s hypervisor.State) compute.PowerState {
	switch s {
	case hypervisor.Running:
		return compute.PowerRunning
	case hypervisor.Paused:
		return compute.PowerPaused
	case hypervisor.Suspended:
		return compute.PowerShutdown
	case hypervisor.Crashed:
		return compute.PowerCrashed
	}
	return compute.PowerShutdown
}

// build makes a new instance run.
func (c *Controller) build(ctx context.Context, t *task) error {
	if err := c.settleNetwork(ctx, t.Instance); err != nil {
		return err
	}
	spec, err := c.spec(ctx, t.Instance)
	if err != nil {
		return err
	}
	if err := c.deps.Engine.Create(ctx, spec); err != nil {
		return fmt.Errorf("create the domain: %w", err)
	}
	var active *compute.Instance
	err = c.finish(ctx, t, nil, func(w *change, row *compute.Instance) error {
		row.VM, row.Power, row.Fault, row.Progress = compute.VMActive, compute.PowerRunning, nil, 0
		if row.Launched.IsZero() {
			row.Launched = w.at
		}
		active = row
		return nil
	})
	if err != nil {
		return err
	}
	c.metrics.active.Observe(active.Launched.Sub(active.Created).Seconds())
	return nil
}

// tidyTimeout bounds the removal of what a failed task left on the host.
const tidyTimeout = 30 * time.Second

// tidy removes what a failed Create may have left.
func (c *Controller) tidy(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	if err := c.deps.Engine.Destroy(ctx, id); err != nil && !errors.Is(err, hypervisor.ErrNotFound) {
		c.log.Warn("a domain could not be removed", "instance", id, "error", err)
	}
}

// removeTries is how often the removal of a domain is tried before the instance
// is said to be in error; removeWait is the wait between.
const (
	removeTries = 4
	removeWait  = 2 * time.Second
)

// remove deletes an instance.
func (c *Controller) remove(ctx context.Context, t *task) error {
	var err error
	for try := range removeTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(removeWait):
			}
		}
		if err = c.deps.Engine.Destroy(ctx, t.ID); err == nil || errors.Is(err, hypervisor.ErrNotFound) {
			break
		}
	}
	if err != nil && !errors.Is(err, hypervisor.ErrNotFound) {
		return fmt.Errorf("destroy the domain: %w", err)
	}
	if t.ShelvedImageID != "" {
		if err := c.dropImage(ctx, t.ShelvedImageID); err != nil {
			return err
		}
	}
	if half := t.TaskArgs[argHalf]; half != "" {
		c.dropHalf(ctx, half)
	}
	return c.finish(ctx, t, nil, c.bury)
}

func (c *Controller) powerOn(ctx context.Context, t *task) error {
	if err := c.start(ctx, t.Instance); err != nil {
		return err
	}
	return c.became(ctx, t, compute.VMActive, compute.PowerRunning)
}

// start turns a domain on, and makes it anew when there is none.
func (c *Controller) start(ctx context.Context, row *compute.Instance) error {
	if err := c.settleNetwork(ctx, row); err != nil {
		return err
	}
	spec, err := c.spec(ctx, row)
	if err != nil {
		return err
	}
	err = c.deps.Engine.Start(ctx, spec)
	if errors.Is(err, hypervisor.ErrNotFound) {
		err = c.deps.Engine.Create(ctx, spec)
	}
	if err != nil {
		return fmt.Errorf("start the domain: %w", err)
	}
	return nil
}

// halt turns a domain off; one that is not there is off.
func (c *Controller) halt(ctx context.Context, id string, grace time.Duration) error {
	if err := c.deps.Engine.Stop(ctx, id, grace); err != nil && !errors.Is(err, hypervisor.ErrNotFound) {
		return fmt.Errorf("stop the domain: %w", err)
	}
	return nil
}

func (c *Controller) powerOff(ctx context.Context, t *task) error {
	if err := c.halt(ctx, t.ID, c.cfg.StopGrace); err != nil {
		return err
	}
	return c.became(ctx, t, compute.VMStopped, compute.PowerShutdown)
}

// rebootSoft asks the guest, and resets it when it does not restart in time. What
// a crash left may have restarted already: it only has to be on.
func (c *Controller) rebootSoft(ctx context.Context, t *task) error {
	if t.recovered {
		return c.powerOn(ctx, t)
	}
	reset := c.resets.expect(t.ID)
	defer c.resets.forget(t.ID)
	err := c.deps.Engine.Reboot(ctx, t.ID, false)
	switch {
	case errors.Is(err, hypervisor.ErrState), errors.Is(err, hypervisor.ErrNotFound):
		return c.powerOn(ctx, t)
	case err != nil:
		return fmt.Errorf("reboot the domain: %w", err)
	}
	select {
	case <-reset:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(c.cfg.RebootGrace):
		if err := c.deps.Engine.Reboot(ctx, t.ID, true); err != nil {
			return fmt.Errorf("reset the domain: %w", err)
		}
	}
	return c.became(ctx, t, compute.VMActive, compute.PowerRunning)
}

// rebootHard turns the domain off and on, with what is now known of it.
func (c *Controller) rebootHard(ctx context.Context, t *task) error {
	if err := c.halt(ctx, t.ID, 0); err != nil {
		return err
	}
	return c.powerOn(ctx, t)
}

func (c *Controller) pause(ctx context.Context, t *task) error {
	if err := c.deps.Engine.Pause(ctx, t.ID); err != nil {
		return fmt.Errorf("pause the domain: %w", err)
	}
	return c.became(ctx, t, compute.VMPaused, compute.PowerPaused)
}

func (c *Controller) unpause(ctx context.Context, t *task) error {
	if err := c.deps.Engine.Unpause(ctx, t.ID); err != nil {
		return fmt.Errorf("unpause the domain: %w", err)
	}
	return c.became(ctx, t, compute.VMActive, compute.PowerRunning)
}

func (c *Controller) suspend(ctx context.Context, t *task) error {
	if err := c.deps.Engine.Suspend(ctx, t.ID); err != nil {
		return fmt.Errorf("suspend the domain: %w", err)
	}
	return c.became(ctx, t, compute.VMSuspended, compute.PowerShutdown)
}

func (c *Controller) resume(ctx context.Context, t *task) error { return c.powerOn(ctx, t) }

// forgetPassword ends the setting of a password that a crash cut: it was kept
// nowhere.
func (c *Controller) forgetPassword(ctx context.Context, t *task) error {
	return c.became(ctx, t, t.VM, t.Power)
}
