package store

import (
	"time"

	"github.com/kamado/kamado/compute"
)

// micros is how a time lies in a column: microseconds since 1970, 0 for none.
func micros(t time.Time) any {
	if t.IsZero() {
		return int64(0)
	}
	return t.UnixMicro()
}

func col[T any](name string, value func(*T) any) column[T] { return column[T]{name, value} }

// The schemas. A column here is one in migrations/*.sql.
var (
	domains = newSchema("domain", "domains", func(d *compute.Domain) string { return d.ID },
		col("name", func(d *compute.Domain) any { return d.Name }))
	projects = newSchema("project", "projects", func(p *compute.Project) string { return p.ID },
		col("domain_id", func(p *compute.Project) any { return p.DomainID }),
		col("parent_id", func(p *compute.Project) any { return p.ParentID }),
		col("name", func(p *compute.Project) any { return p.Name }))
	users = newSchema("user", "users", func(u *compute.User) string { return u.ID },
		col("domain_id", func(u *compute.User) any { return u.DomainID }),
		col("name", func(u *compute.User) any { return u.Name }))
	roles = newSchema("role", "roles", func(r *compute.Role) string { return r.ID },
		col("domain_id", func(r *compute.Role) any { return r.DomainID }),
		col("name", func(r *compute.Role) any { return r.Name }))
	groups = newSchema("group", "groups_", func(g *compute.Group) string { return g.ID },
		col("domain_id", func(g *compute.Group) any { return g.DomainID }),
		col("name", func(g *compute.Group) any { return g.Name }))
	assignments = newSchema("role assignment", "assignments", func(a *compute.Assignment) string { return a.ID },
		col("actor_id", func(a *compute.Assignment) any { return a.ActorID }),
		col("target_id", func(a *compute.Assignment) any { return a.TargetID }),
		col("role_id", func(a *compute.Assignment) any { return a.RoleID }))
	tokens = newSchema("token", "tokens", func(t *compute.Token) string { return t.ID },
		col("user_id", func(t *compute.Token) any { return t.UserID }),
		col("project_id", func(t *compute.Token) any { return t.ProjectID }),
		col("domain_id", func(t *compute.Token) any { return t.DomainID }),
		col("app_credential_id", func(t *compute.Token) any { return t.AppCredentialID }),
		col("expires", func(t *compute.Token) any { return micros(t.Expires) }))
	appCredentials = newSchema("application credential", "app_credentials", func(a *compute.AppCredential) string { return a.ID },
		col("user_id", func(a *compute.AppCredential) any { return a.UserID }),
		col("project_id", func(a *compute.AppCredential) any { return a.ProjectID }),
		col("name", func(a *compute.AppCredential) any { return a.Name }))
	credentials = newSchema("credential", "credentials", func(c *compute.Credential) string { return c.ID },
		col("user_id", func(c *compute.Credential) any { return c.UserID }),
		col("access", func(c *compute.Credential) any { return c.Access }))
	regions         = newSchema("region", "regions", func(r *compute.Region) string { return r.ID })
	catalogServices = newSchema("service", "catalog_services", func(s *compute.CatalogService) string { return s.ID },
		col("name", func(s *compute.CatalogService) any { return s.Name }),
		col("type", func(s *compute.CatalogService) any { return s.Type }))
	endpoints = newSchema("endpoint", "endpoints", func(e *compute.Endpoint) string { return e.ID },
		col("service_id", func(e *compute.Endpoint) any { return e.ServiceID }))

	quotas = newSchema("quota", "quotas", func(q *compute.Quota) string { return q.ID },
		col("project_id", func(q *compute.Quota) any { return q.ProjectID }))
	usages = newSchema("usage", "usages", func(u *compute.Usage) string { return u.ID },
		col("project_id", func(u *compute.Usage) any { return u.ProjectID }))

	machineImages = newSchema("image", "machine_images", func(m *compute.MachineImage) string { return m.ID },
		col("project_id", func(m *compute.MachineImage) any { return m.ProjectID }),
		col("name", func(m *compute.MachineImage) any { return m.Name }),
		col("status", func(m *compute.MachineImage) any { return string(m.Status) }),
		col("visibility", func(m *compute.MachineImage) any { return m.Visibility }),
		col("created", func(m *compute.MachineImage) any { return micros(m.Created) }))

	imageShares = newSchema("image member", "image_shares", func(s *compute.ImageShare) string { return s.ID },
		col("image_id", func(s *compute.ImageShare) any { return s.ImageID }),
		col("project_id", func(s *compute.ImageShare) any { return s.ProjectID }))

	metadefs = newSchema("metadata definition namespace", "metadefs", func(m *compute.Metadef) string { return m.ID })

	networks = newSchema("Network", "networks", func(n *compute.Network) string { return n.ID },
		col("project_id", func(n *compute.Network) any { return n.ProjectID }),
		col("name", func(n *compute.Network) any { return n.Name }),
		col("shared", func(n *compute.Network) any { return n.Shared }),
		col("external", func(n *compute.Network) any { return n.External }))
	subnets = newSchema("Subnet", "subnets", func(s *compute.Subnet) string { return s.ID },
		col("project_id", func(s *compute.Subnet) any { return s.ProjectID }),
		col("network_id", func(s *compute.Subnet) any { return s.NetworkID }),
		col("subnet_pool_id", func(s *compute.Subnet) any { return s.SubnetPoolID }),
		col("name", func(s *compute.Subnet) any { return s.Name }))
	subnetPools = newSchema("Subnetpool", "subnet_pools", func(s *compute.SubnetPool) string { return s.ID },
		col("project_id", func(s *compute.SubnetPool) any { return s.ProjectID }),
		col("name", func(s *compute.SubnetPool) any { return s.Name }))
	ports = newSchema("Port", "ports", func(p *compute.Port) string { return p.ID },
		col("project_id", func(p *compute.Port) any { return p.ProjectID }),
		col("network_id", func(p *compute.Port) any { return p.NetworkID }),
		col("device_id", func(p *compute.Port) any { return p.DeviceID }),
		col("device_owner", func(p *compute.Port) any { return p.DeviceOwner }),
		col("host_id", func(p *compute.Port) any { return p.HostID }),
		col("mac", func(p *compute.Port) any { return p.NetworkID + "/" + p.MAC }))
	addresses = newSchema("address", "addresses", func(a *compute.Address) string { return a.ID },
		col("subnet_id", func(a *compute.Address) any { return a.SubnetID }),
		col("ip", func(a *compute.Address) any { return a.IP }),
		col("port_id", func(a *compute.Address) any { return a.PortID }))
	routers = newSchema("Router", "routers", func(r *compute.Router) string { return r.ID },
		col("project_id", func(r *compute.Router) any { return r.ProjectID }),
		col("gateway_network_id", func(r *compute.Router) any { return r.GatewayNetworkID }))
	floatingIPs = newSchema("Floating IP", "floating_ips", func(f *compute.FloatingIP) string { return f.ID },
		col("project_id", func(f *compute.FloatingIP) any { return f.ProjectID }),
		col("network_id", func(f *compute.FloatingIP) any { return f.NetworkID }),
		col("fixed_port_id", func(f *compute.FloatingIP) any { return f.FixedPortID }),
		col("router_id", func(f *compute.FloatingIP) any { return f.RouterID }),
		col("ip", func(f *compute.FloatingIP) any { return f.IP }))
	securityGroups = newSchema("Security group", "security_groups", func(g *compute.SecurityGroup) string { return g.ID },
		col("project_id", func(g *compute.SecurityGroup) any { return g.ProjectID }),
		col("name", func(g *compute.SecurityGroup) any { return g.Name }))
	securityRules = newSchema("Security group rule", "security_rules", func(r *compute.SecurityRule) string { return r.ID },
		col("project_id", func(r *compute.SecurityRule) any { return r.ProjectID }),
		col("group_id", func(r *compute.SecurityRule) any { return r.GroupID }),
		col("remote_group_id", func(r *compute.SecurityRule) any { return r.RemoteGroupID }))

	hosts = newSchema("Host", "hosts", func(h *compute.Host) string { return h.ID },
		col("zone", func(h *compute.Host) any { return h.Zone }))
	flavors = newSchema("Flavor", "flavors", func(f *compute.Flavor) string { return f.ID },
		col("name", func(f *compute.Flavor) any { return f.Name }),
		col("public", func(f *compute.Flavor) any { return f.Public }))
	keypairs = newSchema("Keypair", "keypairs", func(k *compute.Keypair) string { return k.ID },
		col("user_id", func(k *compute.Keypair) any { return k.UserID }),
		col("name", func(k *compute.Keypair) any { return k.Name }))
	instances = newSchema("Instance", "instances", func(i *compute.Instance) string { return i.ID },
		col("project_id", func(i *compute.Instance) any { return i.ProjectID }),
		col("user_id", func(i *compute.Instance) any { return i.UserID }),
		col("name", func(i *compute.Instance) any { return i.Name }),
		col("vm", func(i *compute.Instance) any { return string(i.VM) }),
		col("task", func(i *compute.Instance) any { return string(i.Task) }),
		col("host_id", func(i *compute.Instance) any { return i.HostID }),
		col("image_id", func(i *compute.Instance) any { return i.ImageID }),
		col("flavor_id", func(i *compute.Instance) any { return i.Flavor.ID }),
		col("reservation", func(i *compute.Instance) any { return i.Reservation }),
		col("live", func(i *compute.Instance) any { return i.Deleted.IsZero() }),
		col("created", func(i *compute.Instance) any { return micros(i.Created) }),
		col("updated", func(i *compute.Instance) any { return micros(i.Updated) }))
	actions = newSchema("Action", "actions", func(a *compute.Action) string { return a.ID },
		col("instance_id", func(a *compute.Action) any { return a.InstanceID }),
		col("request_id", func(a *compute.Action) any { return a.RequestID }),
		col("started", func(a *compute.Action) any { return micros(a.Started) }))
	migrations = newSchema("Migration", "migrations", func(m *compute.Migration) string { return m.ID },
		col("instance_id", func(m *compute.Migration) any { return m.InstanceID }),
		col("created", func(m *compute.Migration) any { return micros(m.Created) }))
	serverGroups = newSchema("Server group", "server_groups", func(g *compute.ServerGroup) string { return g.ID },
		col("project_id", func(g *compute.ServerGroup) any { return g.ProjectID }))
	aggregates = newSchema("Aggregate", "aggregates", func(a *compute.Aggregate) string { return a.ID },
		col("name", func(a *compute.Aggregate) any { return a.Name }))

	settings = newSchema("setting", "settings", func(s *compute.Setting) string { return s.ID })
)
