package dns_test

import (
	"net/netip"
	"testing"

	"github.com/kamado/kamado/dns"
)

func TestMatchPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "anything.at.all", true},
		{"web.svc.test", "web.svc.test", true},
		{"WEB.svc.test.", "web.svc.test", true},
		{"web.svc.test", "a.web.svc.test", false},
		{"*.svc.test", "web.svc.test", true},
		{"*.svc.test", "a.web.svc.test", true},
		{"*.svc.test", "svc.test", false},
		{"*.svc.test", "websvc.test", false},
		{"web-*.svc.test", "web-1.svc.test", true},
		{"web-*.svc.test", "web-.svc.test", true},
		{"web-*.svc.test", "a.web-1.svc.test", false},
		{"web-*.svc.test", "db-1.svc.test", false},
	} {
		if got := dns.MatchPattern(c.pattern, dns.MustName(c.name)); got != c.want {
			t.Errorf("MatchPattern(%q, %q) = %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestCheckPatternRefusesWhatWouldMatchByAccident(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "a.*.test", "a*b.test", "**.test", "*a.test", "web..test"} {
		if dns.CheckPattern(bad) == nil {
			t.Errorf("CheckPattern(%q) = nil, want an error", bad)
		}
	}
	for _, good := range []string{"*", "*.svc.test", "web-*.svc.test", "web.svc.test"} {
		if err := dns.CheckPattern(good); err != nil {
			t.Errorf("CheckPattern(%q) = %v, want nil", good, err)
		}
	}
}

func TestCertificateBoundsNamesAndAddresses(t *testing.T) {
	t.Parallel()
	c := dns.Certificate{Node: "n1", Names: []string{"web.svc.test"}, Ranges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}
	record := func(name, addr string) dns.RR {
		return dns.AddrRR(dns.MustName(name), netip.MustParseAddr(addr), 5)
	}
	if err := c.Allows(record("web.svc.test", "10.0.0.7")); err != nil {
		t.Errorf("Allows(what it covers) = %v", err)
	}
	for _, rr := range []dns.RR{record("web.svc.test", "10.0.1.7"), record("web.svc.test", "::1"), record("db.svc.test", "10.0.0.7")} {
		if err := c.Allows(rr); dns.KindOf(err) != dns.Denied {
			t.Errorf("Allows(%s %v) = %v, want denied", rr.Name, rr.Data, err)
		}
	}
	if err := c.AllowsZone("web.svc.test"); dns.KindOf(err) != dns.Denied {
		t.Errorf("AllowsZone without the right = %v, want denied", err)
	}
	c.Zones = true
	if err := c.AllowsZone("web.svc.test"); err != nil {
		t.Errorf("AllowsZone with the right = %v", err)
	}
}

func TestCheckNode(t *testing.T) {
	t.Parallel()
	for node, ok := range map[string]bool{"n1": true, "a-b": true, "": false, "-a": false, "a-": false, "A": false, "a.b": false, "a_b": false} {
		if err := dns.CheckNode(node); (err == nil) != ok {
			t.Errorf("CheckNode(%q) = %v, want ok %v", node, err, ok)
		}
	}
}
