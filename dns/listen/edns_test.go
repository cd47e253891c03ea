package listen

import (
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/dns/answer"
)

// TestEDNSCompliance is the matrix of ednscomp.isc.org (RFC 6891), asked with
// dig: each row with what its output must have and must not have.
func TestEDNSCompliance(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("dig"); err != nil {
		t.Skip("needs dig (Debian: bind9-dnsutils)")
	}
	s := serve(t, Config{}, table(t, answer.Config{Server: "server-1", Version: "kamado test", Cookies: true}), Mux{})
	const soa = "n1.svc.test. hostmaster.svc.test."
	for _, c := range []struct {
		name, flags string
		want, never []string
	}{
		{"plain DNS", "+noedns +noad +norec SOA svc.test", []string{"NOERROR", soa, "flags: qr aa;"}, []string{"EDNS:"}},
		{"plain DNS, unknown type", "+noedns +noad +norec TYPE666 svc.test", []string{"NOERROR", "flags: qr aa;", "ANSWER: 0"}, nil},
		{"EDNS 0", "+nocookie +edns=0 +noad +norec SOA svc.test", []string{"NOERROR", soa, "flags: qr aa;", "EDNS: version: 0, flags:; udp: 1232"}, nil},
		{"EDNS 0, AD and CD are not echoed", "+edns=0 +ad +cd +rec SOA svc.test", []string{"NOERROR", "flags: qr aa rd;"}, nil},
		{"EDNS 1", "+nocookie +edns=1 +noednsneg +noad +norec SOA svc.test", []string{"BADVERS", "EDNS: version: 0"}, []string{soa}},
		{"EDNS 0, unknown option", "+nocookie +edns=0 +noad +norec +ednsopt=100 SOA svc.test", []string{"NOERROR", soa, "EDNS: version: 0"}, []string{"OPT=100", "OPT="}},
		{"EDNS 1, unknown option", "+nocookie +edns=1 +noednsneg +noad +norec +ednsopt=100 SOA svc.test", []string{"BADVERS", "EDNS: version: 0"}, []string{soa, "OPT="}},
		{"EDNS 0, unknown flag", "+nocookie +edns=0 +noad +norec +ednsflags=0x80 SOA svc.test", []string{"NOERROR", soa, "EDNS: version: 0, flags:;"}, []string{"MBZ"}},
		{"EDNS 1, unknown flag", "+nocookie +edns=1 +noednsneg +noad +norec +ednsflags=0x80 SOA svc.test", []string{"BADVERS"}, []string{soa, "MBZ"}},
		{"EDNS 0, DO", "+nocookie +edns=0 +noad +norec +dnssec SOA svc.test", []string{"NOERROR", soa, "flags: do;"}, nil},
		{"EDNS 1, DO", "+nocookie +edns=1 +noednsneg +noad +norec +dnssec SOA svc.test", []string{"BADVERS", "flags: do;"}, []string{soa}},
		{"EDNS 0, 512 bytes", "+nocookie +edns=0 +noad +norec +dnssec +bufsize=512 +ignore A big.svc.test", []string{"NOERROR", "flags: qr aa tc;", "EDNS: version: 0"}, nil},
		{"EDNS 0, by TCP", "+nocookie +edns=0 +noad +norec +tcp A big.svc.test", []string{"NOERROR", "ANSWER: 150"}, []string{" tc;"}},
		{"truncated, then TCP", "+nocookie +edns=0 +noad +norec A big.svc.test", []string{"NOERROR", "ANSWER: 150"}, nil},
		{"NSID", "+nocookie +nsid +noad +norec SOA svc.test", []string{`("server-1")`}, nil},
		{"client subnet", "+nocookie +subnet=192.0.2.0/24 +noad +norec SOA svc.test", []string{"NOERROR", soa}, []string{"CLIENT-SUBNET"}},
		{"cookie", "+cookie=0102030405060708 +noad +norec SOA svc.test", []string{"NOERROR", "COOKIE: 0102030405060708010000", "(good)"}, nil},
		{"malformed cookie", "+nocookie +ednsopt=10:0102 +noad +norec SOA svc.test", []string{"FORMERR"}, nil},
		{"all options", "+cookie=0102030405060708 +nsid +expire +subnet=0/0 +keepalive +padding=64 +noad +norec SOA svc.test", []string{"NOERROR", soa, "(good)", "server-1"}, nil},
		{"CHAOS", "+norec CH TXT version.server", []string{`"kamado test"`}, nil},
		{"opcode 15", "+nocookie +noad +norec +opcode=15 SOA svc.test", []string{"NOTIMP", "opcode: RESERVED15"}, nil},
		{"no question", "+nocookie +noad +norec +header-only +noedns SOA svc.test", []string{"FORMERR"}, nil},
		{"letters are echoed", "+norec A WeB.SvC.tEsT", []string{"WeB.SvC.tEsT."}, nil},
		{"not ours", "+nocookie +norec A example.com", []string{"REFUSED", "EDE: 20 (Not Authoritative)"}, nil},
	} {
		at := s.Addresses()[0]
		args := append([]string{"@" + at.Addr().String(), "-p", fmt.Sprint(at.Port()), "+tries=1", "+time=5"}, strings.Fields(c.flags)...)
		out, err := exec.CommandContext(t.Context(), "dig", args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s: dig %s does not say %q:\n%s", c.name, c.flags, w, out)
			}
		}
		for _, n := range append(c.never, "WARNING: Message", "malformed", "parser error") {
			if strings.Contains(string(out), n) {
				t.Errorf("%s: dig %s says %q:\n%s", c.name, c.flags, n, out)
			}
		}
	}
}

// TestNoAllocationsOnTheWire counts what the process allocates while it answers.
func TestNoAllocationsOnTheWire(t *testing.T) {
	s := serve(t, Config{Threads: 1}, table(t, answer.Config{}), Mux{})
	conn, err := net.Dial("udp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	b, _ := question("web.svc.test", "A").Pack()
	buf := make([]byte, 512)
	ask := func() {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 2000
	for range n {
		ask()
	}
	runtime.ReadMemStats(&after)
	if made := after.Mallocs - before.Mallocs; made > n/50 {
		t.Errorf("%d allocations for %d queries", made, n)
	}
}
