// Package hypervisor is what runs instances on one host, behind one interface.
// An engine is a package one level below: qemu, and fake, which runs nothing and
// stands in for scale. hypervisortest holds what both promise.
//
// Vocabulary. A domain is an instance as the hypervisor knows it: its disks, its
// definition and, while it is on, its process. An engine keeps everything about
// a domain in a directory of its own, so that a new engine on the same directory
// finds every domain, running ones too, and adopts them.
//
// Invariants. Every method is idempotent: what is already so is no error. After
// a kill at any point, calling the same method again leads to the same end.
// There is at most one process of a domain. A guest outlives the engine.
// No file of the host that a Spec does not name is opened for a guest.
package hypervisor

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// The conditions on which a caller branches.
var (
	// ErrNotFound: no such domain.
	ErrNotFound = errors.New("no such domain")
	// ErrState: the domain is not in a state for that, such as off.
	ErrState = errors.New("not in this state")
	// ErrUnsupported: this engine, or this host, cannot do that.
	ErrUnsupported = errors.New("not supported by this hypervisor")
	// ErrNoSpace: the host's file system, memory or process table is full.
	ErrNoSpace = errors.New("no space left on the host")
	// ErrNoImage: a base, kernel or ramdisk that the spec names is not there or not what it says.
	ErrNoImage = errors.New("image file missing or not usable")
	// ErrSpec: the spec asks for what no engine could do.
	ErrSpec = errors.New("invalid spec")
)

// ConsoleBytesMax is how much of a guest's console is kept: its end.
const ConsoleBytesMax = 1 << 20

// Reasons of events.
const (
	ReasonShutdown = "shutdown" // the guest powered off
	ReasonReset    = "reset"    // the guest restarted
	ReasonCrashed  = "crashed"  // the process of the domain ended, nobody asked for it
	ReasonPanicked = "panicked" // the guest's kernel gave up; it still has its process
	ReasonWatchdog = "watchdog" // the guest's watchdog ran out
)

// State is what a domain is.
type State string

// The states.
const (
	Off       State = "off"
	Running   State = "running"
	Paused    State = "paused"
	Suspended State = "suspended" // off, with its memory in a file
	Crashed   State = "crashed"   // off, and not because anybody asked
)

// Info is what a host offers.
type Info struct {
	Hypervisor  string // "QEMU", "fake"
	Version     string // "7.2.22"
	Accelerator string // "kvm", "tcg"; why it is not kvm is in Notes
	CPUModel    string
	VCPUs       int
	MemoryMiB   int
	DiskGiB     int
	Notes       []string // what this host cannot do, for people
}

// Spec is how a domain is to be. It is everything an engine needs; it is kept
// with the domain.
type Spec struct {
	ID        string // the instance's
	Name      string
	VCPUs     int
	MemoryMiB int
	// Root is the disk that it starts from: a copy-on-write clone of Base (a whole
	// disk in a file that no engine changes), of at least Bytes. Base may be empty:
	// then an empty disk of Bytes.
	Root Disk
	// Ephemeral and Swap are further empty disks, bytes; 0: none.
	EphemeralBytes, SwapBytes int64
	// Kernel and Ramdisk are files for a direct boot; both may be empty. Append is
	// the kernel's command line.
	Kernel, Ramdisk, Append string
	// ConfigDrive is an ISO 9660 image, shown as a read-only disk, the last; empty: none.
	// It is written anew before each start, and not kept with the spec.
	ConfigDrive []byte `json:"-"`
	// Rescue, when set, is the disk that it starts from instead; Root is then the second.
	Rescue *Disk
	NICs   []NIC
	// Extra are facts of flavor and image: hw_machine_type, hw_disk_bus, hw_watchdog_action …
	Extra map[string]string
}

// Disk is a disk to be made.
type Disk struct {
	Base       string // file
	BaseFormat string // raw or qcow2: never guessed
	Bytes      int64  // size that the guest sees, at least the base's
}

// NIC is an address card.
type NIC struct {
	PortID string
	MAC    string
	MTU    int
	// Open gives the other end: it is called at each start, and the file (of a tap
	// device) is then the engine's to close. nil means user-mode networking, as
	// User says. It is not kept with the domain: Attach the NICs again before a start.
	Open func(ctx context.Context) (*os.File, error) `json:"-"`
	User *UserNet
}

// UserNet is a card behind QEMU's own network stack, for hosts without root.
type UserNet struct {
	CIDR, Gateway, DNS, Address string
	// Forward are made at the start where they can be: a guest starts without one that cannot.
	Forward []Forward
}

