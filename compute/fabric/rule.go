package fabric

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/compute"
)

// RuleAttrs is what a request says of a rule of a security group.
type RuleAttrs struct {
	Description, ProjectID, GroupID Opt[string]
	Direction, EtherType, Protocol  Opt[string]
	PortMin, PortMax                Opt[*int]
	RemoteGroupID, RemotePrefix     Opt[string]
}

// Words of rules.
const (
	ingress = "ingress"
	egress  = "egress"
	etherV4 = "IPv4"
	etherV6 = "IPv6"
)

// protocols are the names that rules may say, with IANA's numbers.
var protocols = map[string]int{
	"ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "icmpv6": 58, "igmp": 2, "ip": 0, "ipip": 4,
	"ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "ipv6-route": 43, "ospf": 89,
	"pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}

// The numbers of protocols that have ports, or types.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

var withPorts = []int{6, 17, 33, 132, 136} // tcp, udp, dccp, sctp, udplite

// onlyV6 are the protocols that IPv4 has not.
var onlyV6 = []string{"icmpv6", "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route"}

// protocolNumber gives the number of a protocol's name or number, -1 for none.
func protocolNumber(s string) int {
	if n, ok := protocols[s]; ok {
		return n
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n <= 255 {
		return n
	}
	return -1
}

// CreateRules makes rules, all or none.
func (s *Service) CreateRules(ctx context.Context, who compute.Caller, list []RuleAttrs) ([]*compute.SecurityRule, error) {
	return createAll(ctx, s, who, "create security group rule", list, (*work).createRule)
}

func (w *work) createRule(a RuleAttrs) (*compute.SecurityRule, error) {
	g, err := w.group(a.GroupID.Value)
	if err != nil {
		return nil, err
	}
	r := &compute.SecurityRule{ID: compute.NewID(), Description: a.Description.Value, ProjectID: g.ProjectID, GroupID: g.ID,
		Direction: a.Direction.Value, PortMin: a.PortMin.Value, PortMax: a.PortMax.Value,
		RemoteGroupID: a.RemoteGroupID.Value, RemotePrefix: a.RemotePrefix.Value, Created: w.at, Updated: w.at}
	if r.Direction != ingress && r.Direction != egress {
		return nil, fail(compute.Invalid, "HTTPBadRequest", "Invalid input for direction. Reason: '%s' is not in ['ingress', 'egress'].", r.Direction)
	}
	if err := setEther(r, a.EtherType.Or(etherV4)); err != nil {
		return nil, err
	}
	if err := setProtocol(r, a.Protocol.Value); err != nil {
		return nil, err
	}
	if err := checkRange(r); err != nil {
		return nil, err
	}
	if err := w.setRemote(r); err != nil {
		return nil, err
	}
	rules, err := w.tx.SecurityRules.List(compute.Query{Where: compute.Where{"group_id": g.ID}})
	if err != nil {
		return nil, err
	}
	for _, o := range rules {
		if sameRule(o, r) {
			return nil, fail(compute.Conflict, "SecurityGroupRuleExists", "Security group rule already exists. Rule id is %s.", o.ID)
		}
	}
	if err := w.charge(g.ProjectID, compute.QuotaSecurityRules, 1); err != nil {
		return nil, err
	}
	return r, w.tx.SecurityRules.Insert(r)
}

func setEther(r *compute.SecurityRule, ether string) error {
	switch strings.ToLower(ether) {
	case "ipv4":
		r.EtherType = etherV4
	case "ipv6":
		r.EtherType = etherV6
	default:
		return fail(compute.Invalid, "SecurityGroupRuleInvalidEtherType",
			"Security group rule for ethertype '%s' not supported. Allowed values are ['IPv4', 'IPv6'].", ether)
	}
	return nil
}

func setProtocol(r *compute.SecurityRule, protocol string) error {
	protocol = strings.ToLower(protocol)
	if protocol == "any" || protocol == "" {
		return nil
	}
	if protocolNumber(protocol) < 0 {
		return fail(compute.Invalid, "SecurityGroupRuleInvalidProtocol", "Security group rule protocol %s not supported. "+
			"Only protocol values and integer representations [0 to 255] are supported.", protocol)
	}
	if r.EtherType == etherV4 && slices.Contains(onlyV6, protocol) {
		return fail(compute.Invalid, "SecurityGroupEthertypeConflictWithProtocol", "Invalid ethertype %s for protocol %s.", r.EtherType, protocol)
	}
	if r.EtherType == etherV6 && (protocol == "icmp" || protocol == "icmpv6") {
		protocol = "ipv6-icmp"
	}
	r.Protocol = protocol
	return nil
}

// checkRange checks ports, or the type and code of ICMP.
func checkRange(r *compute.SecurityRule) error {
	if r.PortMin == nil && r.PortMax == nil {
		return nil
	}
	for _, p := range []*int{r.PortMin, r.PortMax} {
		if p != nil && (*p < 0 || *p > 65535) {
			return fail(compute.Invalid, "SecurityGroupInvalidPortValue", "Invalid value for port %d", *p)
		}
	}
	if r.Protocol == "" {
		return fail(compute.Invalid, "SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol if port range is given.")
	}
	switch n := protocolNumber(r.Protocol); {
	case n == protoICMP || n == protoICMPv6:
		for name, p := range map[string]*int{"type (port-range-min)": r.PortMin, "code (port-range-max)": r.PortMax} {
			if p != nil && *p > 255 {
				return fail(compute.Invalid, "SecurityGroupInvalidIcmpValue", "Invalid value for ICMP %s %d. It must be 0 to 255.", name, *p)
			}
		}
		if r.PortMin == nil {
			return fail(compute.Invalid, "SecurityGroupMissingIcmpType",
				"ICMP code (port-range-max) %d is provided but ICMP type (port-range-min) is missing.", *r.PortMax)
		}
	case slices.Contains(withPorts, n):
		if r.PortMin == nil || r.PortMax == nil || *r.PortMin > *r.PortMax {
			return fail(compute.Invalid, "SecurityGroupInvalidPortRange", "For TCP/UDP protocols, port_range_min must be <= port_range_max")
		}
	default:
		return fail(compute.Invalid, "SecurityGroupInvalidProtocolForPort",
			"Invalid protocol %s for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.", r.Protocol)
	}
	return nil
}

// setRemote checks whom a rule is about. A prefix stays as it was given, with its host bits: they mean nothing (see MaskedPrefix).
func (w *work) setRemote(r *compute.SecurityRule) error {
	if r.RemoteGroupID != "" && r.RemotePrefix != "" {
		return fail(compute.Invalid, "SecurityGroupRemoteGroupAndRemoteIpPrefix", "Only remote_ip_prefix or remote_group_id may be provided.")
	}
	if r.RemoteGroupID != "" {
		_, err := w.group(r.RemoteGroupID)
		return err
	}
	if r.RemotePrefix == "" {
		return nil
	}
	p, err := netip.ParsePrefix(r.RemotePrefix)
	if err != nil {
		a, errAddr := netip.ParseAddr(r.RemotePrefix)
		if errAddr != nil || a.Zone() != "" {
			return fail(compute.Invalid, "HTTPBadRequest", "Invalid input for remote_ip_prefix. Reason: '%s' is not a valid IP subnet.", r.RemotePrefix)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	r.RemotePrefix = p.String()
	if p.Addr().Is4() != (r.EtherType == etherV4) {
		return fail(compute.Invalid, "SecurityGroupRuleParameterConflict", "Conflicting value ethertype %s for CIDR %s", r.EtherType, p)
	}
	return nil
}

// sameRule says whether two rules of one group let the same pass.
func sameRule(a, b *compute.SecurityRule) bool {
	same := func(x, y *int) bool { return x == nil && y == nil || x != nil && y != nil && *x == *y }
	return a.Direction == b.Direction && a.EtherType == b.EtherType && sameProtocol(a.Protocol, b.Protocol) &&
		same(a.PortMin, b.PortMin) && same(a.PortMax, b.PortMax) && a.RemoteGroupID == b.RemoteGroupID &&
		everybody(a.RemotePrefix) == everybody(b.RemotePrefix)
}

func sameProtocol(a, b string) bool {
	return a == b || a != "" && b != "" && protocolNumber(a) == protocolNumber(b)
}

// MaskedPrefix gives what a rule's prefix means: 10.2.3.124/24 is 10.2.3.0/24.
// What is no prefix stays as it is.
func MaskedPrefix(prefix string) string {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return prefix
	}
	return p.Masked().String()
}

// everybody turns a prefix into what it means, that of all addresses into none:
// they let the same pass.
func everybody(prefix string) string {
	prefix = MaskedPrefix(prefix)
	if prefix == "0.0.0.0/0" || prefix == "::/0" {
		return ""
	}
	return prefix
}

// ruleAbsent is the answer for a rule that is not there for the caller.
func ruleAbsent(id string) error {
	return fail(compute.NotFound, "SecurityGroupRuleNotFound", "Security group rule %s does not exist", id)
}

// DeleteRule removes a rule.
func (s *Service) DeleteRule(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete security group rule", func(w *work) error {
		r, err := w.tx.SecurityRules.Get(id)
		if err != nil {
			return absent(err, ruleAbsent(id))
		}
		if !w.who.Owns(r.ProjectID) {
			return ruleAbsent(id)
		}
		return w.dropRule(r)
	})
}

// dropRule deletes a rule's row; one that is gone already is no error: a rule may
// name its own group.
func (w *work) dropRule(r *compute.SecurityRule) error {
	err := w.tx.SecurityRules.Delete(r.ID)
	if compute.IsKind(err, compute.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.refund(r.ProjectID, compute.QuotaSecurityRules, 1)
}
