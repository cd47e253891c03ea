package fabric_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

// seen is what clients see of an instance's addresses.
func seen(inst *compute.Instance) string {
	var list []string
	for _, a := range inst.Addresses {
		list = append(list, a.Network+" "+a.Type+" "+a.IP)
	}
	return strings.Join(list, ", ")
}

func TestPlugTakesTheOneNetworkThatIsThere(t *testing.T) {
	t.Parallel()
	w := started(t)
	inst, err := w.instance(member, "web", "host-1", nil)
	w.must(err)
	if got, want := seen(inst), "default fixed 10.20.0.2"; got != want {
		t.Errorf("addresses = %q, want %q", got, want)
	}
	if len(inst.Ports) != 1 || len(inst.KeepPorts) != 0 || !slices.Equal(inst.Groups, []string{"default"}) {
		t.Errorf("ports %v, kept %v, groups %v", inst.Ports, inst.KeepPorts, inst.Groups)
	}
	w.network(member, "10.1.0.0/24")
	_, err = w.instance(member, "web-2", "host-1", nil)
	w.wants(err, compute.Conflict, "NetworkAmbiguous")
	inst, err = w.instance(member, "web-3", "host-1", []fabric.Want{{NetworkID: fabric.WantNone}})
	w.must(err)
	if len(inst.Ports) != 0 {
		t.Errorf("an instance that asked for no network has ports %v", inst.Ports)
	}
}

func TestPlugRefuses(t *testing.T) {
	t.Parallel()
	w := started(t)
	foreign, _ := w.network(other, "10.7.0.0/24")
	bare, err := w.CreateNetworks(w.ctx, member, []fabric.NetworkAttrs{{Name: fabric.Some("bare")}})
	w.must(err)
	shared := w.first(fabric.DefaultNet).ID
	used := w.port(member, fabric.PortAttrs{NetworkID: fabric.Some(shared), DeviceID: fabric.Some("something")})
	taken := w.port(member, fabric.PortAttrs{NetworkID: fabric.Some(shared)})
	theirs := w.port(other, fabric.PortAttrs{NetworkID: fabric.Some(shared)})
	for _, c := range []struct {
		text  string
		want  fabric.Want
		group string
		kind  compute.Kind
		name  string
	}{
		{"a network that is not there", fabric.Want{NetworkID: compute.NewID()}, "", compute.Invalid, "NetworkNotFound"},
		{"another project's network", fabric.Want{NetworkID: foreign.ID}, "", compute.Invalid, "NetworkNotFound"},
		{"an external network", fabric.Want{NetworkID: w.first(fabric.PublicNetwork).ID}, "", compute.Denied, "ExternalNetworkAttachForbidden"},
		{"a network without subnets", fabric.Want{NetworkID: bare[0].ID}, "", compute.Invalid, "NetworkRequiresSubnet"},
		{"a port that is in use", fabric.Want{PortID: used.ID}, "", compute.Conflict, "PortInUse"},
		{"another project's port", fabric.Want{PortID: theirs.ID}, "", compute.Invalid, "PortNotFound"},
		{"an address that is taken", fabric.Want{NetworkID: shared, FixedIP: taken.FixedIPs[0].IP}, "", compute.Conflict, "IpAddressAlreadyAllocated"},
		{"an address of nowhere", fabric.Want{NetworkID: shared, FixedIP: "192.0.2.1"}, "", compute.Invalid, "InvalidIpForNetwork"},
		{"a group that is not there", fabric.Want{NetworkID: shared}, "nobody", compute.Invalid, "SecurityGroupNotFound"},
	} {
		t.Run(c.text, func(t *testing.T) {
			before := w.used(member.ProjectID, compute.QuotaPorts)
			var groups []string
			if c.group != "" {
				groups = []string{c.group}
			}
			_, err := w.instance(member, "x", "host-1", []fabric.Want{c.want}, groups...)
			(&world{T: t}).wants(err, c.kind, c.name)
			if after := w.used(member.ProjectID, compute.QuotaPorts); after != before {
				t.Errorf("quota went from %d to %d ports", before, after)
			}
		})
	}
}

