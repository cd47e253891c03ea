package control

import "time"

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
	Started, Ended            time.Time // Ended is zero while it is there
	Hours                     float64
	Uptime                    time.Duration
}
