package compute

import (
	"context"
	"net/netip"
	"strings"
)

// InstanceName is an instance as others look for it.
type InstanceName struct {
	ID       string
	Hostname string // one label; two instances may have the same
	Project  string // the name of the project that it belongs to
	Addrs    []netip.Addr
}

// NameRegistrar gives instances names that resolve. It is satisfied from outside
// this room; none is needed.
type NameRegistrar interface {
	// SetNames makes exactly these names resolve: what is new is added, and what was
	// given earlier and is not in the list goes. It may be called again with the same.
	SetNames(ctx context.Context, names []InstanceName) error
}

// hostnameMax is the longest label of a name (RFC 1035 §2.3.4).
const hostnameMax = 63

// Hostname makes an instance's own name from the name that its user gave: what a
// label may not hold becomes "-" or goes; nothing left gives "server-" and the id.
func Hostname(name, id string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(name)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			b.WriteRune(r)
		case r == '_', r == ' ', r == '.':
			b.WriteByte('-')
		}
	}
	s := strings.Trim(b.String(), "-")
	if s == "" {
		s = "server-" + id
	}
	if len(s) > hostnameMax {
		s = strings.TrimRight(s[:hostnameMax], "-")
	}
	return s
}
