package compute

import "time"

// Network is a segment on which ports with its subnets' addresses reach each
// other.
type Network struct {
	ID, Name, Description string
	ProjectID             string
	AdminStateUp          bool
	Shared                bool
	External              bool // addresses of it are floating IPs and gateways of routers
	IsDefault             bool // of external networks
	PortSecurity          bool
	MTU                   int
	DNSDomain             string
	ProviderType          string // flat, vlan, vxlan, local
	ProviderSegment       int
	ProviderPhysical      string
	ZoneHints             []string // availability zones that were asked for
	Tags                  []string
	Revision              int
	Created, Updated      time.Time
}

// Subnet is a range of addresses on a network.
type Subnet struct {
	ID, Name, Description string
	ProjectID, NetworkID  string
	IPVersion             int
	CIDR                  string
	Gateway               string // empty: none
	DHCP                  bool
	Pools                 []AddressRange
	DNS                   []string
	Routes                []Route
	RAMode, AddressMode   string // of IPv6
	SubnetPoolID          string
	ServiceTypes          []string
	Tags                  []string
	Revision              int
	Created, Updated      time.Time
}

// AddressRange is the addresses from Start to End, both included.
type AddressRange struct{ Start, End string }

// Route sends a destination to a next hop.
type Route struct{ Destination, NextHop string }

// SubnetPool is prefixes from which subnets take theirs.
type SubnetPool struct {
	ID, Name, Description               string
	ProjectID                           string
	Prefixes                            []string
	IPVersion                           int
	MinPrefix, MaxPrefix, DefaultPrefix int
	Shared, IsDefault                   bool
	DefaultQuota                        int // 0: none
	AddressScopeID                      string
	Tags                                []string
	Revision                            int
	Created, Updated                    time.Time
}

// The owners of ports that are not a user's own.
const (
	OwnerCompute         = "compute:" // with the availability zone after it
	OwnerDHCP            = "network:dhcp"
	OwnerRouterInterface = "network:router_interface"
	OwnerRouterGateway   = "network:router_gateway"
	OwnerFloatingIP      = "network:floatingip"
)

// Port is an address card on a network.
type Port struct {
	ID, Name, Description string
	ProjectID, NetworkID  string
	AdminStateUp          bool
	Status                string // ACTIVE, DOWN, BUILD, N/A
	MAC                   string // lower case, with colons
	FixedIPs              []FixedIP
	DeviceID, DeviceOwner string // the instance or router that has it; what a user wrote, unless HasPort
	SecurityGroupIDs      []string
	PortSecurity          bool
	AllowedPairs          []AddressPair
	ExtraDHCP             []DHCPOption
	VNICType              string // normal
	HostID                string // the host that plugs it; empty: unbound
	DNSName               string
	Tags                  []string
	Revision              int
	Created, Updated      time.Time
}

// FixedIP is an address of a port.
type FixedIP struct{ SubnetID, IP string }

// AddressPair is a further sender that a port may be.
type AddressPair struct{ IP, MAC string }

// DHCPOption is an option that the DHCP server gives to one port.
type DHCPOption struct {
	Name, Value string
	IPVersion   int
}

// Address is one taken address of a subnet: whoever inserts its row has it.
type Address struct {
	ID       string // AddressID
	SubnetID string
	IP       string
	PortID   string
}

// AddressID makes the id under which an address can be taken once.
func AddressID(subnetID, ip string) string { return subnetID + "/" + ip }

// Router joins subnets, and leads to an external network when it has a gateway.
type Router struct {
	ID, Name, Description string
	ProjectID             string
	AdminStateUp          bool
	Status                string
	GatewayNetworkID      string // empty: none
	GatewayPortID         string
	GatewayIPs            []FixedIP
	SNAT                  bool
	Distributed, HA       bool
	Routes                []Route
	ZoneHints             []string // availability zones that were asked for
	Tags                  []string
	Revision              int
	Created, Updated      time.Time
}

// FloatingIP is an address of an external network that leads to a port.
type FloatingIP struct {
	ID, Description      string
	ProjectID, NetworkID string // the external network
	SubnetID             string
	IP                   string
	PortID               string // its own port on the external network
	FixedPortID, FixedIP string // what it leads to; empty: nothing
	RouterID             string
	Status               string // ACTIVE, DOWN
	DNSName, DNSDomain   string
	Tags                 []string
	Revision             int
	Created, Updated     time.Time
}

// SecurityGroup is rules about what may pass a port. The group "default" of a
// project is always there.
type SecurityGroup struct {
	ID, Name, Description string
	ProjectID             string
	Stateful              bool
	Tags                  []string
	Revision              int
	Created, Updated      time.Time
}

// SecurityRule lets something pass; what no rule lets pass is dropped.
type SecurityRule struct {
	ID, Description    string
	ProjectID, GroupID string
	Direction          string // ingress, egress
	EtherType          string // IPv4, IPv6
	Protocol           string // tcp, udp, icmp, a number …; empty: any
	PortMin, PortMax   *int   // ICMP: type and code
	RemoteGroupID      string
	RemotePrefix       string
	Revision           int
	Created, Updated   time.Time
}
