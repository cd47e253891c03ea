package nova

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

// The security groups and floating addresses as Nova showed them itself, until
// 2.35: by the rules of networks, in Nova's old words.

// Networks is what these ask of the rules of networks. *fabric.Service satisfies it.
type Networks interface {
	EnsureDefaultGroup(ctx context.Context, project string) error
	CreateGroups(ctx context.Context, who compute.Caller, list []fabric.GroupAttrs) ([]*compute.SecurityGroup, error)
	UpdateGroup(ctx context.Context, who compute.Caller, id string, a fabric.GroupAttrs) (*compute.SecurityGroup, error)
	DeleteGroup(ctx context.Context, who compute.Caller, id string) error
	CreateRules(ctx context.Context, who compute.Caller, list []fabric.RuleAttrs) ([]*compute.SecurityRule, error)
	DeleteRule(ctx context.Context, who compute.Caller, id string) error
	CreateFloatingIPs(ctx context.Context, who compute.Caller, list []fabric.FloatingAttrs) ([]*compute.FloatingIP, error)
	UpdateFloatingIP(ctx context.Context, who compute.Caller, id string, a fabric.FloatingAttrs) (*compute.FloatingIP, error)
	DeleteFloatingIP(ctx context.Context, who compute.Caller, id string) error
}

// proxyRoutes is the part that Neutron has now.
func (a *API) proxyRoutes() []route {
	return []route{
		{method: "GET", pattern: "/v2.1/os-security-groups", rule: reads, max: 35, handle: a.listSecurityGroups},
		{method: "POST", pattern: "/v2.1/os-security-groups", rule: writes, max: 35, handle: a.createSecurityGroup},
		{method: "GET", pattern: "/v2.1/os-security-groups/{group}", rule: reads, max: 35, handle: a.showSecurityGroup},
		{method: "PUT", pattern: "/v2.1/os-security-groups/{group}", rule: writes, max: 35, handle: a.updateSecurityGroup},
		{method: "DELETE", pattern: "/v2.1/os-security-groups/{group}", rule: writes, max: 35, handle: a.deleteSecurityGroup},
		{method: "POST", pattern: "/v2.1/os-security-group-rules", rule: writes, max: 35, handle: a.createSecurityRule},
		{method: "DELETE", pattern: "/v2.1/os-security-group-rules/{sgrule}", rule: writes, max: 35, handle: a.deleteSecurityRule},
		{method: "GET", pattern: "/v2.1/os-floating-ip-pools", rule: reads, max: 35, handle: a.listPools},
		{method: "GET", pattern: "/v2.1/os-floating-ips", rule: reads, max: 35, handle: a.listFloatingIPs},
		{method: "POST", pattern: "/v2.1/os-floating-ips", rule: writes, max: 35, handle: a.createFloatingIP},
		{method: "GET", pattern: "/v2.1/os-floating-ips/{fip}", rule: reads, max: 35, handle: a.showFloatingIP},
		{method: "DELETE", pattern: "/v2.1/os-floating-ips/{fip}", rule: writes, max: 35, handle: a.deleteFloatingIP},
	}
}

// plainly turns conflicts into 400, as Nova said them for groups and rules.
func plainly(err error) error {
	var e *compute.Error
	if errors.As(err, &e) && e.Kind == compute.Conflict {
		return compute.Errorf(compute.Invalid, "%s", e.Detail)
	}
	return err
}

// ownGroup gives a security group of the caller's.
func ownGroup(tx *compute.Tx, who compute.Caller, id string) (*compute.SecurityGroup, error) {
	g, err := tx.SecurityGroups.Get(id)
	if compute.IsKind(err, compute.NotFound) || err == nil && !who.Owns(g.ProjectID) {
		return nil, notFound("Security group %s not found.", id)
	}
	return g, err
}

