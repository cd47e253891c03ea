package porttest_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/porttest"
)

func TestPortsAreFreeAndGivenOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, addr := range porttest.Addrs(t, 300) {
		if seen[addr] {
			t.Fatalf("%s is given twice", addr)
		}
		seen[addr] = true
	}
	addr := porttest.Addrs(t, 1)[0]
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
}

// TestTheSystemGivesNoneOfThem: what it gives by itself lies elsewhere.
func TestTheSystemGivesNoneOfThem(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil || strings.Fields(string(text))[0] != "32768" {
		t.Skipf("this machine gives ports from %q, %v; want 32768, Linux's own", text, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if given, port := porttest.Free(t), l.Addr().(*net.TCPAddr).Port; given >= 32768 || port < 32768 {
		t.Errorf("given %d, and by the system %d; want below and above 32768", given, port)
	}
}
