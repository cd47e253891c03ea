package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
)

// ProjectUsage is what a project used within a time.
type ProjectUsage struct {
	ProjectID   string
	Start, Stop time.Time
	// Sums over the instances, each by the hours that it was there.
	Hours, VCPUHours, MemoryMiBHours, DiskGiBHours float64
	Instances                                      []InstanceUsage
}

// InstanceUsage is one instance's part.
type InstanceUsage struct {
	ID, Name, Flavor          string
	State                     string // as VMState, "terminated" when deleted
	VCPUs, MemoryMiB, DiskGiB int
	Started, Ended            time.Time     // Ended is zero while it is there
	Hours                     float64       // within Start and Stop
	Uptime                    time.Duration // since it first ran, until it ended or now
}

// Usage gives what projects used between two times, by project; projectID empty:
// all that have used anything. An instance counts from its first start until it
// is deleted, running or not: it holds its place.
func (c *Controller) Usage(ctx context.Context, projectID string, from, to time.Time) ([]ProjectUsage, error) {
	if !from.Before(to) {
		return nil, compute.Errorf(compute.Invalid, "Invalid start time. The start time cannot occur after the end time.")
	}
	where := compute.Where{}
	if projectID != "" {
		where["project_id"] = projectID
	}
	by := map[string]*ProjectUsage{}
	after := ""
	for {
		var list []*compute.Instance
		err := c.deps.Store.Read(ctx, func(tx *compute.Tx) (err error) {
			list, err = tx.Instances.List(compute.Query{Where: where, After: after, Limit: page})
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, row := range list {
			c.count(by, row, from, to)
		}
		if len(list) < page {
			break
		}
		after = list[len(list)-1].ID
	}
	usages := make([]ProjectUsage, 0, len(by))
	for _, u := range by {
		usages = append(usages, *u)
	}
	slices.SortFunc(usages, func(a, b ProjectUsage) int { return strings.Compare(a.ProjectID, b.ProjectID) })
	return usages, nil
}

// count adds an instance to its project's usage.
func (c *Controller) count(by map[string]*ProjectUsage, row *compute.Instance, from, to time.Time) {
	if row.Launched.IsZero() {
		return
	}
	now := c.now()
	end, until := row.Deleted, row.Deleted
	if end.IsZero() {
		end, until = now, now
	}
	if end.After(to) {
		end = to
	}
	start := row.Launched
	if start.Before(from) {
		start = from
	}
	if !end.After(start) {
		return
	}
	u := by[row.ProjectID]
	if u == nil {
		u = &ProjectUsage{ProjectID: row.ProjectID, Start: from, Stop: to}
		by[row.ProjectID] = u
	}
	f, hours := row.Flavor, end.Sub(start).Hours()
	i := InstanceUsage{ID: row.ID, Name: row.Name, Flavor: f.Name, State: string(row.VM), VCPUs: f.VCPUs, MemoryMiB: f.MemoryMiB,
		DiskGiB: f.DiskGiB + f.EphemeralGiB, Started: row.Launched, Ended: row.Deleted, Hours: hours, Uptime: until.Sub(row.Launched)}
	if !row.Deleted.IsZero() {
		i.State = "terminated"
	}
	u.Instances = append(u.Instances, i)
	u.Hours += hours
	u.VCPUHours += hours * float64(i.VCPUs)
	u.MemoryMiBHours += hours * float64(i.MemoryMiB)
	u.DiskGiBHours += hours * float64(i.DiskGiB)
}
