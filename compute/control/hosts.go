package control

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/schedule"
)

// hosts is the view of hosts from which places are picked without asking the
// store. It may be behind: the write that takes a place looks at the row.
type hosts struct {
	mu    sync.Mutex
	list  []schedule.Host
	index map[string]int       // of list, by id
	beats map[string]time.Time // last heartbeats
	rnd   *rand.Rand
}

func newHosts(seed uint64) *hosts {
	return &hosts{index: map[string]int{}, beats: map[string]time.Time{}, rnd: rand.New(rand.NewPCG(seed, seed))}
}

// load replaces the rows; what is pending stays.
func (h *hosts) load(rows []*compute.Host, aggregates []*compute.Aggregate, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list, index := make([]schedule.Host, len(rows)), make(map[string]int, len(rows))
	for i, row := range rows {
		list[i].Host = *row
		if old, there := h.index[row.ID]; there {
			list[i].Pending = h.list[old].Pending
		}
		index[row.ID] = i
	}
	for _, a := range aggregates {
		for _, id := range a.Hosts {
			if i, there := index[id]; there {
				list[i].Aggregates = append(list[i].Aggregates, a)
			}
		}
	}
	h.list, h.index = list, index
	h.judge(now)
}

// judge says of each host whether it is up. Preconditions: mu is held.
func (h *hosts) judge(now time.Time) {
	for i := range h.list {
		h.list[i].Up = h.up(h.list[i].ID, now)
	}
}

func (h *hosts) up(id string, now time.Time) bool {
	return now.Sub(h.beats[id]) <= compute.HeartbeatMax
}

// beat notes heartbeats, and gives the hosts that went up or down by now.
func (h *hosts) beat(ids []string, now time.Time) (edges []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := make([]bool, len(h.list))
	for i := range h.list {
		was[i] = h.list[i].Up
	}
	for _, id := range ids {
		h.beats[id] = now
	}
	h.judge(now)
	for i := range h.list {
		if h.list[i].Up != was[i] {
			edges = append(edges, h.list[i].ID)
		}
	}
	return edges
}

// last is a host's last heartbeat.
func (h *hosts) last(id string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.beats[id]
}

// pick chooses a host and marks the place as pending until drop. Not found: "",
// and why not.
func (h *hosts) pick(r schedule.Ratios, q *schedule.Request) (string, map[schedule.Reason]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, why := r.Pick(h.list, q, h.rnd)
	if i < 0 {
		return "", why
	}
	h.list[i].Pending = h.list[i].Pending.Plus(q.Claim, 1)
	return h.list[i].ID, nil
}

// choose is pick among the rows of a write, for when the view was behind.
// Nothing is marked.
func (h *hosts) choose(r schedule.Ratios, q *schedule.Request, rows []*compute.Host) (string, map[schedule.Reason]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]schedule.Host, len(rows))
	for i, row := range rows {
		list[i].Host = *row
		if j, there := h.index[row.ID]; there {
			list[i].Up, list[i].Aggregates = h.list[j].Up, h.list[j].Aggregates
		}
	}
	i, why := r.Pick(list, q, h.rnd)
	if i < 0 {
		return "", why
	}
	return rows[i].ID, nil
}

// drop takes back a pick's mark: the place was stored (see used), or is free.
func (h *hosts) drop(id string, claim schedule.Claim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i, there := h.index[id]; there {
		h.list[i].Pending = h.list[i].Pending.Plus(claim, -1)
	}
}

// used adds to what is used of a host, as was stored.
func (h *hosts) used(id string, claim schedule.Claim) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, there := h.index[id]
	if !there {
		return
	}
	row := &h.list[i].Host
	row.VCPUsUsed += claim.VCPUs
	row.MemoryUsed += claim.MemoryMiB
	row.DiskUsed += claim.DiskGiB
	row.Instances += claim.Instances
}

func (h *hosts) aggregates(id string) []*compute.Aggregate {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i, there := h.index[id]; there {
		return h.list[i].Aggregates
	}
	return nil
}

// count gives how many hosts are up and down.
func (h *hosts) count() (up, down int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.list {
		if h.list[i].Up {
			up++
		} else {
			down++
		}
	}
	return up, down
}

// zones gives the zones that a host is in.
func (h *hosts) zones() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for i := range h.list {
		if z := h.list[i].ZoneName(); !slices.Contains(list, z) {
			list = append(list, z)
		}
	}
	return list
}

func (h *hosts) has(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, there := h.index[id]
	return there
}

// HostUp says whether a host's last heartbeat is young enough, and when it was.
func (c *Controller) HostUp(hostID string) (bool, time.Time) {
	c.hosts.mu.Lock()
	defer c.hosts.mu.Unlock()
	return c.hosts.up(hostID, c.now()), c.hosts.beats[hostID]
}

// HostsChanged says that rows of hosts or aggregates were changed by somebody
// else, such as an administrator.
func (c *Controller) HostsChanged() {
	select {
	case c.rehost <- struct{}{}:
	default:
	}
}

// own says whether this controller's engine runs the instances of a host.
func (c *Controller) own(hostID string) bool {
	return hostID == c.deps.HostID || c.simulated[hostID]
}