func (a *API) listSecurityGroups(c *call) error {
	if err := a.Networks.EnsureDefaultGroup(c.Context(), c.Caller.ProjectID); err != nil {
		return err
	}
	where := compute.Where{"project_id": c.Caller.ProjectID}
	if c.Caller.Admin() && c.URL.Query().Has("all_tenants") {
		where = nil
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	views := []object{}
	err = c.read(func(tx *compute.Tx) error {
		rows, err := tx.SecurityGroups.List(compute.Query{Where: where, Limit: p.limit})
		if err != nil {
			return err
		}
		for _, g := range rows {
			v, err := securityGroup(tx, g.ID)
			if err != nil {
				return err
			}
			views = append(views, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"security_groups": views})
}

// securityGroupAnswer answers with one group.
func (c *call) securityGroupAnswer(id string) error {
	return c.read(func(tx *compute.Tx) error {
		if _, err := ownGroup(tx, c.Caller, id); err != nil {
			return err
		}
		v, err := securityGroup(tx, id)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, object{"security_group": v})
	})
}

func (a *API) showSecurityGroup(c *call) error { return c.securityGroupAnswer(c.PathValue("group")) }

// groupBody reads a group's name and description.
func (c *call) groupBody() (fabric.GroupAttrs, error) {
	body, err := c.body(objectOf(fields{"security_group": objectOf(fields{"name": text(1, 255), "description": orNull(text(0, 255))}, "name")}, "security_group"))
	if err != nil {
		return fabric.GroupAttrs{}, err
	}
	in := sub(body, "security_group")
	return fabric.GroupAttrs{Name: fabric.Some(str(in, "name")), Description: fabric.Some(str(in, "description"))}, nil
}

func (a *API) createSecurityGroup(c *call) error {
	attrs, err := c.groupBody()
	if err != nil {
		return err
	}
	made, err := a.Networks.CreateGroups(c.Context(), c.Caller, []fabric.GroupAttrs{attrs})
	if err != nil {
		return plainly(err)
	}
	c.Note("os-security-groups", made[0].ID)
	return c.securityGroupAnswer(made[0].ID)
}

func (a *API) updateSecurityGroup(c *call) error {
	attrs, err := c.groupBody()
	if err != nil {
		return err
	}
	id := c.PathValue("group")
	if !compute.IsID(id) {
		return invalid("Security group id should be uuid")
	}
	if _, err := a.Networks.UpdateGroup(c.Context(), c.Caller, id, attrs); err != nil {
		return plainly(err)
	}
	return c.securityGroupAnswer(id)
}

func (a *API) deleteSecurityGroup(c *call) error {
	return c.accepted(plainly(a.Networks.DeleteGroup(c.Context(), c.Caller, c.PathValue("group"))))
}

// portNumber takes a port, or -1 or null for any.
var portNumber = orNull(wholeNumber(-1, 65535))

func (a *API) createSecurityRule(c *call) error {
	body, err := c.body(objectOf(fields{"security_group_rule": openObject(fields{"parent_group_id": id, "ip_protocol": orNull(text(0, 40)),
		"from_port": portNumber, "to_port": portNumber, "cidr": orNull(text(0, 64)), "group_id": orNull(id)}, "parent_group_id")}, "security_group_rule"))
	if err != nil {
		return err
	}
	in := sub(body, "security_group_rule")
	attrs := fabric.RuleAttrs{GroupID: fabric.Some(str(in, "parent_group_id")), Direction: fabric.Some("ingress")}
	if p := str(in, "ip_protocol"); p != "" {
		attrs.Protocol = fabric.Some(p)
	}
	for _, port := range []struct {
		key string
		to  *fabric.Opt[*int]
	}{{"from_port", &attrs.PortMin}, {"to_port", &attrs.PortMax}} {
		if n, ok := asInt(in[port.key]); ok && n >= 0 {
			*port.to = fabric.Some(&n)
		}
	}
	if remote := str(in, "group_id"); remote != "" {
		attrs.RemoteGroupID = fabric.Some(remote)
	} else {
		cidr := str(in, "cidr")
		if cidr == "" {
			cidr = "0.0.0.0/0"
		}
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return invalid("Invalid cidr %s.", cidr)
		}
		attrs.RemotePrefix = fabric.Some(cidr)
		if prefix.Addr().Is6() {
			attrs.EtherType = fabric.Some("IPv6")
		}
	}
	made, err := a.Networks.CreateRules(c.Context(), c.Caller, []fabric.RuleAttrs{attrs})
	if err != nil {
		return plainly(err)
	}
	return c.read(func(tx *compute.Tx) error {
		return c.json(http.StatusOK, object{"security_group_rule": ruleView(tx, made[0])})
	})
}

func (a *API) deleteSecurityRule(c *call) error {
	return c.accepted(plainly(a.Networks.DeleteRule(c.Context(), c.Caller, c.PathValue("sgrule"))))
}

// pools gives the external networks: where floating addresses come from.
func pools(tx *compute.Tx) ([]*compute.Network, error) {
	return tx.Networks.List(compute.Query{Where: compute.Where{"external": true}})
}

func (a *API) listPools(c *call) error {
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		rows, err := pools(tx)
		for _, n := range rows {
			views = append(views, object{"name": n.Name})
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"floating_ip_pools": views})
}

