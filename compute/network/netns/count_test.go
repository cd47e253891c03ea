package netns

import (
	"net"
	"testing"

	"github.com/kamado/kamado/compute/network"
)

// TestConnectionsOfAPortAreBounded lets a port have four connections in each
// direction, and reaches that through everything that could begin a new count.
func TestConnectionsOfAPortAreBounded(t *testing.T) {
	const most = 4
	s := twoNetworks()
	for i := range s.Ports {
		s.Ports[i].Rules = append(s.Ports[i].Rules, tcpIn(22))
	}
	l := newLab(t, s)
	if limits := l.e.Limits(); limits != nil {
		t.Skip(limits)
	}
	l.cfg.ConnectionsMax = most
	l.restart()
	l.apply()
	a1, a2, b1 := l.boot("a1", "10.1.0.1"), l.boot("a2", "10.1.0.1"), l.boot("b1", "10.2.0.1")
	for _, g := range []*machine{a1, a2, b1} {
		g.listen(22)
	}
	var open []net.Conn
	for i := range most {
		c, err := a1.dial(wait, "10.1.0.12:22")
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		defer func() { _ = c.Close() }()
		open = append(open, c)
	}
	full := func(when string) {
		t.Helper()
		for _, x := range []struct {
			from *machine
			to   string
		}{{a1, "10.1.0.12:22"}, {a1, "10.2.0.11:22"}, {a1, "169.254.169.254:80"}, {b1, "10.1.0.12:22"}} {
			if _, ok := x.from.reaches(x.to, silence); ok {
				t.Errorf("%s: %s still begins a connection to %s", when, x.from.port.ID, x.to)
			}
		}
	}
	full("at the most")
	l.e.lookForRefusals()
	if l.count.refused < 4 { // one for each that was tried
		t.Errorf("%d packets were counted as refused, want at least 4", l.count.refused)
	}
	if _, ok := b1.reaches("10.1.0.11:22", wait); !ok {
		t.Error("a port that has begun enough takes no connection")
	}
	if _, ok := a2.reaches("10.2.0.11:22", wait); !ok {
		t.Error("a port that was begun to enough begins none")
	}
	l.port("a1").Rules = append(l.port("a1").Rules, tcpIn(80))
	l.state.Ports = append(l.state.Ports, network.Port{ID: "a0", NetworkID: "a", MAC: "fa:16:3e:00:00:a0", Addresses: addrs("10.1.0.10"), AdminUp: true, Filtered: true})
	l.apply()
	full("after other rules and another port")
	l.restart()
	l.apply()
	full("after a restart")
	_ = open[0].Close()
	l.until("a place is free again", func() bool { _, ok := a1.reaches("10.1.0.12:22", silence); return ok })
}

// TestKernelThatCannotCount has filters that bound nothing, and says so.
func TestKernelThatCannotCount(t *testing.T) {
	e := &Engine{hash: "0", cfg: network.Config{ConnectionsMax: 1}}
	if len(e.Limits()) != 1 {
		t.Errorf("limits = %q, want one", e.Limits())
	}
	for _, table := range newPlan(e, twoNetworks()).segments[1].tables() {
		if table.name == countName {
			t.Error("connections are counted")
		}
	}
}
