package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/game"
)

// Names of the world, below the member's domain: NODE.world has the node's address, world has those of all nodes, and _nodes.world what
// nodes need to find each other, as texts. All of them leave the answers when the node dies.
const (
	worldUnder  = "world"
	nodesUnder  = "_nodes.world"
	worldTTL    = 1   // seconds: clients of a dead node ask again soon
	nodeTextMax = 255 // bytes of one text (RFC 1035 3.3.14)
)

// nodeNames has the nodes of the world in names that follow the living. It satisfies game.NodeRegistrar.
type nodeNames struct {
	member ownNames
	ask    func(ctx context.Context, name string) ([]string, error) // texts of a name, as anybody is answered

	mu   sync.Mutex
	last map[string]game.Node // what was announced, by name
}

// newNodeNames asks for names at the member's own address, as every other program does.
func newNodeNames(member ownNames, at netip.AddrPort) *nodeNames {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at.String())
	}}
	return &nodeNames{member: member, last: map[string]game.Node{}, ask: func(ctx context.Context, name string) ([]string, error) {
		texts, err := r.LookupTXT(ctx, name)
		var none *net.DNSError
		if errors.As(err, &none) && none.IsNotFound {
			return nil, nil
		}
		return texts, err
	}}
}

// Announce makes the records of a node, unless they are there as they should be.
func (n *nodeNames) Announce(ctx context.Context, node game.Node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last[node.Name] == node {
		return nil
	}
	want, err := n.records(node)
	if err != nil {
		return err
	}
	if err := n.make(ctx, node.Name, want); err != nil {
		return err
	}
	n.last[node.Name] = node
	return nil
}

// Withdraw removes the records of a node.
func (n *nodeNames) Withdraw(ctx context.Context, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.last, name)
	return n.make(ctx, name, nil)
}

// Nodes lists the nodes that are answered.
func (n *nodeNames) Nodes(ctx context.Context) ([]game.Node, error) {
	name, err := dns.Name(nodesUnder).Join(n.member.Domain())
	if err != nil {
		return nil, err
	}
	texts, err := n.ask(ctx, name.String()+".")
	if err != nil {
		return nil, fmt.Errorf("ask for the nodes of the world: %w", err)
	}
	var list []game.Node
	for _, text := range texts {
		var node game.Node
		if err := json.Unmarshal([]byte(text), &node); err == nil && node.Name != "" && node.WebSocket != "" {
			list = append(list, node)
		}
	}
	return list, nil
}

// records are those of a node: each lives while the node takes connections.
func (n *nodeNames) records(node game.Node) ([]dns.Record, error) {
	text, err := json.Marshal(node)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(node.WebSocket)
	if err != nil || len(text) > nodeTextMax {
		return nil, game.Errorf(game.Invalid, "node %s has no address that fits into a name: %d bytes, %v", node.Name, len(text), err)
	}
	names := make([]dns.Name, 0, 3)
	for _, under := range []string{strings.ToLower(node.Name) + "." + worldUnder, worldUnder, nodesUnder} {
		name, err := dns.ParseName(under)
		if err == nil {
			name, err = name.Join(n.member.Domain())
		}
		if err != nil {
			return nil, fmt.Errorf("name the node %s: %w", node.Name, err)
		}
		names = append(names, name)
	}
	check := dns.Check{Spec: "held:tcp:" + hostPort(u) + " reopen"}
	data := append([]byte{byte(len(text))}, text...)
	list := []dns.Record{{RR: dns.RR{Name: names[2], Type: dns.TypeTXT, TTL: worldTTL, Data: data}, Weight: dns.WeightDefault, Check: check}}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		for _, name := range names[:2] {
			list = append(list, dns.Record{RR: dns.AddrRR(name, addr, worldTTL), Weight: dns.WeightDefault, Check: check})
		}
	}
	return list, nil
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// make brings the records of a node to what is wanted. Other nodes' records are known by their checks and texts.
func (n *nodeNames) make(ctx context.Context, name string, want []dns.Record) error {
	under, err := dns.Name(worldUnder).Join(n.member.Domain())
	if err != nil {
		return err
	}
	own, _ := n.member.Own()
	checks := map[string]bool{} // of the node's records: its addresses, before and now
	for _, o := range own {
		if text, ok := nodeText(o, under); ok && text.Name == name {
			checks[o.Check.Spec] = true
		}
	}
	var errs []error
next:
	for _, o := range own {
		if o.Name != under && !o.Name.Under(under) || !checks[o.Check.Spec] {
			continue
		}
		for i, w := range want {
			if o.Name == w.Name && o.Type == w.Type && bytes.Equal(o.Data, w.Data) && o.Check == w.Check {
				want = append(want[:i:i], want[i+1:]...)
				continue next
			}
		}
		errs = append(errs, n.member.Remove(ctx, o.ID()))
	}
	for _, w := range want {
		if !taken(own, w, checks) {
			_, err := n.member.Add(ctx, w)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// taken says whether another node has the record already: the name of all nodes has each address once, and it lives while the node lives that brought
// it. Nodes of one machine share an address.
func taken(own []dns.Owned, w dns.Record, checks map[string]bool) bool {
	return slices.ContainsFunc(own, func(o dns.Owned) bool {
		return o.Name == w.Name && o.Type == w.Type && bytes.Equal(o.Data, w.Data) && !checks[o.Check.Spec]
	})
}

// nodeText reads a record of nodes.
func nodeText(o dns.Owned, under dns.Name) (node game.Node, ok bool) {
	if o.Type != dns.TypeTXT || !o.Name.Under(under) || len(o.Data) < 2 {
		return node, false
	}
	return node, json.Unmarshal(o.Data[1:], &node) == nil && node.Name != ""
}