// floatingView is a floating address as Nova showed it.
func floatingView(tx *compute.Tx, f *compute.FloatingIP) (object, error) {
	o := object{"id": f.ID, "ip": f.IP, "fixed_ip": orNil(f.FixedIP), "pool": nil, "instance_id": nil}
	if n, err := tx.Networks.Get(f.NetworkID); err == nil {
		o["pool"] = n.Name
	} else if !compute.IsKind(err, compute.NotFound) {
		return nil, err
	}
	if f.FixedPortID == "" {
		return o, nil
	}
	p, err := tx.Ports.Get(f.FixedPortID)
	if err == nil {
		o["instance_id"] = orNil(p.DeviceID)
	} else if !compute.IsKind(err, compute.NotFound) {
		return nil, err
	}
	return o, nil
}

func (a *API) listFloatingIPs(c *call) error {
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		rows, err := tx.FloatingIPs.List(compute.Query{Where: compute.Where{"project_id": c.Caller.ProjectID}})
		if err != nil {
			return err
		}
		for _, f := range rows {
			v, err := floatingView(tx, f)
			if err != nil {
				return err
			}
			views = append(views, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"floating_ips": views})
}

// floatingAnswer answers with one floating address.
func (c *call) floatingAnswer(id string) error {
	return c.read(func(tx *compute.Tx) error {
		f, err := tx.FloatingIPs.Get(id)
		if compute.IsKind(err, compute.NotFound) || err == nil && !c.Caller.Owns(f.ProjectID) {
			return notFound("Floating IP not found for ID %s", id)
		}
		if err != nil {
			return err
		}
		v, err := floatingView(tx, f)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, object{"floating_ip": v})
	})
}

func (a *API) showFloatingIP(c *call) error { return c.floatingAnswer(c.PathValue("fip")) }

func (a *API) createFloatingIP(c *call) error {
	body := map[string]any{}
	if c.ContentLength != 0 {
		var err error
		if body, err = c.body(openObject(fields{"pool": orNull(text(0, 255))})); err != nil {
			return err
		}
	}
	wanted, network := str(body, "pool"), ""
	err := c.read(func(tx *compute.Tx) error {
		rows, err := pools(tx)
		for _, n := range rows {
			if network == "" && (wanted == "" || wanted == n.Name || wanted == n.ID) {
				network = n.ID
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if network == "" {
		return notFound("Floating IP pool not found.")
	}
	made, err := a.Networks.CreateFloatingIPs(c.Context(), c.Caller, []fabric.FloatingAttrs{{NetworkID: fabric.Some(network)}})
	if err != nil {
		return err
	}
	c.Note("os-floating-ips", made[0].ID)
	return c.floatingAnswer(made[0].ID)
}

func (a *API) deleteFloatingIP(c *call) error {
	return c.accepted(a.Networks.DeleteFloatingIP(c.Context(), c.Caller, c.PathValue("fip")))
}

var (
	floatingSchema = objectOf(fields{"address": address(0), "fixed_address": orNull(address(0))}, "address")
)

// floatingOf gives the caller's floating address of an IP.
func (c *call) floatingOf(ip string) (*compute.FloatingIP, error) {
	var found *compute.FloatingIP
	err := c.read(func(tx *compute.Tx) error {
		rows, err := tx.FloatingIPs.List(compute.Query{Where: compute.Where{"ip": ip}})
		for _, f := range rows {
			if c.Caller.Owns(f.ProjectID) {
				found = f
			}
		}
		return err
	})
	if err == nil && found == nil {
		err = notFound("floating IP not found")
	}
	return found, err
}

// addFloating leads a floating address to a server (until 2.43).
func addFloating(c *call, _ string, in map[string]any) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	f, err := c.floatingOf(canonical(str(in, "address")))
	if err != nil {
		return err
	}
	wanted := canonical(str(in, "fixed_address"))
	at := slices.IndexFunc(i.Addresses, func(a compute.InstanceAddress) bool {
		return a.Type == "fixed" && a.Version == 4 && (wanted == "" || a.IP == wanted)
	})
	if at < 0 {
		return invalid("No fixed IP addresses available to associate.")
	}
	_, err = c.api.Networks.UpdateFloatingIP(c.Context(), c.Caller, f.ID,
		fabric.FloatingAttrs{PortID: fabric.Some(i.Addresses[at].PortID), FixedIP: fabric.Some(i.Addresses[at].IP)})
	return c.accepted(plainly(err))
}

// removeFloating takes a floating address from a server (until 2.43).
func removeFloating(c *call, _ string, in map[string]any) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	f, err := c.floatingOf(canonical(str(in, "address")))
	if err != nil {
		return err
	}
	if f.FixedPortID == "" || !slices.Contains(i.Ports, f.FixedPortID) {
		return conflict("Floating IP %s is not associated with instance %s.", f.IP, i.ID)
	}
	_, err = c.api.Networks.UpdateFloatingIP(c.Context(), c.Caller, f.ID, fabric.FloatingAttrs{PortID: fabric.Some("")})
	return c.accepted(err)
}
