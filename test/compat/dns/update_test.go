package dns_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/dnspeer"
)

// TestUpdatesOnAnyMember changes the domain and a shared zone on either member, and wants both to answer.
func TestUpdatesOnAnyMember(t *testing.T) {
	t.Parallel()
	dnspeer.Need(t, "knot-dnsutils", "knsupdate")
	c := newCluster(t, 2)
	c.run(0, "zone", "create", "shared.test")
	c.run(0, "add", "web", "127.0.0.1")
	c.eventually("the shared zone on the second member", 1, "shared.test SOA", func(out string) bool { return out != "" })
	update := func(i int, tool, zone, lines string) string {
		host, port := hostPort(c.members[i].dns)
		out, err := dnspeer.Run(t, fmt.Sprintf("server %s %s\nzone %s\n%s\nsend\nanswer\n", host, port, zone, lines), tool,
			"-y", tsigKey.Algorithm+":"+tsigKey.Name+":"+tsigKey.Secret)
		if err != nil {
			out += err.Error()
		}
		return out
	}
	for i, tool := range []string{"nsupdate", "knsupdate"} {
		name := fmt.Sprintf("by-%s", tool)
		if out := update(i, tool, "svc.test", "prereq nxdomain "+name+".svc.test.\nupdate add "+name+".svc.test. 5 A 192.0.2.7"); !strings.Contains(out, "NOERROR") {
			t.Errorf("%s: %s", tool, out)
		}
		if out := update(i, tool, "shared.test", "update add "+name+".shared.test. 5 MX 10 mail.shared.test."); !strings.Contains(out, "NOERROR") {
			t.Errorf("%s: %s", tool, out)
		}
		for member := range c.members {
			c.eventually("the new name", member, name+".svc.test A", func(out string) bool { return out == "192.0.2.7" })
			c.eventually("the new mail server", member, name+".shared.test MX", func(out string) bool { return out == "10 mail.shared.test." })
		}
		if out := update(1-i, tool, "svc.test", "prereq yxrrset "+name+".svc.test. A 192.0.2.7\nupdate delete "+name+".svc.test."); !strings.Contains(out, "NOERROR") {
			t.Errorf("%s: %s", tool, out)
		}
		c.eventually("the name gone", i, name+".svc.test A", func(out string) bool { return out == "" })
		if out := update(i, tool, "svc.test", "update delete web.svc.test. A"); !strings.Contains(out, "REFUSED") {
			t.Errorf("%s deletes an owned record: %s", tool, out)
		}
	}
	if out := c.dig(1, "web.svc.test", "A"); out != "127.0.0.1" {
		t.Errorf("the owned record = %q", out)
	}
}

// eventually waits for an answer of a member.
func (c *cluster) eventually(what string, i int, question string, done func(string) bool) {
	c.t.Helper()
	dnspeer.Eventually(c.t, what, func() (bool, string) {
		out := c.dig(i, strings.Fields(question)...)
		return done(out), out
	})
}