func TestAddressesOfAnInstanceFollowItsPorts(t *testing.T) {
	t.Parallel()
	w := started(t)
	inst, err := w.instance(member, "web", "host-1", nil)
	w.must(err)
	check := func(when, want string) {
		t.Helper()
		if got := seen(w.stored(inst.ID)); got != want {
			t.Errorf("%s: addresses = %q, want %q", when, got, want)
		}
	}
	made, err := w.CreateFloatingIPs(w.ctx, member, []fabric.FloatingAttrs{
		{NetworkID: fabric.Some(w.first(fabric.PublicNetwork).ID), PortID: fabric.Some(inst.Ports[0])}})
	w.must(err)
	if made[0].Status != "ACTIVE" {
		t.Errorf("status of a floating address that leads somewhere = %s", made[0].Status)
	}
	fip := made[0]
	check("floating address associated", "default fixed 10.20.0.2, default floating "+fip.IP)
	_, err = w.UpdateNetwork(w.ctx, admin, w.first(fabric.DefaultNet).ID, fabric.NetworkAttrs{Name: fabric.Some("lan")})
	w.must(err)
	check("network renamed", "lan fixed 10.20.0.2, lan floating "+fip.IP)
	_, err = w.UpdatePort(w.ctx, member, inst.Ports[0], fabric.PortAttrs{FixedIPs: fabric.Some([]fabric.FixedRequest{{IP: "10.20.0.77"}})})
	w.must(err)
	check("address replaced", "lan fixed 10.20.0.77")
	_, err = w.UpdateFloatingIP(w.ctx, member, fip.ID, fabric.FloatingAttrs{PortID: fabric.Some(inst.Ports[0])})
	w.must(err)
	check("floating address back", "lan fixed 10.20.0.77, lan floating "+fip.IP)
	w.must(w.DeleteFloatingIP(w.ctx, member, fip.ID))
	check("floating address deleted", "lan fixed 10.20.0.77")
	groups, err := w.CreateGroups(w.ctx, member, []fabric.GroupAttrs{{Name: fabric.Some("web")}})
	w.must(err)
	w.must(w.write(func(tx *compute.Tx) error {
		i, err := tx.Instances.Get(inst.ID)
		if err == nil {
			err = w.AddGroup(tx, member, i, "web")
		}
		if err == nil {
			err = tx.Instances.Update(i)
		}
		return err
	}))
	_, err = w.UpdateGroup(w.ctx, member, groups[0].ID, fabric.GroupAttrs{Name: fabric.Some("www")})
	w.must(err)
	if got := w.stored(inst.ID).Groups; !slices.Equal(got, []string{"default", "www"}) {
		t.Errorf("groups = %v, want default and www", got)
	}
	w.wants(w.DeleteGroup(w.ctx, member, groups[0].ID), compute.Conflict, "SecurityGroupInUse")
	w.must(w.DeletePort(w.ctx, member, inst.Ports[0]))
	if got := w.stored(inst.ID); len(got.Ports) != 0 || len(got.Addresses) != 0 {
		t.Errorf("after its port was deleted, ports %v, addresses %v", got.Ports, got.Addresses)
	}
}

func TestUnplugKeepsTheUsersPorts(t *testing.T) {
	t.Parallel()
	w := started(t)
	n, _ := w.network(member, "10.1.0.0/24")
	mine := w.port(member, fabric.PortAttrs{NetworkID: fabric.Some(n.ID), Name: fabric.Some("keep")})
	inst, err := w.instance(member, "web", "host-1", []fabric.Want{{NetworkID: n.ID}, {PortID: mine.ID}})
	w.must(err)
	if len(inst.Ports) != 2 || !slices.Equal(inst.KeepPorts, []string{mine.ID}) {
		t.Fatalf("ports %v, kept %v", inst.Ports, inst.KeepPorts)
	}
	var more *compute.Port
	w.must(w.write(func(tx *compute.Tx) (err error) {
		i, err := tx.Instances.Get(inst.ID)
		if err != nil {
			return err
		}
		if more, err = w.PlugOne(tx, member, i, fabric.Want{NetworkID: n.ID}); err != nil {
			return err
		}
		if err := w.UnplugOne(tx, i, i.Ports[0]); err != nil {
			return err
		}
		return tx.Instances.Update(i)
	}))
	if got := w.stored(inst.ID).Ports; !slices.Equal(got, []string{mine.ID, more.ID}) {
		t.Errorf("ports after one came and one went = %v", got)
	}
	w.must(w.write(func(tx *compute.Tx) error {
		i, err := tx.Instances.Get(inst.ID)
		if err == nil {
			err = w.Unplug(tx, i)
		}
		if err == nil {
			err = tx.Instances.Update(i)
		}
		return err
	}))
	w.read(func(tx *compute.Tx) error {
		left, err := tx.Ports.List(compute.Query{Where: compute.Where{"network_id": n.ID}})
		if len(left) != 1 || left[0].ID != mine.ID || left[0].DeviceID != "" || left[0].Status != "DOWN" || left[0].HostID != "" {
			t.Errorf("ports left = %+v, want the user's own, free", left)
		}
		return err
	})
	if got := w.used(member.ProjectID, compute.QuotaPorts); got != 1 {
		t.Errorf("quota counts %d ports, want 1", got)
	}
}

