package fabric_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/network"
)

var update = flag.Bool("update", false, "rewrite golden files")

// drawn writes a state as text, with names instead of ids.
func drawn(st network.State, names map[string]string) string {
	var b strings.Builder
	name := func(id string) string {
		if n, ok := names[id]; ok {
			return n
		}
		return "?" + id
	}
	for _, n := range st.Networks {
		fmt.Fprintf(&b, "network %s external=%t mtu=%d\n", n.Name, n.External, n.MTU)
		for _, s := range n.Subnets {
			fmt.Fprintf(&b, "  subnet %s gateway=%s dhcp=%t dns=%v routes=%v metadata=%t\n", s.Prefix, s.Gateway, s.DHCP, s.DNS, s.Routes, s.Metadata)
		}
	}
	for _, r := range st.Routers {
		fmt.Fprintf(&b, "router %s up=%t snat=%t routes=%v floating=%v\n", name(r.ID), r.Up, r.SNAT, r.Routes, r.Floating)
		for _, i := range r.Interfaces {
			fmt.Fprintf(&b, "  inside %s %v\n", name(i.NetworkID), i.Addresses)
		}
		if r.Gateway != nil {
			fmt.Fprintf(&b, "  gateway %s %v\n", name(r.Gateway.NetworkID), r.Gateway.Addresses)
		}
	}
	for _, p := range st.Ports {
		fmt.Fprintf(&b, "port of %s on %s %v filtered=%t pairs=%v options=%v\n", name(p.InstanceID), name(p.NetworkID), p.Addresses, p.Filtered, len(p.AllowedPairs), p.Options)
		for _, r := range p.Rules {
			fmt.Fprintf(&b, "  rule ingress=%t ipv6=%t %q %d-%d from %v group=%s\n", r.Ingress, r.IPv6, r.Protocol, r.Min, r.Max, r.RemotePrefix, name(r.RemoteGroupID))
		}
	}
	for id, members := range st.Groups {
		fmt.Fprintf(&b, "group %s %v\n", name(id), members)
	}
	// Ids are drawn anew in each run, and with them the order of what is in the
	// order of ids: lines of one block are sorted.
	return sortedBlocks(b.String())
}

// sortedBlocks sorts blocks (a line with those that are indented below it), and
// the lines inside.
func sortedBlocks(text string) string {
	var blocks []string
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") && len(blocks) > 0 {
			blocks[len(blocks)-1] += "\n" + line
		} else {
			blocks = append(blocks, line)
		}
	}
	for i, block := range blocks {
		lines := strings.Split(block, "\n")
		slices.Sort(lines[1:])
		blocks[i] = strings.Join(lines, "\n")
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "\n") + "\n"
}

