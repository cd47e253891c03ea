package answer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kamado/kamado/dns"
)

// Config is what a table knows beside its zones.
type Config struct {
	// Server is told in NSID (RFC 5001) and to CHAOS questions for id.server and hostname.bind. At most ServerBytesMax bytes.
	Server string
	// Version is told to CHAOS questions for version.bind and version.server; empty: they are refused. At most ServerBytesMax bytes.
	Version string
	// Views are the networks of the clients of each view. A client may be in several.
	Views map[string][]netip.Prefix
	// Locations are the labels of places, for the balance "nearest". The longest prefix counts.
	Locations map[netip.Prefix]string
	// AllowQuery are the networks that may ask at all. Nil: everybody.
	AllowQuery []netip.Prefix
	// Forwarding says that there are forwarders, and AllowForward who may use them.
	Forwarding   bool
	AllowForward []netip.Prefix
	// UDPBytesMax is the size of the largest response over UDP, 512 to 4096. 0: UDPBytesDefault.
	UDPBytesMax int
	// Cookies says whether server cookies are given.
	Cookies bool
	// CookieSecret is the key of server cookies (RFC 9018 4); members of one cluster use the same. Ignored without Cookies.
	CookieSecret [16]byte
}

// Bounds.
const (
	// UDPBytesDefault is what passes every path unfragmented (DNS flag day 2020).
	UDPBytesDefault = 1232
	udpBytesLeast   = 512 // RFC 1035 4.2.1
	udpBytesMost    = 4096
	// StreamBytesMax is the size of the largest message over a stream (RFC 1035 4.2.2).
	StreamBytesMax = 65535
	// ServerBytesMax bounds Config.Server and Version: one string of a TXT record.
	ServerBytesMax = 255
	// ViewsMax bounds the views: one bit each beside that of everybody.
	ViewsMax = 63
	// classesMax bounds the combinations of views that clients can be in.
	classesMax = 256
	// locationsMax bounds the labels of places.
	locationsMax = 65535
)

// validate complains about everything at once.
func (c Config) validate() error {
	var errs []error
	if len(c.Server) > ServerBytesMax || len(c.Version) > ServerBytesMax {
		errs = append(errs, fmt.Errorf("a server name and a version of at most %d bytes", ServerBytesMax))
	}
	if len(c.Views) > ViewsMax {
		errs = append(errs, fmt.Errorf("%d views, at most %d", len(c.Views), ViewsMax))
	}
	if len(c.Locations) > locationsMax {
		errs = append(errs, fmt.Errorf("%d locations, at most %d", len(c.Locations), locationsMax))
	}
	if c.UDPBytesMax != 0 && (c.UDPBytesMax < udpBytesLeast || c.UDPBytesMax > udpBytesMost) {
		errs = append(errs, fmt.Errorf("%d bytes over UDP, want %d to %d", c.UDPBytesMax, udpBytesLeast, udpBytesMost))
	}
	return errors.Join(errs...)
}

// presence says to whom something is there: a bit for each view, and one for everybody.
type presence uint64

// everybody is the bit of what has no view.
const everybody presence = 1 << ViewsMax

// views is the configuration of views, made for looking up.
type views struct {
	names   []string       // sorted; the index is the bit
	classes []presence     // of a class, which always includes everybody
	clients networks[int]  // class of a client; 0 when it is in no view
	bits    map[string]int // by name
}

func newViews(config map[string][]netip.Prefix) (views, error) {
	v := views{bits: map[string]int{}, classes: []presence{everybody}}
	for name := range config {
		v.names = append(v.names, name)
	}
	slices.Sort(v.names)
	var all []netip.Prefix
	for i, name := range v.names {
		v.bits[name] = i
		all = append(all, config[name]...)
	}
	classes := map[netip.Prefix]int{}
	for _, p := range all {
		p = p.Masked()
		mask := everybody
		for i, name := range v.names {
			if slices.ContainsFunc(config[name], func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }) {
				mask |= 1 << i
			}
		}
		class := slices.Index(v.classes, mask)
		if class < 0 {
			class = len(v.classes)
			v.classes = append(v.classes, mask)
		}
		classes[p] = class
	}
	if len(v.classes) > classesMax {
		return v, fmt.Errorf("the networks of views overlap in %d ways, at most %d", len(v.classes), classesMax)
	}
	v.clients = newNetworks(classes)
	return v, nil
}

// of is the presence of a record with a view; none for a view that is not configured here.
func (v *views) of(view string) presence {
	if view == "" {
		return everybody
	}
	if bit, ok := v.bits[view]; ok {
		return 1 << bit
	}
	return 0
}

// visible says whether clients with a mask see a record with a view.
func (v *views) visible(o *dns.Owned, mask presence) bool { return v.of(o.View)&mask != 0 }
