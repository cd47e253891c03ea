package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/network"
)

func ip(s string) netip.Addr     { return netip.MustParseAddr(s) }
func cidr(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addrs(s ...string) (list []netip.Addr) {
	for _, a := range s {
		list = append(list, ip(a))
	}
	return list
}

// everythingOut is what a default group lets a port send.
var everythingOut = network.Rule{Min: -1, Max: -1}

func tcpIn(port int) network.Rule {
	return network.Rule{Ingress: true, Protocol: "tcp", Min: port, Max: port}
}

// twoNetworks is networks a and b of one project, joined by a router that leads
// outside, and network c of another. The host is on the external network.
func twoNetworks() network.State {
	subnet := func(prefix, gateway string, dhcp bool) []network.Subnet {
		return []network.Subnet{{ID: prefix, Prefix: cidr(prefix), Gateway: ip(gateway), DHCP: dhcp, Metadata: dhcp}}
	}
	port := func(id, net, mac, a string, rules ...network.Rule) network.Port {
		return network.Port{ID: id, NetworkID: net, InstanceID: "i-" + id, MAC: mac, Addresses: addrs(a), Hostname: id, AdminUp: true, Filtered: true,
			Rules: append([]network.Rule{everythingOut}, rules...)}
	}
	return network.State{
		Networks: []network.Network{
			{ID: "ext", External: true, Host: true, Subnets: subnet("172.24.4.0/24", "172.24.4.1", false)},
			{ID: "a", MTU: 1450, Subnets: subnet("10.1.0.0/24", "10.1.0.1", true)},
			{ID: "b", Subnets: subnet("10.2.0.0/24", "10.2.0.1", true)},
			{ID: "c", Subnets: subnet("10.1.0.0/24", "10.1.0.1", true)}, // the same addresses, on purpose
		},
		Routers: []network.Router{{ID: "r", Up: true, SNAT: true,
			Interfaces: []network.Interface{
				{PortID: "ra", NetworkID: "a", MAC: "fa:16:3e:00:01:01", Addresses: []netip.Prefix{cidr("10.1.0.1/24")}},
				{PortID: "rb", NetworkID: "b", MAC: "fa:16:3e:00:01:02", Addresses: []netip.Prefix{cidr("10.2.0.1/24")}},
			},
			Gateway: &network.Interface{PortID: "rg", NetworkID: "ext", MAC: "fa:16:3e:00:01:03", Addresses: []netip.Prefix{cidr("172.24.4.10/24")}},
		}},
		Ports: []network.Port{
			port("a1", "a", "fa:16:3e:00:00:a1", "10.1.0.11"),
			port("a2", "a", "fa:16:3e:00:00:a2", "10.1.0.12"),
			port("b1", "b", "fa:16:3e:00:00:b1", "10.2.0.11"),
			port("c1", "c", "fa:16:3e:00:00:c1", "10.1.0.11"),
		},
		Groups: map[string][]netip.Addr{"g": nil},
	}
}

func TestGroupsAreClosedUntilARuleOpens(t *testing.T) {
	l := newLab(t, twoNetworks())
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	a2.listen(22)
	a2.listen(23)
	if !a1.ping("10.1.0.1", wait) {
		t.Fatal("the gateway does not answer")
	}
	if _, ok := a1.reaches("10.1.0.12:22", silence); ok {
		t.Fatal("port 22 is open without a rule")
	}
	l.port("a2").Rules = append(l.port("a2").Rules, tcpIn(22))
	l.apply()
	if who, ok := a1.reaches("10.1.0.12:22", wait); !ok || who != "10.1.0.11" {
		t.Fatalf("port 22 seen from %q, %t, want open to 10.1.0.11", who, ok)
	}
	if _, ok := a1.reaches("10.1.0.12:23", silence); ok {
		t.Error("port 23 is open, the rule opens 22")
	}
	if a1.ping("10.1.0.12", silence) {
		t.Error("ping is open, the rule opens TCP 22")
	}
	l.port("a2").Rules = append(l.port("a2").Rules, network.Rule{Ingress: true, Protocol: "icmp", Min: 8, Max: 0})
	l.apply()
	if !a1.ping("10.1.0.12", wait) {
		t.Error("ping is closed, a rule opens it")
	}
}

func TestConnectionEndsWithItsRule(t *testing.T) {
	s := twoNetworks()
	s.Ports[1].Rules = append(s.Ports[1].Rules, tcpIn(22), tcpIn(23))
	l := newLab(t, s)
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	a2.listen(22)
	a2.listen(23)
	talk := func(c net.Conn, d time.Duration) error {
		_ = c.SetDeadline(time.Now().Add(d))
		if _, err := fmt.Fprintln(c, "hello"); err != nil {
			return err
		}
		var s string
		_, err := fmt.Fscanln(c, &s)
		return err
	}
	conns := map[int]net.Conn{}
	for _, port := range []int{22, 23} {
		c, err := a1.dial(wait, fmt.Sprintf("10.1.0.12:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		conns[port] = c
		var who string
		if _, err := fmt.Fscanln(c, &who); err != nil {
			t.Fatal(err)
		}
		if err := talk(c, wait); err != nil {
			t.Fatal(err)
		}
	}
	p := l.port("a2")
	p.Rules = []network.Rule{everythingOut, tcpIn(23)}
	l.apply()
	if err := talk(conns[22], 3*silence); err == nil {
		t.Error("the connection to port 22 goes on without its rule")
	}
	if err := talk(conns[23], wait); err != nil {
		t.Errorf("the connection to port 23 ended with another's rule: %v", err)
	}
}

func TestRemoteGroupFollowsItsMembers(t *testing.T) {
	s := twoNetworks()
	s.Ports[1].Rules = append(s.Ports[1].Rules, network.Rule{Ingress: true, Protocol: "tcp", Min: -1, Max: -1, RemoteGroupID: "g"})
	l := newLab(t, s)
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	a2.listen(80)
	if _, ok := a1.reaches("10.1.0.12:80", silence); ok {
		t.Fatal("open to a stranger of the group")
	}
	l.state.Groups = map[string][]netip.Addr{"g": addrs("10.1.0.11", "10.9.9.9")}
	l.apply()
	if _, ok := a1.reaches("10.1.0.12:80", wait); !ok {
		t.Fatal("closed to a member of the group")
	}
}

func TestEgressIsClosedWithoutRule(t *testing.T) {
	s := twoNetworks()
	s.Ports[0].Rules = nil
	s.Ports[1].Rules = append(s.Ports[1].Rules, tcpIn(80))
	l := newLab(t, s)
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	a2.listen(80)
	if _, ok := a1.reaches("10.1.0.12:80", silence); ok {
		t.Error("a port without rules sends")
	}
}

func TestRouterJoinsNetworksAndProjectsStayApart(t *testing.T) {
	s := twoNetworks()
	s.Ports[2].Rules = append(s.Ports[2].Rules, tcpIn(80))
	s.Ports[3].Rules = append(s.Ports[3].Rules, tcpIn(80), network.Rule{Ingress: true, Min: -1, Max: -1})
	l := newLab(t, s)
	a1, b1, c1 := l.boot("a1", "10.1.0.1"), l.boot("b1", "10.2.0.1"), l.boot("c1", "10.1.0.1")
	b1.listen(80)
	c1.listen(81)
	if who, ok := a1.reaches("10.2.0.11:80", wait); !ok || who != "10.1.0.11" {
		t.Errorf("through the router: seen from %q, %t, want 10.1.0.11", who, ok)
	}
	if c1.ping("10.1.0.1", silence) || c1.ping("10.1.0.12", silence) {
		t.Error("network c reaches what is of network a")
	}
	if _, ok := c1.reaches("10.2.0.11:80", silence); ok {
		t.Error("network c reaches network b")
	}
	if _, ok := (*machine)(nil).reaches("10.2.0.11:80", silence); ok {
		t.Error("the host reaches an inner address")
	}
}

func TestFloatingAddress(t *testing.T) {
	s := twoNetworks()
	s.Ports[0].Rules = append(s.Ports[0].Rules, tcpIn(22))
	s.Ports[2].Rules = append(s.Ports[2].Rules, tcpIn(22))
	s.Routers[0].Floating = []network.Floating{{External: ip("172.24.4.20"), Internal: ip("10.1.0.11")}}
	l := newLab(t, s)
	host := (*machine)(nil)
	a1, a2, b1 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1"), l.boot("b1", "10.2.0.1")
	a1.listen(22)
	b1.listen(22)
	if who, ok := host.reaches("172.24.4.20:22", wait); !ok || who != "172.24.4.1" {
		t.Errorf("from the host: seen from %q, %t, want 172.24.4.1", who, ok)
	}
	if _, ok := b1.reaches("172.24.4.20:22", wait); !ok {
		t.Error("the floating address does not answer to another network")
	}
	if _, ok := a2.reaches("172.24.4.20:22", wait); !ok {
		t.Error("the floating address does not answer to the own network")
	}
	outside := l.outside("198.51.100.7")
	outside.listen(8000)
	if who, ok := a1.reaches("198.51.100.7:8000", wait); !ok || who != "172.24.4.20" {
		t.Errorf("outside sees %q, %t, want the floating address", who, ok)
	}
	if who, ok := b1.reaches("198.51.100.7:8000", wait); !ok || who != "172.24.4.10" {
		t.Errorf("outside sees %q, %t, want the router's address", who, ok)
	}
	c, err := host.dial(wait, "172.24.4.20:22")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	l.state.Routers[0].Floating = []network.Floating{{External: ip("172.24.4.20"), Internal: ip("10.2.0.11")}, {External: ip("172.24.4.21"), Internal: ip("10.1.0.11")}}
	l.apply()
	for _, a := range []string{"172.24.4.20:22", "172.24.4.21:22"} {
		if _, ok := host.reaches(a, wait); !ok {
			t.Errorf("%s does not answer after it moved", a)
		}
	}
	l.state.Routers[0].Floating = nil
	l.apply()
	if _, ok := host.reaches("172.24.4.20:22", silence); ok {
		t.Error("the floating address answers after it was taken away")
	}
}

// TestServicesOfTheHostAreClosed asks for what the host serves: by the gateway's
// address, by another of its addresses, and by one that it gets later. Echo, what
// lies beyond the host, and connections that the host begins stay open.
func TestServicesOfTheHostAreClosed(t *testing.T) {
	s := twoNetworks()
	s.Ports[0].Rules = append(s.Ports[0].Rules, tcpIn(22))
	s.Routers[0].Floating = []network.Floating{{External: ip("172.24.4.20"), Internal: ip("10.1.0.11")}}
	l := newLab(t, s)
	a1, b1 := l.boot("a1", "10.1.0.1"), l.boot("b1", "10.2.0.1")
	a1.listen(22)
	outside := l.outside("198.51.100.7")
	outside.listen(8000)
	hostListens(t, "0.0.0.0:8000")
	host := (*machine)(nil)
	if _, ok := host.reaches("172.24.4.1:8000", wait); !ok {
		t.Fatal("the host does not reach itself")
	}
	c, err := host.dial(wait, "172.24.4.20:22")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var who string
	if _, err := fmt.Fscanln(c, &who); err != nil {
		t.Fatal(err)
	}
	for name, g := range map[string]*machine{"a guest with a floating address": a1, "a guest": b1} {
		if !g.ping("172.24.4.1", wait) {
			t.Errorf("%s: the gateway does not answer to echo", name)
		}
		if _, ok := g.reaches("198.51.100.7:8000", wait); !ok {
			t.Errorf("%s does not reach what is beyond the host", name)
		}
		for _, a := range []string{"172.24.4.1:8000", "198.51.100.1:8000"} {
			if _, ok := g.reaches(a, silence); ok {
				t.Errorf("%s reaches the host's service at %s", name, a)
			}
		}
	}
	ns, err := openHost()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.AddrAdd(ns.linkByName("lo"), &netlink.Addr{IPNet: netOf(cidr("203.0.113.9/32"))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.AddrDel(ns.linkByName("lo"), &netlink.Addr{IPNet: netOf(cidr("203.0.113.9/32"))}) })
	l.until("the host's new address is closed", func() bool { _, ok := b1.reaches("203.0.113.9:8000", silence); return !ok })
	// The filters were made anew; who talks goes on talking.
	_ = c.SetDeadline(time.Now().Add(wait))
	if _, err := fmt.Fprintln(c, "still"); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(c, &who); err != nil || who != "still" {
		t.Errorf("the host's connection after that: %q, %v", who, err)
	}
}

// outside makes a machine beyond the host, which forwards.
func (l *lab) outside(address string) *machine {
	l.t.Helper()
	ns, _, err := makeNamespace("outside")
	if err != nil {
		l.t.Fatal(err)
	}
	host, err := openHost()
	if err != nil {
		l.t.Fatal(err)
	}
	defer host.Close()
	b := &build{}
	own, far := b.pair(host, "beyond", ns, "eth0", 1500)
	if own == nil || far == nil {
		l.t.Fatal(b.err())
	}
	l.t.Cleanup(func() {
		ns.Close()
		if err := removeNamespace("outside"); err != nil {
			l.t.Error(err)
		}
		l.until("the card goes with its far end", func() bool {
			host, err := openHost()
			if err != nil {
				l.t.Fatal(err)
			}
			defer host.Close()
			return host.linkByName("beyond") == nil
		})
	})
	near := netip.PrefixFrom(netip.MustParsePrefix(address+"/24").Masked().Addr().Next(), 24)
	b.addresses(host, own, []netip.Prefix{near})
	b.addresses(ns, far, []netip.Prefix{netip.PrefixFrom(ip(address), 24)})
	b.up(host, own, true)
	b.up(ns, far, true)
	b.routes(ns, []netlink.Route{{Dst: netOf(cidr("0.0.0.0/0")), Gw: net.ParseIP(near.Addr().String()).To4()}})
	b.settings(host, []setting{{"ipv4/ip_forward", "1"}}, true)
	if err := b.err(); err != nil {
		l.t.Fatal(err)
	}
	return &machine{t: l.t, ns: ns}
}

// hostListens serves TCP on the host, which is the test's own namespace.
func hostListens(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintln(c, c.RemoteAddr().(*net.TCPAddr).IP)
			_ = c.Close()
		}
	}()
}

func TestApplyTwiceChangesNothing(t *testing.T) {
	s := twoNetworks()
	s.Routers[0].Floating = []network.Floating{{External: ip("172.24.4.20"), Internal: ip("10.1.0.11")}}
	s.Routers[0].Routes = []network.Route{{Destination: cidr("192.168.7.0/24"), NextHop: ip("10.2.0.99")}}
	s.Ports[1].Rules = append(s.Ports[1].Rules, network.Rule{Ingress: true, IPv6: true, Protocol: "tcp", Min: 1, Max: 90, RemoteGroupID: "g"},
		network.Rule{Ingress: true, Protocol: "17", Min: -1, Max: -1, RemotePrefix: cidr("10.0.0.0/8")})
	l := newLab(t, s)
	if l.count.changes == 0 {
		t.Error("the first Apply changed nothing")
	}
	l.apply()
	if l.count.changes != 0 {
		t.Errorf("the same engine changed %d things the second time, want 0", l.count.changes)
	}
	l.restart()
	l.apply()
	if l.count.changes != 0 {
		t.Errorf("another engine changed %d things, want 0", l.count.changes)
	}
}

func TestAnotherEngineAdoptsConnections(t *testing.T) {
	s := twoNetworks()
	s.Ports[1].Rules = append(s.Ports[1].Rules, tcpIn(22))
	needsRoot(t)
	l := newLab(t, s)
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	a2.listen(22)
	c, err := a1.dial(wait, "10.1.0.12:22")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	l.restart()
	l.apply()
	_ = c.SetDeadline(time.Now().Add(wait))
	var who, echo string
	if _, err := fmt.Fprintln(c, "on"); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(c, &who); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(c, &echo); err != nil || echo != "on" {
		t.Errorf("the connection says %q, %v, want it to go on", echo, err)
	}
}

func TestWhatIsNotInTheStateGoes(t *testing.T) {
	l := newLab(t, twoNetworks())
	l.state.Networks = l.state.Networks[:2]
	l.state.Ports = l.state.Ports[:1]
	l.state.Routers[0].Interfaces = l.state.Routers[0].Interfaces[:1]
	l.apply()
	names, err := listNamespaces(l.e.prefix())
	if err != nil || len(names) != 3 {
		t.Errorf("namespaces %v, %v, want those of ext, a and r", names, err)
	}
	if _, err := l.e.Open(context.Background(), "a2"); err == nil {
		t.Error("the tap of a port that went can be opened")
	}
	l.state = network.State{}
	l.apply()
	host, err := openHost()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if host.linkByName(l.e.hostLink()) != nil {
		t.Error("the host's card is still there")
	}
}

func TestHostRouted(t *testing.T) {
	l := newLab(t, twoNetworks())
	dir := t.TempDir()
	other, err := New(network.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Purge(context.Background()) })
	if !other.HostRouted(cidr("172.24.4.0/24")) || !other.HostRouted(cidr("172.24.0.0/16")) {
		t.Error("the pool of another installation is not seen")
	}
	if other.HostRouted(cidr("172.24.5.0/24")) {
		t.Error("a free prefix is said to be taken")
	}
	if l.e.HostRouted(cidr("172.24.4.0/24")) {
		t.Error("an installation's own card takes its pool away")
	}
	if err := other.Apply(context.Background(), network.State{Networks: l.state.Networks[:1]}); err == nil {
		t.Error("two installations took the same pool")
	}
}

