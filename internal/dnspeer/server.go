package dnspeer

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/programtest"
)

// Zone is a zone that a program serves: from a file, or as the secondary of a primary.
type Zone struct {
	Name    string
	File    string // text of the master file; empty: a secondary
	Primary netip.AddrPort
}

// Key is a TSIG key that a secondary asks with and expects in notifications; the zero value is none.
type Key struct{ Name, Algorithm, Secret string }

// Servers are the programs by name.
var Servers = map[string]func(t testing.TB, key Key, zones ...Zone) netip.AddrPort{"nsd": NSD, "knot": Knot, "bind": BIND}

// ready waits until a server answers at all.
func ready(t testing.TB, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	Need(t, "bind9-dnsutils", "dig")
	Eventually(t, "a first answer of "+addr.String(), func() (bool, string) {
		out, err := Run(t, "", "dig", "@"+addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "+tries=1", "+time=1", "ready.invalid.", "A")
		return err == nil && strings.Contains(out, "status:"), out
	})
	return addr
}

// NSD runs NSD.
func NSD(t testing.TB, key Key, zones ...Zone) netip.AddrPort {
	t.Helper()
	Need(t, "nsd", "nsd")
	dir, addr := t.TempDir(), Port(t)
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  ip-address: %s@%d
  username: ""
  zonesdir: "%[3]s"
  database: ""
  pidfile: "%[3]s/nsd.pid"
  xfrdfile: "%[3]s/xfrd.state"
  zonelistfile: "%[3]s/zone.list"
  xfrdir: "%[3]s"
  server-count: 1
  xfrd-reload-timeout: 0
  minimal-responses: yes
  rrl-ratelimit: 0
  verbosity: 2
remote-control:
  control-enable: no
`, addr.Addr(), addr.Port(), dir)
	name := "NOKEY"
	if key.Name != "" {
		name = key.Name
		fmt.Fprintf(&b, "key:\n  name: %q\n  algorithm: %s\n  secret: %q\n", key.Name, key.Algorithm, key.Secret)
	}
	for _, z := range zones {
		file := filepath.Join(dir, z.Name+".zone")
		fmt.Fprintf(&b, "zone:\n  name: %q\n  zonefile: %q\n", z.Name, file)
		if z.File != "" {
			writeFile(t, file, z.File)
			continue
		}
		fmt.Fprintf(&b, "  request-xfr: AXFR %s@%d %s\n  allow-notify: 127.0.0.1 NOKEY\n", z.Primary.Addr(), z.Primary.Port(), name)
		if name != "NOKEY" {
			fmt.Fprintf(&b, "  allow-notify: 127.0.0.1 %s\n", name)
		}
	}
	start(t, "nsd", "-d", "-c", writeFile(t, filepath.Join(dir, "nsd.conf"), b.String()))
	return ready(t, addr)
}

// Knot runs Knot.
func Knot(t testing.TB, key Key, zones ...Zone) netip.AddrPort {
	t.Helper()
	Need(t, "knot", "knotd")
	dir, addr := t.TempDir(), Port(t)
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n  listen: %s@%d\n  rundir: %q\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n", addr.Addr(), addr.Port(), dir)
	fmt.Fprintf(&b, "database:\n  storage: %q\nlog:\n  - target: stderr\n    any: info\n", dir)
	with := ""
	if key.Name != "" {
		fmt.Fprintf(&b, "key:\n  - id: %s\n    algorithm: %s\n    secret: %s\n", key.Name, key.Algorithm, key.Secret)
		with = "\n    key: " + key.Name
	}
	seen := map[netip.AddrPort]bool{}
	for _, z := range zones {
		if z.File == "" && !seen[z.Primary] {
			seen[z.Primary] = true
			fmt.Fprintf(&b, "remote:\n  - id: primary%d\n    address: %s@%d%s\n", z.Primary.Port(), z.Primary.Addr(), z.Primary.Port(), with)
		}
	}
	b.WriteString("acl:\n  - id: notify\n    address: 127.0.0.1\n    action: notify\n")
	fmt.Fprintf(&b, "template:\n  - id: default\n    storage: %q\n    zonefile-load: whole\n", dir)
	b.WriteString("zone:\n")
	for _, z := range zones {
		file := filepath.Join(dir, z.Name+".zone")
		fmt.Fprintf(&b, "  - domain: %s\n    file: %q\n", z.Name, file)
		if z.File != "" {
			writeFile(t, file, z.File)
			continue
		}
		fmt.Fprintf(&b, "    master: primary%d\n    acl: notify\n", z.Primary.Port())
	}
	start(t, "knotd", "-c", writeFile(t, filepath.Join(dir, "knot.conf"), b.String()))
	return ready(t, addr)
}

// BIND runs named.
func BIND(t testing.TB, key Key, zones ...Zone) netip.AddrPort {
	t.Helper()
	Need(t, "bind9", "named")
	dir, addr := t.TempDir(), Port(t)
	var b strings.Builder
	fmt.Fprintf(&b, `options {
  directory %q;
  listen-on port %d { %s; };
  listen-on-v6 { none; };
  pid-file none;
  session-keyfile "%s/session.key";
  managed-keys-directory %[1]q;
  lock-file none;
  recursion no;
  dnssec-validation no;
  notify no;
  minimal-responses no;
};
controls { };
`, dir, addr.Port(), addr.Addr(), dir)
	with := ""
	if key.Name != "" {
		fmt.Fprintf(&b, "key %q { algorithm %s; secret %q; };\n", key.Name, key.Algorithm, key.Secret)
		with = fmt.Sprintf(" key %q", key.Name)
	}
	for _, z := range zones {
		file := filepath.Join(dir, z.Name+".zone")
		if z.File != "" {
			writeFile(t, file, z.File)
			fmt.Fprintf(&b, "zone %q { type primary; file %q; };\n", z.Name, file)
			continue
		}
		fmt.Fprintf(&b, "zone %q { type secondary; masterfile-format text; file %q; primaries { %s port %d%s; }; };\n", z.Name, file, z.Primary.Addr(), z.Primary.Port(), with)
	}
	start(t, private(t, "named"), "-g", "-n", "1", "-c", writeFile(t, filepath.Join(dir, "named.conf"), b.String()))
	return ready(t, addr)
}

// private copies a program: what Debian's AppArmor lets a server read depends on the path of its program, and excludes the directories of tests.
func private(t testing.TB, program string) string {
	t.Helper()
	b, err := os.ReadFile(find(program))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), program)
	programtest.Write(t, path, b)
	return path
}
