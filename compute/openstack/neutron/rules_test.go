package neutron_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack/neutron"
)

func TestEveryKindOfErrorHasAFault(t *testing.T) {
	t.Parallel()
	for _, k := range compute.Kinds() {
		if status, ok := neutron.Faults(k); !ok || status < 400 {
			t.Errorf("kind %s has no fault", k)
		}
	}
}

// TestRefusals is the table of what requests may not say: Neutron's status and
// name for each.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	network, subnet := c.net(c.member, "10.1.0.0/24")
	sub := func(a attrs) map[string]any {
		full := attrs{"network_id": network, "ip_version": 4, "cidr": "10.2.0.0/24"}
		for k, v := range a {
			full[k] = v
		}
		return map[string]any{"subnet": full}
	}
	port := func(a attrs) map[string]any {
		full := attrs{"network_id": network}
		for k, v := range a {
			full[k] = v
		}
		return map[string]any{"port": full}
	}
	group := c.make(c.member, "/security-groups", "security_group", attrs{"name": "g"})["id"].(string)
	rule := func(a attrs) map[string]any {
		full := attrs{"security_group_id": group, "direction": "ingress"}
		for k, v := range a {
			full[k] = v
		}
		return map[string]any{"security_group_rule": full}
	}
	taken := c.make(c.member, "/ports", "port", attrs{"network_id": network})["fixed_ips"].([]any)[0].(map[string]any)["ip_address"]
	for _, x := range []struct {
		path   string
		body   any
		status int
		name   string
	}{
		{"/networks", "{", 400, "MalformedRequestBody"},
		{"/networks", `[]`, 400, "MalformedRequestBody"},
		{"/networks", `{"net":{}}`, 400, "HTTPBadRequest"},
		{"/networks", map[string]any{"network": attrs{"colour": "red"}}, 400, "HTTPBadRequest"},
		{"/networks", map[string]any{"network": attrs{"status": "ACTIVE"}}, 400, "HTTPBadRequest"},
		{"/networks", map[string]any{"network": attrs{"admin_state_up": "perhaps"}}, 400, "HTTPBadRequest"},
		{"/networks", map[string]any{"network": attrs{"name": 7}}, 400, "HTTPBadRequest"},
		{"/networks", map[string]any{"network": attrs{"mtu": 12}}, 400, "InvalidInput"},
		{"/networks", map[string]any{"network": attrs{"project_id": "another"}}, 400, "HTTPBadRequest"},
		{"/networks", map[string]any{"network": attrs{"availability_zone_hints": []string{"mars"}}}, 404, "AvailabilityZoneNotFound"},
		{"/subnets", map[string]any{"subnet": attrs{"cidr": "10.2.0.0/24"}}, 400, "HTTPBadRequest"},
		{"/subnets", sub(attrs{"cidr": "10.1.0.128/25"}), 400, "InvalidInput"},
		{"/subnets", sub(attrs{"cidr": "10.2.0.1/24"}), 400, "HTTPBadRequest"},
		{"/subnets", sub(attrs{"cidr": "fd00::/64"}), 400, "InvalidInput"},
		{"/subnets", sub(attrs{"gateway_ip": "10.3.0.1"}), 400, "InvalidInput"},
		{"/subnets", sub(attrs{"gateway_ip": "10.2.0.255"}), 400, "InvalidInput"},
		{"/subnets", sub(attrs{"allocation_pools": []attrs{{"start": "10.2.0.1", "end": "10.2.0.9"}}}), 409, "GatewayConflictWithAllocationPools"},
		{"/subnets", sub(attrs{"allocation_pools": []attrs{{"start": "10.2.0.9", "end": "10.2.0.2"}}}), 400, "InvalidAllocationPool"},
		{"/subnets", sub(attrs{"allocation_pools": []attrs{{"start": "10.2.0.9", "end": "10.2.1.2"}}}), 400, "OutOfBoundsAllocationPool"},
		{"/subnets", sub(attrs{"allocation_pools": []attrs{{"start": "10.2.0.5", "end": "10.2.0.9"}, {"start": "10.2.0.9", "end": "10.2.0.12"}}}), 409, "OverlappingAllocationPools"},
		{"/subnets", sub(attrs{"dns_nameservers": []string{"a.b"}}), 400, "HTTPBadRequest"},
		{"/subnets", sub(attrs{"dns_nameservers": []string{"1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5", "1.1.1.6"}}), 400, "DNSNameServersExhausted"},
		{"/subnets", sub(attrs{"host_routes": []attrs{{"destination": "10.0.0.0/8", "nexthop": "fd00::1"}}}), 400, "HTTPBadRequest"},
		{"/subnets", sub(attrs{"ipv6_ra_mode": "slaac"}), 400, "InvalidInput"},
		{"/subnets", sub(attrs{"cidr": "10.2.0.0/31"}), 400, "InvalidInput"},
		{"/subnets", sub(attrs{"cidr": nil, "subnetpool_id": compute.NewID()}), 404, "SubnetPoolNotFound"},
		{"/ports", port(attrs{"fixed_ips": []attrs{{"ip_address": taken}}}), 409, "IpAddressAlreadyAllocated"},
		{"/ports", port(attrs{"fixed_ips": []attrs{{"ip_address": "10.1.0.255"}}}), 400, "InvalidIpForNetwork"},
		{"/ports", port(attrs{"fixed_ips": []attrs{{"ip_address": "10.9.0.1", "subnet_id": subnet}}}), 400, "InvalidIpForSubnet"},
		{"/ports", port(attrs{"fixed_ips": []attrs{{"subnet_id": compute.NewID()}}}), 400, "InvalidInput"},
		{"/ports", port(attrs{"fixed_ips": "10.1.0.9"}), 400, "HTTPBadRequest"},
		{"/ports", port(attrs{"mac_address": "not a mac"}), 400, "HTTPBadRequest"},
		{"/ports", port(attrs{"mac_address": "01:00:5e:00:00:01"}), 400, "HTTPBadRequest"},
		{"/ports", port(attrs{"security_groups": []string{compute.NewID()}}), 404, "SecurityGroupNotFound"},
		{"/ports", port(attrs{"port_security_enabled": false, "allowed_address_pairs": []attrs{{"ip_address": "10.1.0.9"}}}), 409, "AddressPairAndPortSecurityRequired"},
		{"/ports", port(attrs{"port_security_enabled": false, "security_groups": []string{group}}), 400, "PortSecurityAndIPRequiredForSecurityGroups"},
		{"/ports", port(attrs{"allowed_address_pairs": []attrs{{"mac_address": "fa:16:3e:00:00:01"}}}), 400, "AllowedAddressPairsMissingIP"},
		{"/ports", port(attrs{"binding:vnic_type": "direct"}), 400, "InvalidInput"},
		{"/routers", map[string]any{"router": attrs{"external_gateway_info": attrs{"network_id": network}}}, 400, "BadRequest"},
		{"/routers", map[string]any{"router": attrs{"external_gateway_info": attrs{"network_id": compute.NewID()}}}, 404, "NetworkNotFound"},
		{"/floatingips", map[string]any{"floatingip": attrs{"floating_network_id": network}}, 400, "BadRequest"},
		{"/floatingips", map[string]any{"floatingip": attrs{"floating_network_id": c.public, "fixed_ip_address": "10.1.0.4"}}, 400, "BadRequest"},
		{"/security-groups", map[string]any{"security_group": attrs{"name": "default"}}, 409, "SecurityGroupDefaultAlreadyExists"},
		{"/security-group-rules", rule(attrs{"direction": "sideways"}), 400, "HTTPBadRequest"},
		{"/security-group-rules", rule(attrs{"ethertype": "IPX"}), 400, "SecurityGroupRuleInvalidEtherType"},
		{"/security-group-rules", rule(attrs{"protocol": "smtp"}), 400, "SecurityGroupRuleInvalidProtocol"},
		{"/security-group-rules", rule(attrs{"protocol": "256"}), 400, "SecurityGroupRuleInvalidProtocol"},
		{"/security-group-rules", rule(attrs{"port_range_min": 1, "port_range_max": 2}), 400, "SecurityGroupProtocolRequiredWithPorts"},
		{"/security-group-rules", rule(attrs{"protocol": "tcp", "port_range_min": 2, "port_range_max": 1}), 400, "SecurityGroupInvalidPortRange"},
		{"/security-group-rules", rule(attrs{"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}), 400, "SecurityGroupInvalidPortValue"},
		{"/security-group-rules", rule(attrs{"protocol": "icmp", "port_range_max": 1}), 400, "SecurityGroupMissingIcmpType"},
		{"/security-group-rules", rule(attrs{"protocol": "icmp", "port_range_min": 256}), 400, "SecurityGroupInvalidIcmpValue"},
		{"/security-group-rules", rule(attrs{"protocol": "vrrp", "port_range_min": 1, "port_range_max": 2}), 400, "SecurityGroupInvalidProtocolForPort"},
		{"/security-group-rules", rule(attrs{"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": group}), 400, "SecurityGroupRemoteGroupAndRemoteIpPrefix"},
		{"/security-group-rules", rule(attrs{"remote_ip_prefix": "fd00::/8"}), 400, "SecurityGroupRuleParameterConflict"},
		{"/security-group-rules", rule(attrs{"remote_group_id": "nobody"}), 404, "SecurityGroupNotFound"},
		{"/subnetpools", map[string]any{"subnetpool": attrs{"name": "p", "prefixes": []string{}}}, 400, "EmptySubnetPoolPrefixList"},
		{"/subnetpools", map[string]any{"subnetpool": attrs{"name": "p", "prefixes": []string{"10.0.0.0/8", "fd00::/8"}}}, 400, "PrefixVersionMismatch"},
		{"/subnetpools", map[string]any{"subnetpool": attrs{"name": "p", "prefixes": []string{"10.0.0.0/8"}, "min_prefixlen": 25, "max_prefixlen": 24}}, 400, "IllegalSubnetPoolPrefixBounds"},
	} {
		c.fails(c.member, "POST", x.path, x.body, x.status, x.name)
	}
	if ports := c.get(c.member, "/ports")["ports"].([]any); len(ports) != 1 {
		t.Errorf("after all refusals there are %d ports, want the 1 from before", len(ports))
	}
	c.fails(c.member, "PUT", "/subnets/"+subnet, map[string]any{"subnet": attrs{"cidr": "10.9.0.0/24"}}, 400, "HTTPBadRequest")
	c.fails(c.member, "DELETE", "/subnets/"+subnet, nil, 409, "SubnetInUse")
	c.fails(c.member, "DELETE", "/networks/"+network, nil, 409, "NetworkInUse")
	c.fails(c.member, "DELETE", "/security-groups/"+c.defaultGroup(), nil, 409, "SecurityGroupCannotRemoveDefault")
}

// TestPrefixOfARuleStaysAsGiven shows host bits again, and knows that they mean
// nothing.
func TestPrefixOfARuleStaysAsGiven(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	rule := func(prefix string) attrs {
		return attrs{"security_group_id": c.defaultGroup(), "direction": "ingress", "remote_ip_prefix": prefix}
	}
	made := c.make(c.member, "/security-group-rules", "security_group_rule", rule("10.2.3.124/24"))
	if made["remote_ip_prefix"] != "10.2.3.124/24" || made["normalized_cidr"] != "10.2.3.0/24" {
		t.Errorf("prefix %v, normalized %v, want 10.2.3.124/24 and 10.2.3.0/24", made["remote_ip_prefix"], made["normalized_cidr"])
	}
	c.fails(c.member, "POST", "/security-group-rules", map[string]any{"security_group_rule": rule("10.2.3.0/24")}, 409, "SecurityGroupRuleExists")
}

func (c *cloud) defaultGroup() string {
	c.t.Helper()
	return c.get(c.member, "/security-groups?name=default")["security_groups"].([]any)[0].(map[string]any)["id"].(string)
}

// TestRoutersInUse takes away what something needs, in every order.
func TestRoutersInUse(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	network, subnet := c.net(c.member, "10.1.0.0/24")
	_, twin := c.net(c.member, "10.1.0.0/25")
	router := c.make(c.member, "/routers", "router", attrs{"name": "r", "external_gateway_info": attrs{"network_id": c.public}})["id"].(string)
	port := c.make(c.member, "/ports", "port", attrs{"network_id": network})["id"].(string)
	fip := c.make(c.member, "/floatingips", "floatingip", attrs{"floating_network_id": c.public})["id"].(string)
	lead := map[string]any{"floatingip": attrs{"port_id": port}}
	verb := func(v string) string { return "/routers/" + router + "/" + v }
	c.fails(c.member, "PUT", "/floatingips/"+fip, lead, 404, "ExternalGatewayForFloatingIPNotFound")
	status, got := c.call(c.member, "PUT", verb("add_router_interface"), attrs{"subnet_id": subnet})
	if status != 200 || got["subnet_id"] != subnet {
		t.Fatalf("add_router_interface = %d %v", status, got)
	}
	c.fails(c.member, "PUT", verb("add_router_interface"), attrs{"subnet_id": subnet}, 400, "BadRequest")
	c.fails(c.member, "PUT", verb("add_router_interface"), attrs{"subnet_id": twin}, 400, "BadRequest")
	c.fails(c.member, "PUT", verb("add_router_interface"), attrs{}, 400, "BadRequest")
	c.fails(c.member, "PUT", verb("add_router_interface"), attrs{"port_id": got["port_id"]}, 409, "PortInUse")
	c.fails(c.member, "DELETE", "/ports/"+got["port_id"].(string), nil, 409, "ServicePortInUse")
	c.fails(c.member, "PUT", "/routers/"+router, map[string]any{"router": attrs{"routes": []attrs{{"destination": "10.50.0.0/16", "nexthop": "10.8.0.1"}}}}, 400, "InvalidRoutes")
	if status, got := c.call(c.member, "PUT", "/floatingips/"+fip, lead); status != 200 || got["floatingip"].(map[string]any)["status"] != "ACTIVE" || got["floatingip"].(map[string]any)["router_id"] != router {
		t.Fatalf("associate = %d %v", status, got)
	}
	c.fails(c.member, "PUT", verb("remove_router_interface"), attrs{"subnet_id": subnet}, 409, "RouterInterfaceInUseByFloatingIP")
	c.fails(c.member, "PUT", "/routers/"+router, map[string]any{"router": attrs{"external_gateway_info": nil}}, 409, "RouterExternalGatewayInUseByFloatingIp")
	c.fails(c.member, "DELETE", "/routers/"+router, nil, 409, "RouterInUse")
	second := c.make(c.member, "/floatingips", "floatingip", attrs{"floating_network_id": c.public})["id"].(string)
	c.fails(c.member, "PUT", "/floatingips/"+second, lead, 409, "FloatingIPPortAlreadyAssociated")
	for _, step := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"PUT", "/floatingips/" + fip, map[string]any{"floatingip": attrs{"port_id": nil}}, 200},
		{"PUT", verb("add_extraroutes"), map[string]any{"router": attrs{"routes": []attrs{{"destination": "10.50.0.0/16", "nexthop": "10.1.0.77"}}}}, 200},
		{"PUT", verb("remove_extraroutes"), map[string]any{"router": attrs{"routes": []attrs{{"destination": "10.50.0.0/16", "nexthop": "10.1.0.77"}}}}, 200},
		{"PUT", verb("remove_router_interface"), attrs{"subnet_id": subnet}, 200},
		{"DELETE", "/routers/" + router, nil, 204},
		{"DELETE", "/ports/" + port, nil, 204},
		{"DELETE", "/networks/" + network, nil, 204},
	} {
		if status, got := c.call(c.member, step.method, step.path, step.body); status != step.status {
			t.Errorf("%s %s = %d %v, want %d", step.method, step.path, status, got, step.status)
		}
	}
}

