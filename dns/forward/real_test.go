package forward_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/internal/porttest"
)

const zone = `$ORIGIN kamado.example.
$TTL 120
@ SOA ns hostmaster 7 60 10 86400 30
@ NS ns
ns A 192.0.2.53
www CNAME web
web A 192.0.2.1
web A 192.0.2.2
web AAAA 2001:db8::1
*.wild TXT "anything"
@ MX 10 mail
mail A 192.0.2.25
_dns._udp SRV 1 2 53 ns
@ CAA 0 issue "ca.example"
svc HTTPS 1 . alpn=h2
sub DNAME kamado.example.
`

// start runs a server until the test ends, and waits until it answers.
func start(t *testing.T, addr, program string, args ...string) {
	t.Helper()
	var log strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	client := &miekg.Client{Timeout: 200 * time.Millisecond}
	waitFor(t, func() bool {
		m, _, err := client.Exchange(query("kamado.example", miekg.TypeSOA), addr)
		return err == nil && len(m.Answer) == 1
	})
}

func startNSD(t *testing.T, dir, zoneFile string) string {
	t.Helper()
	port := porttest.Free(t)
	conf := filepath.Join(dir, "nsd.conf")
	write(t, conf, fmt.Sprintf(`server:
  ip-address: 127.0.0.1@%d
  username: ""
  chroot: ""
  zonesdir: %q
  database: ""
  pidfile: %q
  xfrdfile: ""
  zonelistfile: %q
  xfrdir: %q
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: kamado.example
  zonefile: %q
`, port, dir, filepath.Join(dir, "nsd.pid"), filepath.Join(dir, "zone.list"), dir, zoneFile))
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	start(t, addr, "nsd", "-d", "-c", conf)
	return addr
}

func startBIND(t *testing.T, dir, zoneFile string) string {
	t.Helper()
	port := porttest.Free(t)
	conf := filepath.Join(dir, "named.conf")
	write(t, conf, fmt.Sprintf(`options {
  directory %q; pid-file none; session-keyfile none; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion yes; dnssec-validation no; empty-zones-enable no; managed-keys-directory %q; minimal-responses no;
};
controls { };
zone "kamado.example" { type primary; file %q; };
`, dir, port, dir, zoneFile))
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	start(t, addr, "named", "-g", "-c", conf, "-n", "1")
	return addr
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRealServers compares what passes through with what the server itself says.
func TestRealServers(t *testing.T) {
	for _, server := range []struct {
		program string
		start   func(*testing.T, string, string) string
	}{{"nsd", startNSD}, {"named", startBIND}} {
		t.Run(server.program, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(server.program); err != nil {
				t.Skipf("%s is not installed: ./setup installs it", server.program)
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "zone")
			write(t, file, zone)
			addr := server.start(t, dir, file)
			compare(t, addr)
		})
	}
}

func compare(t *testing.T, addr string) {
	w := newWorld(t, nil, addr)
	client := &miekg.Client{Timeout: 2 * time.Second}
	for _, c := range []struct {
		name string
		typ  uint16
	}{
		{"www.kamado.example", miekg.TypeA}, {"web.kamado.example", miekg.TypeAAAA}, {"web.kamado.example", miekg.TypeMX}, {"none.kamado.example", miekg.TypeA},
		{"x.wild.kamado.example", miekg.TypeTXT}, {"kamado.example", miekg.TypeMX}, {"kamado.example", miekg.TypeNS}, {"kamado.example", miekg.TypeSOA},
		{"_dns._udp.kamado.example", miekg.TypeSRV}, {"kamado.example", miekg.TypeCAA}, {"svc.kamado.example", miekg.TypeHTTPS}, {"web.sub.kamado.example", miekg.TypeA},
		{"a.none.kamado.example", miekg.TypeANY},
	} {
		q := query(c.name, c.typ)
		want, _, err := client.Exchange(q, addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, when := range []string{"fresh", "from the cache"} {
			got := w.ask(t, q)
			if got.Rcode != want.Rcode || sorted(got.Answer) != sorted(want.Answer) {
				t.Errorf("%s %d, %s:\n%v\nwant\n%v", c.name, c.typ, when, got, want)
			}
			if len(want.Answer) == 0 && sorted(got.Ns) != sorted(want.Ns) {
				t.Errorf("%s %d, %s: authority is %s, want %s", c.name, c.typ, when, texts(got.Ns), texts(want.Ns))
			}
		}
	}
	if got := w.ask(t, query("elsewhere.example", miekg.TypeA)); got.Rcode != miekg.RcodeServerFailure {
		t.Errorf("a name that the server refuses: %v", got)
	}
}

// sorted gives records without their order, which servers rotate.
func sorted(rrs []miekg.RR) string {
	lines := strings.Split(texts(rrs), "\n")
	for i := range lines {
		for j := range lines[:i] {
			if lines[i] < lines[j] {
				lines[i], lines[j] = lines[j], lines[i]
			}
		}
	}
	return strings.Join(lines, "\n")
}
