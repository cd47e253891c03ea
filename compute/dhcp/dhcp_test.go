package dhcp

import (
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kamado/kamado/compute/network"
)

const guestMAC = "fa:16:3e:00:00:01"

var serverMAC = net.HardwareAddr{2, 0, 0, 0, 0, 9}

// testNetwork is a network with a router and two cards.
func testNetwork() (network.Network, []network.Port) {
	n := network.Network{ID: "n", MTU: 1450, Subnets: []network.Subnet{{
		ID: "s", Prefix: netip.MustParsePrefix("10.20.0.0/20"), Gateway: netip.MustParseAddr("10.20.0.1"), DHCP: true, Metadata: true,
		DNS:    []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2620:fe::fe")},
		Routes: []network.Route{{Destination: netip.MustParsePrefix("192.168.0.0/24"), NextHop: netip.MustParseAddr("10.20.0.7")}},
	}}}
	return n, []network.Port{
		{ID: "p1", NetworkID: "n", MAC: "FA:16:3E:00:00:01", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.5")}, Hostname: "web",
			Options: []network.DHCPOption{{Name: "bootfile-name", Value: "pxe.0"}, {Name: "ntp-server", Value: "10.20.0.8, 10.20.0.9"},
				{Name: "51", Value: "no"}, {Name: "option:mtu", Value: "1300"}, {Name: "nonsense", Value: "x"}}},
		{ID: "p2", NetworkID: "n", MAC: "fa:16:3e:00:00:02", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.6")}},
		{ID: "p3", NetworkID: "other", MAC: "fa:16:3e:00:00:03", Addresses: []netip.Addr{netip.MustParseAddr("10.20.0.8")}},
	}
}

func testTable(routed bool) Table {
	n, ports := testNetwork()
	return Leases(n, ports, func(netip.Addr) bool { return routed })
}

// ask builds a client's frame.
func ask(t testing.TB, src string, mods ...dhcpv4.Modifier) []byte {
	t.Helper()
	mac, err := net.ParseMAC(src)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(mac)}, mods...)...)
	if err != nil {
		t.Fatal(err)
	}
	f := appendFrame(nil, endpoint{mac, netip.IPv4Unspecified()}, endpoint{net.HardwareAddr{255, 255, 255, 255, 255, 255}, netip.MustParseAddr("255.255.255.255")}, m.ToBytes())
	f[ethernetSize+ipv4Size+1], f[ethernetSize+ipv4Size+3] = clientPort, serverPort
	return f
}

// answer gives what a frame is answered with.
func answer(t *testing.T, tab Table, f []byte) (*dhcpv4.DHCPv4, []byte, Outcome) {
	t.Helper()
	reply, _, outcome := tab.Answer(f, serverMAC)
	if reply == nil {
		return nil, nil, outcome
	}
	payload := reply[ethernetSize+ipv4Size+udpSize:]
	m, err := dhcpv4.FromBytes(payload)
	if err != nil {
		t.Fatalf("the answer does not parse: %v", err)
	}
	if got := checksum(0, reply[ethernetSize:ethernetSize+ipv4Size]); got != 0 {
		t.Errorf("checksum of the IP header is off by %#x", got)
	}
	udp := reply[ethernetSize+ipv4Size:]
	if got := checksum(sum(uint32(17+len(udp)), reply[ethernetSize+12:ethernetSize+20]), udp); got != 0 {
		t.Errorf("checksum of UDP is off by %#x", got)
	}
	return m, reply, outcome
}

func TestOfferSaysEverything(t *testing.T) {
	m, f, outcome := answer(t, testTable(true), ask(t, guestMAC, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)))
	if outcome != Offered || m.MessageType() != dhcpv4.MessageTypeOffer {
		t.Fatalf("outcome %q, type %v, want an offer", outcome, m.MessageType())
	}
	if got := net.HardwareAddr(f[:6]).String(); got != guestMAC {
		t.Errorf("the offer goes to %s, want %s alone", got, guestMAC)
	}
	for what, pair := range map[string][2]string{
		"address":    {m.YourIPAddr.String(), "10.20.0.5"},
		"mask":       {net.IP(m.SubnetMask()).String(), "255.255.240.0"},
		"broadcast":  {m.BroadcastAddress().String(), "10.20.15.255"},
		"router":     {m.Router()[0].String(), "10.20.0.1"},
		"server":     {m.ServerIdentifier().String(), "169.254.169.254"},
		"name":       {m.HostName(), "web"},
		"boot file":  {m.BootFileNameOption(), "pxe.0"},
		"lease time": {m.IPAddressLeaseTime(0).String(), "24h0m0s"},
		"renewal":    {m.IPAddressRenewalTime(0).String(), "12h0m0s"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %s, want %s", what, pair[0], pair[1])
		}
	}
	if len(m.DNS()) != 1 || len(m.NTPServers()) != 2 {
		t.Errorf("DNS %v, NTP %v, want one IPv4 server and two", m.DNS(), m.NTPServers())
	}
	if mtu := m.Options.Get(dhcpv4.OptionInterfaceMTU); len(mtu) != 2 || int(mtu[0])<<8|int(mtu[1]) != 1300 {
		t.Errorf("MTU %v, want the port's own 1300", mtu)
	}
	want := []string{"192.168.0.0/24 10.20.0.7", "169.254.169.254/32 10.20.0.1", "0.0.0.0/0 10.20.0.1"}
	routes := m.ClasslessStaticRoute()
	if len(routes) != len(want) {
		t.Fatalf("routes %v, want %v", routes, want)
	}
	for i, r := range routes {
		if got := r.Dest.String() + " " + r.Router.String(); got != want[i] {
			t.Errorf("route %d is %s, want %s", i, got, want[i])
		}
	}
}

