package dns_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/kamado/kamado/internal/dnspeer"
)

// TestSecondariesFollowTheLiving has NSD, Knot and BIND be secondaries of the domain:
// what comes, dies and goes is what they answer, because they are notified.
func TestSecondariesFollowTheLiving(t *testing.T) {
	t.Parallel()
	for name, server := range dnspeer.Servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			notify := dnspeer.Port(t)
			zone := filepath.Join(t.TempDir(), "static.zone")
			writeZone(t, zone, 1)
			c := newCluster(t, 1, "--notify", notify.String(), "--zone-file", "static.test="+zone)
			primary := c.members[0].dns
			secondary := server(t, tsigKey, dnspeer.Zone{Name: "svc.test", Primary: primary}, dnspeer.Zone{Name: "static.test", Primary: primary})
			forward(t, notify.String(), secondary.String())
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			has := func(what, question, typ, want string) {
				t.Helper()
				dnspeer.Eventually(t, what, func() (bool, string) {
					got := dnspeer.Dig(t, secondary, question, typ)
					return got == want, got
				})
			}
			has("the first state", "serial.static.test", "TXT", `"1"`)
			c.run(0, "add", "web", "127.0.0.1", "--ttl", "5", "--check", "tcp:"+l.Addr().String())
			has("the new record", "web.svc.test", "A", "127.0.0.1")
			l.Close()
			has("the dead record's absence", "web.svc.test", "A", "")
			writeZone(t, zone, 2)
			has("the changed file", "serial.static.test", "TXT", `"2"`)
		})
	}
}

func writeZone(t *testing.T, path string, serial int) {
	t.Helper()
	text := fmt.Sprintf("$TTL 5\n@ SOA ns hostmaster %d 3600 600 86400 1\n@ NS ns\nns A 127.0.0.1\nserial TXT \"%d\"\n", serial, serial)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// forward carries datagrams from one port to another: a secondary gets its port
// after the primary was told it. It sends from its own port, and answers go back to who asked last.
func forward(t *testing.T, from, to string) {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", from)
	if err != nil {
		t.Fatal(err)
	}
	in, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { in.Close(); out.Close(); wg.Wait() })
	wg.Go(func() {
		buf := make([]byte, 65535)
		for {
			n, client, err := in.ReadFromUDP(buf)
			if err != nil {
				return
			}
			if _, err := out.Write(buf[:n]); err != nil {
				continue
			}
			if n, err = out.Read(buf); err == nil {
				_, _ = in.WriteToUDP(buf[:n], client)
			}
		}
	})
}
