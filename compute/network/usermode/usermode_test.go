package usermode

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/network/networktest"
)

func TestEngine(t *testing.T) {
	networktest.Run(t, func(*testing.T) network.Engine { return New(network.Config{}) })
}

// quiet makes an engine on a host where nobody listens and every port from
// start on may be used.
func quiet(start int, changed func(string)) *Engine {
	e := New(network.Config{UserChanged: changed})
	e.start = func() int { return start }
	e.busy = func(string, int) bool { return false }
	return e
}

func state(rules ...network.Rule) network.State {
	return network.State{
		Networks: []network.Network{{ID: "n", Subnets: []network.Subnet{{Prefix: netip.MustParsePrefix("10.20.0.0/24"), Gateway: netip.MustParseAddr("10.20.0.1")}}}},
		Ports: []network.Port{{ID: "p", NetworkID: "n", AdminUp: true, Filtered: true, Rules: rules,
			Addresses: []netip.Addr{netip.MustParseAddr("fd00::5"), netip.MustParseAddr("10.20.0.5")}}},
		Routers: []network.Router{{ID: "r", Up: true, Interfaces: []network.Interface{{NetworkID: "n"}},
			Floating: []network.Floating{{External: netip.MustParseAddr("127.77.0.5"), Internal: netip.MustParseAddr("10.20.0.5")}}}},
	}
}

func rule(protocol string, low, high int) network.Rule {
	return network.Rule{Ingress: true, Protocol: protocol, Min: low, Max: high}
}

func TestCardGivesTheGuestItsAddress(t *testing.T) {
	e := quiet(1, nil)
	if err := e.Apply(t.Context(), state()); err != nil {
		t.Fatal(err)
	}
	got := e.User("p")
	want := hypervisor.UserNet{CIDR: "10.20.0.0/24", Gateway: "10.20.0.1", DNS: "10.20.0.254", Address: "10.20.0.5"}
	if !same(*got, want) {
		t.Errorf("card is %+v, want %+v", *got, want)
	}
}

func TestForwardsFollowRules(t *testing.T) {
	tcp := func(listen, port int) string { return fmt.Sprintf("tcp 127.77.0.5:%d %d", listen, port) }
	for _, c := range []struct {
		name  string
		start int
		rules []network.Rule
		want  []string
	}{
		{"no rule opens nothing", 1, nil, nil},
		{"an egress rule opens nothing", 1, []network.Rule{{Min: -1, Max: -1}}, nil},
		{"one port", 1, []network.Rule{rule("tcp", 22, 22)}, []string{tcp(22, 22)}},
		{"a port that this user may not take", 1024, []network.Rule{rule("6", 22, 22)}, []string{tcp(20022, 22)}},
		{"a range", 1, []network.Rule{rule("tcp", 8000, 8001)}, []string{tcp(8000, 8000), tcp(8001, 8001)}},
		{"UDP", 1, []network.Rule{rule("udp", 53, 53)}, []string{"udp 127.77.0.5:53 53"}},
		{"ICMP opens nothing", 1, []network.Rule{rule("icmp", 8, 0)}, nil},
		{"another's prefix opens nothing", 1, []network.Rule{{Ingress: true, Protocol: "tcp", Min: 22, Max: 22, RemotePrefix: netip.MustParsePrefix("10.0.0.0/8")}}, nil},
		{"a remote group opens nothing", 1, []network.Rule{{Ingress: true, Protocol: "tcp", Min: 22, Max: 22, RemoteGroupID: "g"}}, nil},
		{"the prefix of all", 1, []network.Rule{{Ingress: true, Protocol: "tcp", Min: 22, Max: 22, RemotePrefix: netip.MustParsePrefix("0.0.0.0/0")}}, []string{tcp(22, 22)}},
	} {
		e := quiet(c.start, nil)
		if err := e.Apply(t.Context(), state(c.rules...)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range e.User("p").Forward {
			got = append(got, fmt.Sprintf("%s %s %d", f.Protocol, f.Listen, f.Port))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: forwards %v, want %v", c.name, got, c.want)
		}
	}
}

func TestForwardsAreBounded(t *testing.T) {
	e := quiet(1, nil)
	var rules []network.Rule
	for port := range 10 {
		rules = append(rules, rule("tcp", 1000*port+100, 1000*port+150))
	}
	if err := e.Apply(t.Context(), state(rules...)); err != nil {
		t.Fatal(err)
	}
	if got := len(e.User("p").Forward); got != ForwardsMax {
		t.Errorf("%d forwards, want %d", got, ForwardsMax)
	}
	if err := e.Apply(t.Context(), state(rule("tcp", 1, 65535))); err != nil {
		t.Fatal(err)
	}
	if got := len(e.User("p").Forward); got != len(wellKnown) {
		t.Errorf("%d forwards for a rule about all ports, want the %d well-known", got, len(wellKnown))
	}
}

func TestPortThatTheHostListensOnMoves(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	if !busyEverywhere("tcp", port) {
		t.Errorf("port %d is not busy, somebody listens on it everywhere", port)
	}
	one, err := net.Listen("tcp4", "127.77.0.5:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = one.Close() }()
	if busyEverywhere("tcp", one.Addr().(*net.TCPAddr).Port) {
		t.Error("a port of one address is said to be busy everywhere")
	}
}

func TestChangesAreTold(t *testing.T) {
	var told []string
	e := quiet(1, func(id string) { told = append(told, id) })
	for _, s := range []network.State{state(), state(), state(rule("tcp", 22, 22)), state(rule("tcp", 22, 22))} {
		if err := e.Apply(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"p", "p"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestLimitsNameTheOffset(t *testing.T) {
	if got := strings.Join(quiet(1024, nil).Limits(), "\n"); !strings.Contains(got, "ssh -p 20022") {
		t.Errorf("limits do not say where ssh is:\n%s", got)
	}
	if got := strings.Join(quiet(1, nil).Limits(), "\n"); strings.Contains(got, "20022") {
		t.Errorf("limits speak of an offset that is not used:\n%s", got)
	}
}

func TestTinySubnetHasNoCard(t *testing.T) {
	s := state()
	s.Networks[0].Subnets[0].Prefix = netip.MustParsePrefix("10.20.0.4/30")
	s.Networks[0].Subnets[0].Gateway = netip.MustParseAddr("10.20.0.6")
	e := quiet(1, nil)
	if err := e.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := e.User("p"); got == nil || got.CIDR != "" {
		t.Errorf("card is %+v, want QEMU's own addresses", got)
	}
}
