package control

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
)

var errUnwritten = compute.Errorf(compute.Unavailable, "instances are not driven yet")

// Controller drives instances.
type Controller struct {
	deps Deps
	cfg  Config
}

// New makes a controller; Run sets it to work.
func New(deps Deps, cfg Config) *Controller { return &Controller{deps: deps, cfg: cfg} }

func (c *Controller) Run(ctx context.Context) error   { return errUnwritten }
func (c *Controller) Ready(ctx context.Context) error { return errUnwritten }

func (c *Controller) Create(ctx context.Context, who compute.Caller, q CreateRequest) ([]*compute.Instance, error) {
	return nil, errUnwritten
}
func (c *Controller) Delete(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) ForceDelete(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Start(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Stop(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Reboot(ctx context.Context, who compute.Caller, id string, hard bool) error {
	return errUnwritten
}
func (c *Controller) Pause(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Unpause(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Suspend(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Resume(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}

// Rebuild gives the instance as it is now, with AdminPass.
func (c *Controller) Rebuild(ctx context.Context, who compute.Caller, id string, q RebuildRequest) (*compute.Instance, error) {
	return nil, errUnwritten
}
func (c *Controller) Resize(ctx context.Context, who compute.Caller, id, flavorID, diskConfig string) error {
	return errUnwritten
}
func (c *Controller) ConfirmResize(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) RevertResize(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}

// Rescue gives the password that the rescued guest is told; imageID and password may be empty.
func (c *Controller) Rescue(ctx context.Context, who compute.Caller, id, imageID, password string) (string, error) {
	return "", errUnwritten
}
func (c *Controller) Unrescue(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}

// Snapshot gives the id of the image, which becomes active later.
func (c *Controller) Snapshot(ctx context.Context, who compute.Caller, id, name string, props map[string]string) (string, error) {
	return "", errUnwritten
}
func (c *Controller) Backup(ctx context.Context, who compute.Caller, id, name, backupType string, rotation int, props map[string]string) (string, error) {
	return "", errUnwritten
}
func (c *Controller) Lock(ctx context.Context, who compute.Caller, id, reason string) error {
	return errUnwritten
}
func (c *Controller) Unlock(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}

// ResetState: state is "active" or "error".
func (c *Controller) ResetState(ctx context.Context, who compute.Caller, id, state string) error {
	return errUnwritten
}
func (c *Controller) SetPassword(ctx context.Context, who compute.Caller, id, password string) error {
	return errUnwritten
}
func (c *Controller) Shelve(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) ShelveOffload(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Unshelve(ctx context.Context, who compute.Caller, id, zone string) error {
	return errUnwritten
}
func (c *Controller) Migrate(ctx context.Context, who compute.Caller, id, host string) error {
	return errUnwritten
}
func (c *Controller) LiveMigrate(ctx context.Context, who compute.Caller, id, host string) error {
	return errUnwritten
}
func (c *Controller) AttachInterface(ctx context.Context, who compute.Caller, id string, want fabric.Want) (*compute.Port, error) {
	return nil, errUnwritten
}
func (c *Controller) DetachInterface(ctx context.Context, who compute.Caller, id, portID string) error {
	return errUnwritten
}
func (c *Controller) AddGroup(ctx context.Context, who compute.Caller, id, group string) error {
	return errUnwritten
}
func (c *Controller) RemoveGroup(ctx context.Context, who compute.Caller, id, group string) error {
	return errUnwritten
}
func (c *Controller) Update(ctx context.Context, who compute.Caller, id string, q UpdateRequest) (*compute.Instance, error) {
	return nil, errUnwritten
}

// SetMetadata merges (or, with replace, sets) and gives all of it.
func (c *Controller) SetMetadata(ctx context.Context, who compute.Caller, id string, meta map[string]string, replace bool) (map[string]string, error) {
	return nil, errUnwritten
}
func (c *Controller) DeleteMetadata(ctx context.Context, who compute.Caller, id, key string) error {
	return errUnwritten
}

// SetTags replaces the tags by what change makes of them.
func (c *Controller) SetTags(ctx context.Context, who compute.Caller, id string, change func(tags []string) ([]string, error)) ([]string, error) {
	return nil, errUnwritten
}

// ConsoleLog: lines <= 0: all that is kept.
func (c *Controller) ConsoleLog(ctx context.Context, who compute.Caller, id string, lines int) ([]byte, error) {
	return nil, errUnwritten
}
func (c *Controller) Diagnostics(ctx context.Context, who compute.Caller, id string) (hypervisor.Diagnostics, error) {
	return hypervisor.Diagnostics{}, errUnwritten
}

// Display connects to the display (RFB), Serial to the serial console; who may see it was decided when the console's token was made: MayConsole.
func (c *Controller) MayConsole(ctx context.Context, who compute.Caller, id string) error {
	return errUnwritten
}
func (c *Controller) Display(ctx context.Context, id string) (net.Conn, error) {
	return nil, errUnwritten
}
func (c *Controller) Serial(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	return nil, errUnwritten
}

// HostUp says whether a host's last heartbeat is young enough, and when it was.
func (c *Controller) HostUp(hostID string) (bool, time.Time) { return false, time.Time{} }

// HostsChanged says that rows of hosts or aggregates were changed by somebody else, such as an administrator.
func (c *Controller) HostsChanged() {}

// Usage gives what projects used between two times; projectID empty: all.
func (c *Controller) Usage(ctx context.Context, projectID string, from, to time.Time) ([]ProjectUsage, error) {
	return nil, errUnwritten
}