// TestAnothersInstanceIsADeviceLikeAnAbsentOne names both as a port's device: the
// answers are alike, and nothing comes of either.
func TestAnothersInstanceIsADeviceLikeAnAbsentOne(t *testing.T) {
	t.Parallel()
	w := started(t)
	inst, err := w.instance(member, "web", "host-1", nil)
	w.must(err)
	n := w.first(fabric.DefaultNet)
	before, state := w.stored(inst.ID), w.state("host-1")
	for _, device := range []string{compute.NewID(), inst.ID} {
		named := fabric.PortAttrs{NetworkID: fabric.Some(n.ID), DeviceID: fabric.Some(device), DeviceOwner: fabric.Some("compute:nova")}
		p := w.port(other, named)
		if p.DeviceID != device || p.Status != "DOWN" {
			t.Errorf("a port with a device of somebody's: device %s, %s, want %s, DOWN", p.DeviceID, p.Status, device)
		}
		_, err := w.UpdatePort(w.ctx, other, p.ID, fabric.PortAttrs{Name: fabric.Some("mine"), DeviceID: fabric.Some(inst.ID)})
		w.must(err)
		_, err = w.UpdatePort(w.ctx, other, p.ID, fabric.PortAttrs{DeviceID: fabric.Some(device)})
		w.must(err)
		_, err = w.UpdateNetwork(w.ctx, admin, n.ID, fabric.NetworkAttrs{Description: fabric.Some("lan")})
		w.must(err)
		if got := w.state("host-1"); !reflect.DeepEqual(got, state) {
			t.Errorf("the host plugs a port that only names the instance: %+v", got.Ports)
		}
		w.must(w.DeletePort(w.ctx, other, p.ID))
	}
	if got := w.stored(inst.ID); !reflect.DeepEqual(got, before) {
		t.Errorf("the instance is now %+v, was %+v", got, before)
	}
}

// TestNobodyWritesARoutersPort names a port a router's own, which joins it.
func TestNobodyWritesARoutersPort(t *testing.T) {
	t.Parallel()
	w := started(t)
	routers, err := w.CreateRouters(w.ctx, member, []fabric.RouterAttrs{{Name: fabric.Some("r")}})
	w.must(err)
	n, _ := w.network(other, "10.7.0.0/24")
	note := w.port(other, fabric.PortAttrs{NetworkID: fabric.Some(n.ID), DeviceID: fabric.Some(routers[0].ID)})
	for _, who := range []compute.Caller{other, admin} {
		for _, owner := range []string{compute.OwnerRouterInterface, compute.OwnerRouterGateway, compute.OwnerFloatingIP} {
			for _, device := range []string{"", compute.NewID(), routers[0].ID} {
				a := fabric.PortAttrs{NetworkID: fabric.Some(n.ID), DeviceID: fabric.Some(device), DeviceOwner: fabric.Some(owner)}
				_, err = w.CreatePorts(w.ctx, who, []fabric.PortAttrs{a})
				w.wants(err, compute.Invalid, "HTTPBadRequest")
				_, err = w.UpdatePort(w.ctx, who, note.ID, fabric.PortAttrs{DeviceID: a.DeviceID, DeviceOwner: a.DeviceOwner})
				w.wants(err, compute.Invalid, "HTTPBadRequest")
			}
		}
	}
	// A note about a router is no link of its: no route leads there.
	_, err = w.UpdateRouter(w.ctx, member, routers[0].ID, fabric.RouterAttrs{Routes: fabric.Some([]compute.Route{{Destination: "10.9.0.0/24", NextHop: "10.7.0.9"}})})
	w.wants(err, compute.Invalid, "InvalidRoutes")
	w.must(w.DeleteRouter(w.ctx, member, routers[0].ID))
	_, err = w.instance(other, "x", "host-1", []fabric.Want{{NetworkID: n.ID}})
	w.must(err)
	w.state("host-1") // can be read
}
