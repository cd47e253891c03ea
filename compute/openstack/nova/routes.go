package nova

import os "github.com/kamado/kamado/compute/openstack"

// The rules of what tenants read and change.
const (
	reads  = os.AsReader
	writes = os.AsMember
)

// routes is the whole API. A route outside of min to max is 404.
func (a *API) routes() []route {
	table := []route{
		{method: "GET", pattern: "/{$}", rule: os.Open, handle: a.listVersions},
		{method: "GET", pattern: "/v2.1", rule: os.Open, handle: a.showVersion},
		{method: "GET", pattern: "/v2", rule: os.Open, handle: a.showOldVersion},

		{method: "GET", pattern: "/v2.1/flavors", rule: os.AsReader, handle: a.listFlavors},
		{method: "GET", pattern: "/v2.1/flavors/detail", rule: os.AsReader, handle: a.listFlavorsDetail},
		{method: "POST", pattern: "/v2.1/flavors", rule: os.AsAdmin, handle: a.createFlavor},
		{method: "GET", pattern: "/v2.1/flavors/{id}", rule: os.AsReader, handle: a.showFlavor},
		{method: "PUT", pattern: "/v2.1/flavors/{id}", rule: os.AsAdmin, min: 55, handle: a.updateFlavor},
		{method: "DELETE", pattern: "/v2.1/flavors/{id}", rule: os.AsAdmin, handle: a.deleteFlavor},
		{method: "POST", pattern: "/v2.1/flavors/{id}/action", rule: os.AsAdmin, handle: a.flavorAction},
		{method: "GET", pattern: "/v2.1/flavors/{id}/os-flavor-access", rule: os.AsAdmin, handle: a.listFlavorAccess},
		{method: "GET", pattern: "/v2.1/flavors/{id}/os-extra_specs", rule: os.AsReader, handle: a.listExtraSpecs},
		{method: "POST", pattern: "/v2.1/flavors/{id}/os-extra_specs", rule: os.AsAdmin, handle: a.createExtraSpecs},
		{method: "GET", pattern: "/v2.1/flavors/{id}/os-extra_specs/{key}", rule: os.AsReader, handle: a.showExtraSpec},
		{method: "PUT", pattern: "/v2.1/flavors/{id}/os-extra_specs/{key}", rule: os.AsAdmin, handle: a.updateExtraSpec},
		{method: "DELETE", pattern: "/v2.1/flavors/{id}/os-extra_specs/{key}", rule: os.AsAdmin, handle: a.deleteExtraSpec},

		{method: "GET", pattern: "/v2.1/os-keypairs", rule: os.AsReader, handle: a.listKeypairs},
		{method: "POST", pattern: "/v2.1/os-keypairs", rule: os.AsMember, handle: a.createKeypair},
		{method: "GET", pattern: "/v2.1/os-keypairs/{name}", rule: os.AsReader, handle: a.showKeypair},
		{method: "DELETE", pattern: "/v2.1/os-keypairs/{name}", rule: os.AsMember, handle: a.deleteKeypair},

		{method: "GET", pattern: "/v2.1/limits", rule: os.AsReader, handle: a.showLimits},
		{method: "GET", pattern: "/v2.1/os-quota-sets/{project}", rule: os.AsReader, handle: a.showQuotas},
		{method: "GET", pattern: "/v2.1/os-quota-sets/{project}/defaults", rule: os.AsReader, handle: a.showDefaultQuotas},
		{method: "GET", pattern: "/v2.1/os-quota-sets/{project}/detail", rule: os.AsReader, handle: a.showQuotaDetail},
		{method: "PUT", pattern: "/v2.1/os-quota-sets/{project}", rule: os.AsAdmin, handle: a.updateQuotas},
		{method: "DELETE", pattern: "/v2.1/os-quota-sets/{project}", rule: os.AsAdmin, handle: a.deleteQuotas},
		{method: "GET", pattern: "/v2.1/os-quota-class-sets/{name}", rule: os.AsAdmin, handle: a.showQuotaClass},
		{method: "PUT", pattern: "/v2.1/os-quota-class-sets/{name}", rule: os.AsAdmin, handle: a.updateQuotaClass},
		{method: "GET", pattern: "/v2.1/os-simple-tenant-usage", rule: os.AsAdmin, handle: a.listUsages},
		{method: "GET", pattern: "/v2.1/os-simple-tenant-usage/{project}", rule: os.AsReader, handle: a.showUsage},

		{method: "GET", pattern: "/v2.1/os-availability-zone", rule: os.AsReader, handle: a.listZones},
		{method: "GET", pattern: "/v2.1/os-availability-zone/detail", rule: os.AsAdmin, handle: a.listZonesDetail},
		{method: "GET", pattern: "/v2.1/os-server-groups", rule: os.AsReader, handle: a.listServerGroups},
		{method: "POST", pattern: "/v2.1/os-server-groups", rule: os.AsMember, handle: a.createServerGroup},
		{method: "GET", pattern: "/v2.1/os-server-groups/{id}", rule: os.AsReader, handle: a.showServerGroup},
		{method: "DELETE", pattern: "/v2.1/os-server-groups/{id}", rule: os.AsMember, handle: a.deleteServerGroup},

		{method: "GET", pattern: "/v2.1/extensions", rule: os.AsReader, handle: a.listExtensions},
		{method: "GET", pattern: "/v2.1/extensions/{alias}", rule: os.AsReader, handle: a.showExtension},
		{method: "GET", pattern: "/v2.1/images", rule: os.AsReader, max: 35, handle: a.listImages},
		{method: "GET", pattern: "/v2.1/images/detail", rule: os.AsReader, max: 35, handle: a.listImagesDetail},
		{method: "GET", pattern: "/v2.1/images/{id}", rule: os.AsReader, max: 35, handle: a.showImage},
		{method: "GET", pattern: "/v2.1/images/{id}/metadata", rule: os.AsReader, max: 38, handle: a.listImageMetadata},
		{method: "GET", pattern: "/v2.1/images/{id}/metadata/{key}", rule: os.AsReader, max: 38, handle: a.showImageMetadata},
		{method: "DELETE", pattern: "/v2.1/images/{id}", rule: os.AsMember, max: 35, handle: a.deleteImage},
		{method: "PUT", pattern: "/v2.1/images/{id}/metadata", rule: os.AsMember, max: 38, handle: a.setImageMetadata},
		{method: "POST", pattern: "/v2.1/images/{id}/metadata", rule: os.AsMember, max: 38, handle: a.updateImageMetadata},
		{method: "PUT", pattern: "/v2.1/images/{id}/metadata/{key}", rule: os.AsMember, max: 38, handle: a.setImageMetadataItem},
		{method: "DELETE", pattern: "/v2.1/images/{id}/metadata/{key}", rule: os.AsMember, max: 38, handle: a.deleteImageMetadataItem},
		{method: "GET", pattern: "/v2.1/os-networks", rule: os.AsReader, max: 35, handle: a.listNetworks},
		{method: "GET", pattern: "/v2.1/os-networks/{id}", rule: os.AsReader, max: 35, handle: a.showNetwork},
		{method: "GET", pattern: "/v2.1/os-tenant-networks", rule: os.AsReader, max: 35, handle: a.listTenantNetworks},
		{method: "GET", pattern: "/v2.1/os-tenant-networks/{id}", rule: os.AsReader, max: 35, handle: a.showTenantNetwork},
	}
	table = append(table, a.serverRoutes()...)
	table = append(table, a.hostRoutes()...)
	table = append(table, a.proxyRoutes()...)
	return append(table, a.goneRoutes()...)
}

