package compute

import "time"

// HeartbeatMax is the age at which a host's last heartbeat says that it is down.
// Cactus had 60 s.
const HeartbeatMax = 15 * time.Second

// Host is a machine that runs instances. What instances hold of it is changed
// in the same write that places them, so it is never given twice.
type Host struct {
	ID                    string // its name
	Hypervisor            string // QEMU, fake
	HypervisorVersion     int    // as Nova writes it: 7002000 for 7.2.0
	Accelerator           string // kvm, tcg
	Address               string
	Zone                  string
	VCPUs, MemoryMiB      int
	DiskGiB               int
	CPUModel              string
	VCPUsUsed, MemoryUsed int // MiB
	DiskUsed, Instances   int // GiB
	Disabled              bool
	DisabledReason        string
	ForcedDown            bool
	Simulated             bool
	Created, Heartbeat    time.Time // Heartbeat is stored on edges and at start; the live one is in memory
	Started               time.Time
}

// Flavor is a size of instances.
type Flavor struct {
	ID, Name, Description string
	VCPUs, MemoryMiB      int
	DiskGiB, EphemeralGiB int
	SwapMiB               int
	RXTXFactor            float64
	Public                bool
	Disabled              bool
	Extra                 map[string]string // hw:…
	Access                []string          // projects that may use one that is not public
	Created, Updated      time.Time
}

// Keypair is a public key that instances let in.
type Keypair struct {
	ID          string // KeypairID
	UserID      string
	Name        string
	Type        string // ssh, x509
	PublicKey   string
	Fingerprint string // MD5 with colons
	Created     time.Time
}

// KeypairID makes the id of a user's keypair.
func KeypairID(userID, name string) string { return userID + "/" + name }

// ServerGroup says that its members are to be placed together or apart.
type ServerGroup struct {
	ID, Name, ProjectID, UserID string
	Policy                      string // affinity, anti-affinity, soft-…
	MaxPerHost                  int
	Members                     []string
	Created                     time.Time
}

// Aggregate is hosts with a zone or facts in common.
type Aggregate struct {
	ID               string // a number
	UUID             string
	Name, Zone       string
	Hosts            []string
	Metadata         map[string]string
	Created, Updated time.Time
}
