package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MemberState is what this member believes of another.
type MemberState uint8

// The states of a member.
const (
	MemberAlive   MemberState = iota
	MemberDead                // it stopped answering
	MemberLeft                // it said goodbye; its records are gone until it comes back
	MemberRemoved             // an operator removed it for good

	memberStateCount
)

var memberStateNames = [memberStateCount]string{"alive", "dead", "left", "removed"}

func (s MemberState) String() string {
	if s < memberStateCount {
		return memberStateNames[s]
	}
	return fmt.Sprintf("member state %d", uint8(s))
}

// Info is what a member tells of itself in its stream.
type Info struct {
	Gossip   netip.AddrPort // where gossip reaches it
	DNS      []netip.AddrPort
	HTTP     string // its API, host:port; empty: none
	Location string
	Version  string // of the program
	Started  time.Time
}

// Member is a member as this one knows it.
type Member struct {
	Node  string
	State MemberState
	Since time.Time // of the state, by this member's clock
	Info  Info
	RTT   time.Duration // 0: not measured
	Cert  Certificate
	// Records it owns.
	Records int
	// Stream is the newest version of its stream that is known here.
	Stream uint64
}

// NodeBytesMax bounds a node name, which is one label of DNS.
const NodeBytesMax = LabelBytesMax

// CheckNode says whether a node can be called so: a host name's label (RFC 1123 2.1).
func CheckNode(node string) error {
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	if node == "" || len(node) > NodeBytesMax || strings.ContainsFunc(node, odd) || node[0] == '-' || node[len(node)-1] == '-' {
		return fmt.Errorf("node name %q: want 1 to %d of a-z, 0-9 and inner hyphens", shorten(node), NodeBytesMax)
	}
	return nil
}

// Certificate says what a member may publish. It is signed with a key of the
// cluster; package credential encodes, issues and verifies it.
type Certificate struct {
	Node string
	// Names are patterns of names: exact, "*.x" for anything below x, "a-*.x" for a
	// first label that begins so, "*" for anything.
	Names []string
	// Ranges are the addresses that its A and AAAA records may have.
	Ranges []netip.Prefix
	// Zones says whether it may change zone records under Names, for everybody.
	Zones bool
	// Admin says whether it may remove members and change the keyring.
	Admin   bool
	Issued  time.Time
	Expires time.Time // zero: never
	Key     []byte    // Ed25519 public key of the member, 32 bytes
	Issuer  []byte    // public key of the cluster's key that signed it
	Sig     []byte
}

// PatternsMax bounds names and ranges of one certificate.
const PatternsMax = 64

// Allows says whether the certificate lets its member publish a record.
func (c Certificate) Allows(rr RR) error {
	if !c.allowsName(rr.Name) {
		return &Error{Kind: Denied, Detail: fmt.Sprintf("the certificate of %s does not cover the name %s", c.Node, rr.Name)}
	}
	addr, ok := rr.Addr()
	if ok && !slices.ContainsFunc(c.Ranges, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) }) {
		return &Error{Kind: Denied, Detail: fmt.Sprintf("the certificate of %s does not cover the address %s", c.Node, addr)}
	}
	return nil
}

// AllowsZone says whether the certificate lets its member change zone records or the policy of a name.
func (c Certificate) AllowsZone(name Name) error {
	if !c.Zones || !c.allowsName(name) {
		return &Error{Kind: Denied, Detail: fmt.Sprintf("the certificate of %s does not let it change the zone records of %s", c.Node, name)}
	}
	return nil
}

func (c Certificate) allowsName(name Name) bool {
	return slices.ContainsFunc(c.Names, func(p string) bool { return MatchPattern(p, name) })
}

// CheckPattern says whether a pattern of names can be read.
func CheckPattern(pattern string) error {
	if pattern == "*" {
		return nil
	}
	n, err := ParseName(pattern)
	if err != nil {
		return err
	}
	if i := strings.IndexByte(string(n), '*'); i >= 0 && i != len(n.First())-1 || strings.Count(string(n), "*") > 1 {
		return fmt.Errorf("pattern %q: an asterisk may only end the first label", shorten(pattern))
	}
	return nil
}

// MatchPattern says whether a name fits a pattern.
func MatchPattern(pattern string, name Name) bool {
	if pattern == "*" {
		return true
	}
	pattern = strings.ToLower(strings.TrimSuffix(pattern, "."))
	if base, ok := strings.CutPrefix(pattern, "*."); ok {
		return name != Name(base) && name.Under(Name(base))
	}
	label, base, _ := strings.Cut(pattern, ".")
	if begin, ok := strings.CutSuffix(label, "*"); ok {
		return base != "" && name.Parent() == Name(base) && strings.HasPrefix(name.First(), begin)
	}
	return name == Name(pattern)
}
