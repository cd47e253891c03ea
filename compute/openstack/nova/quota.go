package nova

import (
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
)

// The most that an injected file may have, whatever a quota says.
const (
	injectedContentMax = 10240 // bytes
	injectedPathMax    = 255   // characters of its path
)

// quotaItem is one number of a quota set.
type quotaItem struct {
	name     string
	resource compute.Resource
	last     minor // microversion that shows it last; 0: all do
	class    minor // first microversion of quota classes that has it
}

// quotaItems are the numbers of a quota set. Networks are Neutron's to bound: its
// proxies are gone from 2.36 on, its files from 2.57 on.
var quotaItems = []quotaItem{
	{name: "instances", resource: compute.QuotaInstances},
	{name: "cores", resource: compute.QuotaCores},
	{name: "ram", resource: compute.QuotaRAM},
	{name: "metadata_items", resource: compute.QuotaMetadata},
	{name: "key_pairs", resource: compute.QuotaKeypairs},
	{name: "server_groups", resource: compute.QuotaServerGroups, class: 50},
	{name: "server_group_members", resource: compute.QuotaGroupMembers, class: 50},
	{name: "injected_files", resource: compute.QuotaInjectedFiles, last: 56},
	{name: "injected_file_content_bytes", resource: compute.QuotaFileBytes, last: 56},
	{name: "injected_file_path_bytes", resource: compute.QuotaFilePath, last: 56},
	{name: "floating_ips", resource: compute.QuotaFloatingIPs, last: 35},
	{name: "fixed_ips", resource: compute.QuotaFixedIPs, last: 35},
	{name: "security_groups", resource: compute.QuotaSecurityGroups, last: 35},
	{name: "security_group_rules", resource: compute.QuotaSecurityRules, last: 35},
}

// quotasOf gives the items that a microversion has.
func (c *call) quotasOf(class bool) []quotaItem {
	return slices.DeleteFunc(slices.Clone(quotaItems), func(q quotaItem) bool {
		last := q.last
		if class && last == 35 {
			last = 49 // classes lost the proxies' numbers later
		}
		return last != 0 && c.v > last || class && c.v < q.class
	})
}

// classDefault is the owner of the limits that projects without their own have.
const classDefault = "class:default"

// limitOf gives an item's limit for an owner; "" for the defaults.
func limitOf(tx *compute.Tx, owner string, q quotaItem) (int, error) {
	if owner == "" {
		owner = classDefault
	}
	return tx.Limit(owner, q.resource)
}

// usedOf gives what a project holds of an item.
func usedOf(tx *compute.Tx, project string, q quotaItem) (int, error) {
	switch q.resource {
	case compute.QuotaInstances, compute.QuotaCores, compute.QuotaRAM, compute.QuotaServerGroups,
		compute.QuotaFloatingIPs, compute.QuotaSecurityGroups:
		return tx.Used(project, q.resource)
	}
	return 0, nil
}

// mayQuota says whether the caller may see a project's quota.
func (c *call) mayQuota(project string) error {
	if c.Caller.Admin() || project == c.Caller.ProjectID {
		return nil
	}
	return compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:os-quota-sets:show to be performed.")
}

func (c *call) quotaSet(owner, id string, class bool) (object, error) {
	o := object{}
	if id != "" {
		o["id"] = id
	}
	err := c.read(func(tx *compute.Tx) error {
		for _, q := range c.quotasOf(class) {
			n, err := limitOf(tx, owner, q)
			if err != nil {
				return err
			}
			o[q.name] = n
		}
		return nil
	})
	return o, err
}

func (a *API) showQuotas(c *call) error {
	project := c.PathValue("project")
	if err := c.mayQuota(project); err != nil {
		return err
	}
	o, err := c.quotaSet(project, project, false)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"quota_set": o})
}

func (a *API) showDefaultQuotas(c *call) error {
	o, err := c.quotaSet("", c.PathValue("project"), false)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"quota_set": o})
}

