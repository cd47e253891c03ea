package netns

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// lease asks for an address as a guest does, and gives the acknowledgement.
func (g *machine) lease(l *lab) *dhcpv4.DHCPv4 {
	l.t.Helper()
	discover, err := dhcpv4.NewDiscovery(g.mac)
	if err != nil {
		l.t.Fatal(err)
	}
	offer := g.exchange(l, discover)
	if offer == nil {
		return nil
	}
	request, err := dhcpv4.NewRequestFromOffer(offer)
	if err != nil {
		l.t.Fatal(err)
	}
	return g.exchange(l, request)
}

func (g *machine) exchange(l *lab, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	l.t.Helper()
	var got *dhcpv4.DHCPv4
	seen := g.watch(func(f []byte) bool {
		if len(f) < 42 || f[23] != protoUDP || !bytes.Equal(f[34:38], []byte{0, 67, 0, 68}) {
			return false
		}
		var err error
		got, err = dhcpv4.FromBytes(f[42:])
		return err == nil && got.TransactionID == m.TransactionID
	})
	g.send(udp(g.mac, broadcastMAC, ip("0.0.0.0"), ip("255.255.255.255"), 68, 67, m.ToBytes()))
	if !seen(wait) {
		return nil
	}
	return got
}

func TestDHCPGivesTheAddressAndMetadataKnowsWhoAsks(t *testing.T) {
	l := newLab(t, twoNetworks())
	for _, id := range []string{"a1", "c1"} {
		g := l.boot(id, "10.1.0.1")
		ack := g.lease(l)
		if ack == nil {
			t.Fatalf("%s: no answer", id)
		}
		if ack.MessageType() != dhcpv4.MessageTypeAck || ack.YourIPAddr.String() != "10.1.0.11" || ack.HostName() != id {
			t.Errorf("%s: %v %v %q, want an acknowledgement of 10.1.0.11", id, ack.MessageType(), ack.YourIPAddr, ack.HostName())
		}
		want := map[string]string{"a1": "10.1.0.1", "c1": "0.0.0.0"}[id] // nobody routes in c
		if got := ack.ClasslessStaticRoute()[0].Router.String(); got != want {
			t.Errorf("%s: metadata by %s, want %s", id, got, want)
		}
		if id == "c1" { // as the guest would: on the link
			b := &build{}
			b.routes(g.ns, nil)
			b.addresses(g.ns, g.ns.linkByName("eth0"), []netip.Prefix{cidr("10.1.0.11/24"), cidr("169.254.1.1/16")})
			if err := b.err(); err != nil {
				t.Fatal(err)
			}
		}
		if id == "a1" {
			if got := g.get(t, "http://169.254.169.254/latest/meta-data/"); got != "a 10.1.0.11 /latest/meta-data/" {
				t.Errorf("metadata through the gateway says %q", got)
			}
		} else {
			b := &build{}
			b.addresses(g.ns, g.ns.linkByName("eth0"), []netip.Prefix{cidr("10.1.0.11/24")})
			b.routes(g.ns, nil)
			if err := g.onLink("169.254.169.254/32"); err != nil {
				t.Fatal(err)
			}
			if got := g.get(t, "http://169.254.169.254/x"); got != "c 10.1.0.11 /x" {
				t.Errorf("metadata on the link says %q", got)
			}
		}
	}
	// An answer is counted after it was sent: the guest may be faster.
	for deadline := time.Now().Add(5 * time.Second); !l.count.are(2); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counted %v and %v, want two of each", l.count.dhcp, l.count.status)
		}
	}
}

// get reads a page from within the guest.
func (g *machine) get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: wait, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) { return g.dial(wait, address) }}}
	r, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = r.Body.Close() }()
	var b bytes.Buffer
	_, _ = b.ReadFrom(r.Body)
	return b.String()
}

func TestServerAddressOfASubnet(t *testing.T) {
	s := twoNetworks()
	s.Networks[3].Subnets[0].Server = ip("10.1.0.2")
	l := newLab(t, s)
	c1 := l.boot("c1", "")
	ack := c1.lease(l)
	if ack == nil || ack.ServerIdentifier().String() != "10.1.0.2" {
		t.Fatalf("answer %v, want one of 10.1.0.2", ack)
	}
	if got := ack.ClasslessStaticRoute()[0].Router.String(); got != "10.1.0.2" {
		t.Errorf("metadata by %s, want the server's address", got)
	}
	if !c1.ping("10.1.0.2", wait) {
		t.Error("the server's address does not answer")
	}
}

func TestMetadataIsBounded(t *testing.T) {
	l := newLab(t, twoNetworks())
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	ask := func(g *machine) (net.Conn, error) {
		c, err := g.dial(wait, "169.254.169.254:80")
		if err != nil {
			return nil, err
		}
		_, _ = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: m\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(wait))
		_, err = c.Read(make([]byte, 100))
		return c, err
	}
	var first net.Conn
	for i := range metadataEach {
		c, err := ask(a1)
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		defer func() { _ = c.Close() }()
		first = c
	}
	if _, err := ask(a1); err == nil {
		t.Errorf("connection %d of one guest is answered, want at most %d at once", metadataEach+1, metadataEach)
	}
	if _, err := ask(a2); err != nil {
		t.Errorf("another guest is not answered: %v", err)
	}
	_ = first.Close()
	l.until("a place is free again", func() bool { _, err := ask(a1); return err == nil })
}

func TestDHCPIsBounded(t *testing.T) {
	l := newLab(t, twoNetworks())
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	m, err := dhcpv4.NewDiscovery(a1.mac)
	if err != nil {
		t.Fatal(err)
	}
	const flood = 2000
	for range flood {
		a1.send(udp(a1.mac, broadcastMAC, ip("0.0.0.0"), ip("255.255.255.255"), 68, 67, m.ToBytes()))
	}
	if ack := a2.lease(l); ack == nil {
		t.Error("another guest gets no address")
	}
	l.count.mu.Lock()
	defer l.count.mu.Unlock()
	if got := l.count.dhcp["offer"]; got > flood/4 || got == 0 {
		t.Errorf("%d of %d messages were answered, want a few", got, flood)
	}
}

func TestGuestDoesNotLearnOfOurAbsence(t *testing.T) {
	l := newLab(t, twoNetworks())
	a1 := l.boot("a1", "10.1.0.1")
	l.stop()
	// A renewal, as a guest sends it: to the server alone.
	renewal := udp(a1.mac, localMAC(l.e.namespace(kindNetwork, "a")), ip("10.1.0.11"), ip("169.254.169.254"), 68, 67, make([]byte, 300))
	refused := a1.watch(func(f []byte) bool { return len(f) > 34 && f[23] == protoICMP && f[34] == icmpUnreachable })
	a1.send(renewal)
	if refused(silence) {
		t.Error("the guest is told that there is no DHCP server: it may give its address up")
	}
}
