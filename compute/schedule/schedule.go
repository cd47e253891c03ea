// Package schedule decides on which host an instance goes. It is pure: hosts and
// a request in, a host out; the same seed gives the same choice. Who calls it
// takes the place in the same write that stores the instance.
//
// Vocabulary. A filter drops a host that cannot take a request, and says why; a
// weight orders those that are left; a ratio is how much of a host's CPU, memory
// and disk is given out for each piece that it has. A host group is what a server
// group says about hosts: where its members are, and whether to be there too.
//
// Invariants. A host that Pick gives passed every filter with what is used of it
// at that moment, claims that are not stored yet included. Among hosts of equal
// weight the seed decides, so that many clients do not all meet on one.
package schedule

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
)

// Ratios say how much of a host is given out.
type Ratios struct {
	// CPU is shared by time: too many guests are slow, not dead. Nova gives 16; a
	// guest in software needs a whole one, so less is kinder.
	CPU float64
	// Memory cannot be shared: QEMU touches what its guest touches, and a host that
	// promised more than it has kills one of its guests. Nova gives 1.5.
	Memory float64
	// Disk is given by copy-on-write files that are empty at first.
	Disk float64
	// ReservedMemoryMiB of a host is not given to instances: this program and the kernel need it. Simulated hosts have none.
	ReservedMemoryMiB int
}

// DefaultRatios are those of DESIGN: memory is never promised twice.
func DefaultRatios() Ratios {
	return Ratios{CPU: 4, Memory: 1, Disk: 4, ReservedMemoryMiB: 512}
}

// Validate gives all complaints at once.
func (r Ratios) Validate() error {
	if r.CPU <= 0 || r.Memory <= 0 || r.Disk <= 0 || r.ReservedMemoryMiB < 0 {
		return errors.New("ratios must be more than 0, reserved memory not negative")
	}
	return nil
}

// Claim is what an instance holds of a host.
type Claim struct{ VCPUs, MemoryMiB, DiskGiB, Instances int }

// Plus adds n times another claim.
func (c Claim) Plus(o Claim, n int) Claim {
	return Claim{c.VCPUs + n*o.VCPUs, c.MemoryMiB + n*o.MemoryMiB, c.DiskGiB + n*o.DiskGiB, c.Instances + n*o.Instances}
}

// Host is a host as the decision sees it.
type Host struct {
	compute.Host
	Up         bool
	Pending    Claim // of placements that are not stored yet
	Aggregates []*compute.Aggregate
}

// Group is what a server group asks for.
type Group struct {
	Policy     string         // affinity, anti-affinity, soft-affinity, soft-anti-affinity
	MaxPerHost int            // of anti-affinity; 0: 1
	Members    map[string]int // by host
}

// Request is an instance that looks for a host.
type Request struct {
	Claim
	Zone  string // empty: any
	Host  string // forced; empty: any
	Extra map[string]string
	Group *Group
	// Only, when not nil, are the hosts to choose from; Not are out of question.
	Only, Not []string
}

// Reason is the filter that dropped a host.
type Reason string

// The filters, in the order in which they are asked.
const (
	Fits       Reason = ""
	WrongHost  Reason = "not the host that was asked for"
	Down       Reason = "down"
	Disabled   Reason = "disabled"
	WrongZone  Reason = "not in the zone"
	Excluded   Reason = "excluded by a hint"
	FewCores   Reason = "too few cores"
	FewMemory  Reason = "too little memory"
	FewDisk    Reason = "too little disk"
	GroupSays  Reason = "the server group says otherwise"
	ExtraSpecs Reason = "lacks what the flavor asks of its aggregate"
)

// Free is what a host still has to give; it may be negative.
func (r Ratios) Free(h *Host) Claim {
	memory := h.MemoryMiB
	if !h.Simulated {
		memory -= r.ReservedMemoryMiB
	}
	return Claim{
		VCPUs:     int(float64(h.VCPUs)*r.CPU) - h.VCPUsUsed - h.Pending.VCPUs,
		MemoryMiB: int(float64(memory)*r.Memory) - h.MemoryUsed - h.Pending.MemoryMiB,
		DiskGiB:   int(float64(h.DiskGiB)*r.Disk) - h.DiskUsed - h.Pending.DiskGiB,
	}
}

