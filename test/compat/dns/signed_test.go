package dns_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/dnspeer"
)

// TestKeysOpenWhatNetworksDoNot asks a member that lets nobody's network transfer.
func TestKeysOpenWhatNetworksDoNot(t *testing.T) {
	t.Parallel()
	dnspeer.Need(t, "knot-dnsutils", "kdig")
	tls := dnspeer.Port(t)
	c := newCluster(t, 1, "--allow-transfer", "192.0.2.0/24", "--tls", tls.String())
	c.run(0, "add", "web", "127.0.0.1")
	keys := map[string]string{
		"right": tsigKey.Algorithm + ":" + tsigKey.Name + ":" + tsigKey.Secret, "wrong": tsigKey.Algorithm + ":" + tsigKey.Name + ":b3RoZXI=",
		"unknown": tsigKey.Algorithm + ":unknown.test:" + tsigKey.Secret,
	}
	for _, q := range []struct {
		name, tool, key, args string
		at                    netip.AddrPort
		has, hasNot           string
		starts                int // SOA records of the response
	}{
		{"a transfer without a key", "dig", "", "svc.test axfr", c.members[0].dns, "Transfer failed", "web.svc", 0},
		{"a transfer", "dig", "right", "svc.test axfr", c.members[0].dns, "web.svc.test.", "TSIG error", 2},
		{"a transfer of changes", "dig", "right", "svc.test ixfr=1", c.members[0].dns, "web.svc.test.", "TSIG error", 2},
		{"a transfer over TLS", "kdig", "right", "+tls svc.test axfr", tls, "web.svc.test.", "TSIG error", 2},
		{"a transfer with a wrong secret", "dig", "wrong", "svc.test axfr", c.members[0].dns, "Transfer failed", "web.svc", 0},
		{"a question", "dig", "right", "+norec web.svc.test A", c.members[0].dns, "127.0.0.1", "WARNING", 0},
		{"a question over TCP", "kdig", "right", "+tcp svc.test SOA", c.members[0].dns, "NOERROR", "failed", 1},
		{"a question that has no answer", "dig", "right", "+norec none.svc.test A", c.members[0].dns, "NXDOMAIN", "WARNING", 1},
		{"a question with a wrong secret", "dig", "wrong", "web.svc.test A", c.members[0].dns, "BADSIG", "\tA\t", 0},
		{"a question with an unknown key", "dig", "unknown", "web.svc.test A", c.members[0].dns, "BADKEY", "\tA\t", 0},
	} {
		host, port := hostPort(q.at)
		args := append([]string{"@" + host, "-p", port}, strings.Fields(q.args)...)
		if q.key != "" {
			args = append(args, "-y", keys[q.key])
		}
		out, _ := dnspeer.Run(t, "", q.tool, args...) // a refused transfer is an error for dig
		starts := strings.Count(out, "\tSOA\t")
		if q.tool == "kdig" {
			starts = strings.Count(out, " \tSOA\t") + strings.Count(out, "\tIN\tSOA\t")
		}
		if !strings.Contains(out, q.has) || strings.Contains(out, q.hasNot) || starts != q.starts {
			t.Errorf("%s has %d SOA records, want %d, %q and not %q: %s", q.name, starts, q.starts, q.has, q.hasNot, out)
		}
	}
}
