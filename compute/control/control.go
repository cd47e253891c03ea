package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/compute/schedule"
)

// Fabric is what control asks of the rules of networks. All but OnChange and
// State work inside a Write of the caller's. *fabric.Service satisfies it.
type Fabric interface {
	Plug(tx *compute.Tx, who compute.Caller, inst *compute.Instance, wants []fabric.Want, groups []string, hostID string) error
	Unplug(tx *compute.Tx, inst *compute.Instance) error
	PlugOne(tx *compute.Tx, who compute.Caller, inst *compute.Instance, want fabric.Want) (*compute.Port, error)
	UnplugOne(tx *compute.Tx, inst *compute.Instance, portID string) error
	AddGroup(tx *compute.Tx, who compute.Caller, inst *compute.Instance, group string) error
	RemoveGroup(tx *compute.Tx, who compute.Caller, inst *compute.Instance, group string) error
	Bind(tx *compute.Tx, inst *compute.Instance, hostID string) error
	State(tx *compute.Tx, hostID string) (network.State, error)
	OnChange(f func())
}

// Base is a machine image as files that a guest may start from. It outlives the
// image for as long as an instance needs it.
type Base = registry.Base

// Images is what control asks of machine images. *registry.Service satisfies it.
type Images interface {
	// Base gives a local file of an active image.
	Base(ctx context.Context, imageID string) (Base, error)
	// Create registers an image that has no bytes yet, under m.ID.
	Create(ctx context.Context, who compute.Caller, m *compute.MachineImage) error
	// Upload gives a registered image its bytes.
	Upload(ctx context.Context, id string, r io.Reader, size int64) (*compute.MachineImage, error)
	Delete(ctx context.Context, who compute.Caller, id string) error
}

// Deps is what a Controller works with. The first group must be there.
type Deps struct {
	Store   compute.Store
	Engine  hypervisor.Engine
	Network network.Engine // its Run is the caller's; control applies and opens
	Fabric  Fabric
	Images  Images
	HostID  string // this host's name
	Dir     string // where snapshots are written before they are uploaded
	Log     *slog.Logger

	// ConfigDrive makes the config drive of an instance; nil: none has one.
	ConfigDrive func(ctx context.Context, inst *compute.Instance) ([]byte, error)
	Names       compute.NameRegistrar
	Audit       func(compute.AuditEvent)
	Registerer  prometheus.Registerer
	Now         func() time.Time
}

// Config bounds a Controller.
type Config struct {
	// Zone is the availability zone of this host and of the simulated ones.
	Zone string
	// SimulatedHosts are made beside this one, all driven by the same engine; only
	// for an engine that runs nothing.
	SimulatedHosts int
	// SimulatedVCPUs, SimulatedMemoryMiB and SimulatedDiskGiB are the size of each.
	SimulatedVCPUs, SimulatedMemoryMiB, SimulatedDiskGiB int
	// Ratios say how much of a host is given out.
	Ratios schedule.Ratios
	// Workers are how many instances are worked on at the same time.
	Workers int
	// QueueMax is how many jobs may wait or run; more verbs are refused (Exhausted).
	QueueMax int
	// BatchMax is how many instances one request may create.
	BatchMax int
	// StopGrace is how long a guest may take to power off before it is turned off;
	// RebootGrace how long to restart before it is reset.
	StopGrace, RebootGrace time.Duration
	// TaskTimeout ends a task on a hypervisor that does not answer; SnapshotTimeout
	// one that copies disks.
	TaskTimeout, SnapshotTimeout time.Duration
	// StallDelay is the wait before a task is worked on again whose end could not be
	// stored, as on a full disk.
	StallDelay time.Duration
	// Heartbeat is how often this host says that it is up.
	Heartbeat time.Duration
	// PowerSync is how often the store is compared with what the hypervisor says,
	// beside its events.
	PowerSync time.Duration
	// KeepDeleted is how long the row of a deleted instance is kept, for usage
	// reports.
	KeepDeleted time.Duration
	// ConfigDriveAlways gives every instance a config drive, asked for or not: where
	// addresses do not come by DHCP, or no metadata service can be reached.
	ConfigDriveAlways bool
	// AutoRecovery starts instances again that crashed, unless their metadata or
	// flavor say "auto_recovery" "false"; they may also say "true" for themselves.
	AutoRecovery bool
	// RecoveryDelay is the wait before the first such start; it doubles with each to
	// at most RecoveryDelayMax, and begins anew after an instance ran as long as that.
	RecoveryDelay, RecoveryDelayMax time.Duration
}

// Default suits one machine.
func Default() Config {
	return Config{
		Zone: "nova", SimulatedVCPUs: 64, SimulatedMemoryMiB: 256 << 10, SimulatedDiskGiB: 10 << 10,
		Ratios: schedule.DefaultRatios(), Workers: 64, QueueMax: 50000, BatchMax: 1000,
		StopGrace: 30 * time.Second, RebootGrace: 60 * time.Second,
		TaskTimeout: 10 * time.Minute, SnapshotTimeout: time.Hour,
		StallDelay: 5 * time.Second, Heartbeat: 5 * time.Second, PowerSync: time.Minute, KeepDeleted: 30 * 24 * time.Hour,
		RecoveryDelay: time.Second, RecoveryDelayMax: 5 * time.Minute,
	}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, n int64) {
		if n <= 0 {
			errs = append(errs, fmt.Errorf("%s must be more than 0", name))
		}
	}
	positive("workers", int64(c.Workers))
	positive("queue_max", int64(c.QueueMax))
	positive("batch_max", int64(c.BatchMax))
	positive("task_timeout", int64(c.TaskTimeout))
	positive("snapshot_timeout", int64(c.SnapshotTimeout))
	positive("stall_delay", int64(c.StallDelay))
	positive("power_sync", int64(c.PowerSync))
	positive("recovery_delay", int64(c.RecoveryDelay))
	if c.Heartbeat <= 0 || c.Heartbeat*2 > compute.HeartbeatMax {
		errs = append(errs, fmt.Errorf("heartbeat must be more than 0 and at most half of %v", compute.HeartbeatMax))
	}
	if c.Zone == "" {
		errs = append(errs, errors.New("zone must have a name"))
	}
	if err := c.Ratios.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
