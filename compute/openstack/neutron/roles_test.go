package neutron_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/compute/openstack/neutron"
)

// things makes one of each kind for the member, and gives its path and id by kind.
func (c *cloud) things() map[string]string {
	c.t.Helper()
	network, subnet := c.net(c.member, "10.1.0.0/24")
	id := func(path, noun string, a attrs) string { return c.make(c.member, path, noun, a)["id"].(string) }
	group := id("/security-groups", "security_group", attrs{"name": "g"})
	return map[string]string{
		"networks": network, "subnets": subnet, "security-groups": group,
		"ports":                id("/ports", "port", attrs{"network_id": network}),
		"routers":              id("/routers", "router", attrs{"name": "r"}),
		"floatingips":          id("/floatingips", "floatingip", attrs{"floating_network_id": c.public}),
		"subnetpools":          id("/subnetpools", "subnetpool", attrs{"name": "p", "prefixes": []string{"10.200.0.0/16"}}),
		"security-group-rules": id("/security-group-rules", "security_group_rule", attrs{"security_group_id": group, "direction": "ingress", "protocol": "tcp"}),
	}
}

// noun gives the key of a kind's bodies.
func noun(kind string) string {
	return strings.ReplaceAll(strings.TrimSuffix(kind, "s"), "-", "_")
}

// TestEveryRouteAsksForItsRole walks the table: a route without a token is 401,
// and one for members is 403 for a reader.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for _, route := range neutron.Routes() {
		path := strings.NewReplacer("{id}", "00000000-0000-4000-8000-000000000000", "{tag}", "x", "{alias}", "router", "{$}", "").Replace(route.Pattern)
		url := c.url + "/network" + path
		ask := func(token string) int {
			status, _, _ := c.send(token, route.Method, url, map[string]any{})
			return status
		}
		if route.Rule == openstack.Open {
			if got := ask(""); got != 200 {
				t.Errorf("%s %s without a token = %d, want 200", route.Method, route.Pattern, got)
			}
			continue
		}
		if got := ask(""); got != 401 {
			t.Errorf("%s %s without a token = %d, want 401", route.Method, route.Pattern, got)
		}
		reader, member := ask(c.reader), ask(c.member)
		switch route.Rule {
		case openstack.AsReader:
			if reader == 403 && !strings.Contains(route.Pattern, "/quotas/{id}") {
				t.Errorf("%s %s by a reader = 403", route.Method, route.Pattern)
			}
		case openstack.AsMember:
			if reader != 403 || member == 403 {
				t.Errorf("%s %s by a reader and a member = %d, %d, want 403 for the reader alone", route.Method, route.Pattern, reader, member)
			}
		case openstack.AsAdmin:
			if reader != 403 || member != 403 {
				t.Errorf("%s %s by a reader and a member = %d, %d, want 403", route.Method, route.Pattern, reader, member)
			}
		default:
			t.Errorf("%s %s has no rule", route.Method, route.Pattern)
		}
	}
}

// TestForeignIsAbsent asks for everything of another project and for what does not
// exist: the answers are the same but for the id.
func TestForeignIsAbsent(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	const nobody = "00000000-0000-4000-8000-000000000000"
	things := c.things()
	for _, kind := range slices.Sorted(maps.Keys(things)) {
		id := things[kind]
		list := c.get(c.other, "/"+kind)
		for _, v := range list[strings.ReplaceAll(kind, "-", "_")].([]any) {
			if v.(map[string]any)["id"] == id {
				t.Errorf("%s of another project are listed", kind)
			}
		}
		for _, ask := range []struct {
			method, path string
			body         any
		}{
			{"GET", "", nil}, {"PUT", "", map[string]any{noun(kind): attrs{"description": "x"}}}, {"DELETE", "", nil},
			{"GET", "/tags", nil}, {"PUT", "/tags/x", nil}, {"PUT", "/tags", attrs{"tags": []string{"x"}}}, {"DELETE", "/tags", nil},
			{"PUT", "/add_router_interface", attrs{"subnet_id": things["subnets"]}}, {"PUT", "/add_extraroutes", map[string]any{"router": attrs{"routes": []any{}}}},
		} {
			status, got := c.call(c.other, ask.method, "/"+kind+"/"+id+ask.path, ask.body)
			want, absent := c.call(c.other, ask.method, "/"+kind+"/"+nobody+ask.path, ask.body)
			text := func(v map[string]any) string {
				e, _ := v["NeutronError"].(map[string]any)
				m, _ := e["message"].(string)
				return strings.ReplaceAll(strings.ReplaceAll(m, id, "ID"), nobody, "ID")
			}
			if status != want || text(got) != text(absent) || status != 404 && status != 405 {
				t.Errorf("%s %s%s of another project = %d %v, of nobody = %d %v", ask.method, kind, ask.path, status, got, want, absent)
			}
		}
	}
	c.sameForDevices(nobody, things["routers"])
	c.fails(c.other, "POST", "/ports", map[string]any{"port": attrs{"network_id": things["networks"]}}, 404, "NetworkNotFound")
	c.fails(c.other, "POST", "/subnets", map[string]any{"subnet": attrs{"network_id": things["networks"], "cidr": "10.9.0.0/24", "ip_version": 4}}, 404, "NetworkNotFound")
	c.fails(c.other, "POST", "/security-group-rules", map[string]any{"security_group_rule": attrs{"security_group_id": things["security-groups"], "direction": "ingress"}}, 404, "SecurityGroupNotFound")
	c.fails(c.other, "POST", "/floatingips", map[string]any{"floatingip": attrs{"floating_network_id": c.public, "port_id": things["ports"]}}, 404, "PortNotFound")
	c.fails(c.other, "GET", "/ports?marker="+things["ports"]+"&limit=1", nil, 400, "HTTPBadRequest")
}

