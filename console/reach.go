package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// sshPort is where a guest's ssh server listens.
const sshPort = 22

// reach is how an instance is reached from outside of its network.
type reach struct {
	Floating []string
	Fixed    bool   // whether there is an address to give a floating one
	SSHOpen  bool   // whether a rule of its security groups lets ssh in
	Group    string // name of the group that a rule would go to; empty: it has none, and nothing is filtered or nothing can be added
	Line     string // for a shell; empty: no floating address, or closed

	ports   []machinePort
	network string // id of its only network; empty: none or several
}

// machinePort is a port of an instance.
type machinePort struct {
	ID       string   `json:"id"`
	Network  string   `json:"network_id"`
	Project  string   `json:"project_id"`
	Groups   []string `json:"security_groups"`
	Security *bool    `json:"port_security_enabled"`
	Fixed    []struct {
		IP string `json:"ip_address"`
	} `json:"fixed_ips"`
}

// v4 is its first IPv4 address; only those have floating ones.
func (p machinePort) v4() string {
	for _, f := range p.Fixed {
		if ip, err := netip.ParseAddr(f.IP); err == nil && ip.Is4() {
			return f.IP
		}
	}
	return ""
}

// groupRule is a rule of a security group.
type groupRule struct {
	Direction string  `json:"direction"`
	Ethertype string  `json:"ethertype"`
	Protocol  *string `json:"protocol"`
	Min       *int    `json:"port_range_min"`
	Max       *int    `json:"port_range_max"`
	From      *string `json:"remote_ip_prefix"`
	Group     *string `json:"remote_group_id"`
}

// letsSSHIn says whether the rule lets everybody's ssh in by IPv4.
func (r groupRule) letsSSHIn() bool {
	if r.Direction != "ingress" || r.Ethertype != "IPv4" || r.Group != nil || r.From != nil && *r.From != "0.0.0.0/0" {
		return false
	}
	if r.Protocol == nil {
		return true
	}
	return slices.Contains([]string{"tcp", "6", "any", "0"}, *r.Protocol) && (r.Min == nil || *r.Min <= sshPort) && (r.Max == nil || *r.Max >= sshPort)
}

type securityGroup struct {
	named
	Rules []groupRule `json:"security_group_rules"`
}

// reachOf asks how an instance is reached. What cannot be had is left out.
func (c *Console) reachOf(ctx context.Context, m machine, user string) reach {
	r := reach{Floating: m.Floating()}
	var err error
	if r.ports, err = c.portsOf(ctx, m.ID); err != nil || len(r.ports) == 0 {
		return r
	}
	r.network = r.ports[0].Network
	for _, p := range r.ports {
		if p.Network != r.network {
			r.network = ""
		}
		r.Fixed = r.Fixed || p.v4() != ""
		r.SSHOpen = r.SSHOpen || p.Security != nil && !*p.Security
	}
	for _, id := range groupsOf(r.ports) {
		var answer struct {
			Group securityGroup `json:"security_group"`
		}
		if c.admin.get(ctx, cloudNetworks+"/security-groups/"+url.PathEscape(id), &answer) != nil {
			continue
		}
		if r.Group == "" {
			r.Group = answer.Group.Name
		}
		r.SSHOpen = r.SSHOpen || slices.ContainsFunc(answer.Group.Rules, groupRule.letsSSHIn)
	}
	if r.SSHOpen && len(r.Floating) > 0 {
		r.Line = fmt.Sprintf("ssh %s@%s", user, r.Floating[0])
	}
	return r
}

// groupsShown bounds how many security groups are looked at.
const groupsShown = 8

func groupsOf(ports []machinePort) []string {
	var ids []string
	for _, p := range ports {
		ids = append(ids, p.Groups...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return ids[:min(groupsShown, len(ids))]
}

// portsOf gives the ports that the instance has. Others may name it as their
// device, which anybody may write.
func (c *Console) portsOf(ctx context.Context, id string) ([]machinePort, error) {
	var has struct {
		Attached []struct {
			Port string `json:"port_id"`
		} `json:"interfaceAttachments"`
	}
	if err := c.admin.get(ctx, cloudCompute+"/servers/"+url.PathEscape(id)+"/os-interface", &has); err != nil {
		return nil, err
	}
	var named struct {
		Ports []machinePort `json:"ports"`
	}
	err := c.admin.get(ctx, cloudNetworks+"/ports?device_id="+url.QueryEscape(id), &named)
	var ports []machinePort
	for _, a := range has.Attached { // in the order of its cards
		if i := slices.IndexFunc(named.Ports, func(p machinePort) bool { return p.ID == a.Port }); i >= 0 {
			ports = append(ports, named.Ports[i])
		}
	}
	return ports, err
}

// float gives an instance a floating address of the first external network.
func (c *Console) float(ctx context.Context, id string) error {
	ports, err := c.portsOf(ctx, id)
	if err != nil {
		return err
	}
	var networks struct {
		Networks []named `json:"networks"`
	}
	if err := c.admin.get(ctx, cloudNetworks+"/networks?router:external=true", &networks); err != nil {
		return err
	}
	for _, p := range ports {
		if p.v4() == "" || len(networks.Networks) == 0 {
			continue
		}
		return c.admin.do(ctx, http.MethodPost, cloudNetworks+"/floatingips", map[string]any{"floatingip": map[string]string{
			"floating_network_id": networks.Networks[0].ID, "port_id": p.ID, "fixed_ip_address": p.v4(), "project_id": p.Project,
		}}, nil)
	}
	return &errStatus{http.StatusConflict, "no address and no external network to float on"}
}

// unfloat takes a floating address away and gives it back to the pool.
func (c *Console) unfloat(ctx context.Context, id, address string) error {
	ports, err := c.portsOf(ctx, id)
	if err != nil {
		return err
	}
	var answer struct {
		Floating []struct {
			ID   string `json:"id"`
			Port string `json:"port_id"`
		} `json:"floatingips"`
	}
	if err := c.admin.get(ctx, cloudNetworks+"/floatingips?floating_ip_address="+url.QueryEscape(address), &answer); err != nil {
		return err
	}
	for _, f := range answer.Floating {
		if slices.ContainsFunc(ports, func(p machinePort) bool { return p.ID == f.Port }) {
			return c.admin.do(ctx, http.MethodDelete, cloudNetworks+"/floatingips/"+url.PathEscape(f.ID), nil, nil)
		}
	}
	return &errStatus{http.StatusNotFound, ""}
}

// allowSSH adds a rule to the first security group of an instance. A rule that is there already is what was wanted.
func (c *Console) allowSSH(ctx context.Context, id string) error {
	ports, err := c.portsOf(ctx, id)
	if err != nil {
		return err
	}
	groups := groupsOf(ports)
	if len(groups) == 0 {
		return &errStatus{http.StatusConflict, "no security group"}
	}
	err = c.admin.do(ctx, http.MethodPost, cloudNetworks+"/security-group-rules", map[string]any{"security_group_rule": map[string]any{
		"security_group_id": groups[0], "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
		"port_range_min": sshPort, "port_range_max": sshPort, "remote_ip_prefix": "0.0.0.0/0", "project_id": ports[0].Project,
	}}, nil)
	var refused *errStatus
	if errors.As(err, &refused) && refused.status == http.StatusConflict && strings.Contains(refused.detail, "exist") {
		return nil
	}
	return err
}
