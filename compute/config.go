package compute

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Config is the [compute] table of the configuration.
type Config struct {
	// Address on which the APIs are served, host:port.
	HTTP string `toml:"http"`
	// Scheme and host that clients use, such as https://cloud.example. Empty: as each request says.
	PublicURL string `toml:"public_url"`
	// Name of the region in the catalog.
	Region string `toml:"region"`
	// Name of this host. Empty: the machine's.
	Host string `toml:"host"`
	// Availability zone of this host.
	Zone string `toml:"zone"`
	// Where accounts, instances and networks are kept: postgres://… for a PostgreSQL server. Empty: SQLite under the data directory.
	Database string `toml:"database"`

	// What runs instances: qemu, fake (nothing runs, for trials and tests of clients), or auto: qemu where it is installed, else fake.
	Hypervisor string `toml:"hypervisor"`
	// How QEMU runs guests: kvm, tcg (in software), or auto: kvm where a guest really starts with it.
	Accelerator string `toml:"accelerator"`
	// Hosts that are simulated beside this one; only with the fake hypervisor.
	SimulatedHosts int `toml:"simulated_hosts"`

	// How instances get their addresses: flatdhcp (by DHCP), or flat (by config drive, without DHCP).
	NetworkManager string `toml:"network_manager"`
	// Range of the network "default", made at the first start.
	FixedRange string `toml:"fixed_range"`
	// Range of the floating addresses of the network "public", made at the first start. When this machine already routes it, the
	// next ones of the same size are tried.
	FloatingRange string `toml:"floating_range"`
	// Tracked connections that a port may have begun, and as many that may have begun towards it; more are dropped. Only as root.
	ConnectionsMax int `toml:"connections_max"`

	// How long a token lasts.
	TokenLife time.Duration `toml:"token_life"`
	// Most bytes of one machine image.
	ImageBytesMax unit.Bytes `toml:"image_bytes_max"`
	// How long deleted instances are remembered, for usage reports.
	KeepDeleted time.Duration `toml:"keep_deleted"`

	// Virtual CPUs that a host may give out for each of its own.
	CPURatio float64 `toml:"cpu_ratio"`
	// Memory that a host may give out for each MiB of its own.
	MemoryRatio float64 `toml:"memory_ratio"`
	// Memory of this host that instances do not get.
	ReservedMemory unit.Bytes `toml:"reserved_memory"`
}

// The choices of a Config.
const (
	Auto = "auto"

	HypervisorQEMU = "qemu"
	HypervisorFake = "fake"

	AcceleratorKVM = "kvm"
	AcceleratorTCG = "tcg"

	NetworkFlat     = "flat"
	NetworkFlatDHCP = "flatdhcp"
)

// Default suits one machine.
func Default() Config {
	return Config{
		HTTP: "127.0.0.1:7704", Region: "RegionOne", Zone: "nova",
		Hypervisor: Auto, Accelerator: Auto, NetworkManager: NetworkFlatDHCP,
		FixedRange: "10.20.0.0/20", FloatingRange: "172.24.4.0/24", ConnectionsMax: 8192,
		TokenLife: time.Hour, ImageBytesMax: 64 * unit.GiB, KeepDeleted: 30 * 24 * time.Hour,
		CPURatio: 4, MemoryRatio: 1, ReservedMemory: 512 * unit.MiB,
	}
}

// simulatedHostsMax bounds a trial: each host is a row and a place in memory.
const simulatedHostsMax = 10000

// connectionsMaxMax is what a kernel tracks in a network at most, on machines of 4 GiB and more.
const connectionsMaxMax = 262144

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	choice := func(name, v string, of ...string) {
		if !slices.Contains(of, v) {
			errs = append(errs, fmt.Errorf("%s %q is none of %v", name, v, of))
		}
	}
	choice("hypervisor", c.Hypervisor, Auto, HypervisorQEMU, HypervisorFake)
	choice("accelerator", c.Accelerator, Auto, AcceleratorKVM, AcceleratorTCG)
	choice("network_manager", c.NetworkManager, NetworkFlat, NetworkFlatDHCP)
	for _, r := range []struct {
		name, text string
		bits       int // of the longest prefix that holds anything
	}{{"fixed_range", c.FixedRange, 29}, {"floating_range", c.FloatingRange, 29}} {
		p, err := netip.ParsePrefix(r.text)
		if err != nil || !p.Addr().Is4() || p.Masked() != p || p.Bits() > r.bits {
			errs = append(errs, fmt.Errorf("%s %q is no IPv4 range: want one like 10.20.0.0/20, at most /%d", r.name, r.text, r.bits))
		}
	}
	if c.ConnectionsMax <= 0 || c.ConnectionsMax > connectionsMaxMax {
		errs = append(errs, fmt.Errorf("connections_max must be 1 to %d", connectionsMaxMax))
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" {
			errs = append(errs, fmt.Errorf("public_url %q is no scheme and host: want one like https://cloud.example", c.PublicURL))
		}
	}
	if c.Region == "" || c.Zone == "" {
		errs = append(errs, errors.New("region and zone must have names"))
	}
	if c.SimulatedHosts < 0 || c.SimulatedHosts > simulatedHostsMax {
		errs = append(errs, fmt.Errorf("simulated_hosts must be 0 to %d", simulatedHostsMax))
	}
	if c.SimulatedHosts > 0 && c.Hypervisor != HypervisorFake {
		errs = append(errs, errors.New("simulated_hosts need hypervisor fake"))
	}
	if c.TokenLife < time.Minute {
		errs = append(errs, errors.New("token_life must be at least 1m"))
	}
	if c.ImageBytesMax <= 0 {
		errs = append(errs, errors.New("image_bytes_max must be more than 0"))
	}
	if c.CPURatio <= 0 || c.MemoryRatio <= 0 {
		errs = append(errs, errors.New("cpu_ratio and memory_ratio must be more than 0"))
	}
	return errors.Join(errs...)
}
