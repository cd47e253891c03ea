package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cloudNetwork is a network with its subnets.
type cloudNetwork struct {
	named
	External bool     `json:"router:external"`
	Shared   bool     `json:"shared"`
	Status   string   `json:"status"`
	MTU      int      `json:"mtu"`
	Project  string   `json:"project_id"`
	Subnets  []subnet `json:"-"`
	Routers  []string `json:"-"` // names of those that are joined to it
}

type subnet struct {
	named
	Network string `json:"network_id"`
	CIDR    string `json:"cidr"`
	Gateway string `json:"gateway_ip"`
	DHCP    bool   `json:"enable_dhcp"`
	Pools   []struct {
		Start string `json:"start"`
		End   string `json:"end"`
	} `json:"allocation_pools"`

	Blocks []addressBlock `json:"-"`
	Taken  []addressCell  `json:"-"` // the first of them, by address
	Used   int            `json:"-"`
	Size   string         `json:"-"`
}

// addressBlock is 256 addresses of a subnet of which one at least is taken, or
// the first of them.
type addressBlock struct {
	First string
	Cells []addressCell
}

// addressCell is one address of the map. Kind names its colour: "free",
// "outside" (no pool gives it out), "instance", "router", "dhcp", "floating",
// "other".
type addressCell struct {
	IP, Kind, Who string
	Link          string // page of who has it; empty: none
}

type cloudPort struct {
	named
	Network string `json:"network_id"`
	Owner   string `json:"device_owner"`
	Device  string `json:"device_id"`
	MAC     string `json:"mac_address"`
	Fixed   []struct {
		IP     string `json:"ip_address"`
		Subnet string `json:"subnet_id"`
	} `json:"fixed_ips"`

	who, link string // name and page of the device, where there is one
}

// kind is the port's colour in the map.
func (p cloudPort) kind() string {
	switch {
	case strings.HasPrefix(p.Owner, "compute:"):
		return "instance"
	case strings.HasPrefix(p.Owner, "network:router"):
		return "router"
	case p.Owner == "network:dhcp":
		return "dhcp"
	case p.Owner == "network:floatingip":
		return "floating"
	}
	return "other"
}

type networksData struct{ Networks []cloudNetwork }

func (c *Console) networks(w http.ResponseWriter, r *http.Request) {
	data, err := c.networksOf(r.Context())
	if err != nil {
		c.fail(w, r, "networks", err)
		return
	}
	c.show(w, r, "networks.html", "network-maps", page{Title: "networks.title", Section: "networks", Data: data})
}