// TestPagesAreTheList reads ports page by page, in both directions and orders, and
// compares with the whole list.
func TestPagesAreTheList(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	network, _ := c.net(c.member, "10.1.0.0/24")
	bulk := []attrs{}
	for i := range 23 {
		bulk = append(bulk, attrs{"network_id": network, "name": fmt.Sprintf("p%02d", i%7)})
	}
	status, got := c.call(c.member, "POST", "/ports", map[string]any{"ports": bulk})
	if status != 201 || len(got["ports"].([]any)) != 23 {
		t.Fatalf("bulk create = %d %v", status, got)
	}
	ids := func(list []any) []string {
		var out []string
		for _, v := range list {
			out = append(out, v.(map[string]any)["id"].(string))
		}
		return out
	}
	for _, order := range []string{"", "&sort_key=id&sort_dir=desc", "&sort_key=name&sort_dir=asc", "&sort_key=name&sort_dir=desc&sort_key=id&sort_dir=asc"} {
		all := ids(c.get(c.member, "/ports?network_id="+network+order)["ports"].([]any))
		var pages []string
		next := c.url + "/network/v2.0/ports?limit=5&network_id=" + network + order
		for next != "" {
			status, got, _ := c.send(c.member, http.MethodGet, next, nil)
			if status != 200 {
				t.Fatalf("GET %s = %d %v", next, status, got)
			}
			pages = append(pages, ids(got["ports"].([]any))...)
			next = ""
			links, _ := got["ports_links"].([]any)
			for _, l := range links {
				if l := l.(map[string]any); l["rel"] == "next" {
					next = l["href"].(string)
				}
			}
		}
		if !slices.Equal(pages, all) || len(all) != 23 {
			t.Errorf("order %q: pages have %d ports, the list has %d, or in another order", order, len(pages), len(all))
		}
		back := ids(c.get(c.member, "/ports?limit=5&page_reverse=True&network_id="+network+order+"&marker="+all[10])["ports"].([]any))
		if !slices.Equal(back, all[5:10]) {
			t.Errorf("order %q: the page before the 11th is %v, want %v", order, back, all[5:10])
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	network, subnet := c.net(c.member, "10.1.0.0/24")
	one := c.make(c.member, "/ports", "port", attrs{"network_id": network, "name": "one", "fixed_ips": []attrs{{"ip_address": "10.1.0.50"}}})["id"].(string)
	two := c.make(c.member, "/ports", "port", attrs{"network_id": network, "name": "two", "admin_state_up": false, "fixed_ips": []attrs{{"ip_address": "10.1.0.60"}}})["id"].(string)
	if status, got := c.call(c.member, "PUT", "/ports/"+two+"/tags/blue", nil); status != 201 {
		t.Fatalf("tag = %d %v", status, got)
	}
	for query, want := range map[string][]string{
		"name=one":                                     {one},
		"name=one&name=two":                            {one, two},
		"name=none":                                    {},
		"admin_state_up=False":                         {two},
		"id=" + one + "&name=two":                      {},
		"fixed_ips=ip_address%3D10.1.0.50":             {one},
		"fixed_ips=ip_address_substr%3D0.60":           {two},
		"fixed_ips=subnet_id%3D" + subnet:              {one, two},
		"tags=blue":                                    {two},
		"not-tags=blue":                                {one},
		"tags-any=blue,red":                            {two},
		"security_groups=" + c.defaultGroup():          {one, two},
		"colour=red":                                   {one, two},
		"project_id=" + c.boot.MemberProjectID:         {one, two},
		"project_id=another":                           {},
		"device_owner=compute:nova":                    {},
		"mac_address=" + url.QueryEscape("x"):          {},
		"fields=id&name=one":                           {one},
		"status=DOWN&fields=id&fields=name":            {one, two},
		"network_id=" + network + "&revision_number=0": {one},
	} {
		var got []string
		for _, v := range c.get(c.member, "/ports?"+query)["ports"].([]any) {
			got = append(got, v.(map[string]any)["id"].(string))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("ports?%s = %v, want %v", query, got, want)
		}
	}
}

func TestQuotasAndReports(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	project := c.boot.MemberProjectID
	c.fails(c.member, "PUT", "/quotas/"+project, map[string]any{"quota": attrs{"port": 1}}, 403, "PolicyNotAuthorized")
	c.fails(c.admin, "PUT", "/quotas/"+project, map[string]any{"quota": attrs{"cakes": 1}}, 400, "HTTPBadRequest")
	c.fails(c.admin, "PUT", "/quotas/"+project, map[string]any{"quota": attrs{"port": -2}}, 400, "HTTPBadRequest")
	if status, got := c.call(c.admin, "PUT", "/quotas/"+project, map[string]any{"quota": attrs{"port": 1}}); status != 200 || got["quota"].(map[string]any)["port"] != 1. {
		t.Fatalf("PUT quota = %d %v", status, got)
	}
	network, _ := c.net(c.member, "10.1.0.0/24")
	c.make(c.member, "/ports", "port", attrs{"network_id": network})
	c.fails(c.member, "POST", "/ports", map[string]any{"port": attrs{"network_id": network}}, 409, "OverQuota")
	details := c.get(c.member, "/quotas/"+project+"/details.json")["quota"].(map[string]any)["port"].(map[string]any)
	if details["used"] != 1. || details["limit"] != 1. {
		t.Errorf("details = %v", details)
	}
	c.fails(c.other, "GET", "/quotas/"+project, nil, 403, "AdminRequired")
	report := c.get(c.admin, "/network-ip-availabilities/"+network)["network_ip_availability"].(map[string]any)
	if report["total_ips"] != 253. || report["used_ips"] != 1. {
		t.Errorf("availability = %v", report)
	}
	if got := c.get(c.member, "/agents")["agents"].([]any); len(got) != 0 {
		t.Errorf("a member sees hosts: %v", got)
	}
}

// TestVersionDocuments asks as clients do that look for an API.
func TestVersionDocuments(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	_, got, _ := c.send("", "GET", c.url+"/network/", nil)
	text, _ := json.Marshal(got)
	want := `{"versions":[{"id":"v2.0","links":[{"href":"` + c.url + `/network/v2.0/","rel":"self"}],"status":"CURRENT"}]}`
	if string(text) != want {
		t.Errorf("GET /network/ = %s, want %s", text, want)
	}
	_, got, _ = c.send("", "GET", c.url+"/network/v2.0/", nil)
	var names []string
	for _, r := range got["resources"].([]any) {
		names = append(names, r.(map[string]any)["name"].(string))
	}
	for _, want := range []string{"network", "subnet", "port", "router", "floatingip"} {
		if !slices.Contains(names, want) {
			t.Errorf("resources %v lack %s", names, want)
		}
	}
}

// TestSubnetsOfAnExternalNetworkAreTheOperators lists as a member: the network is
// there, its subnets are not.
func TestSubnetsOfAnExternalNetworkAreTheOperators(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	if nets := c.get(c.member, "/networks?router:external=True")["networks"].([]any); len(nets) != 1 {
		t.Errorf("a member sees %d external networks, want 1", len(nets))
	}
	if subs := c.get(c.member, "/subnets?network_id="+c.public)["subnets"].([]any); len(subs) != 0 {
		t.Errorf("a member sees subnets of an external network: %v", subs)
	}
	if subs := c.get(c.member, "/subnets?network_id="+c.private)["subnets"].([]any); len(subs) != 1 {
		t.Errorf("a member sees %d subnets of a shared network, want 1", len(subs))
	}
}
