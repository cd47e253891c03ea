package nova

import (
	"net/http"
	"slices"
)

// extensions are the names by which old clients ask whether something is there,
// each with what it is.
var extensions = [][2]string{
	{"NMN", "Multinic"}, {"OS-DCF", "DiskConfig"}, {"OS-EXT-AZ", "ExtendedAvailabilityZone"}, {"OS-EXT-IPS", "ExtendedIps"},
	{"OS-EXT-IPS-MAC", "ExtendedIpsMac"}, {"OS-EXT-SRV-ATTR", "ExtendedServerAttributes"}, {"OS-EXT-STS", "ExtendedStatus"},
	{"OS-FLV-DISABLED", "FlavorDisabled"}, {"OS-FLV-EXT-DATA", "FlavorExtraData"}, {"OS-SCH-HNT", "SchedulerHints"},
	{"OS-SRV-USG", "ServerUsage"}, {"os-admin-actions", "AdminActions"}, {"os-aggregates", "Aggregates"},
	{"os-attach-interfaces", "AttachInterfaces"}, {"os-availability-zone", "AvailabilityZone"}, {"os-config-drive", "ConfigDrive"},
	{"os-console-output", "ConsoleOutput"}, {"os-consoles", "Consoles"}, {"os-create-backup", "CreateBackup"},
	{"os-deferred-delete", "DeferredDelete"}, {"os-extended-volumes", "ExtendedVolumes"}, {"os-flavor-access", "FlavorAccess"},
	{"os-flavor-extra-specs", "FlavorExtraSpecs"}, {"os-flavor-manage", "FlavorManage"}, {"os-flavor-rxtx", "FlavorRxtx"},
	{"os-hosts", "Hosts"}, {"os-hypervisors", "Hypervisors"}, {"os-instance-actions", "InstanceActions"}, {"os-keypairs", "Keypairs"},
	{"os-lock-server", "LockServer"}, {"os-migrate-server", "MigrateServer"}, {"os-migrations", "Migrations"},
	{"os-multiple-create", "MultipleCreate"}, {"os-pause-server", "PauseServer"}, {"os-quota-class-sets", "QuotaClasses"},
	{"os-quota-sets", "Quotas"}, {"os-rescue", "Rescue"}, {"os-security-groups", "SecurityGroups"},
	{"os-server-diagnostics", "ServerDiagnostics"}, {"os-server-groups", "ServerGroups"}, {"os-server-password", "ServerPassword"},
	{"os-services", "Services"}, {"os-shelve", "Shelve"}, {"os-simple-tenant-usage", "SimpleTenantUsage"},
	{"os-suspend-server", "SuspendServer"}, {"os-user-data", "UserData"}, {"flavors", "Flavors"}, {"image-metadata", "ImageMetadata"},
	{"images", "Images"}, {"ips", "Ips"}, {"limits", "Limits"}, {"server-metadata", "ServerMetadata"}, {"servers", "Servers"},
	{"versions", "Versions"},
}

func extensionView(e [2]string) object {
	return object{"alias": e[0], "name": e[1], "description": e[1] + ".", "links": []object{}, "updated": "2014-12-03T00:00:00Z",
		"namespace": "http://docs.openstack.org/compute/ext/fake_xml"}
}

func (a *API) listExtensions(c *call) error {
	views := []object{}
	for _, e := range extensions {
		views = append(views, extensionView(e))
	}
	return c.json(http.StatusOK, object{"extensions": views})
}

func (a *API) showExtension(c *call) error {
	alias := c.PathValue("alias")
	i := slices.IndexFunc(extensions, func(e [2]string) bool { return e[0] == alias })
	if i < 0 {
		return notFound("The resource could not be found.")
	}
	return c.json(http.StatusOK, object{"extension": extensionView(extensions[i])})
}