func TestMetadataIsOnTheLinkWithoutRouter(t *testing.T) {
	m, _, _ := answer(t, testTable(false), ask(t, guestMAC, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)))
	if got := m.ClasslessStaticRoute()[1].Router.String(); got != "0.0.0.0" {
		t.Errorf("next hop to the metadata service is %s, want 0.0.0.0: nobody answers at the gateway", got)
	}
}

func TestDecisions(t *testing.T) {
	request := dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest)
	wants := func(s string) dhcpv4.Modifier {
		return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(s).To4()))
	}
	at := func(s string) dhcpv4.Modifier { return dhcpv4.WithClientIP(net.ParseIP(s).To4()) }
	from := func(s string) dhcpv4.Modifier {
		return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(s).To4()))
	}
	for _, c := range []struct {
		name, src string
		mods      []dhcpv4.Modifier
		want      Outcome
	}{
		{"a discover is offered", guestMAC, []dhcpv4.Modifier{dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)}, Offered},
		{"the own address is acknowledged", guestMAC, []dhcpv4.Modifier{request, wants("10.20.0.5"), from("169.254.169.254")}, Acked},
		{"after a restart of the guest too", guestMAC, []dhcpv4.Modifier{request, wants("10.20.0.5")}, Acked},
		{"a renewal too", guestMAC, []dhcpv4.Modifier{request, at("10.20.0.5")}, Acked},
		{"another's address is refused", guestMAC, []dhcpv4.Modifier{request, wants("10.20.0.6")}, Naked},
		{"a renewal of another's address too", guestMAC, []dhcpv4.Modifier{request, at("10.20.0.6")}, Naked},
		{"a request for nothing too", guestMAC, []dhcpv4.Modifier{request}, Naked},
		{"another server's offer is its affair", guestMAC, []dhcpv4.Modifier{request, wants("10.20.0.5"), from("10.20.0.99")}, Ignored},
		{"an unknown card gets nothing", "fa:16:3e:00:00:99", []dhcpv4.Modifier{dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)}, Ignored},
		{"a card of another network gets nothing", "fa:16:3e:00:00:03", []dhcpv4.Modifier{dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)}, Ignored},
		{"a relayed message is not of this network", guestMAC, []dhcpv4.Modifier{dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover), dhcpv4.WithRelay(net.IP{10, 20, 0, 3})}, Ignored},
		{"a release changes nothing", guestMAC, []dhcpv4.Modifier{dhcpv4.WithMessageType(dhcpv4.MessageTypeRelease)}, Ignored},
		{"an inform is told the rest", guestMAC, []dhcpv4.Modifier{dhcpv4.WithMessageType(dhcpv4.MessageTypeInform), at("10.20.0.5")}, Acked},
	} {
		if _, _, got := answer(t, testTable(true), ask(t, c.src, c.mods...)); got != c.want {
			t.Errorf("%s: outcome %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCardThatNamesAnotherGetsNothing(t *testing.T) {
	f := ask(t, guestMAC, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))
	copy(f[6:12], []byte{0xfa, 0x16, 0x3e, 0, 0, 2}) // the sender is another card
	if _, _, got := answer(t, testTable(true), f); got != Ignored {
		t.Errorf("outcome %q, want %q", got, Ignored)
	}
}

func TestNakAndBroadcastFlagGoToEverybody(t *testing.T) {
	for name, f := range map[string][]byte{
		"nak":            ask(t, guestMAC, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest)),
		"broadcast flag": ask(t, guestMAC, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover), dhcpv4.WithBroadcast(true)),
	} {
		_, reply, _ := answer(t, testTable(true), f)
		if got := net.HardwareAddr(reply[:6]).String(); got != "ff:ff:ff:ff:ff:ff" {
			t.Errorf("%s: the answer goes to %s, want to everybody", name, got)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(ask(f, guestMAC, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover)))
	f.Add(ask(f, guestMAC, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IP{10, 20, 0, 5}))))
	f.Add([]byte{})
	f.Add(make([]byte, 342))
	tab := testTable(true)
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, lease, outcome := tab.Answer(b, serverMAC)
		if (reply == nil) != (outcome == Ignored || outcome == Invalid) {
			t.Fatalf("outcome %q with an answer of %d bytes", outcome, len(reply))
		}
		if reply == nil {
			return
		}
		m, err := dhcpv4.FromBytes(reply[ethernetSize+ipv4Size+udpSize:])
		if err != nil {
			t.Fatalf("the answer does not parse: %v", err)
		}
		if y := addr(m.YourIPAddr); y.IsValid() && !y.IsUnspecified() && y != lease.Address {
			t.Fatalf("the answer offers %s, want %s", y, lease.Address)
		}
		if m.TransactionID.String() == "" || lease.MAC != net.HardwareAddr(b[6:12]).String() {
			t.Fatalf("an answer for %s to %s", lease.MAC, net.HardwareAddr(b[6:12]))
		}
		if len(reply) > MessageMax {
			t.Fatalf("an answer of %d bytes", len(reply))
		}
	})
}