func (c *Console) networksOf(ctx context.Context) (networksData, error) {
	var networks struct {
		Networks []cloudNetwork `json:"networks"`
	}
	var subnets struct {
		Subnets []subnet `json:"subnets"`
	}
	var ports struct {
		Ports []cloudPort `json:"ports"`
	}
	var routers struct {
		Routers []named `json:"routers"`
	}
	var servers struct {
		Servers []named `json:"servers"`
	}
	var floating struct {
		Floating []struct {
			ID   string `json:"id"`
			Port string `json:"port_id"` // that it leads to
		} `json:"floatingips"`
	}
	err := errors.Join(
		c.admin.get(ctx, cloudNetworks+"/networks", &networks), c.admin.get(ctx, cloudNetworks+"/subnets", &subnets),
		c.admin.get(ctx, cloudNetworks+"/ports", &ports), c.admin.get(ctx, cloudNetworks+"/routers", &routers), c.admin.get(ctx, cloudNetworks+"/floatingips", &floating),
		c.admin.get(ctx, fmt.Sprintf("%s/servers?all_tenants=1&limit=%d", cloudCompute, namesMax), &servers),
	)
	if err != nil {
		return networksData{}, err
	}
	names := namesOf(routers.Routers)
	leads := map[string]string{} // from a floating address to the port it leads to
	for _, f := range floating.Floating {
		leads[f.ID] = f.Port
	}
	label(ports.Ports, names, namesOf(servers.Servers), leads)
	for i := range networks.Networks {
		n := &networks.Networks[i]
		for _, s := range subnets.Subnets {
			if s.Network == n.ID {
				s.draw(ports.Ports)
				n.Subnets = append(n.Subnets, s)
			}
		}
		for _, p := range ports.Ports {
			if name := names[p.Device]; p.Network == n.ID && p.kind() == "router" && name != "" && !slices.Contains(n.Routers, name) {
				n.Routers = append(n.Routers, name)
			}
		}
	}
	slices.SortFunc(networks.Networks, func(a, b cloudNetwork) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return networksData{networks.Networks}, nil
}

// namesOf are names by id.
func namesOf(list []named) map[string]string {
	names := make(map[string]string, len(list))
	for _, n := range list {
		names[n.ID] = n.Name
	}
	return names
}

// label says of each port who has it, by names of routers and instances; leads
// goes from a floating address to the port it leads to.
func label(ports []cloudPort, routers, instances, leads map[string]string) {
	devices := map[string]string{}
	for _, p := range ports {
		devices[p.ID] = p.Device
	}
	for i := range ports {
		p := &ports[i]
		device := p.Device
		if p.kind() == "floating" {
			device = devices[leads[p.Device]]
		}
		p.who = cmp.Or(routers[device], instances[device])
		if p.kind() == "instance" || p.kind() == "floating" && instances[device] != "" {
			p.link = "/machines/" + url.PathEscape(device)
		}
	}
}

// Bounds of an address map.
const (
	namesMax   = 1000 // instances whose names are known; the others are shown by id
	takenShown = 256  // addresses listed under it
	blockSize  = 256
	blocksMax  = 8 // of a subnet
)

// draw makes the map of the subnet: the first block, and those with taken
// addresses.
func (s *subnet) draw(ports []cloudPort) {
	prefix, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return
	}
	taken := map[netip.Addr]cloudPort{}
	for _, p := range ports {
		for _, f := range p.Fixed {
			if ip, err := netip.ParseAddr(f.IP); err == nil && f.Subnet == s.ID {
				taken[ip] = p
			}
		}
	}
	s.Used = len(taken)
	for _, ip := range slices.SortedFunc(maps.Keys(taken), netip.Addr.Compare)[:min(takenShown, len(taken))] {
		p := taken[ip]
		s.Taken = append(s.Taken, addressCell{IP: ip.String(), Kind: p.kind(), Who: cmp.Or(p.Name, p.who, p.Device, p.ID), Link: p.link})
	}
	if !prefix.Addr().Is4() {
		s.Size = fmt.Sprintf("2^%d", 128-prefix.Bits())
		return
	}
	s.Size = humanNumber(uint64(1) << (32 - prefix.Bits()))
	starts := []netip.Addr{prefix.Masked().Addr()}
	for ip := range taken {
		starts = append(starts, blockStart(ip, prefix))
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	for _, start := range starts[:min(blocksMax, len(starts))] {
		s.Blocks = append(s.Blocks, s.block(start, prefix, taken))
	}
}

// blockStart is the first address of the block that ip lies in.
func blockStart(ip netip.Addr, within netip.Prefix) netip.Addr {
	if within.Bits() >= 24 {
		return within.Masked().Addr()
	}
	p, _ := ip.Prefix(24) // 24 is valid for IPv4
	return p.Addr()
}

func (s *subnet) block(start netip.Addr, prefix netip.Prefix, taken map[netip.Addr]cloudPort) addressBlock {
	b := addressBlock{First: start.String()}
	for ip := start; len(b.Cells) < blockSize && prefix.Contains(ip); ip = ip.Next() {
		cell := addressCell{IP: ip.String(), Kind: "outside"}
		if p, ok := taken[ip]; ok {
			cell.Kind, cell.Who, cell.Link = p.kind(), cmp.Or(p.Name, p.who, p.Device, p.ID), p.link
		} else if s.gives(ip) {
			cell.Kind = "free"
		}
		b.Cells = append(b.Cells, cell)
	}
	return b
}

// gives says whether a pool of the subnet holds the address.
func (s *subnet) gives(ip netip.Addr) bool {
	for _, p := range s.Pools {
		start, err1 := netip.ParseAddr(p.Start)
		end, err2 := netip.ParseAddr(p.End)
		if err1 == nil && err2 == nil && start.Compare(ip) <= 0 && ip.Compare(end) <= 0 {
			return true
		}
	}
	return false
}

// cloudHost is a host with its heartbeat.
type cloudHost struct {
	Name   string `json:"hypervisor_hostname"`
	Type   string `json:"hypervisor_type"`
	State  string `json:"state"`
	Status string `json:"status"`
	VCPUs  int    `json:"vcpus"`
	VUsed  int    `json:"vcpus_used"`
	RAM    int    `json:"memory_mb"`
	RUsed  int    `json:"memory_mb_used"`
	Disk   int    `json:"local_gb"`
	DUsed  int    `json:"local_gb_used"`
	VMs    int    `json:"running_vms"`

	Heartbeat string `json:"-"` // how long ago
	Zone      string `json:"-"`
}

// DiskUsed and DiskSize are written as a person reads them.
func (h cloudHost) DiskUsed() string { return gib(h.DUsed * 1024) }
func (h cloudHost) DiskSize() string { return gib(h.Disk * 1024) }

// hostsShown bounds the page: more than this are a job for the API.
const hostsShown = 100

type hostsData struct{ Hosts []cloudHost }

func (c *Console) hosts(w http.ResponseWriter, r *http.Request) {
	var hypervisors struct {
		Hypervisors []cloudHost `json:"hypervisors"`
	}
	var services struct {
		Services []struct {
			Binary  string `json:"binary"`
			Host    string `json:"host"`
			Zone    string `json:"zone"`
			Updated string `json:"updated_at"`
		} `json:"services"`
	}
	err := errors.Join(
		c.admin.get(r.Context(), fmt.Sprintf("%s/os-hypervisors/detail?limit=%d", cloudCompute, hostsShown), &hypervisors),
		c.admin.get(r.Context(), cloudCompute+"/os-services?binary=nova-compute", &services),
	)
	if err != nil {
		c.fail(w, r, "hosts", err)
		return
	}
	for i := range hypervisors.Hypervisors {
		h := &hypervisors.Hypervisors[i]
		for _, s := range services.Services {
			if s.Host != h.Name {
				continue
			}
			h.Zone = s.Zone
			if at, err := time.Parse("2006-01-02T15:04:05.999999", strings.TrimSuffix(s.Updated, "Z")); err == nil {
				h.Heartbeat = fmt.Sprintf("%.0f s", max(0, time.Since(at).Seconds()))
			}
		}
	}
	c.show(w, r, "hosts.html", "host-cards", page{Title: "hosts.title", Section: "hosts", Data: hostsData{hypervisors.Hypervisors}})
}

// cloudProject is a project with what it holds of its quota.
type cloudProject struct {
	named
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`

	Users  []string `json:"-"` // "name (role, role)"
	Quotas []quota  `json:"-"`
}

// quota is one limit and what is held of it. Limit -1 is none.
type quota struct {
	Name        string
	Used, Limit int
}

// Show writes a number of what the quota is of.
func (q quota) Show(n int) string {
	if q.Name == "ram" {
		return gib(n)
	}
	return humanNumber(n)
}

// Shown is what is held.
func (q quota) Shown() string { return q.Show(q.Used) }

// projectsShown bounds the page.
const projectsShown = 50

type projectsData struct{ Projects []cloudProject }

func (c *Console) projects(w http.ResponseWriter, r *http.Request) {
	var projects struct {
		Projects []cloudProject `json:"projects"`
	}
	var assignments struct {
		Assignments []struct {
			User  named `json:"user"`
			Role  named `json:"role"`
			Scope struct {
				Project named `json:"project"`
			} `json:"scope"`
		} `json:"role_assignments"`
	}
	err := errors.Join(
		c.admin.get(r.Context(), cloudIdentity+"/projects", &projects),
		c.admin.get(r.Context(), cloudIdentity+"/role_assignments?include_names", &assignments),
	)
	if err != nil {
		c.fail(w, r, "projects", err)
		return
	}
	list := projects.Projects[:min(projectsShown, len(projects.Projects))]
	for i := range list {
		p := &list[i]
		roles := map[string][]string{}
		for _, a := range assignments.Assignments {
			if a.Scope.Project.ID == p.ID && a.User.Name != "" {
				roles[a.User.Name] = append(roles[a.User.Name], a.Role.Name)
			}
		}
		for user, names := range roles {
			slices.Sort(names)
			p.Users = append(p.Users, fmt.Sprintf("%s (%s)", user, strings.Join(names, ", ")))
		}
		slices.Sort(p.Users)
		if p.Quotas, err = c.quotasOf(r.Context(), p.ID); err != nil {
			c.fail(w, r, "projects", err)
			return
		}
	}
	c.show(w, r, "projects.html", "project-cards", page{Title: "projects.title", Section: "projects", Data: projectsData{list}})
}

// quotasOf asks compute and network for what a project holds.
func (c *Console) quotasOf(ctx context.Context, project string) ([]quota, error) {
	type detail struct {
		Limit int `json:"limit"`
		InUse int `json:"in_use"`
		Used  int `json:"used"`
	}
	var compute struct {
		Set map[string]any `json:"quota_set"`
	}
	var network struct {
		Quota map[string]detail `json:"quota"`
	}
	err := errors.Join(
		c.admin.get(ctx, cloudCompute+"/os-quota-sets/"+url.PathEscape(project)+"/detail", &compute),
		c.admin.get(ctx, cloudNetworks+"/quotas/"+url.PathEscape(project)+"/details", &network),
	)
	if err != nil {
		return nil, err
	}
	var list []quota
	for _, name := range []string{"instances", "cores", "ram"} {
		if d, ok := compute.Set[name].(map[string]any); ok {
			list = append(list, quota{name, int(toFloat64(d["in_use"])), int(toFloat64(d["limit"]))})
		}
	}
	for _, name := range []string{"network", "port", "router", "floatingip", "security_group"} {
		if d, ok := network.Quota[name]; ok {
			list = append(list, quota{strings.ReplaceAll(name, "_", ""), d.Used, d.Limit}) // as the texts spell it
		}
	}
	return list, nil
}

// toFloat64 is a number of JSON, 0 when it is none.
func toFloat64(v any) float64 {
	f, _ := v.(float64)
	return f
}
