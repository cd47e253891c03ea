package control

import (
	"context"
	"net/netip"
	"time"

	"github.com/kamado/kamado/compute"
)

// The pace of naming: what happens together is told together, and with many
// instances, whose reading costs more, less often.
const (
	namingSoon   = 50 * time.Millisecond
	namingRest   = 10 // times the duration of a round
	namingAtMost = time.Minute
)

// namingEvery is how often names are looked at without a reason: a registrar may
// have lost them, or refused them.
const namingEvery = 30 * time.Second

// kickNames says that an instance may have another name, address or state.
func (c *Controller) kickNames() {
	select {
	case c.naming <- struct{}{}:
	default:
	}
}

// nameInstances keeps the registrar's names those of the instances that are on, until ctx ends.
func (c *Controller) nameInstances(ctx context.Context) error {
	if c.deps.Names == nil {
		return nil
	}
	var failing state
	for wait := namingSoon; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-c.naming:
		case <-time.After(namingEvery):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		begun := time.Now()
		list, err := c.instanceNames(ctx)
		if err == nil {
			err = c.deps.Names.SetNames(ctx, list)
		}
		if ctx.Err() != nil {
			return nil
		}
		if failing.turned(err != nil) {
			if err != nil {
				c.log.Warn("the names of instances are not as they should be", "error", err)
			} else {
				c.log.Info("the names of instances are as they should be again")
			}
		}
		wait = min(max(namingSoon, namingRest*time.Since(begun)), namingAtMost)
	}
}

// instanceNames lists the instances of all hosts that are on and have an address.
func (c *Controller) instanceNames(ctx context.Context) ([]compute.InstanceName, error) {
	projects := map[string]string{}
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		rows, err := tx.Projects.List(compute.Query{})
		for _, p := range rows {
			projects[p.ID] = p.Name
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var list []compute.InstanceName
	on := []string{string(compute.VMActive), string(compute.VMRescued)}
	err = c.eachInstance(ctx, compute.Where{"vm": on}, func(row *compute.Instance) {
		if addrs := reachableAt(row); len(addrs) > 0 {
			list = append(list, compute.InstanceName{ID: row.ID, Hostname: row.Hostname, Project: projects[row.ProjectID], Addrs: addrs})
		}
	})
	return list, err
}

// reachableAt gives the floating addresses of an instance, or, without one, its fixed ones.
func reachableAt(row *compute.Instance) []netip.Addr {
	var fixed, floating []netip.Addr
	for _, a := range row.Addresses {
		addr, err := netip.ParseAddr(a.IP)
		switch {
		case err != nil:
		case a.Type == "floating":
			floating = append(floating, addr)
		default:
			fixed = append(fixed, addr)
		}
	}
	if len(floating) > 0 {
		return floating
	}
	return fixed
}
