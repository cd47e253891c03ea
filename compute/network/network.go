// Package network is what makes networks real on one host, behind one interface.
// An engine is a package one level below: netns, which builds them of network
// namespaces, bridges, taps and nftables as root; usermode, for hosts without
// root; fake, which builds nothing and stands in for scale.
//
// Vocabulary. The state is everything that must exist on this host: networks,
// their subnets, the ports that are here, routers, floating addresses and rules.
// An engine is told the whole state and makes it so; what it made before and is
// not in the state goes away. DHCP and the metadata service of a network run in
// the engine, because only it can listen there.
//
// Invariants. Applying the same state twice changes nothing. A packet that no
// rule lets pass is dropped from the moment that a port exists: filters come
// before the link. As root everything lies in namespaces of our own, except one
// veth pair and one route for the floating addresses on the host.
package network

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// State is everything that must exist on this host.
type State struct {
	Networks []Network
	Routers  []Router
	Ports    []Port
	Groups   map[string][]netip.Addr // members of security groups that a rule names: addresses of their ports
}

// Network is a segment.
type Network struct {
	ID       string
	Name     string
	External bool
	// Host: this host has a card on the network, with the gateway addresses of its subnets, so that it reaches the floating
	// addresses. At most one network of a state: the first one wins. When none says so, the host is on the first external one.
	Host    bool
	MTU     int // bytes; 0: 1500
	Subnets []Subnet
}

// Subnet is a range of addresses and what DHCP says about it.
type Subnet struct {
	ID      string
	Prefix  netip.Prefix
	Gateway netip.Addr // invalid: none
	DHCP    bool
	// Server is an address of the subnet that nobody else has, for the DHCP server (Neutron's network:dhcp port). Invalid: it
	// serves from 169.254.169.254, which needs no address of the subnet and answers in every network.
	Server   netip.Addr
	DNS      []netip.Addr
	Routes   []Route
	Metadata bool // whether 169.254.169.254 answers here
	// SLAAC: routers advertise the prefix (IPv6), and guests make their addresses of it and of their MAC (RFC 4862).
	SLAAC bool
}

// Route sends a destination to a next hop.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// Port is a card on this host.
type Port struct {
	ID, NetworkID, InstanceID string
	MAC                       string
	Addresses                 []netip.Addr
	Hostname                  string
	AdminUp                   bool
	// Filtered: anti-spoofing and Rules apply; else everything passes.
	Filtered     bool
	Rules        []Rule
	AllowedPairs []Pair
	Options      []DHCPOption
}

// Pair is a further sender that a port may be.
type Pair struct {
	Prefix netip.Prefix
	MAC    string
}

// DHCPOption is an option for one port.
type DHCPOption struct{ Name, Value string }

// Rule lets packets pass. What a port sends is matched by the rules that are
// not Ingress, with the receiver as the remote end; answers pass by themselves.
type Rule struct {
	Ingress       bool
	IPv6          bool
	Protocol      string       // a name or a number; empty: any
	Min, Max      int          // ports, or ICMP type and code; -1: any
	RemotePrefix  netip.Prefix // invalid: any
	RemoteGroupID string       // of State.Groups
}

// Router joins subnets.
type Router struct {
	ID         string
	Up         bool
	Interfaces []Interface
	Gateway    *Interface // on an external network
	SNAT       bool
	Routes     []Route
	Floating   []Floating
}

// Interface is a router's card on a network.
type Interface struct {
	PortID, NetworkID string
	MAC               string
	Addresses         []netip.Prefix // address with the subnet's length
}

// Floating maps an external address to an inner one.
type Floating struct{ External, Internal netip.Addr }

// Config is what an engine needs of its surroundings.
type Config struct {
	Dir string // where it keeps what it must remember
	// Metadata serves 169.254.169.254: the engine puts the network and the sender into the request's context (see SourceOf). Nil: not served.
	Metadata http.Handler
	// Leased is told of each address that DHCP acknowledged, for measuring; may be nil. It must not wait.
	Leased func(portID string)
	// UserChanged is told that User(portID) says something else than before, by the user-mode engine and within Apply, so that the
	// forwards of a running guest can follow; may be nil. It must not wait.
	UserChanged func(portID string)
	// ConnectionsMax is how many tracked connections a filtered port may have that it began, and as many that began towards it;
	// 0: any number. Whoever begins more at a flood costs the kernel a look at all of them in each tick of its clock: about
	// 3 ms of 4 for 8192.
	ConnectionsMax int
	Log            *slog.Logger // nil: nothing is logged
	Metrics        Metrics      // nil: nothing is counted
}

// Metrics is where an engine counts.
type Metrics interface {
	// Applied says what one Apply did: how long it took, how many things of the kernel it changed, whether all could be made.
	Applied(took time.Duration, changes int, err error)
	// DHCP counts a message by what became of it: "offer", "ack", "nak", "ignored", "invalid".
	DHCP(outcome string)
	// Metadata counts a request to the metadata service by its status.
	Metadata(status int)
	// Refused counts packets that would have begun a connection more than a port may have.
	Refused(packets int)
}

type sourceKey struct{}

// Source is who asks the metadata service.
type Source struct {
	NetworkID string
	Address   netip.Addr
}

// WithSource gives a context that says who asks.
func WithSource(ctx context.Context, s Source) context.Context {
	return context.WithValue(ctx, sourceKey{}, s)
}

// SourceOf says who asks the metadata service.
func SourceOf(ctx context.Context) (Source, bool) {
	s, ok := ctx.Value(sourceKey{}).(Source)
	return s, ok
}

// Engine makes networks real on this host. Its methods may be called
// concurrently.
type Engine interface {
	// Limits says what this engine cannot do on this host, for people; nil: nothing.
	Limits() []string
	// Run serves DHCP, router advertisements and metadata until ctx ends. What was applied stays: guests go on without us.
	Run(ctx context.Context) error
	// Apply makes the state so. What could be made is made even when something else fails; the error names what failed.
	// s is the engine's from then on: whoever gave it changes nothing in it.
	Apply(ctx context.Context, s State) error
	// Open gives the tap of a port that was applied, for a guest that starts. ErrUnsupported of package hypervisor when ports are
	// not taps here: then User says how.
	Open(ctx context.Context, portID string) (*os.File, error)
	// User gives the user-mode card of a port, nil when ports are taps.
	User(portID string) *hypervisor.UserNet
	// Purge removes everything that this engine ever made, for an uninstall and for tests.
	Purge(ctx context.Context) error
}
