package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
)

// TestTakenAddress wants the error to name who has the address.
func TestTakenAddress(t *testing.T) {
	t.Parallel()
	me, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("taken by %s (process %d)", strings.TrimSpace(string(me)), os.Getpid())
	s := serve(t, Config{Threads: 2}, table(t, answer.Config{}), Mux{}) // shares its address among its own threads alone
	at := s.Addresses()[0]
	for _, threads := range []int{1, 2} {
		_, err := New(Config{DNS: []string{at.String()}, Threads: threads}, table(t, answer.Config{}), Mux{})
		if dns.KindOf(err) != dns.Conflict || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%d threads: %v, want %q", threads, err, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = New(Config{DNS: []string{l.Addr().String()}}, table(t, answer.Config{}), Mux{})
	if dns.KindOf(err) != dns.Conflict || !strings.Contains(fmt.Sprint(err), "tcp") || !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("TCP: %v, want %q", err, want)
	}
	if _, err := New(Config{DNS: []string{"192.0.2.1:53"}}, table(t, answer.Config{}), Mux{}); dns.KindOf(err) != dns.Invalid {
		t.Errorf("an address of nobody: %v", err)
	}
	for _, bad := range []string{"", "1.2.3.4", "x:y:z", ":http2000"} {
		if _, err := New(Config{DNS: []string{bad}}, table(t, answer.Config{}), Mux{}); dns.KindOf(err) != dns.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestHolder reads the tables of a machine whose port 53 systemd-resolved has.
func TestHolder(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	for file, text := range map[string]string{
		"net/udp": "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
			"  10: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4242 2 0 0\n",
		"net/tcp6":  "  0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1 0 0\n",
		"312/comm":  "systemd-resolve\n",
		"9/comm":    "nginx\n",
		"9/fd/none": "",
	} {
		path := filepath.Join(proc, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(proc, "312/fd"), 0o700), os.Symlink("socket:[4242]", filepath.Join(proc, "312/fd/12")), os.Symlink("socket:[77]", filepath.Join(proc, "9/fd/3"))); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ network, at, want string }{
		{"udp", "0.0.0.0:53", "systemd-resolved (process 312); set DNSStubListener=no"},
		{"udp", "127.0.0.53:53", "systemd-resolved (process 312)"},
		{"udp", "127.0.0.1:53", "only root may see"},
		{"udp", "0.0.0.0:54", "only root may see"},
		{"tcp", "[::1]:80", "nginx (process 9); stop it"},
		{"tcp", "0.0.0.0:80", "nginx (process 9)"},
	} {
		if got := holderText(findHolder(proc, c.network, netip.MustParseAddrPort(c.at))); !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %q, want %q", c.network, c.at, got, c.want)
		}
	}
}