func (a *API) showQuotaDetail(c *call) error {
	project := c.PathValue("project")
	if err := c.mayQuota(project); err != nil {
		return err
	}
	o := object{"id": project}
	err := c.read(func(tx *compute.Tx) error {
		for _, q := range c.quotasOf(false) {
			limit, err := limitOf(tx, project, q)
			if err != nil {
				return err
			}
			used, err := usedOf(tx, project, q)
			if err != nil {
				return err
			}
			o[q.name] = object{"limit": limit, "in_use": used, "reserved": 0}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"quota_set": o})
}

// quotaBody reads new limits.
func (c *call) quotaBody(key string, class bool) (map[string]any, error) {
	f := fields{}
	for _, q := range c.quotasOf(class) {
		f[q.name] = wholeNumber(compute.Unlimited, flavorMax)
	}
	if !class {
		f["force"], f["tenant_id"] = truth, anything
	}
	f["class_name"], f["id"] = anything, anything
	body, err := c.body(objectOf(fields{key: objectOf(f)}, key))
	if err != nil {
		return nil, err
	}
	return sub(body, key), nil
}

// setLimits keeps new limits of an owner.
func (c *call) setLimits(tx *compute.Tx, owner string, items []quotaItem, in map[string]any, force bool) error {
	for _, q := range items {
		v, given := in[q.name]
		if !given {
			continue
		}
		limit, _ := asInt(v)
		if limit >= 0 && !force {
			used, err := usedOf(tx, owner, q)
			if err != nil {
				return err
			}
			if limit < used {
				return invalid("Quota limit %d for %s must be greater than or equal to already used and reserved %d.", limit, q.name, used)
			}
		}
		row := &compute.Quota{ID: compute.QuotaID(owner, q.resource), ProjectID: owner, Resource: q.resource, Limit: limit}
		err := tx.Quotas.Update(row)
		if compute.IsKind(err, compute.NotFound) {
			err = tx.Quotas.Insert(row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *API) updateQuotas(c *call) error {
	project := c.PathValue("project")
	in, err := c.quotaBody("quota_set", false)
	if err != nil {
		return err
	}
	err = c.write(func(tx *compute.Tx) error {
		if err := knownProject(tx, project); err != nil {
			return err
		}
		return c.setLimits(tx, project, c.quotasOf(false), in, yes(in, "force"))
	})
	if err != nil {
		return err
	}
	o, err := c.quotaSet(project, "", false)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"quota_set": o})
}

func (a *API) deleteQuotas(c *call) error {
	project := c.PathValue("project")
	err := c.write(func(tx *compute.Tx) error {
		for _, q := range quotaItems {
			err := tx.Quotas.Delete(compute.QuotaID(project, q.resource))
			if err != nil && !compute.IsKind(err, compute.NotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusAccepted)
}

func (a *API) showQuotaClass(c *call) error {
	name := c.PathValue("name")
	o, err := c.quotaSet("class:"+name, name, true)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"quota_class_set": o})
}

func (a *API) updateQuotaClass(c *call) error {
	in, err := c.quotaBody("quota_class_set", true)
	if err != nil {
		return err
	}
	owner := "class:" + c.PathValue("name")
	if err := c.write(func(tx *compute.Tx) error { return c.setLimits(tx, owner, c.quotasOf(true), in, true) }); err != nil {
		return err
	}
	o, err := c.quotaSet(owner, "", true)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"quota_class_set": o})
}

// limitItem is one of the absolute limits.
type limitItem struct {
	name string
	quotaItem
	used bool  // what is used, instead of the limit
	last minor // microversion that shows it last
}

var limitItems = []limitItem{
	{name: "maxTotalInstances", quotaItem: quotaItem{resource: compute.QuotaInstances}},
	{name: "maxTotalCores", quotaItem: quotaItem{resource: compute.QuotaCores}},
	{name: "maxTotalRAMSize", quotaItem: quotaItem{resource: compute.QuotaRAM}},
	{name: "maxServerMeta", quotaItem: quotaItem{resource: compute.QuotaMetadata}},
	{name: "maxImageMeta", quotaItem: quotaItem{resource: compute.QuotaMetadata}, last: 38},
	{name: "maxPersonality", quotaItem: quotaItem{resource: compute.QuotaInjectedFiles}, last: 56},
	{name: "maxPersonalitySize", quotaItem: quotaItem{resource: compute.QuotaFileBytes}, last: 56},
	{name: "maxTotalKeypairs", quotaItem: quotaItem{resource: compute.QuotaKeypairs}},
	{name: "maxServerGroups", quotaItem: quotaItem{resource: compute.QuotaServerGroups}},
	{name: "maxServerGroupMembers", quotaItem: quotaItem{resource: compute.QuotaGroupMembers}},
	{name: "maxTotalFloatingIps", quotaItem: quotaItem{resource: compute.QuotaFloatingIPs}, last: 35},
	{name: "maxSecurityGroups", quotaItem: quotaItem{resource: compute.QuotaSecurityGroups}, last: 35},
	{name: "maxSecurityGroupRules", quotaItem: quotaItem{resource: compute.QuotaSecurityRules}, last: 35},
	{name: "totalInstancesUsed", quotaItem: quotaItem{resource: compute.QuotaInstances}, used: true},
	{name: "totalCoresUsed", quotaItem: quotaItem{resource: compute.QuotaCores}, used: true},
	{name: "totalRAMUsed", quotaItem: quotaItem{resource: compute.QuotaRAM}, used: true},
	{name: "totalServerGroupsUsed", quotaItem: quotaItem{resource: compute.QuotaServerGroups}, used: true},
	{name: "totalFloatingIpsUsed", quotaItem: quotaItem{resource: compute.QuotaFloatingIPs}, used: true, last: 35},
	{name: "totalSecurityGroupsUsed", quotaItem: quotaItem{resource: compute.QuotaSecurityGroups}, used: true, last: 35},
}

func (a *API) showLimits(c *call) error {
	project := c.Caller.ProjectID
	if asked := c.URL.Query().Get("tenant_id"); asked != "" && asked != project {
		if !c.Caller.Admin() {
			return compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:limits:other_project to be performed.")
		}
		project = asked
	}
	absolute := object{}
	err := c.read(func(tx *compute.Tx) error {
		for _, l := range limitItems {
			if l.last != 0 && c.v > l.last {
				continue
			}
			value := limitOf
			if l.used {
				value = usedOf
			}
			n, err := value(tx, project, l.quotaItem)
			if err != nil {
				return err
			}
			absolute[l.name] = n
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"limits": object{"rate": []object{}, "absolute": absolute}})
}
