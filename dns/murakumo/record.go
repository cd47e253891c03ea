package murakumo

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kamado/kamado/dns"
)

// hostLine is the key host: address, name, TTL.
type hostLine struct {
	value
	addr netip.Addr
	name string // as it is written, in lower case
}

// aliasLine is one alias: name, TTL, priority, weight.
type aliasLine struct {
	value
	name   string // as it is written, in lower case
	ttl    uint32
	tier   dns.Tier
	weight uint16
}

var hostName = regexp.MustCompile(`^[0-9a-z.\-]+$`)

func (p *parser) hostName(v value, text string) string {
	text = strings.ToLower(text)
	if !hostName.MatchString(text) {
		p.complain(v, "%q is no host name", text)
	}
	return text
}

func (p *parser) ttl(v value, text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		p.complain(v, "TTL %q is no number of seconds from 1 to %d", text, dns.TTLMax)
	}
	return uint32(n)
}

func (p *parser) readHost(v value) {
	parts := p.list(v)
	if len(parts) < 1 || len(parts) > 3 {
		p.complain(v, "want address, name and TTL")
		return
	}
	p.host.value = v
	var err error
	if p.host.addr, err = netip.ParseAddr(parts[0]); err != nil || !p.host.addr.Is4() {
		p.complain(v, "%q is no IPv4 address", parts[0])
	}
	if len(parts) > 1 && parts[1] != "" {
		p.host.name = p.hostName(v, parts[1])
	} else if name, err := os.Hostname(); err == nil {
		p.host.name = p.hostName(v, name)
		p.note(v, "has no name: this machine's is taken", "")
	}
	if len(parts) > 2 && p.ttl(v, parts[2]) != dns.TTLDefault {
		p.note(v, fmt.Sprintf("the record of a member's own name has a TTL of %d s", dns.TTLOrigin), "")
	}
}

func (p *parser) readAliases(v value) {
	switch v.Kind {
	case yaml.SequenceNode:
		for _, n := range v.Content {
			p.readAlias(value{resolve(n), v.key})
		}
	default:
		if !v.null() {
			p.readAlias(v)
		}
	}
}

func (p *parser) readAlias(v value) {
	parts := p.list(v)
	if len(parts) < 1 || len(parts) > 4 || parts[0] == "" {
		p.complain(v, "want name, TTL, priority and weight")
		return
	}
	a := aliasLine{value: v, name: p.hostName(v, parts[0]), ttl: dns.TTLDefault, weight: dns.WeightDefault}
	if len(parts) > 1 && parts[1] != "" {
		a.ttl = p.ttl(v, parts[1])
	}
	if len(parts) > 2 && parts[2] != "" {
		var err error
		if a.tier, err = dns.ParseTier(parts[2]); err != nil {
			p.complain(v, "%v", err)
		}
	}
	if len(parts) > 3 && parts[3] != "" {
		n, err := strconv.Atoi(parts[3])
		if err != nil || n < 1 || n > dns.WeightMax {
			p.complain(v, "weight %q is no whole number from 1 to %d", parts[3], dns.WeightMax)
		}
		a.weight = uint16(n)
	}
	p.aliases = append(p.aliases, a)
}

// short is a name as Murakumo compares it: in lower case, without the domain.
func (p *parser) short(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if p.domain != "" {
		name = strings.TrimSuffix(name, "."+string(p.domain))
	}
	return name
}

// finish puts together what depends on several keys.
func (p *parser) finish() {
	if p.host.Node == nil || !p.host.addr.IsValid() {
		return
	}
	if p.domain == "" {
		p.domain = dns.MustName(dns.Default().Domain)
	}
	if p.table.Domain == "" {
		p.note(p.host.value, fmt.Sprintf("the file has no domain, and names lie under one here: %s", p.domain), "set domain, and search in the clients' resolv.conf, so that short names are found")
	}
	p.table.DNS = []string{joinPort(p.address, p.port)}
	p.table.Gossip = joinPort(p.host.addr.String(), p.gossipPort)
	for _, n := range p.nodes {
		if n != p.host.addr {
			p.table.Join = append(p.table.Join, joinPort(n.String(), p.gossipPort))
		}
	}
	p.node()
	p.records()
	p.checkNames()
	p.policies()
	p.hooks()
}

func joinPort(host string, port int) string { return host + ":" + strconv.Itoa(port) }

// node names the member.
func (p *parser) node() {
	name := p.short(p.host.name)
	label, rest, _ := strings.Cut(name, ".")
	if err := dns.CheckNode(label); err != nil {
		p.complain(p.host.value, "%v", err)
		return
	}
	p.table.Node = label
	if rest != "" {
		p.note(p.host.value, fmt.Sprintf("a member's own name is one label: %s", label), fmt.Sprintf("%s.%s becomes a record of its own, too", name, p.domain))
		p.aliases = append(p.aliases, aliasLine{value: p.host.value, name: name, ttl: dns.TTLDefault, weight: dns.WeightDefault})
	}
	p.note(p.host.value, fmt.Sprintf("became node: %s makes the record %s.%s itself", label, label, p.domain), "its PTR record is one of a zone: make the reverse zone and add it, if it is wanted")
}

func (p *parser) records() {
	seen := map[string]bool{p.short(p.host.name): true}
	for _, a := range p.aliases {
		short := p.short(a.name)
		if seen[short] && a.Node != p.host.Node {
			p.complain(a.value, "%s stands here for the second time", a.name)
			continue
		}
		seen[short] = true
		name, err := dns.ResolveName(short, p.domain)
		if err != nil {
			p.complain(a.value, "%v", err)
			continue
		}
		r := dns.Record{RR: dns.AddrRR(name, p.host.addr, a.ttl), Tier: a.tier, Weight: a.weight}
		if c, ok := p.checks[short]; ok {
			r.Check = c.Check
		}
		if err := r.Validate(); err != nil {
			p.complain(a.value, "%v", err)
			continue
		}
		p.plan.Records = append(p.plan.Records, r)
	}
}

// owns says whether this member has an alias of the name.
func (p *parser) owns(name string) bool {
	return slices.ContainsFunc(p.aliases, func(a aliasLine) bool { return p.short(a.name) == p.short(name) })
}

// checkNames looks for checks of names that are not here, which Murakumo only warned of.
func (p *parser) checkNames() {
	for name, c := range p.checks {
		switch {
		case p.owns(name):
		case name == p.short(p.host.name):
			p.note(c.value, "the record of a member's own name has no check: it lives while the member does", "give the service an alias, and check that")
		default:
			p.note(c.value, "no alias has this name, so nothing is checked", "")
		}
	}
	for _, a := range p.activity {
		if !p.owns(a.name) && p.short(a.name) != p.short(p.host.name) {
			p.note(a.value, "no alias has this name, so it never becomes active here", "")
		}
	}
}
