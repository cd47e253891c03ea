package nova

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
)

// interfaceView is a card of a server.
func (c *call) interfaceView(p *compute.Port) object {
	ips := []object{}
	for _, f := range p.FixedIPs {
		ips = append(ips, object{"subnet_id": f.SubnetID, "ip_address": f.IP})
	}
	o := object{"port_id": p.ID, "net_id": p.NetworkID, "mac_addr": p.MAC, "port_state": p.Status, "fixed_ips": ips}
	if c.v >= 70 {
		o["tag"] = nil
	}
	return o
}

func (a *API) listInterfaces(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		i, err := instance(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		views := []object{}
		for _, id := range i.Ports {
			p, err := tx.Ports.Get(id)
			if compute.IsKind(err, compute.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			views = append(views, c.interfaceView(p))
		}
		return c.json(http.StatusOK, object{"interfaceAttachments": views})
	})
}

func (a *API) showInterface(c *call) error {
	port := c.PathValue("port")
	return c.read(func(tx *compute.Tx) error {
		i, err := instance(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		if !slices.Contains(i.Ports, port) {
			return notFound("Instance %s does not have a port with id %s", i.ID, port)
		}
		p, err := tx.Ports.Get(port)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, object{"interfaceAttachment": c.interfaceView(p)})
	})
}

func (a *API) createInterface(c *call) error {
	f := fields{"net_id": id, "port_id": id, "fixed_ips": listOf(objectOf(fields{"ip_address": address(0)}, "ip_address"), 1, 1)}
	if c.v >= 49 {
		f["tag"] = tag
	}
	body, err := c.body(objectOf(fields{"interfaceAttachment": objectOf(f)}))
	if err != nil {
		return err
	}
	in := sub(body, "interfaceAttachment")
	want := fabric.Want{NetworkID: str(in, "net_id"), PortID: str(in, "port_id"), Tag: str(in, "tag")}
	if l, _ := in["fixed_ips"].([]any); len(l) == 1 {
		want.FixedIP = canonical(str(l[0].(map[string]any), "ip_address"))
	}
	switch {
	case want.NetworkID != "" && want.PortID != "":
		return invalid("Must not input both network_id and port_id")
	case want.FixedIP != "" && want.NetworkID == "":
		return invalid("Must input network_id when request IP address")
	case want.NetworkID == "" && want.PortID == "":
		want.NetworkID = fabric.WantAuto
	}
	p, err := a.Control.AttachInterface(c.Context(), c.Caller, c.PathValue("id"), want)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"interfaceAttachment": c.interfaceView(p)})
}

func (a *API) deleteInterface(c *call) error {
	return c.accepted(a.Control.DetachInterface(c.Context(), c.Caller, c.PathValue("id"), c.PathValue("port")))
}

// listServerSecurityGroups answers with the security groups of a server.
func (a *API) listServerSecurityGroups(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		i, err := instance(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		var ids []string
		for _, port := range i.Ports {
			p, err := tx.Ports.Get(port)
			if compute.IsKind(err, compute.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			ids = append(ids, p.SecurityGroupIDs...)
		}
		slices.Sort(ids)
		views := []object{}
		for _, id := range slices.Compact(ids) {
			view, err := securityGroup(tx, id)
			if err != nil {
				return err
			}
			views = append(views, view)
		}
		return c.json(http.StatusOK, object{"security_groups": views})
	})
}

// securityGroup is a group with its rules as Nova wrote them: what may come in.
func securityGroup(tx *compute.Tx, id string) (object, error) {
	g, err := tx.SecurityGroups.Get(id)
	if err != nil {
		return nil, fmt.Errorf("read the group of a port: %w", err)
	}
	rules, err := tx.SecurityRules.List(compute.Query{Where: compute.Where{"group_id": id}})
	if err != nil {
		return nil, err
	}
	views := []object{}
	for _, r := range rules {
		if r.Direction != "ingress" {
			continue
		}
		views = append(views, ruleView(tx, r))
	}
	return object{"id": g.ID, "name": g.Name, "description": g.Description, "tenant_id": g.ProjectID, "rules": views}, nil
}

// ruleView is a rule as Nova wrote it: -1 for any port.
func ruleView(tx *compute.Tx, r *compute.SecurityRule) object {
	v := object{"id": r.ID, "parent_group_id": r.GroupID, "ip_protocol": orNil(r.Protocol), "from_port": -1, "to_port": -1,
		"group": object{}, "ip_range": object{}}
	if r.PortMin != nil {
		v["from_port"] = *r.PortMin
	}
	if r.PortMax != nil {
		v["to_port"] = *r.PortMax
	}
	if r.RemotePrefix != "" {
		v["ip_range"] = object{"cidr": r.RemotePrefix}
	}
	if r.RemoteGroupID != "" {
		if remote, err := tx.SecurityGroups.Get(r.RemoteGroupID); err == nil {
			v["group"] = object{"name": remote.Name, "tenant_id": remote.ProjectID}
		}
	}
	return v
}

