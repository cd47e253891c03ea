package control

import (
	"context"
	"fmt"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/hypervisor"
)

// page is how many rows one read takes, so that no read holds all instances.
const page = 500

// eachInstance calls f with the live instances that where selects, page by page.
func (c *Controller) eachInstance(ctx context.Context, where compute.Where, f func(*compute.Instance)) error {
	where["live"] = true
	after := ""
	for {
		var list []*compute.Instance
		err := c.deps.Store.Read(ctx, func(tx *compute.Tx) (err error) {
			list, err = tx.Instances.List(compute.Query{Where: where, After: after, Limit: page})
			return err
		})
		if err != nil {
			return err
		}
		for _, row := range list {
			f(row)
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].ID
	}
}

// recover looks at what an earlier controller left: tasks that it began are done
// or undone. Domains that nobody knows, and instances whose domain went off in the
// meantime, are looked at a little later (see upkeep): nobody waits for that.
func (c *Controller) recover(ctx context.Context) error {
	if err := c.sweepSnapshots(); err != nil {
		c.log.Warn("files of snapshots could not be removed", "error", err)
	}
	c.awaitNetwork(ctx)
	tasks := make([]string, 0, len(compute.Tasks()))
	for _, t := range compute.Tasks() {
		tasks = append(tasks, string(t))
	}
	n := 0
	err := c.eachInstance(ctx, compute.Where{"task": tasks}, func(row *compute.Instance) {
		if row.HostID != "" && !c.own(row.HostID) {
			return
		}
		n++
		c.submit(row.ID, true)
	})
	if err != nil {
		return fmt.Errorf("list instances with tasks: %w", err)
	}
	if n > 0 {
		c.log.Info("tasks that an earlier run left are taken up", "tasks", n)
	}
	return nil
}

// awaitNetwork waits for the first round of the network, but not for ever.
func (c *Controller) awaitNetwork(ctx context.Context) {
	ticket := c.net.kick()
	if c.lazyNetwork {
		return
	}
	wait, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.net.wait(wait, ticket); err != nil && ctx.Err() == nil {
		c.log.Warn("the network of this host was not ready in time", "waited", startTimeout)
	}
}

// sweepDomains destroys domains whose instance is deleted or was never there: a
// row is written before its domain is made, so no guest of ours is without one.
// In a store that knows no instance at all they are left, because then the store
// is what was lost.
func (c *Controller) sweepDomains(ctx context.Context) error {
	domains, err := c.deps.Engine.List(ctx)
	if err != nil {
		return fmt.Errorf("list domains: %w", err)
	}
	var orphans []string
	known := 0
	err = c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		orphans = nil
		var err error
		if known, err = tx.Instances.Count(compute.Query{}); err != nil {
			return err
		}
		for _, d := range domains {
			row, err := tx.Instances.Get(d.ID)
			if compute.IsKind(err, compute.NotFound) || err == nil && !row.Deleted.IsZero() {
				orphans = append(orphans, d.ID)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("compare domains with instances: %w", err)
	}
	if known == 0 && len(orphans) > 0 {
		c.log.Warn("the hypervisor has domains and the store has no instances: they are left alone", "domains", len(orphans))
		return nil
	}
	for _, id := range orphans {
		c.log.Warn("a domain without an instance is destroyed", "domain", id)
		c.metrics.orphans.Inc()
		c.queue.add(id, func(ctx context.Context) { c.tidy(ctx, id) })
	}
	return nil
}

// syncPower compares every instance of our hosts to which nothing is being done
// with its domain, for what happened while nobody watched.
func (c *Controller) syncPower(ctx context.Context) error {
	domains, err := c.deps.Engine.List(ctx)
	if err != nil {
		return fmt.Errorf("list domains: %w", err)
	}
	states := make(map[string]hypervisor.State, len(domains))
	for _, d := range domains {
		states[d.ID] = d.State
	}
	return c.eachInstance(ctx, compute.Where{"task": ""}, func(row *compute.Instance) {
		if !c.own(row.HostID) {
			return
		}
		real, there := states[row.ID]
		if !there {
			real = hypervisor.Off
		}
		if powerOf(real) != row.Power && row.VM != compute.VMError {
			c.queue.add(row.ID, func(ctx context.Context) { c.adjust(ctx, row.ID, row.Generation, "power sync") })
		}
	})
}

// upkeep does what is due from time to time.
func (c *Controller) upkeep(ctx context.Context) error {
	power, purge, again := time.NewTicker(c.cfg.PowerSync), time.NewTicker(time.Hour), time.NewTicker(recoveryTick)
	defer power.Stop()
	defer purge.Stop()
	defer again.Stop()
	var failing state
	compare := func() {
		err := c.syncPower(ctx)
		if err == nil {
			err = c.reloadHosts(ctx)
		}
		if ctx.Err() == nil && failing.turned(err != nil) && err != nil {
			c.log.Warn("instances could not be compared with the hypervisor", "error", err)
		}
	}
	if err := c.sweepDomains(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("domains could not be compared with instances", "error", err)
	}
	compare()
	tidyRows := func() {
		if err := c.purge(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("deleted instances could not be purged", "error", err)
		}
	}
	tidyRows()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-power.C:
			compare()
		case <-purge.C:
			tidyRows()
		case <-again.C:
			for _, id := range c.again.due(c.now()) {
				c.restart(ctx, id)
			}
			for _, id := range c.stalls.due(time.Now()) {
				c.submit(id, true)
			}
		}
	}
}

// purge removes the rows of instances that were deleted long ago.
func (c *Controller) purge(ctx context.Context) error {
	for {
		n := 0
		err := c.deps.Store.Write(ctx, func(tx *compute.Tx) error {
			list, err := tx.Instances.List(compute.Query{Where: compute.Where{"live": false}, Order: "updated", Limit: page})
			if err != nil {
				return err
			}
			n = 0
			for _, row := range list {
				if c.now().Sub(row.Deleted) < c.cfg.KeepDeleted {
					continue
				}
				if err := purgeInstance(tx, row.ID); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil || n < page {
			return err
		}
	}
}

func purgeInstance(tx *compute.Tx, id string) error {
	of := compute.Query{Where: compute.Where{"instance_id": id}}
	actions, err := tx.Actions.List(of)
	if err != nil {
		return err
	}
	for _, a := range actions {
		if err := tx.Actions.Delete(a.ID); err != nil {
			return err
		}
	}
	migrations, err := tx.Migrations.List(of)
	if err != nil {
		return err
	}
	for _, m := range migrations {
		if err := tx.Migrations.Delete(m.ID); err != nil {
			return err
		}
	}
	return tx.Instances.Delete(id)
}