func TestRouterAdvertisesItsPrefix(t *testing.T) {
	s := twoNetworks()
	s.Networks[1].Subnets = append(s.Networks[1].Subnets, network.Subnet{ID: "a6", Prefix: cidr("fd00:a::/64"), Gateway: ip("fd00:a::1"), SLAAC: true})
	s.Networks[2].Subnets = append(s.Networks[2].Subnets, network.Subnet{ID: "b6", Prefix: cidr("fd00:b::/64"), Gateway: ip("fd00:b::1"), SLAAC: true})
	for i, p := range []string{"fd00:a::1/64", "fd00:b::1/64"} {
		s.Routers[0].Interfaces[i].Addresses = append(s.Routers[0].Interfaces[i].Addresses, cidr(p))
	}
	own := map[int]string{0: "fd00:a::f816:3eff:fe00:a1", 2: "fd00:b::f816:3eff:fe00:b1"}
	for i, a := range own {
		s.Ports[i].Addresses = append(s.Ports[i].Addresses, ip(a))
		s.Ports[i].Rules = append(s.Ports[i].Rules, network.Rule{IPv6: true, Min: -1, Max: -1}, network.Rule{Ingress: true, IPv6: true, Protocol: "tcp", Min: 80, Max: 80})
	}
	l := newLab(t, s)
	a1, b1 := l.boot("a1", "10.1.0.1"), l.boot("b1", "10.2.0.1")
	for _, g := range []*machine{a1, b1} {
		want := g.port.Addresses[1]
		l.until("the guest makes its address "+want.String(), func() bool {
			list, err := g.ns.AddrList(g.ns.linkByName("eth0"), netlink.FAMILY_V6)
			return err == nil && slices.ContainsFunc(list, func(a netlink.Addr) bool { return address(a.IP) == want && a.Flags&unix.IFA_F_TENTATIVE == 0 })
		})
	}
	b1.listen(80)
	var err error
	l.until("the guest gets through the router", func() bool {
		var c net.Conn
		if derr := a1.ns.do(func() error { c, err = net.DialTimeout("tcp6", "["+own[2]+"]:80", 2*silence); return nil }); derr != nil || err != nil {
			return false
		}
		return c.Close() == nil
	})
	if derr := a1.ns.do(func() error { _, err = net.DialTimeout("tcp6", "["+own[2]+"]:81", silence); return nil }); derr != nil || err == nil {
		t.Error("port 81 is open over IPv6, a rule opens 80")
	}
}