// serverRoutes is the part about servers.
func (a *API) serverRoutes() []route {
	const one = "/v2.1/servers/{id}"
	return []route{
		{method: "GET", pattern: "/v2.1/servers", rule: os.AsReader, handle: a.listServers},
		{method: "GET", pattern: "/v2.1/servers/detail", rule: os.AsReader, handle: a.listServersDetail},
		{method: "POST", pattern: "/v2.1/servers", rule: os.AsMember, handle: a.createServer},
		{method: "GET", pattern: one, rule: os.AsReader, handle: a.showServer},
		{method: "PUT", pattern: one, rule: os.AsMember, handle: a.updateServer},
		{method: "DELETE", pattern: one, rule: os.AsMember, handle: a.deleteServer},
		{method: "POST", pattern: one + "/action", rule: os.AsMember, handle: a.serverAction},
		{method: "GET", pattern: one + "/metadata", rule: os.AsReader, handle: a.listMetadata},
		{method: "PUT", pattern: one + "/metadata", rule: os.AsMember, handle: a.setMetadata},
		{method: "POST", pattern: one + "/metadata", rule: os.AsMember, handle: a.updateMetadata},
		{method: "GET", pattern: one + "/metadata/{key}", rule: os.AsReader, handle: a.showMetadataItem},
		{method: "PUT", pattern: one + "/metadata/{key}", rule: os.AsMember, handle: a.setMetadataItem},
		{method: "DELETE", pattern: one + "/metadata/{key}", rule: os.AsMember, handle: a.deleteMetadataItem},
		{method: "GET", pattern: one + "/tags", rule: os.AsReader, min: 26, handle: a.listTags},
		{method: "PUT", pattern: one + "/tags", rule: os.AsMember, min: 26, handle: a.setTags},
		{method: "DELETE", pattern: one + "/tags", rule: os.AsMember, min: 26, handle: a.deleteTags},
		{method: "GET", pattern: one + "/tags/{tag}", rule: os.AsReader, min: 26, handle: a.showTag},
		{method: "PUT", pattern: one + "/tags/{tag}", rule: os.AsMember, min: 26, handle: a.setTag},
		{method: "DELETE", pattern: one + "/tags/{tag}", rule: os.AsMember, min: 26, handle: a.deleteTag},
		{method: "GET", pattern: one + "/ips", rule: os.AsReader, handle: a.listAddresses},
		{method: "GET", pattern: one + "/ips/{network}", rule: os.AsReader, handle: a.showAddresses},
		{method: "GET", pattern: one + "/os-instance-actions", rule: os.AsReader, handle: a.listActions},
		{method: "GET", pattern: one + "/os-instance-actions/{request}", rule: os.AsReader, handle: a.showAction},
		{method: "GET", pattern: one + "/os-interface", rule: os.AsReader, handle: a.listInterfaces},
		{method: "POST", pattern: one + "/os-interface", rule: os.AsMember, handle: a.createInterface},
		{method: "GET", pattern: one + "/os-interface/{port}", rule: os.AsReader, handle: a.showInterface},
		{method: "DELETE", pattern: one + "/os-interface/{port}", rule: os.AsMember, handle: a.deleteInterface},
		{method: "GET", pattern: one + "/os-security-groups", rule: os.AsReader, handle: a.listServerSecurityGroups},
		{method: "GET", pattern: one + "/os-server-password", rule: os.AsReader, handle: a.showPassword},
		{method: "DELETE", pattern: one + "/os-server-password", rule: os.AsMember, handle: a.deletePassword},
		{method: "GET", pattern: one + "/os-volume_attachments", rule: os.AsReader, handle: a.listVolumes},
		{method: "GET", pattern: one + "/os-volume_attachments/{volume}", rule: os.AsReader, handle: a.showVolume},
		{method: "GET", pattern: one + "/topology", rule: os.AsReader, min: 78, handle: a.showTopology},
		{method: "GET", pattern: one + "/diagnostics", rule: os.AsAdmin, handle: a.showDiagnostics},
		{method: "GET", pattern: one + "/migrations", rule: os.AsAdmin, min: 23, handle: a.listServerMigrations},
		{method: "POST", pattern: one + "/remote-consoles", rule: os.AsMember, min: 6, handle: a.createConsole},
	}
}

