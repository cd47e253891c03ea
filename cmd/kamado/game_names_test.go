package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	dnsserver "github.com/kamado/kamado/dns/server"
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/operator"
)

// TestNodesAreNamesThatFollowTheLiving: a node that is announced is answered, with its addresses and what others need of it, until it takes no
// connections any more.
func TestNodesAreNamesThatFollowTheLiving(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	token, err := operator.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	cfg := dns.Default()
	cfg.Domain, cfg.Node, cfg.DNS, cfg.Gossip = "svc.test", "n1", []string{"127.0.0.1:0"}, "127.0.0.1:0"
	member, err := dnsserver.New(t.Context(), dnsserver.Options{Config: cfg, Data: data}, dnsserver.Deps{
		Log: slog.New(slog.DiscardHandler), Guard: operator.NewGuard(token), Audit: func(*http.Request, string, string, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- member.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-ended, member.Close()); err != nil {
			t.Error(err)
		}
	}()
	at := member.Addrs()[0]
	names := newNodeNames(member.Member(), at)
	living := func() net.Listener { // it ends with its connections, as a process does
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			var taken []net.Conn
			for {
				c, err := l.Accept()
				if err != nil {
					break
				}
				taken = append(taken, c)
			}
			for _, c := range taken {
				c.Close()
			}
		}()
		return l
	}
	a, b := living(), living()
	defer a.Close()
	nodeA := game.Node{Name: "A", WebSocket: "ws://" + a.Addr().String() + "/v1/socket", TCP: "127.0.0.1:9"}
	nodeB := game.Node{Name: "b", WebSocket: "ws://" + b.Addr().String() + "/v1/socket", Draining: true}
	wait := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not %s after 30s", what)
			}
		}
	}
	wait("announced", func() bool { // the member starts meanwhile
		return errors.Join(names.Announce(t.Context(), nodeA), names.Announce(t.Context(), nodeB)) == nil
	})
	if err := names.Announce(t.Context(), nodeA); err != nil { // again: nothing changes
		t.Fatal(err)
	}
	if own, _ := member.Member().Own(); len(own) != 5+1 { // both have one address, which the name of all has once; and the member's own name
		t.Errorf("%d records: %v", len(own), own)
	}
	nodes := func() []game.Node {
		list, err := names.Nodes(t.Context())
		if err != nil {
			t.Log(err)
		}
		slices.SortFunc(list, func(a, b game.Node) int { return len(b.TCP) - len(a.TCP) })
		return list
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at.String())
	}}
	addrs := func(name string) int {
		list, _ := r.LookupHost(t.Context(), name) // not found: none
		return len(list)
	}
	wait("both nodes", func() bool { return slices.Equal(nodes(), []game.Node{nodeA, nodeB}) })
	wait("names", func() bool { return addrs("a.world.svc.test.") == 1 && addrs("world.svc.test.") > 0 })

	// Another address: the old one leaves.
	nodeA.TCP = "127.0.0.1:10"
	if err := names.Announce(t.Context(), nodeA); err != nil {
		t.Fatal(err)
	}
	wait("the new address", func() bool { return slices.Equal(nodes(), []game.Node{nodeA, nodeB}) })

	// One that dies.
	b.Close()
	wait("without the dead", func() bool { return slices.Equal(nodes(), []game.Node{nodeA}) && addrs("b.world.svc.test.") == 0 })

	// One that leaves.
	if err := names.Withdraw(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	wait("empty", func() bool { return len(nodes()) == 0 })
	if own, _ := member.Member().Own(); len(own) != 2+1 {
		t.Errorf("%d records are left: %v", len(own), own)
	}
	if err := names.Announce(t.Context(), game.Node{Name: "a..b", WebSocket: "ws://127.0.0.1:1/v1/socket"}); err == nil {
		t.Error("a node was announced whose name is none of dns")
	}
}