// sameForDevices names, as a port's device, what is not there and what is another
// project's.
func (c *cloud) sameForDevices(absent, router string) {
	c.t.Helper()
	inst := &compute.Instance{ID: compute.NewID(), ProjectID: c.boot.MemberProjectID, VM: compute.VMActive}
	if err := c.store.Write(c.t.Context(), func(tx *compute.Tx) error { return tx.Instances.Insert(inst) }); err != nil {
		c.t.Fatal(err)
	}
	for _, owner := range []string{"", "compute:nova", "network:router_interface"} {
		want := map[string]int{}
		for _, device := range []string{absent, inst.ID, router} {
			named := attrs{"device_id": device, "device_owner": owner}
			free := c.make(c.other, "/ports", "port", attrs{"network_id": c.private})["id"].(string)
			for method, path := range map[string]string{"POST": "/ports", "PUT": "/ports/" + free} {
				body := attrs{"network_id": c.private, "device_id": device, "device_owner": owner}
				if method == "PUT" {
					body = named
				}
				status, got := c.call(c.other, method, path, map[string]any{"port": body})
				if device == absent {
					want[method] = status
				}
				if status != want[method] {
					c.t.Errorf("%s port of device %s, owner %q = %d %v, of an absent one %d", method, device, owner, status, got, want[method])
				}
			}
		}
	}
}

// TestWhatOnlyAdministratorsGive sends each such attribute as a member.
func TestWhatOnlyAdministratorsGive(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	network, _ := c.net(c.member, "10.1.0.0/24")
	for _, a := range []struct {
		path, noun string
		attrs      attrs
	}{
		{"/networks", "network", attrs{"shared": true}},
		{"/networks", "network", attrs{"router:external": true}},
		{"/networks", "network", attrs{"provider:network_type": "flat"}},
		{"/networks", "network", attrs{"provider:physical_network": "x"}},
		{"/ports", "port", attrs{"network_id": network, "binding:host_id": "h"}},
		{"/ports", "port", attrs{"network_id": c.private, "mac_address": "fa:16:3e:00:00:01"}},
		{"/ports", "port", attrs{"network_id": c.private, "port_security_enabled": false}},
		{"/ports", "port", attrs{"network_id": c.private, "allowed_address_pairs": []attrs{{"ip_address": "10.20.0.9"}}}},
		{"/ports", "port", attrs{"network_id": c.private, "device_owner": "network:dhcp"}},
		{"/ports", "port", attrs{"network_id": c.public}},
		{"/subnets", "subnet", attrs{"network_id": c.private, "cidr": "10.8.0.0/24", "ip_version": 4}},
		{"/floatingips", "floatingip", attrs{"floating_network_id": c.public, "floating_ip_address": "172.24.4.99"}},
		{"/routers", "router", attrs{"external_gateway_info": attrs{"network_id": c.public, "enable_snat": false}}},
		{"/subnetpools", "subnetpool", attrs{"name": "p", "prefixes": []string{"10.0.0.0/8"}, "shared": true}},
	} {
		c.fails(c.member, "POST", a.path, map[string]any{a.noun: a.attrs}, 403, "PolicyNotAuthorized")
	}
	c.fails(c.member, "PUT", "/networks/"+network, map[string]any{"network": attrs{"shared": true}}, 403, "PolicyNotAuthorized")
	c.fails(c.member, "PUT", "/networks/"+c.private, map[string]any{"network": attrs{"name": "x"}}, 403, "PolicyNotAuthorized")
	c.fails(c.member, "DELETE", "/networks/"+c.private, nil, 403, "PolicyNotAuthorized")
	if _, there := c.get(c.member, "/networks/"+network)["network"].(map[string]any)["provider:network_type"]; there {
		t.Error("a member sees how a network is made")
	}
}
