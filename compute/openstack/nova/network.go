package nova

import (
	"net/http"

	"github.com/kamado/kamado/compute"
)

// The networks as Nova showed them itself, until 2.35: read-only here.

// seesNetwork says whether a network is the caller's to use.
func seesNetwork(n *compute.Network, who compute.Caller) bool {
	return n.Shared || n.External || who.Owns(n.ProjectID)
}

// networkView is a network with the fields that Nova's networks had; most of them
// are Neutron's subnets' now.
func networkView(n *compute.Network) object {
	o := object{"id": n.ID, "label": n.Name}
	for _, key := range []string{"bridge", "vpn_public_port", "dhcp_start", "bridge_interface", "updated_at", "cidr_v6", "deleted_at", "gateway",
		"rxtx_base", "priority", "project_id", "vpn_private_address", "deleted", "vlan", "broadcast", "netmask", "injected", "cidr",
		"vpn_public_address", "multi_host", "dns2", "created_at", "host", "gateway_v6", "netmask_v6", "dns1", "mtu", "dhcp_server",
		"enable_dhcp", "share_address"} {
		o[key] = nil
	}
	return o
}

// tenantNetworkView is a network as tenants saw theirs.
func tenantNetworkView(n *compute.Network) object {
	return object{"id": n.ID, "label": n.Name, "cidr": "None"}
}

func (a *API) listNetworks(c *call) error       { return c.networks(networkView) }
func (a *API) listTenantNetworks(c *call) error { return c.networks(tenantNetworkView) }

func (c *call) networks(view func(*compute.Network) object) error {
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		rows, err := tx.Networks.List(compute.Query{})
		for _, n := range rows {
			if seesNetwork(n, c.Caller) {
				views = append(views, view(n))
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"networks": views})
}

func (a *API) showNetwork(c *call) error       { return c.network(networkView) }
func (a *API) showTenantNetwork(c *call) error { return c.network(tenantNetworkView) }

func (c *call) network(view func(*compute.Network) object) error {
	id := c.PathValue("id")
	return c.read(func(tx *compute.Tx) error {
		n, err := tx.Networks.Get(id)
		if err != nil {
			return unknown(err, "Network %s could not be found.", id)
		}
		if !seesNetwork(n, c.Caller) {
			return notFound("Network %s could not be found.", id)
		}
		return c.json(http.StatusOK, object{"network": view(n)})
	})
}
