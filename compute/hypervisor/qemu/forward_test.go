package qemu_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// listens says whether somebody accepts at an address.
func listens(address string) bool {
	c, err := net.DialTimeout("tcp4", address, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// freeAddresses gives addresses of the loopback at which nobody listens.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var list []string
	for range n {
		l, err := net.Listen("tcp4", "127.77.255.7:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		list = append(list, l.Addr().String())
	}
	return list
}

func TestForwardsOfARunningGuestFollow(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	defer func() { destroyAll(t, e, dir) }()
	at := freeAddresses(t, 3)
	forward := func(places ...int) (list []hypervisor.Forward) {
		for _, i := range places {
			list = append(list, hypervisor.Forward{Protocol: "tcp", Listen: at[i], Port: 22 + i})
		}
		return list
	}
	check := func(what string, want ...int) {
		t.Helper()
		open := map[int]bool{}
		for _, i := range want {
			open[i] = true
		}
		for i, a := range at {
			if listens(a) != open[i] {
				t.Errorf("%s: somebody listens at %s: %t, want %t", what, a, !open[i], open[i])
			}
		}
	}
	change := func(places ...int) error { return e.Forward(t.Context(), "a", "p0", forward(places...)) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp4", at[2])
	must(err)
	s := spec(t, "a")
	s.NICs = []hypervisor.NIC{{PortID: "p0", MAC: "fa:16:3e:00:00:01", User: &hypervisor.UserNet{CIDR: "10.9.0.0/24", Forward: forward(0, 2)}}}
	must(e.Create(t.Context(), s)) // although a port is somebody else's
	check("at the start", 0, 2)
	if err := change(1, 2); err == nil || !strings.Contains(err.Error(), at[2]) {
		t.Errorf("a port that somebody listens on: %v, want an error that names %s", err, at[2])
	}
	check("after a change", 1, 2)
	must(taken.Close())
	must(change(1, 2))
	check("when the port is free again", 1, 2)
	must(change(1, 2))

	letGo(e)
	e = open(t, dir)
	must(change(1, 2))
	check("after an adoption", 1, 2)
	must(change(0))
	check("changed by who adopted it", 0)
	must(e.Pause(t.Context(), "a"))
	must(change())
	check("of a paused guest")

	must(e.Stop(t.Context(), "a", 0))
	if err := change(0); !errors.Is(err, hypervisor.ErrState) {
		t.Errorf("of a guest that is off: %v, want %v", err, hypervisor.ErrState)
	}
	must(e.Start(t.Context(), s))
	check("at the next start", 0, 2)
	must(e.DetachNIC(t.Context(), "a", "p0"))
	check("without the card")
	if err := change(0); !errors.Is(err, hypervisor.ErrState) {
		t.Errorf("of a card that is gone: %v, want %v", err, hypervisor.ErrState)
	}
}

func TestAForwardIsNoLineForTheMonitor(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	defer func() { destroyAll(t, e, dir) }()
	s := spec(t, "a")
	s.NICs = []hypervisor.NIC{{PortID: "p0", MAC: "fa:16:3e:00:00:01", User: &hypervisor.UserNet{CIDR: "10.9.0.0/24"}}}
	if err := e.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, f := range []hypervisor.Forward{
		{Protocol: "tcp", Listen: "127.0.0.1:1\nquit", Port: 1},
		{Protocol: "tcp\nquit", Listen: "127.0.0.1:1", Port: 1},
		{Protocol: "tcp", Listen: "localhost:1", Port: 1},
		{Protocol: "tcp", Listen: "[::1]:1", Port: 1},
		{Protocol: "tcp", Listen: "127.0.0.1:0", Port: 1},
		{Protocol: "udp", Listen: "127.0.0.1:1", Port: 65536},
	} {
		if err := e.Forward(t.Context(), "a", "p0", []hypervisor.Forward{f}); !errors.Is(err, hypervisor.ErrSpec) {
			t.Errorf("%s: %v, want %v", fmt.Sprintf("%+v", f), err, hypervisor.ErrSpec)
		}
	}
	list, err := e.List(t.Context())
	if err != nil || len(list) != 1 || list[0].State != hypervisor.Running {
		t.Errorf("List = %+v, %v, want one that runs", list, err)
	}
}
