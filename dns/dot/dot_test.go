package dot_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/dns/dot"
)

var (
	now = time.Now()
	who = dot.Identity{Names: []string{"n1.svc.test"}, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}}
)

func mustPin(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	pin, err := dot.Pin(cert)
	if err != nil {
		t.Fatal(err)
	}
	return pin
}

func TestThePinStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := dot.SelfSigned(dir, who, now)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "tls.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	for _, c := range []struct {
		name string
		who  dot.Identity
		at   time.Time
		same bool
	}{
		{"the next day", who, now.Add(24 * time.Hour), true},
		{"with another name", dot.Identity{Names: []string{"n2.svc.test"}, Addrs: who.Addrs}, now, false},
		{"with other addresses", dot.Identity{Names: []string{"n2.svc.test"}}, now, false},
		{"nine and a half years later", dot.Identity{Names: []string{"n2.svc.test"}}, now.Add(95 * 365 * 24 * time.Hour / 10), false},
	} {
		cert, err := dot.SelfSigned(dir, c.who, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if mustPin(t, cert) != mustPin(t, first) {
			t.Errorf("%s: the pin changed", c.name)
		}
		if same := bytes.Equal(cert.Certificate[0], first.Certificate[0]); same != c.same {
			t.Errorf("%s: same certificate: %v, want %v", c.name, same, c.same)
		}
		first = cert
	}
	other, err := dot.SelfSigned(t.TempDir(), who, now)
	if err != nil || mustPin(t, other) == mustPin(t, first) {
		t.Errorf("two members have one pin, %v", err)
	}
}

func TestADamagedPairIsAnError(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"tls.key", "tls.crt"} {
		dir := t.TempDir()
		if _, err := dot.SelfSigned(dir, who, now); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte("-----BEGIN X-----\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := dot.SelfSigned(dir, who, now); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("with a damaged %s: %v", file, err)
		}
	}
	if _, err := dot.SelfSigned(filepath.Join(t.TempDir(), "none"), who, now); err == nil {
		t.Error("a directory that is not there is no error")
	}
	if _, err := dot.Pin(tls.Certificate{}); err == nil {
		t.Error("nothing has a pin")
	}
}

// serve answers every query over TLS with "no such name".
func serve(t *testing.T, cfg *tls.Config) net.Addr {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				var size [2]byte
				for {
					if _, err := io.ReadFull(c, size[:]); err != nil {
						return
					}
					packet := make([]byte, binary.BigEndian.Uint16(size[:]))
					if _, err := io.ReadFull(c, packet); err != nil {
						return
					}
					packet[2], packet[3] = packet[2]|0x80, 3
					c.Write(append(size[:], packet...))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); done.Wait() })
	return l.Addr()
}

func TestClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, err := dot.SelfSigned(dir, who, now)
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, dot.Config(cert))
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	for _, name := range []string{"n1.svc.test", "127.0.0.1"} {
		c, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: roots, ServerName: name, NextProtos: []string{"dot"}})
		if err != nil {
			t.Fatalf("by the name %s: %v", name, err)
		}
		if c.ConnectionState().NegotiatedProtocol != "dot" {
			t.Error("dot was not agreed on")
		}
		c.Close()
	}
	t.Run("kdig", func(t *testing.T) {
		kdig, err := exec.LookPath("kdig")
		if err != nil {
			t.Skip("kdig is not installed: ./setup installs knot-dnsutils")
		}
		_, port, _ := net.SplitHostPort(addr.String())
		for _, c := range []struct {
			name string
			arg  []string
			ok   bool
		}{
			{"with the pin", []string{"+tls-pin=" + mustPin(t, cert)}, true},
			{"with another pin", []string{"+tls-pin=" + strings.Repeat("A", 43) + "="}, false},
			{"with the certificate as root", []string{"+tls-ca=" + filepath.Join(dir, "tls.crt"), "+tls-host=n1.svc.test"}, true},
			{"with another name", []string{"+tls-ca=" + filepath.Join(dir, "tls.crt"), "+tls-host=n2.svc.test"}, false},
		} {
			out, _ := exec.Command(kdig, append([]string{"@127.0.0.1", "-p", port, "+tls", "+timeout=5", "+retry=0", "x.svc.test"}, c.arg...)...).CombinedOutput()
			if got := bytes.Contains(out, []byte("NXDOMAIN")); got != c.ok {
				t.Errorf("kdig %s: %s", c.name, out)
			}
		}
	})
}
