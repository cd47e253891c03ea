package compute

import (
	"slices"
	"time"
)

// VMState is what an instance is, Task what is being done to it. The pair gives
// the status that clients see.
type VMState string

// The states of an instance.
const (
	VMBuilding  VMState = "building"
	VMActive    VMState = "active"
	VMStopped   VMState = "stopped"
	VMPaused    VMState = "paused"
	VMSuspended VMState = "suspended"
	VMRescued   VMState = "rescued"
	VMResized   VMState = "resized"
	VMError     VMState = "error"
	VMShelved   VMState = "shelved_offloaded"
	VMDeleted   VMState = "deleted"
)

// Task is what is being done to an instance; empty: nothing.
type Task string

// The tasks, in Nova's words.
const (
	TaskNone            Task = ""
	TaskScheduling      Task = "scheduling"
	TaskNetworking      Task = "networking"
	TaskSpawning        Task = "spawning"
	TaskPoweringOn      Task = "powering-on"
	TaskPoweringOff     Task = "powering-off"
	TaskRebooting       Task = "rebooting"
	TaskRebootingHard   Task = "rebooting_hard"
	TaskPausing         Task = "pausing"
	TaskUnpausing       Task = "unpausing"
	TaskSuspending      Task = "suspending"
	TaskResuming        Task = "resuming"
	TaskRescuing        Task = "rescuing"
	TaskUnrescuing      Task = "unrescuing"
	TaskRebuilding      Task = "rebuilding"
	TaskResizePrep      Task = "resize_prep"
	TaskResizing        Task = "resize_migrating"
	TaskResizeFinish    Task = "resize_finish"
	TaskResizeReverting Task = "resize_reverting"
	TaskSnapshotPending Task = "image_snapshot_pending"
	TaskSnapshot        Task = "image_snapshot"
	TaskSnapshotUpload  Task = "image_uploading"
	TaskBackup          Task = "image_backup"
	TaskPassword        Task = "updating_password"
	TaskShelving        Task = "shelving"
	TaskUnshelving      Task = "unshelving"
	TaskDeleting        Task = "deleting"
)

// PowerState is what the hypervisor last said, with Nova's numbers.
type PowerState int

// The power states.
const (
	PowerNone      PowerState = 0
	PowerRunning   PowerState = 1
	PowerPaused    PowerState = 3
	PowerShutdown  PowerState = 4
	PowerCrashed   PowerState = 6
	PowerSuspended PowerState = 7
)

// Instance is a virtual machine of a project.
type Instance struct {
	ID, Name, Description string
	Hostname              string // its own, made from the name at creation
	ProjectID, UserID     string
	VM                    VMState
	Task                  Task
	Power                 PowerState
	Progress              int // of a build or a move, percent
	Locked                bool
	LockedReason          string

	Flavor    Flavor // as at creation or the last resize: a flavor may go
	OldFlavor *Flavor
	ImageID   string // machine image; empty when it boots from a volume
	// ImageProps are the image's properties as at creation: kernel_id and the like.
	ImageProps map[string]string
	KeyName    string
	PublicKey  string
	Metadata   map[string]string
	UserData   string // base64, as it was given
	Files      []InjectedFile
	AdminPass  string // only for config drive and metadata of the first boot; never shown again
	// AdminPassSealed is what the guest encrypted to the keypair and posted to the metadata service.
	AdminPassSealed string
	ConfigDrive     bool
	Zone            string
	HostID          string // that runs it; empty before it is placed
	AccessIPv4      string
	AccessIPv6      string
	Reservation     string
	LaunchIndex     int
	DiskConfig      string // AUTO, MANUAL
	Tags            []string
	GroupID         string // server group
	RescueImageID   string
	TrustedCerts    []string
	Fault           *Fault
	// Ports are the ids of its ports, in the order of its interfaces. KeepPorts are those that the user made
	// and that outlive it.
	Ports     []string
	KeepPorts []string
	// Addresses is what clients see of its ports, kept here so that a list needs no second look.
	Addresses []InstanceAddress
	Groups    []string // names of its security groups
	Created   time.Time
	Updated   time.Time
	Launched  time.Time // zero until it first ran
	Deleted   time.Time // zero while it is there
	// Generation counts what was begun on it: whoever finishes a task checks that it is still theirs.
	Generation int
	// TaskArgs is what the task needs beside the rest of this row, so that it can go on after a crash: the ids of its action and
	// of the image that it makes. It is empty when there is no task.
	TaskArgs map[string]string
	// OldVM is the state to go back to after a rebuild or a resize.
	OldVM VMState
	// ShelvedImageID is the machine image that the disk was saved in when the instance was shelved. It stays when it is
	// unshelved, because the disk is then a clone of it, until a rebuild.
	ShelvedImageID string
}

// HasPort says whether a port is one of the instance's. Whoever makes a port may
// write any device into it, so the port alone proves nothing.
func (i *Instance) HasPort(p *Port) bool {
	return p.DeviceID == i.ID && slices.Contains(i.Ports, p.ID)
}

// InstanceAddress is one address of an instance.
type InstanceAddress struct {
	Network string // its name
	IP      string
	Version int
	MAC     string
	Type    string // fixed, floating
	PortID  string
}

// InjectedFile is a file that the guest gets by config drive.
type InjectedFile struct{ Path, Contents string } // Contents: base64

// Fault is why an instance is in the state error.
type Fault struct {
	Code    int
	Message string
	Details string // for administrators
	Created time.Time
}

// Action is one thing that was asked of an instance, with its steps: the audit
// trail that its owner reads.
type Action struct {
	ID         string // the request's id and the instance's
	InstanceID string
	RequestID  string
	Name       string // create, reboot, …
	UserID     string
	ProjectID  string
	Message    string
	Started    time.Time
	Updated    time.Time
	Events     []ActionEvent
}

// ActionEvent is a step of an action.
type ActionEvent struct {
	Name              string // compute__do_build_and_run_instance
	Result            string // Success, Error; empty while it runs
	Host              string
	Traceback         string
	Started, Finished time.Time
}

// Migration is a move of an instance to a host or a flavor.
type Migration struct {
	ID                   string // a number
	UUID                 string
	InstanceID, UserID   string
	ProjectID            string
	Type, Status         string // resize, migration; finished, confirmed, reverted, error
	SourceHost, DestHost string
	OldFlavor, NewFlavor string
	Created, Updated     time.Time
}
