package nova

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/kamado/kamado/compute"
)

func serialText(id string) string { return strconv.Itoa(serial(id)) }

// hypervisorID is a hypervisor's id in the microversion.
func (c *call) hypervisorID(h *compute.Host) any {
	if c.v >= 53 {
		return derivedID("hypervisor/" + h.ID)
	}
	return serial("hypervisor/" + h.ID)
}

func (c *call) hypervisorBrief(h *compute.Host) object {
	o := object{"id": c.hypervisorID(h), "hypervisor_hostname": h.ID, "state": "down", "status": "enabled"}
	if c.api.up(h) {
		o["state"] = "up"
	}
	if h.Disabled {
		o["status"] = "disabled"
	}
	return o
}

// hypervisorView is a hypervisor with what it has; the numbers went to Placement
// with 2.88.
func (c *call) hypervisorView(h *compute.Host) object {
	o := c.hypervisorBrief(h)
	s := service{binaryCompute, h.Zone, h}
	id := any(serial(s.key()))
	if c.v >= 53 {
		id = derivedID(s.key())
	}
	o["service"] = object{"host": h.ID, "id": id, "disabled_reason": orNil(h.DisabledReason)}
	o["hypervisor_type"], o["hypervisor_version"], o["host_ip"] = h.Hypervisor, h.HypervisorVersion, orNil(h.Address)
	if c.v >= 88 {
		o["uptime"] = c.uptime(h)
		return o
	}
	cpu := object{"arch": "x86_64", "model": h.CPUModel, "vendor": "", "topology": object{"sockets": 1, "cores": h.VCPUs, "threads": 1}, "features": []string{}}
	if c.v >= 28 {
		o["cpu_info"] = cpu
	} else {
		o["cpu_info"] = fmt.Sprintf(`{"arch": "x86_64", "model": %q, "topology": {"sockets": 1, "cores": %d, "threads": 1}}`, h.CPUModel, h.VCPUs)
	}
	for k, v := range capacity(h) {
		o[k] = v
	}
	return o
}

// capacity is what a host has and what is taken of it.
func capacity(h *compute.Host) map[string]int {
	return map[string]int{
		"vcpus": h.VCPUs, "vcpus_used": h.VCPUsUsed, "memory_mb": h.MemoryMiB, "memory_mb_used": h.MemoryUsed,
		"free_ram_mb": h.MemoryMiB - h.MemoryUsed, "local_gb": h.DiskGiB, "local_gb_used": h.DiskUsed,
		"free_disk_gb": h.DiskGiB - h.DiskUsed, "disk_available_least": h.DiskGiB - h.DiskUsed,
		"running_vms": h.Instances, "current_workload": 0,
	}
}

// uptime is how long a host's agent runs, as the program uptime writes it; null
// for a host that is down.
func (c *call) uptime(h *compute.Host) any {
	if !c.api.up(h) || h.Started.IsZero() {
		return nil
	}
	d := c.api.Now().Sub(h.Started)
	return fmt.Sprintf(" %s up %d days, %2d:%02d, 0 users, load average: 0.00, 0.00, 0.00", c.api.Now().UTC().Format("15:04:05"),
		int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60)
}

// withServers adds the instances that a hypervisor runs.
func (c *call) withServers(tx *compute.Tx, h *compute.Host, o object) error {
	rows, err := tx.Instances.List(compute.Query{Where: compute.Where{"host_id": h.ID, "live": true}})
	if err != nil {
		return err
	}
	var servers []object
	for _, i := range rows {
		servers = append(servers, object{"uuid": i.ID, "name": i.Name})
	}
	if len(servers) > 0 || c.v >= 75 {
		o["servers"] = list(servers)
	}
	return nil
}

func (a *API) listHypervisors(c *call) error {
	return c.hypervisorPage("/os-hypervisors", c.hypervisorBrief)
}

func (a *API) listHypervisorsDetail(c *call) error {
	return c.hypervisorPage("/os-hypervisors/detail", c.hypervisorView)
}

func (c *call) hypervisorPage(path string, view func(*compute.Host) object) error {
	q := c.URL.Query()
	p := page{limit: LimitMax}
	var err error
	if c.v >= 33 {
		if p, err = c.page(); err != nil {
			return err
		}
	}
	pattern := ""
	if c.v >= 53 {
		pattern = q.Get("hypervisor_hostname_pattern")
	}
	withServers := c.v >= 53 && truths[strings.ToLower(q.Get("with_servers"))]
	views := []object{}
	last, more := "", false
	err = c.read(func(tx *compute.Tx) error {
		rows, err := hosts(tx)
		if err != nil {
			return err
		}
		var match []*compute.Host
		for _, h := range rows {
			if strings.Contains(h.ID, pattern) {
				match = append(match, h)
			}
		}
		if pattern != "" && len(match) == 0 {
			return notFound("No hypervisor matching '%s' could be found.", pattern)
		}
		match, more, err = cut(p, match, func(h *compute.Host) string { return fmt.Sprint(c.hypervisorID(h)) })
		if err != nil {
			return err
		}
		for _, h := range match {
			o := view(h)
			if withServers {
				if err := c.withServers(tx, h, o); err != nil {
					return err
				}
			}
			views, last = append(views, o), fmt.Sprint(o["id"])
		}
		return nil
	})
	if err != nil {
		return err
	}
	o := object{"hypervisors": views}
	if more && last != "" {
		o["hypervisors_links"] = c.nextLink(path, last)
	}
	return c.json(http.StatusOK, o)
}

