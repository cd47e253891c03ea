package compute

import (
	"context"
	"net/netip"
	"strings"
)

// NameRegistrar gives instances names that resolve. It is satisfied from outside
// this room; none is needed.
type NameRegistrar interface {
	// Register makes name resolve to addr, in place of what it resolved to.
	Register(ctx context.Context, name string, addr netip.Addr) error
	// Remove takes the name away; a name that is not there is no error.
	Remove(ctx context.Context, name string) error
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