// Forward leads a port of the host to the guest.
type Forward struct {
	Protocol string // tcp, udp
	Listen   string // host:port
	Port     int    // of the guest
}

// Domain is a domain that an engine found.
type Domain struct {
	ID    string
	State State
	// Pid of its process, 0 when it has none.
	Pid     int
	Started time.Time
}

// Event is something that happened to a domain without the engine's doing.
type Event struct {
	ID     string
	State  State
	Reason string // one of the Reasons above
}

// Diagnostics is what a running domain used so far.
type Diagnostics struct {
	State     State
	Uptime    time.Duration
	CPU       []time.Duration // per virtual CPU
	MemoryMiB int             // that it has
	RSSBytes  int64           // that its process takes of the host
	Disks     []DiskStats
	NICs      []NICStats
}

// DiskStats counts a disk's traffic.
type DiskStats struct{ ReadBytes, ReadRequests, WriteBytes, WriteRequests, Errors int64 }

// NICStats counts a card's traffic.
type NICStats struct {
	MAC                                                        string
	RXBytes, RXPackets, RXErrors, TXBytes, TXPackets, TXErrors int64
}

// Engine runs domains on this host. Its methods may be called concurrently, but
// only one at a time for one domain, except Console, VNC, Serial and Diagnostics.
// Methods return when what they do is done.
type Engine interface {
	Info(ctx context.Context) (Info, error)
	// Run adopts what runs and watches it until ctx ends; guests go on. It calls on for each event.
	Run(ctx context.Context, on func(Event)) error
	// List gives every domain of this host, adopted ones included.
	List(ctx context.Context) ([]Domain, error)

	// Create makes the domain's disks and starts it. It may be called again after a crash: what is there is kept.
	// ErrNoImage when a file that s names is not there.
	Create(ctx context.Context, s Spec) error
	// Start turns a domain on that is off or crashed (also a suspended one: then it goes on where it was). s is as in Create;
	// its NICs and its changed facts apply, its root disk stays (it grows when Root.Bytes is more). A rescue disk is made anew
	// when s.Rescue is set and removed when it is not. A domain that is on, running or paused, is left alone.
	Start(ctx context.Context, s Spec) error
	// Stop asks the guest to power off, and after grace turns it off; grace 0: at once. A suspended domain loses its saved memory.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Reboot asks the guest to restart (soft), or resets it (hard; a paused one then runs). Soft returns when the guest was asked:
	// an Event "reset" says that it did; one that never does is the caller's to reset. ErrState when it is off.
	Reboot(ctx context.Context, id string, hard bool) error
	Pause(ctx context.Context, id string) error
	Unpause(ctx context.Context, id string) error
	// Suspend saves the guest's memory in a file and turns it off. ErrState when it is off; ErrNoSpace leaves it running.
	Suspend(ctx context.Context, id string) error
	// Rebuild replaces the root disk by a fresh clone of s.Root and starts.
	Rebuild(ctx context.Context, s Spec) error
	// Snapshot writes the root disk as one whole qcow2 file without a backing file, consistent at one point in time, running or
	// not. The file is made anew; it is removed again when ctx ends or anything fails.
	Snapshot(ctx context.Context, id, file string) error
	// Destroy turns a domain off and removes everything of it.
	Destroy(ctx context.Context, id string) error

	// AttachNIC and DetachNIC change the cards of a domain that is on; ErrState when it is off. A card that is there, or gone, is
	// no error.
	AttachNIC(ctx context.Context, id string, n NIC) error
	DetachNIC(ctx context.Context, id, portID string) error

	// Console gives the end of what the guest wrote to its serial console, also when it is off: at most lines lines as Tail
	// counts them, or everything kept (the last MiB) when lines <= 0.
	Console(ctx context.Context, id string, lines int) ([]byte, error)
	// VNC connects to the guest's display (RFB); Serial to its serial console. ErrState when it is off.
	VNC(ctx context.Context, id string) (net.Conn, error)
	Serial(ctx context.Context, id string) (io.ReadWriteCloser, error)
	Diagnostics(ctx context.Context, id string) (Diagnostics, error)
	// SetPassword tells the guest agent a new password; ErrUnsupported when none answers.
	SetPassword(ctx context.Context, id, user, password string) error
}

// Forwarder is what an engine may be besides: one that changes the forwards of a
// user-mode card while its guest runs.
type Forwarder interface {
	// Forward makes list the forwards of a card of a domain that is on: what is too much ends before anything is added. ErrState
	// when the domain is off, or the card is none of its user-mode ones. What could be made is made, also when the error names
	// others that could not, such as a port that somebody else listens on; calling again tries those again.
	Forward(ctx context.Context, id, portID string, list []Forward) error
}
