package neutron

import (
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// extensionList is what this service does beyond networks, subnets and ports:
// alias, name and what it is.
var extensionList = [][3]string{
	{"agent", "agent", "Lists the hosts that build networks."},
	{"allowed-address-pairs", "Allowed Address Pairs", "Further senders that a port may be."},
	{"availability_zone", "Availability Zone", "Lists availability zones."},
	{"binding", "Port Binding", "The host that plugs a port."},
	{"default-subnetpools", "Default Subnetpools", "A subnet pool that is taken when none is named."},
	{"ext-gw-mode", "Neutron L3 Configurable external gateway mode", "Routers with or without source NAT."},
	{"external-net", "Neutron external network", "Networks that routers lead to."},
	{"extra_dhcp_opt", "Neutron Extra DHCP options", "DHCP options of a port."},
	{"extraroute", "Neutron Extra Route", "Routes of a router."},
	{"extraroute-atomic", "Atomically add/remove extra routes", "Adds and takes routes without naming the others."},
	{"fip-port-details", "Floating IP Port Details Extension", "Shows the port that a floating address leads to."},
	{"ip-substring-filtering", "IP address substring filtering", "Lists ports by a part of an address."},
	{"net-mtu", "Network MTU", "Shows the MTU of a network."},
	{"net-mtu-writable", "Network MTU (writable)", "Sets the MTU of a network."},
	{"network-ip-availability", "Network IP Availability", "Counts free and taken addresses."},
	{"network_availability_zone", "Network Availability Zone", "Zones of networks."},
	{"pagination", "Pagination support", "Lists in pages."},
	{"port-security", "Port Security", "Ports with or without filters."},
	{"project-id", "project_id field enabled", "Names the owner project_id as well as tenant_id."},
	{"provider", "Provider Network", "Shows how a network is made."},
	{"quota_details", "Quota details management support", "Shows what a project uses."},
	{"quotas", "Quota management support", "Limits of projects."},
	{"router", "Neutron L3 Router", "Routers and floating addresses."},
	{"router_availability_zone", "Router Availability Zone", "Zones of routers."},
	{"security-group", "security-group", "Rules about what may pass a port."},
	{"security-groups-normalized-cidr", "Normalized CIDR field for security group rules", "Shows the range that a rule is about."},
	{"sorting", "Sorting support", "Lists in the order of attributes."},
	{"standard-attr-description", "standard-attr-description", "Descriptions of all things."},
	{"standard-attr-revisions", "Resource revision numbers", "Counts the changes of all things."},
	{"standard-attr-tag", "Tag support for resources with standard attribute", "Tags of all things."},
	{"standard-attr-timestamp", "Resource timestamps", "When things were made and changed."},
	{"subnet-service-types", "Subnet service types", "Subnets for certain owners of ports."},
	{"subnet_allocation", "Subnet Allocation", "Subnet pools."},
	{"tag", "Tag support", "Tags of networks."},
	{"tag-ext", "Tag support for resources: subnet, subnetpool, port, router", "Tags of other things."},
}

// extensionsUpdated is when the list last changed.
const extensionsUpdated = "2026-11-22T00:00:00Z"

func extensionView(e [3]string) view {
	return view{"alias": e[0], "name": e[1], "description": e[2], "updated": extensionsUpdated, "links": []any{}}
}

func (a *api) extensions(w http.ResponseWriter, _ *openstack.Request) error {
	out := []view{}
	for _, e := range extensionList {
		out = append(out, extensionView(e))
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"extensions": out})
}

func (a *api) extension(w http.ResponseWriter, r *openstack.Request) error {
	for _, e := range extensionList {
		if e[0] == r.PathValue("alias") {
			return openstack.WriteJSON(w, http.StatusOK, map[string]any{"extension": extensionView(e)})
		}
	}
	return &compute.Error{Kind: compute.NotFound, Name: "ExtensionNotFound", Detail: "Extension with alias " + plainly(r.PathValue("alias")) + " does not exist"}
}