// Filter says why a host cannot take a request, Fits when it can.
func (r Ratios) Filter(h *Host, q *Request) Reason {
	switch {
	case q.Host != "" && h.ID != q.Host:
		return WrongHost
	case !h.Up || h.ForcedDown:
		return Down
	case h.Disabled:
		return Disabled
	case q.Zone != "" && h.ZoneName() != q.Zone:
		return WrongZone
	case q.Only != nil && !slices.Contains(q.Only, h.ID), slices.Contains(q.Not, h.ID):
		return Excluded
	}
	free := r.Free(h)
	switch {
	case q.VCPUs > free.VCPUs:
		return FewCores
	case q.MemoryMiB > free.MemoryMiB:
		return FewMemory
	case q.DiskGiB > free.DiskGiB:
		return FewDisk
	case !q.Group.allows(h.ID):
		return GroupSays
	case !h.offers(q.Extra):
		return ExtraSpecs
	}
	return Fits
}

// ZoneName is the zone of the first aggregate that names one, else the host's own.
func (h *Host) ZoneName() string {
	for _, a := range h.Aggregates {
		if a.Zone != "" {
			return a.Zone
		}
	}
	return h.Zone
}

func (g *Group) allows(hostID string) bool {
	if g == nil {
		return true
	}
	switch g.Policy {
	case "affinity":
		return len(g.Members) == 0 || g.Members[hostID] > 0
	case "anti-affinity":
		return g.Members[hostID] < max(g.MaxPerHost, 1)
	}
	return true
}

// aggregateScope marks the extra specs of a flavor that ask something of an aggregate.
const aggregateScope = "aggregate_instance_extra_specs:"

// offers says whether an aggregate of the host has each fact that a flavor asks
// for.
func (h *Host) offers(extra map[string]string) bool {
	for key, want := range extra {
		key, scoped := strings.CutPrefix(key, aggregateScope)
		if !scoped {
			continue
		}
		has := slices.ContainsFunc(h.Aggregates, func(a *compute.Aggregate) bool {
			got, there := a.Metadata[key]
			return there && (got == want || want == "<any>")
		})
		if !has {
			return false
		}
	}
	return true
}

// The weights: free memory spreads instances, free cores break most ties, and a
// soft group outweighs both.
const (
	weightMemory = 1.0
	weightCores  = 0.5
	weightGroup  = 10.0
)

// weigh gives a host's worth for a request: the more of it would be left free,
// the better. Worked: a host of 256 GiB with 64 free, and 256 cores to give with
// 128 free, is worth 0.25 + 0.5*0.5 = 0.5.
func (r Ratios) weigh(h *Host, q *Request) float64 {
	free := r.Free(h)
	w := weightMemory*share(free.MemoryMiB, float64(h.MemoryMiB)*r.Memory) + weightCores*share(free.VCPUs, float64(h.VCPUs)*r.CPU)
	if g := q.Group; g != nil {
		switch g.Policy {
		case "soft-affinity":
			w += weightGroup * float64(g.Members[h.ID])
		case "soft-anti-affinity":
			w -= weightGroup * float64(g.Members[h.ID])
		}
	}
	return w
}

func share(part int, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / whole
}

// Pick chooses a host: its index, or -1 and how many hosts each filter dropped.
func (r Ratios) Pick(hosts []Host, q *Request, rnd *rand.Rand) (int, map[Reason]int) {
	best, bestWeight, ties := -1, 0.0, 0
	var dropped map[Reason]int
	for i := range hosts {
		h := &hosts[i]
		if why := r.Filter(h, q); why != Fits {
			if dropped == nil {
				dropped = map[Reason]int{}
			}
			dropped[why]++
			continue
		}
		switch w := r.weigh(h, q); {
		case best < 0 || w > bestWeight:
			best, bestWeight, ties = i, w, 1
		case w == bestWeight:
			// Each of n equal hosts is kept with chance 1/n.
			ties++
			if rnd.IntN(ties) == 0 {
				best = i
			}
		}
	}
	if best >= 0 {
		return best, nil
	}
	return -1, dropped
}