// hypervisor gives the host of the path's id.
func (c *call) hypervisor(tx *compute.Tx) (*compute.Host, error) {
	id := c.PathValue("id")
	rows, err := hosts(tx)
	if err != nil {
		return nil, err
	}
	for _, h := range rows {
		if fmt.Sprint(c.hypervisorID(h)) == id {
			return h, nil
		}
	}
	return nil, notFound("Compute host %s could not be found.", id)
}

func (a *API) showHypervisor(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		h, err := c.hypervisor(tx)
		if err != nil {
			return err
		}
		o := c.hypervisorView(h)
		if c.v >= 53 && truths[strings.ToLower(c.URL.Query().Get("with_servers"))] {
			if err := c.withServers(tx, h, o); err != nil {
				return err
			}
		}
		return c.json(http.StatusOK, object{"hypervisor": o})
	})
}

func (a *API) showHypervisorUptime(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		h, err := c.hypervisor(tx)
		if err != nil {
			return err
		}
		up := c.uptime(h)
		if up == nil {
			return invalid("Compute service of %s is unavailable at this time.", h.ID)
		}
		o := c.hypervisorBrief(h)
		o["uptime"] = up
		return c.json(http.StatusOK, object{"hypervisor": o})
	})
}

// searchHypervisors finds hypervisors whose name holds a text: with their
// instances when asked for (before 2.53).
func (a *API) searchHypervisors(c *call) error { return c.findHypervisors(false) }
func (a *API) hypervisorServers(c *call) error { return c.findHypervisors(true) }
func (c *call) findHypervisors(full bool) error {
	pattern := c.PathValue("id")
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		rows, err := hosts(tx)
		if err != nil {
			return err
		}
		for _, h := range rows {
			if !strings.Contains(h.ID, pattern) {
				continue
			}
			o := c.hypervisorBrief(h)
			if full {
				if err := c.withServers(tx, h, o); err != nil {
					return err
				}
			}
			views = append(views, o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(views) == 0 {
		return notFound("No hypervisor matching '%s' could be found.", pattern)
	}
	return c.json(http.StatusOK, object{"hypervisors": views})
}

func (a *API) hypervisorStatistics(c *call) error {
	sum := map[string]int{}
	for k := range capacity(&compute.Host{}) {
		sum[k] = 0
	}
	err := c.read(func(tx *compute.Tx) error {
		rows, err := hosts(tx)
		for _, h := range rows {
			sum["count"]++
			for k, v := range capacity(h) {
				sum[k] += v
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"hypervisor_statistics": sum})
}

// The hosts API of old: a host is a place where a service runs (before 2.43).

func (a *API) listHosts(c *call) error {
	zone := c.URL.Query().Get("zone")
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		all, err := services(tx)
		for _, s := range all {
			if zone != "" && zone != s.zone {
				continue
			}
			views = append(views, object{"host_name": s.host.ID, "service": strings.TrimPrefix(s.binary, "nova-"), "zone": s.zone})
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"hosts": views})
}

func (a *API) showHost(c *call) error {
	id := c.PathValue("name")
	return c.read(func(tx *compute.Tx) error {
		h, err := tx.Hosts.Get(id)
		if err != nil {
			return unknown(err, "Compute host %s could not be found.", id)
		}
		line := func(project string, cpu, mem, disk int) object {
			return object{"resource": object{"host": h.ID, "project": project, "cpu": cpu, "memory_mb": mem, "disk_gb": disk}}
		}
		lines := []object{line("(total)", h.VCPUs, h.MemoryMiB, h.DiskGiB), line("(used_now)", h.VCPUsUsed, h.MemoryUsed, h.DiskUsed)}
		return c.json(http.StatusOK, object{"host": lines})
	})
}

func (a *API) updateHost(c *call) error {
	in, err := c.body(objectOf(fields{"status": oneOf("enable", "disable", "Enable", "Disable"),
		"maintenance_mode": oneOf("enable", "disable", "Enable", "Disable")}))
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return invalid("{} does not have enough properties")
	}
	if _, has := in["maintenance_mode"]; has {
		return c.hostCannot("Virt driver does not implement host maintenance mode.")
	}
	id, st := c.PathValue("name"), strings.ToLower(str(in, "status"))+"d"
	if err := c.changeHost(id, func(h *compute.Host) { h.Disabled = st == "disabled" }); err != nil {
		return unknown(err, "Compute host %s could not be found.", id)
	}
	return c.json(http.StatusOK, object{"host": id, "status": st})
}

// hostPower answers for turning hosts on and off: nothing here does that.
func (a *API) hostPower(c *call) error {
	return c.hostCannot("Virt driver does not implement host disabled status.")
}

// hostCannot says what nothing here does, of a host that is there.
func (c *call) hostCannot(what string) error {
	id := c.PathValue("name")
	return c.read(func(tx *compute.Tx) error {
		if _, err := tx.Hosts.Get(id); err != nil {
			return unknown(err, "Compute host %s could not be found.", id)
		}
		return compute.Errorf(compute.Unsupported, "%s", what)
	})
}
