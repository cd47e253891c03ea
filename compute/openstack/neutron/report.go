package neutron

import (
	"math/big"
	"net/http"
	"net/netip"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// reportRoutes are what is only looked at: zones, hosts, and how many addresses
// are left.
func (a *api) reportRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: root + "/availability_zones", Rule: openstack.AsReader, Handle: a.zones},
		{Method: "GET", Pattern: root + "/agents", Rule: openstack.AsReader, Handle: a.agents},
		{Method: "GET", Pattern: root + "/agents/{id}", Rule: openstack.AsReader, Handle: a.agent},
		{Method: "GET", Pattern: root + "/network-ip-availabilities", Rule: openstack.AsAdmin, Handle: a.availabilities},
		{Method: "GET", Pattern: root + "/network-ip-availabilities/{id}", Rule: openstack.AsAdmin, Handle: a.availability},
	}
}

func (a *api) zones(w http.ResponseWriter, r *openstack.Request) error {
	out := []view{}
	for _, resource := range []string{"network", "router"} {
		out = append(out, view{"name": a.Zone, "resource": resource, "state": "available"})
	}
	q, err := parseQuestion(r.URL.Query())
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"availability_zones": q.pick(out)})
}

// agentViews are the hosts that build networks, for administrators.
func (a *api) agentViews(r *openstack.Request) ([]view, error) {
	out := []view{}
	if !r.Caller.Admin() {
		return out, nil
	}
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		hosts, err := tx.Hosts.List(compute.Query{})
		for _, h := range hosts {
			up, beat := a.heartbeat(h)
			out = append(out, view{
				"id": h.ID, "agent_type": "Kamado host", "binary": "kamado", "host": h.ID, "topic": "N/A", "availability_zone": h.Zone,
				"admin_state_up": !h.Disabled, "alive": up,
				"created_at": written(h.Created), "started_at": written(h.Started), "heartbeat_timestamp": written(beat),
				"description": nil, "configurations": view{}, "resources_synced": nil,
			})
		}
		return err
	})
	return out, err
}

// heartbeat says whether a host is up, and when it last said so.
func (a *api) heartbeat(h *compute.Host) (bool, time.Time) {
	if a.HostUp != nil {
		return a.HostUp(h.ID)
	}
	return !h.ForcedDown && a.Now().Sub(h.Heartbeat) < compute.HeartbeatMax, h.Heartbeat
}

func (a *api) agents(w http.ResponseWriter, r *openstack.Request) error {
	q, err := parseQuestion(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := a.agentViews(r)
	if err != nil {
		return err
	}
	out := []view{}
	for _, v := range q.pick(list) {
		out = append(out, only(v, q.fields))
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"agents": out})
}

func (a *api) agent(w http.ResponseWriter, r *openstack.Request) error {
	list, err := a.agentViews(r)
	if err != nil {
		return err
	}
	for _, v := range list {
		if v["id"] == r.PathValue("id") {
			return openstack.WriteJSON(w, http.StatusOK, map[string]any{"agent": v})
		}
	}
	return &compute.Error{Kind: compute.NotFound, Name: "AgentNotFound", Detail: "Agent " + plainly(r.PathValue("id")) + " could not be found."}
}

// available counts the addresses of a network.
func available(tx *compute.Tx, n *compute.Network) (view, error) {
	subnets, err := tx.Subnets.List(compute.Query{Where: compute.Where{"network_id": n.ID}})
	if err != nil {
		return nil, err
	}
	total, taken := new(big.Int), 0
	list := []view{}
	for _, s := range subnets {
		used, err := tx.Addresses.Count(compute.Query{Where: compute.Where{"subnet_id": s.ID}})
		if err != nil {
			return nil, err
		}
		size := poolSize(s)
		total.Add(total, size)
		taken += used
		list = append(list, view{"subnet_id": s.ID, "subnet_name": s.Name, "cidr": s.CIDR, "ip_version": s.IPVersion,
			"total_ips": size, "used_ips": used})
	}
	return view{"network_id": n.ID, "network_name": n.Name, "project_id": n.ProjectID, "tenant_id": n.ProjectID,
		"total_ips": total, "used_ips": taken, "subnet_ip_availability": list}, nil
}

// poolSize is how many addresses a subnet gives out.
func poolSize(s *compute.Subnet) *big.Int {
	sum := new(big.Int)
	for _, p := range s.Pools {
		first, err1 := netip.ParseAddr(p.Start)
		end, err2 := netip.ParseAddr(p.End)
		if err1 != nil || err2 != nil {
			continue
		}
		n := new(big.Int).SetBytes(end.AsSlice())
		n.Sub(n, new(big.Int).SetBytes(first.AsSlice()))
		sum.Add(sum, n.Add(n, big.NewInt(1)))
	}
	return sum
}

func (a *api) availabilities(w http.ResponseWriter, r *openstack.Request) error {
	q, err := parseQuestion(r.URL.Query())
	if err != nil {
		return err
	}
	list := []view{}
	err = a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		nets, err := tx.Networks.List(compute.Query{})
		if err != nil {
			return err
		}
		for _, n := range nets {
			v, err := available(tx, n)
			if err != nil {
				return err
			}
			list = append(list, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"network_ip_availabilities": q.pick(list)})
}

func (a *api) availability(w http.ResponseWriter, r *openstack.Request) error {
	var v view
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		n, err := a.Fabric.Network(tx, r.Caller, r.PathValue("id"))
		if err != nil {
			return err
		}
		v, err = available(tx, n)
		return err
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"network_ip_availability": v})
}
