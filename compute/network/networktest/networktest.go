// Package networktest holds what every network engine promises, as tests that
// each engine's own test runs. What only some engines do, such as to filter, is
// in their own tests.
//
// The suite needs nothing of an engine but its interface. The states that it
// applies have one network and a port or two.
package networktest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
)

// Run tests the engines that open makes; each test gets its own, purged at its end.
func Run(t *testing.T, open func(t *testing.T) network.Engine) {
	for name, test := range map[string]func(*testing.T, network.Engine){
		"a port is either a tap or a user-mode card": eitherTapOrUser,
		"applying twice is no error":                 applyTwice,
		"a port that went cannot be opened":          portGoes,
		"purging twice is no error":                  purgeTwice,
		"run ends with its context":                  runEnds,
		"apply and run may overlap":                  overlap,
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			t.Cleanup(func() {
				if err := e.Purge(context.Background()); err != nil {
					t.Error(err)
				}
			})
			test(t, e)
		})
	}
}

func state(ports ...string) network.State {
	s := network.State{Networks: []network.Network{{ID: "n", MTU: 1450, Subnets: []network.Subnet{{ID: "s",
		Prefix: netip.MustParsePrefix("10.99.0.0/24"), Gateway: netip.MustParseAddr("10.99.0.1"), DHCP: true, Metadata: true}}}}}
	a := netip.MustParseAddr("10.99.0.10")
	for i, id := range ports {
		a = a.Next()
		s.Ports = append(s.Ports, network.Port{ID: id, NetworkID: "n", InstanceID: "i", MAC: "fa:16:3e:00:00:0" + string(rune('1'+i)),
			Addresses: []netip.Addr{a}, AdminUp: true, Filtered: true, Rules: []network.Rule{{Min: -1, Max: -1}}})
	}
	return s
}

func apply(t *testing.T, e network.Engine, s network.State) {
	t.Helper()
	if err := e.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func eitherTapOrUser(t *testing.T, e network.Engine) {
	apply(t, e, state("p1"))
	f, err := e.Open(t.Context(), "p1")
	switch {
	case err == nil:
		if f == nil {
			t.Fatal("Open gave neither a file nor an error")
		}
		_ = f.Close()
		if e.User("p1") != nil {
			t.Error("a port is a tap and a user-mode card at once")
		}
		if f, err = e.Open(t.Context(), "p1"); err != nil {
			t.Fatalf("the tap of a guest that was off cannot be opened again: %v", err)
		}
		_ = f.Close()
	case !errors.Is(err, hypervisor.ErrUnsupported):
		t.Fatal(err)
	case e.User("p1") == nil:
		t.Error("a port is neither a tap nor a user-mode card")
	}
}

func applyTwice(t *testing.T, e network.Engine) {
	apply(t, e, state("p1", "p2"))
	apply(t, e, state("p1", "p2"))
	apply(t, e, state("p2"))
	apply(t, e, network.State{})
}

func portGoes(t *testing.T, e network.Engine) {
	apply(t, e, state("p1"))
	apply(t, e, state())
	if f, err := e.Open(t.Context(), "p1"); err == nil {
		_ = f.Close()
		t.Error("the tap of a port that went was opened")
	}
}

func purgeTwice(t *testing.T, e network.Engine) {
	apply(t, e, state("p1"))
	for range 2 {
		if err := e.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, e, state("p1"))
}

func runEnds(t *testing.T, e network.Engine) {
	apply(t, e, state("p1"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run goes on after its context ended")
	}
}

func overlap(t *testing.T, e network.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	for i := range 4 {
		apply(t, e, state([]string{"p1", "p2"}[:i%2+1]...))
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