// hostIDs are the hosts that this controller drives.
func (c *Controller) hostIDs() []string {
	ids := []string{c.deps.HostID}
	for i := range c.cfg.SimulatedHosts {
		ids = append(ids, simulatedID(i))
	}
	return ids
}

func simulatedID(i int) string { return fmt.Sprintf("sim-%04d", i+1) }

// registerHosts writes what this host and the simulated ones are. What is used of
// them, and what an administrator said of them, stays; so does the zone of an
// aggregate.
func (c *Controller) registerHosts(ctx context.Context) error {
	info, err := c.deps.Engine.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask the hypervisor what this host is: %w", err)
	}
	now := c.now()
	err = c.deps.Store.Write(ctx, func(tx *compute.Tx) error {
		for _, id := range c.hostIDs() {
			if err := c.registerHost(tx, id, info, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("register hosts: %w", err)
	}
	c.hosts.beat(c.hostIDs(), now)
	return c.reloadHosts(ctx)
}

func (c *Controller) registerHost(tx *compute.Tx, id string, info hypervisor.Info, now time.Time) error {
	row, err := tx.Hosts.Get(id)
	absent := compute.IsKind(err, compute.NotFound)
	if err != nil && !absent {
		return err
	}
	if absent {
		row = &compute.Host{ID: id, Created: now}
	}
	if row.Zone, err = c.zoneOf(tx, id); err != nil {
		return err
	}
	row.Hypervisor, row.HypervisorVersion, row.Accelerator, row.CPUModel = info.Hypervisor, versionNumber(info.Version), info.Accelerator, info.CPUModel
	row.VCPUs, row.MemoryMiB, row.DiskGiB = info.VCPUs, info.MemoryMiB, info.DiskGiB
	row.Address = "127.0.0.1"
	row.Started, row.Heartbeat = now, now
	if c.simulated[id] {
		row.Simulated = true
		row.VCPUs, row.MemoryMiB, row.DiskGiB = c.cfg.SimulatedVCPUs, c.cfg.SimulatedMemoryMiB, c.cfg.SimulatedDiskGiB
	}
	if absent {
		return tx.Hosts.Insert(row)
	}
	return tx.Hosts.Update(row)
}

// zoneOf gives the zone of a host: of an aggregate that it is in, else the one
// of this installation, which may be another than at the last start.
func (c *Controller) zoneOf(tx *compute.Tx, id string) (string, error) {
	all, err := tx.Aggregates.List(compute.Query{})
	if err != nil {
		return "", err
	}
	zone := c.cfg.Zone
	for _, a := range all {
		if a.Zone != "" && slices.Contains(a.Hosts, id) {
			zone = a.Zone
		}
	}
	return zone, nil
}

// versionNumber turns "7.2.22" into 7002022.
func versionNumber(s string) int {
	var major, minor, patch int
	_, _ = fmt.Sscanf(s, "%d.%d.%d", &major, &minor, &patch) // what is missing is 0
	return major*1000000 + minor*1000 + patch
}

func (c *Controller) reloadHosts(ctx context.Context) error {
	var rows []*compute.Host
	var aggregates []*compute.Aggregate
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) (err error) {
		if rows, err = tx.Hosts.List(compute.Query{}); err != nil {
			return err
		}
		aggregates, err = tx.Aggregates.List(compute.Query{})
		return err
	})
	if err != nil {
		return fmt.Errorf("read hosts: %w", err)
	}
	c.hosts.load(rows, aggregates, c.now())
	return nil
}

// heartbeats says that this host is up as long as its hypervisor answers, and
// stores it when a host goes up or down.
func (c *Controller) heartbeats(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Heartbeat)
	defer tick.Stop()
	var failing state
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.rehost:
			if err := c.reloadHosts(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("hosts could not be read", "error", err)
			}
		case <-tick.C:
			if err := c.beat(ctx); ctx.Err() == nil && failing.turned(err != nil) {
				if err != nil {
					c.log.Warn("the heartbeat of this host fails", "host", c.deps.HostID, "error", err)
				} else {
					c.log.Info("the heartbeat of this host is back", "host", c.deps.HostID)
				}
			}
		}
	}
}

func (c *Controller) beat(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, c.cfg.Heartbeat)
	defer cancel()
	_, err := c.deps.Engine.Info(ask)
	ids := c.hostIDs()
	if err != nil {
		ids = nil
	}
	edges := c.hosts.beat(ids, c.now())
	if len(edges) == 0 {
		return err
	}
	werr := c.deps.Store.Write(ctx, func(tx *compute.Tx) error {
		for _, id := range edges {
			row, err := tx.Hosts.Get(id)
			if compute.IsKind(err, compute.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			row.Heartbeat = c.hosts.last(id)
			if err := tx.Hosts.Update(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return werr
}

// state remembers whether something fails, so that only its edges are logged.
type state struct{ on bool }

// turned says whether it is otherwise than before.
func (s *state) turned(on bool) bool {
	was := s.on
	s.on = on
	return was != on
}

// zone is the zone that a host is in.
func (h *hosts) zone(id string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i, there := h.index[id]; there {
		return h.list[i].ZoneName()
	}
	return ""
}