func (a *API) showPassword(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"password": i.AdminPassSealed})
}

// deletePassword forgets what the guest posted; the guest's own password stays.
func (a *API) deletePassword(c *call) error {
	err := c.write(func(tx *compute.Tx) error {
		i, err := instance(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		i.AdminPassSealed = ""
		return tx.Instances.Update(i)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// showTopology answers for NUMA (2.78 on): guests here see one node.
func (a *API) showTopology(c *call) error {
	if _, err := c.find(); err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"nodes": []object{}, "pagesize_kb": nil})
}

// listVolumes answers with a server's volumes: none, as this cloud has none.
func (a *API) listVolumes(c *call) error {
	if _, err := c.find(); err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"volumeAttachments": []object{}})
}

// showVolume answers for one of a server's volumes.
func (a *API) showVolume(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	return notFound("Instance %s is not attached to volume %s", i.ID, c.PathValue("volume"))
}

// powerWords are the states of a guest in diagnostics (2.48 on).
var powerWords = map[compute.PowerState]string{
	compute.PowerNone: "pending", compute.PowerRunning: "running", compute.PowerPaused: "paused",
	compute.PowerShutdown: "shutdown", compute.PowerCrashed: "crashed", compute.PowerSuspended: "suspended",
}

func (a *API) showDiagnostics(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	d, err := a.Control.Diagnostics(c.Context(), c.Caller, i.ID)
	if err != nil {
		return err
	}
	if c.v < 48 {
		return c.json(http.StatusOK, flatDiagnostics(d))
	}
	kind := "fake"
	err = c.read(func(tx *compute.Tx) error {
		h, err := tx.Hosts.Get(i.HostID)
		if err == nil {
			kind = h.Hypervisor
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, diagnosticsView(i, d, kind))
}

// flatDiagnostics is how diagnostics were before they had a shape.
func flatDiagnostics(d hypervisor.Diagnostics) object {
	o := object{"memory": d.MemoryMiB * 1024, "memory-actual": d.MemoryMiB * 1024, "memory-rss": d.RSSBytes / 1024}
	for n, t := range d.CPU {
		o[fmt.Sprintf("cpu%d_time", n)] = t.Nanoseconds()
	}
	for n, s := range d.Disks {
		disk := "vd" + string(rune('a'+n%26))
		o[disk+"_read"], o[disk+"_read_req"], o[disk+"_write"], o[disk+"_write_req"], o[disk+"_errors"] =
			s.ReadBytes, s.ReadRequests, s.WriteBytes, s.WriteRequests, s.Errors
	}
	for n, s := range d.NICs {
		nic := fmt.Sprintf("tap%d", n)
		o[nic+"_rx"], o[nic+"_rx_packets"], o[nic+"_rx_errors"] = s.RXBytes, s.RXPackets, s.RXErrors
		o[nic+"_tx"], o[nic+"_tx_packets"], o[nic+"_tx_errors"] = s.TXBytes, s.TXPackets, s.TXErrors
	}
	return o
}

// diagnosticsView is the shape of 2.48. Its driver is a word of Nova's: what is
// here stands where libvirt stood.
func diagnosticsView(i *compute.Instance, d hypervisor.Diagnostics, kind string) object {
	cpus, nics, disks := []object{}, []object{}, []object{}
	for n, t := range d.CPU {
		cpus = append(cpus, object{"id": n, "time": t.Nanoseconds(), "utilisation": nil})
	}
	for _, s := range d.NICs {
		nics = append(nics, object{"mac_address": orNil(s.MAC), "rx_octets": s.RXBytes, "rx_errors": s.RXErrors, "rx_drop": nil,
			"rx_packets": s.RXPackets, "rx_rate": nil, "tx_octets": s.TXBytes, "tx_errors": s.TXErrors, "tx_drop": nil,
			"tx_packets": s.TXPackets, "tx_rate": nil})
	}
	for _, s := range d.Disks {
		disks = append(disks, object{"read_bytes": s.ReadBytes, "read_requests": s.ReadRequests, "write_bytes": s.WriteBytes,
			"write_requests": s.WriteRequests, "errors_count": s.Errors})
	}
	return object{"state": powerWords[i.Power], "driver": "libvirt", "hypervisor": kind, "hypervisor_os": "linux",
		"uptime": int(d.Uptime.Seconds()), "config_drive": i.ConfigDrive, "num_cpus": len(cpus), "num_nics": len(nics), "num_disks": len(disks),
		"memory_details": object{"maximum": d.MemoryMiB, "used": d.RSSBytes >> 20}, "cpu_details": cpus, "nic_details": nics, "disk_details": disks}
}
