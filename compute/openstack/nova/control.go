package nova

import (
	"context"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
)

// Control is what this dialect asks of those who drive instances.
// *control.Controller satisfies it.
type Control interface {
	Lifecycle
	Disks
	Attributes
	Moves
	Insight
}

// Lifecycle brings instances into being, turns them on and off, and ends them.
type Lifecycle interface {
	Create(ctx context.Context, who compute.Caller, q control.CreateRequest) ([]*compute.Instance, error)
	Delete(ctx context.Context, who compute.Caller, id string) error
	ForceDelete(ctx context.Context, who compute.Caller, id string) error
	Start(ctx context.Context, who compute.Caller, id string) error
	Stop(ctx context.Context, who compute.Caller, id string) error
	Reboot(ctx context.Context, who compute.Caller, id string, hard bool) error
	Pause(ctx context.Context, who compute.Caller, id string) error
	Unpause(ctx context.Context, who compute.Caller, id string) error
	Suspend(ctx context.Context, who compute.Caller, id string) error
	Resume(ctx context.Context, who compute.Caller, id string) error
}

// Disks replaces, saves and rescues what an instance starts from.
type Disks interface {
	Rebuild(ctx context.Context, who compute.Caller, id string, q control.RebuildRequest) (*compute.Instance, error)
	Rescue(ctx context.Context, who compute.Caller, id, imageID, password string) (string, error)
	Unrescue(ctx context.Context, who compute.Caller, id string) error
	Snapshot(ctx context.Context, who compute.Caller, id, name string, props map[string]string) (string, error)
	Backup(ctx context.Context, who compute.Caller, id, name, backupType string, rotation int, props map[string]string) (string, error)
	Shelve(ctx context.Context, who compute.Caller, id string) error
	ShelveOffload(ctx context.Context, who compute.Caller, id string) error
	Unshelve(ctx context.Context, who compute.Caller, id, zone string) error
}

// Attributes changes what is said of an instance, and its cards and groups.
type Attributes interface {
	Update(ctx context.Context, who compute.Caller, id string, q control.UpdateRequest) (*compute.Instance, error)
	SetMetadata(ctx context.Context, who compute.Caller, id string, meta map[string]string, replace bool) (map[string]string, error)
	DeleteMetadata(ctx context.Context, who compute.Caller, id, key string) error
	SetTags(ctx context.Context, who compute.Caller, id string, change func(tags []string) ([]string, error)) ([]string, error)
	Lock(ctx context.Context, who compute.Caller, id, reason string) error
	Unlock(ctx context.Context, who compute.Caller, id string) error
	SetPassword(ctx context.Context, who compute.Caller, id, password string) error
	AttachInterface(ctx context.Context, who compute.Caller, id string, want fabric.Want) (*compute.Port, error)
	DetachInterface(ctx context.Context, who compute.Caller, id, portID string) error
	AddGroup(ctx context.Context, who compute.Caller, id, group string) error
	RemoveGroup(ctx context.Context, who compute.Caller, id, group string) error
}

// Moves changes an instance's size and place.
type Moves interface {
	Resize(ctx context.Context, who compute.Caller, id, flavorID, diskConfig string) error
	ConfirmResize(ctx context.Context, who compute.Caller, id string) error
	RevertResize(ctx context.Context, who compute.Caller, id string) error
	Migrate(ctx context.Context, who compute.Caller, id, host string) error
	LiveMigrate(ctx context.Context, who compute.Caller, id, host string) error
	ResetState(ctx context.Context, who compute.Caller, id, state string) error
	// HostsChanged says that rows of hosts or aggregates were changed here.
	HostsChanged()
}

// Insight tells what instances do and did.
type Insight interface {
	ConsoleLog(ctx context.Context, who compute.Caller, id string, lines int) ([]byte, error)
	Diagnostics(ctx context.Context, who compute.Caller, id string) (hypervisor.Diagnostics, error)
	MayConsole(ctx context.Context, who compute.Caller, id string) error
	// HostUp says whether a host's last heartbeat is young enough, and when it was.
	HostUp(hostID string) (bool, time.Time)
	Usage(ctx context.Context, projectID string, from, to time.Time) ([]control.ProjectUsage, error)
}