func TestStateOfAHost(t *testing.T) {
	t.Parallel()
	w := started(t)
	inner, sub := w.network(member, "10.1.0.0/24", func(a *fabric.SubnetAttrs) {
		a.DNS = fabric.Some([]string{"9.9.9.9"})
		a.Routes = fabric.Some([]compute.Route{{Destination: "10.99.0.0/16", NextHop: "10.1.0.9"}})
	})
	far, farSub := w.network(member, "10.2.0.0/24")
	w.network(member, "10.3.0.0/24") // touched by nothing
	routers, err := w.CreateRouters(w.ctx, member, []fabric.RouterAttrs{{Name: fabric.Some("mine"),
		Gateway: fabric.Some(&fabric.Gateway{NetworkID: w.first(fabric.PublicNetwork).ID})}})
	w.must(err)
	for _, id := range []string{sub.ID, farSub.ID} {
		_, err = w.AddInterface(w.ctx, member, routers[0].ID, id, "")
		w.must(err)
	}
	_, err = w.UpdateRouter(w.ctx, member, routers[0].ID, fabric.RouterAttrs{Routes: fabric.Some([]compute.Route{{Destination: "10.50.0.0/16", NextHop: "10.2.0.7"}})})
	w.must(err)
	groups, err := w.CreateGroups(w.ctx, member, []fabric.GroupAttrs{{Name: fabric.Some("web")}})
	w.must(err)
	port := func(n int) fabric.Opt[*int] { return fabric.Some(&n) }
	_, err = w.CreateRules(w.ctx, member, []fabric.RuleAttrs{
		{GroupID: fabric.Some(groups[0].ID), Direction: fabric.Some("ingress"), Protocol: fabric.Some("tcp"), PortMin: port(22), PortMax: port(22), RemotePrefix: fabric.Some("172.24.4.0/24")},
		{GroupID: fabric.Some(groups[0].ID), Direction: fabric.Some("ingress"), Protocol: fabric.Some("icmp")},
		{GroupID: fabric.Some(groups[0].ID), Direction: fabric.Some("ingress"), RemoteGroupID: fabric.Some(groups[0].ID)},
	})
	w.must(err)
	a, err := w.instance(member, "a", "host-1", []fabric.Want{{NetworkID: inner.ID}}, "web")
	w.must(err)
	b, err := w.instance(member, "b", "host-2", []fabric.Want{{NetworkID: inner.ID}}, "web")
	w.must(err)
	_, err = w.CreateFloatingIPs(w.ctx, member, []fabric.FloatingAttrs{{NetworkID: fabric.Some(w.first(fabric.PublicNetwork).ID), PortID: fabric.Some(a.Ports[0])}})
	w.must(err)
	_, err = w.UpdatePort(w.ctx, member, a.Ports[0], fabric.PortAttrs{Pairs: fabric.Some([]compute.AddressPair{{IP: "10.1.0.200"}}),
		DHCP: fabric.Some([]compute.DHCPOption{{Name: "bootfile-name", Value: "pxelinux.0", IPVersion: 4}})})
	w.must(err)

	names := map[string]string{"": "-", inner.ID: "inner", far.ID: "far", w.first(fabric.PublicNetwork).ID: "public", routers[0].ID: "mine",
		a.ID: "a", b.ID: "b", groups[0].ID: "web"}
	got := drawn(w.state("host-1"), names)
	golden := filepath.Join("testdata", "state.txt")
	if *update {
		w.must(os.MkdirAll("testdata", 0o755))
		w.must(os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	w.must(err)
	if got != string(want) {
		t.Errorf("state of host-1:\n%s\nwant:\n%s", got, want)
	}
	// A host without instances has a card on the default external network and nothing else.
	if st := w.state("host-3"); len(st.Routers)+len(st.Ports) != 0 || len(st.Networks) != 1 || !st.Networks[0].Host || st.Networks[0].Name != fabric.PublicNetwork {
		t.Errorf("state of a host without instances = %+v", st)
	}
	w.must(w.write(func(tx *compute.Tx) error {
		i, err := tx.Instances.Get(a.ID)
		if err == nil {
			err = w.Bind(tx, i, "host-3")
		}
		if err == nil {
			err = tx.Instances.Update(i)
		}
		return err
	}))
	if got := len(w.state("host-1").Ports) + len(w.state("host-3").Ports)*10; got != 10 {
		t.Errorf("after the move host-1 and host-3 have ports %d (units and tens), want 10", got)
	}
}

func TestBootstrapTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.must(w.dropDefaultRouter())
	w.must(w.Bootstrap(w.ctx, admin.ProjectID, fabric.ExternalPool{CIDR: "172.24.5.0/24"}))
	w.read(func(tx *compute.Tx) error {
		routers, err := tx.Routers.Count(compute.Query{})
		nets, _ := tx.Networks.Count(compute.Query{})
		if routers != 0 || nets != 2 {
			t.Errorf("after a second start %d routers and %d networks, want 0 and 2", routers, nets)
		}
		return err
	})
}

// dropDefaultRouter removes the default router, as an administrator may.
func (w *world) dropDefaultRouter() error {
	var id, sub string
	w.read(func(tx *compute.Tx) error {
		routers, err := tx.Routers.List(compute.Query{})
		if err != nil {
			return err
		}
		id = routers[0].ID
		ports, err := tx.Ports.List(compute.Query{Where: compute.Where{"device_owner": compute.OwnerRouterInterface}})
		if err == nil {
			sub = ports[0].FixedIPs[0].SubnetID
		}
		return err
	})
	if _, err := w.RemoveInterface(w.ctx, admin, id, sub, ""); err != nil {
		return err
	}
	return w.DeleteRouter(w.ctx, admin, id)
}