func TestWhatDiffersIsRepaired(t *testing.T) {
	s := twoNetworks()
	s.Ports[1].Rules = append(s.Ports[1].Rules, tcpIn(22))
	l := newLab(t, s)
	ns, err := openNamespace(l.e.namespace(kindNetwork, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	router, err := openNamespace(l.e.namespace(kindRouter, "r"))
	if err != nil {
		t.Fatal(err)
	}
	defer router.Close()
	// What a kill in the midst of Apply, or somebody else, may leave.
	for what, f := range map[string]func() error{
		"a tap without bridge":  func() error { return ns.LinkSetNoMaster(ns.linkByName(tapName("a1"))) },
		"a tap that is down":    func() error { return ns.LinkSetDown(ns.linkByName(tapName("a2"))) },
		"no card of the router": func() error { return router.LinkDel(router.linkByName(routerLink("rb"))) },
		"a card without address": func() error {
			return router.AddrDel(router.linkByName(routerLink("ra")), &netlink.Addr{IPNet: netOf(cidr("10.1.0.1/24"))})
		},
		"an address too many": func() error {
			return router.AddrAdd(router.linkByName(routerLink("ra")), &netlink.Addr{IPNet: netOf(cidr("10.1.0.77/24"))})
		},
		"another MTU": func() error { return ns.LinkSetMTU(ns.linkByName(tapName("a1")), 1300) },
		"no filters": func() error {
			conn, err := nftables.New(nftables.WithNetNSFd(int(ns.fd)))
			if err != nil {
				return err
			}
			conn.DelTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyBridge})
			return conn.Flush()
		},
		"a link of nobody": func() error {
			f, err := openTap(ns, "tapnobody")
			if err == nil {
				err = f.Close()
			}
			return err
		},
		"a namespace that is only a file": func() error { return os.WriteFile(namedDir+"/"+l.e.namespace(kindNetwork, "half"), nil, 0o444) },
	} {
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	l.state.Networks = append(l.state.Networks, network.Network{ID: "half"})
	l.restart()
	l.apply()
	if l.count.changes < 9 {
		t.Errorf("%d changes, want one for each thing that differed", l.count.changes)
	}
	l.restart()
	l.apply()
	if l.count.changes != 0 {
		t.Errorf("then %d changes, want 0", l.count.changes)
	}
	if ns.linkByName(tapName("a1")).Attrs().MTU != 1450 || ns.linkByName("tapnobody") != nil {
		t.Error("the tap of a1 has another MTU, or the one of nobody is there")
	}
	a1, a2, b1 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1"), l.boot("b1", "10.2.0.1")
	a2.listen(22)
	if _, ok := b1.reaches("10.1.0.12:22", wait); !ok {
		t.Error("nothing comes through the router")
	}
	if _, ok := a1.reaches("10.1.0.12:22", wait); !ok {
		t.Error("nothing comes through the bridge")
	}
}

func TestPortThatIsDownIsCutOff(t *testing.T) {
	s := twoNetworks()
	s.Ports[1].Rules = append(s.Ports[1].Rules, tcpIn(22))
	l := newLab(t, s)
	a1, a2 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1")
	a2.listen(22)
	if _, ok := a1.reaches("10.1.0.12:22", wait); !ok {
		t.Fatal("closed although a rule opens it")
	}
	l.port("a2").AdminUp = false
	l.apply()
	if _, ok := a1.reaches("10.1.0.12:22", silence); ok {
		t.Error("a port that is down is reached")
	}
}

func TestKillAtAnyPoint(t *testing.T) {
	l := newLab(t, network.State{})
	finished := 0
	for i := 0; finished < 2 && i < 60; i++ {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), applies+"="+l.e.cfg.Dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Later each time, until it gets to its end. What it makes meanwhile stays for the next.
		timer := time.AfterFunc(time.Duration(20+4*i)*time.Millisecond, func() { _ = cmd.Process.Kill() })
		if cmd.Wait() == nil {
			finished++
		}
		timer.Stop()
		if i%8 == 7 { // and sometimes all goes, so that it is made from the beginning
			if err := l.e.Purge(t.Context()); err != nil {
				t.Fatalf("purge what a kill left: %v", err)
			}
		}
	}
	l.state = twoNetworks()
	l.restart()
	l.apply()
	l.restart()
	l.apply()
	if l.count.changes != 0 {
		t.Errorf("%d changes the second time after kills, want 0", l.count.changes)
	}
	a1, b1 := l.boot("a1", "10.1.0.1"), l.boot("b1", "10.2.0.1")
	if !a1.ping("10.1.0.1", wait) || !b1.ping("10.2.0.1", wait) || a1.lease(l) == nil {
		t.Error("the networks do not work after kills")
	}
}
