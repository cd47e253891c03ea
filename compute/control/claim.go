package control

import (
	"context"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/schedule"
)

// claimOf is what an instance of a flavor holds of its host. Swap is rounded up
// to whole GiB.
func claimOf(f *compute.Flavor) schedule.Claim {
	return schedule.Claim{VCPUs: f.VCPUs, MemoryMiB: f.MemoryMiB, DiskGiB: f.DiskGiB + f.EphemeralGiB + (f.SwapMiB+1023)/1024, Instances: 1}
}

// holds is what an instance holds: of its project's quota, and of the host that
// is named. It follows from the row alone, so that taking and giving back is the
// difference of two rows. Between a resize and its confirmation it holds the
// larger of both flavors, so that going back never fails for want of room.
func holds(i *compute.Instance) (quota schedule.Claim, host string, claim schedule.Claim) {
	if i == nil || !i.Deleted.IsZero() {
		return quota, "", claim
	}
	claim = claimOf(&i.Flavor)
	if i.OldFlavor != nil {
		old := claimOf(i.OldFlavor)
		claim.VCPUs, claim.MemoryMiB, claim.DiskGiB = max(claim.VCPUs, old.VCPUs), max(claim.MemoryMiB, old.MemoryMiB), max(claim.DiskGiB, old.DiskGiB)
	}
	if i.HostID == "" {
		return claim, "", schedule.Claim{}
	}
	return claim, i.HostID, claim
}

// change is one write: its tables, and what must happen when it was committed.
type change struct {
	tx *compute.Tx
	at time.Time
	// hosts are the rows of hosts that the write has changed so far, moved by how
	// much each was changed.
	hosts map[string]*compute.Host
	moved map[string]schedule.Claim
	all   []*compute.Host // every host, once they were needed
	// network: what a host must build may have changed.
	network bool
}

// write runs fn in one write. fn may run more than once.
func (c *Controller) write(ctx context.Context, fn func(*change) error) error {
	var w *change
	err := c.deps.Store.Write(ctx, func(tx *compute.Tx) error {
		w = &change{tx: tx, at: c.now(), hosts: map[string]*compute.Host{}, moved: map[string]schedule.Claim{}}
		if err := fn(w); err != nil {
			return err
		}
		for _, h := range w.hosts {
			if err := tx.Hosts.Update(h); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return storeFailed(err)
	}
	for id, claim := range w.moved {
		c.hosts.used(id, claim)
	}
	if w.network {
		c.net.kick()
	}
	c.kickNames()
	return nil
}

// host gives a host's row with the changes of this write.
func (w *change) host(id string) (*compute.Host, error) {
	if h := w.hosts[id]; h != nil {
		return h, nil
	}
	return w.tx.Hosts.Get(id)
}

// move changes what is used of a host.
func (w *change) move(id string, claim schedule.Claim, n int) error {
	if claim == (schedule.Claim{}) {
		return nil
	}
	h, err := w.host(id)
	if compute.IsKind(err, compute.NotFound) && n < 0 {
		return nil // a host that an administrator removed has nothing to get back
	}
	if err != nil {
		return err
	}
	h.VCPUsUsed = max(h.VCPUsUsed+n*claim.VCPUs, 0)
	h.MemoryUsed = max(h.MemoryUsed+n*claim.MemoryMiB, 0)
	h.DiskUsed = max(h.DiskUsed+n*claim.DiskGiB, 0)
	h.Instances = max(h.Instances+n*claim.Instances, 0)
	w.hosts[id] = h
	w.moved[id] = w.moved[id].Plus(claim, n)
	return nil
}

// settle takes and gives back what the rows before and after differ in. Quota is
// looked at; the capacity of the host is the caller's to look at before.
func (w *change) settle(before, after *compute.Instance) error {
	qb, hb, cb := holds(before)
	qa, ha, ca := holds(after)
	project := after.ProjectID
	err := w.tx.ChargeAll(project, []compute.Charge{{Resource: compute.QuotaInstances, N: qa.Instances - qb.Instances},
		{Resource: compute.QuotaCores, N: qa.VCPUs - qb.VCPUs}, {Resource: compute.QuotaRAM, N: qa.MemoryMiB - qb.MemoryMiB}})
	if err != nil {
		return err
	}
	if hb == ha {
		if ha == "" {
			return nil
		}
		return w.move(ha, ca.Plus(cb, -1), 1)
	}
	if hb != "" {
		if err := w.move(hb, cb, -1); err != nil {
			return err
		}
	}
	if ha != "" {
		return w.move(ha, ca, 1)
	}
	return nil
}

// room says whether a host can take more, by its row.
func (c *Controller) room(w *change, hostID string, q *schedule.Request) (bool, error) {
	row, err := w.host(hostID)
	if compute.IsKind(err, compute.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h := schedule.Host{Host: *row, Up: true, Aggregates: c.hosts.aggregates(hostID)}
	return c.cfg.Ratios.Filter(&h, q) == schedule.Fits, nil
}