// hostRoutes is the part for administrators of hosts.
func (a *API) hostRoutes() []route {
	return []route{
		{method: "GET", pattern: "/v2.1/os-services", rule: os.AsAdmin, handle: a.listServices},
		{method: "PUT", pattern: "/v2.1/os-services/{what}", rule: os.AsAdmin, handle: a.putService},
		{method: "DELETE", pattern: "/v2.1/os-services/{what}", rule: os.AsAdmin, handle: a.deleteService},
		{method: "GET", pattern: "/v2.1/os-hosts", rule: os.AsAdmin, max: 42, handle: a.listHosts},
		{method: "GET", pattern: "/v2.1/os-hosts/{name}", rule: os.AsAdmin, max: 42, handle: a.showHost},
		{method: "PUT", pattern: "/v2.1/os-hosts/{name}", rule: os.AsAdmin, max: 42, handle: a.updateHost},
		{method: "GET", pattern: "/v2.1/os-hosts/{name}/startup", rule: os.AsAdmin, max: 42, handle: a.hostPower},
		{method: "GET", pattern: "/v2.1/os-hosts/{name}/shutdown", rule: os.AsAdmin, max: 42, handle: a.hostPower},
		{method: "GET", pattern: "/v2.1/os-hosts/{name}/reboot", rule: os.AsAdmin, max: 42, handle: a.hostPower},
		{method: "GET", pattern: "/v2.1/os-hypervisors", rule: os.AsAdmin, handle: a.listHypervisors},
		{method: "GET", pattern: "/v2.1/os-hypervisors/detail", rule: os.AsAdmin, handle: a.listHypervisorsDetail},
		{method: "GET", pattern: "/v2.1/os-hypervisors/statistics", rule: os.AsAdmin, max: 87, handle: a.hypervisorStatistics},
		{method: "GET", pattern: "/v2.1/os-hypervisors/{id}", rule: os.AsAdmin, handle: a.showHypervisor},
		{method: "GET", pattern: "/v2.1/os-hypervisors/{id}/uptime", rule: os.AsAdmin, max: 87, handle: a.showHypervisorUptime},
		{method: "GET", pattern: "/v2.1/os-hypervisors/{id}/search", rule: os.AsAdmin, max: 52, handle: a.searchHypervisors},
		{method: "GET", pattern: "/v2.1/os-hypervisors/{id}/servers", rule: os.AsAdmin, max: 52, handle: a.hypervisorServers},
		{method: "GET", pattern: "/v2.1/os-aggregates", rule: os.AsAdmin, handle: a.listAggregates},
		{method: "POST", pattern: "/v2.1/os-aggregates", rule: os.AsAdmin, handle: a.createAggregate},
		{method: "GET", pattern: "/v2.1/os-aggregates/{id}", rule: os.AsAdmin, handle: a.showAggregate},
		{method: "PUT", pattern: "/v2.1/os-aggregates/{id}", rule: os.AsAdmin, handle: a.updateAggregate},
		{method: "DELETE", pattern: "/v2.1/os-aggregates/{id}", rule: os.AsAdmin, handle: a.deleteAggregate},
		{method: "POST", pattern: "/v2.1/os-aggregates/{id}/action", rule: os.AsAdmin, handle: a.aggregateAction},
		{method: "GET", pattern: "/v2.1/os-migrations", rule: os.AsAdmin, handle: a.listMigrations},
		{method: "GET", pattern: "/v2.1/os-instance_usage_audit_log", rule: os.AsAdmin, handle: a.showAuditLog},
		{method: "GET", pattern: "/v2.1/os-instance_usage_audit_log/{before}", rule: os.AsAdmin, handle: a.showAuditLog},
	}
}

// goneRoutes are what Nova took away for good: 410, as Nova says it.
func (a *API) goneRoutes() []route {
	var table []route
	for _, noun := range []string{"os-agents", "os-cells", "os-certificates", "os-cloudpipe", "os-fixed-ips", "os-floating-ip-dns",
		"os-floating-ips-bulk", "os-fping", "os-consoles"} {
		for _, method := range []string{"GET", "POST"} {
			table = append(table, route{method: method, pattern: "/v2.1/" + noun, rule: os.AsReader, handle: goneFor})
		}
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			table = append(table, route{method: method, pattern: "/v2.1/" + noun + "/{id}", rule: os.AsReader, handle: goneFor})
		}
	}
	return table
}
