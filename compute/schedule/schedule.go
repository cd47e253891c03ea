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
	// ReservedMemoryMiB of each host is not given to instances.
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

// Filter says why a host cannot take a request, Fits when it can.
func (r Ratios) Filter(h *Host, q *Request) Reason {
	switch {
	case q.Host != "" && h.ID != q.Host:
		return WrongHost
	case !h.Up || h.ForcedDown:
		return Down
	case h.Disabled:
		return Disabled
	}
	return Fits
}

// Pick chooses a host: its index, or -1 and how many hosts each filter dropped.
func (r Ratios) Pick(hosts []Host, q *Request, rnd *rand.Rand) (int, map[Reason]int) {
	return -1, nil
}
