package compute

import "fmt"

// Resource names what a quota bounds, as the clients spell it.
type Resource string

// The resources. Unlimited is a limit of -1.
const (
	QuotaInstances      Resource = "instances"
	QuotaCores          Resource = "cores"
	QuotaRAM            Resource = "ram" // MiB
	QuotaKeypairs       Resource = "key_pairs"
	QuotaMetadata       Resource = "metadata_items"
	QuotaServerGroups   Resource = "server_groups"
	QuotaGroupMembers   Resource = "server_group_members"
	QuotaInjectedFiles  Resource = "injected_files"
	QuotaFileBytes      Resource = "injected_file_content_bytes"
	QuotaFilePath       Resource = "injected_file_path_bytes"
	QuotaFixedIPs       Resource = "fixed_ips"
	QuotaNetworks       Resource = "network"
	QuotaSubnets        Resource = "subnet"
	QuotaSubnetPools    Resource = "subnetpool"
	QuotaPorts          Resource = "port"
	QuotaRouters        Resource = "router"
	QuotaFloatingIPs    Resource = "floatingip"
	QuotaSecurityGroups Resource = "security_group"
	QuotaSecurityRules  Resource = "security_group_rule"
	QuotaImageBytes     Resource = "image_size_total" // MiB, as Glance counts
	QuotaImages         Resource = "image_count_total"

	Unlimited = -1

	// classDefault is the ProjectID of limits for every project that has no own.
	classDefault = "class:default"
)

// QuotaDefaults are Nova's and Neutron's own.
var QuotaDefaults = map[Resource]int{
	QuotaInstances: 10, QuotaCores: 20, QuotaRAM: 51200, QuotaKeypairs: 100, QuotaMetadata: 128, QuotaServerGroups: 10,
	QuotaGroupMembers: 10, QuotaInjectedFiles: 5, QuotaFileBytes: 10240, QuotaFilePath: 255, QuotaFixedIPs: Unlimited, QuotaNetworks: 100, QuotaSubnets: 100, QuotaSubnetPools: Unlimited,
	QuotaPorts: 500, QuotaRouters: 10, QuotaFloatingIPs: 50, QuotaSecurityGroups: 10, QuotaSecurityRules: 100,
	QuotaImageBytes: Unlimited, QuotaImages: 1000,
}

// Quota is a limit that differs from the default: of a project, or of the class
// "default" (ProjectID "class:default"), or of a user within a project.
type Quota struct {
	ID        string // QuotaID
	ProjectID string
	Resource  Resource
	Limit     int
}

// QuotaID makes the id of a quota or a usage.
func QuotaID(projectID string, r Resource) string { return projectID + "/" + string(r) }

// Usage is what a project holds of a resource. It is changed in the same write
// as what it counts.
type Usage struct {
	ID        string // QuotaID
	ProjectID string
	Resource  Resource
	Used      int
}

// Limit gives the limit of a project for a resource: its own, else the class
// default's, else QuotaDefaults.
func (tx *Tx) Limit(projectID string, r Resource) (int, error) {
	for _, owner := range []string{projectID, classDefault} {
		q, err := tx.Quotas.Get(QuotaID(owner, r))
		if err == nil {
			return q.Limit, nil
		}
		if KindOf(err) != NotFound {
			return 0, err
		}
	}
	return QuotaDefaults[r], nil
}

// Used gives what a project holds of a resource.
func (tx *Tx) Used(projectID string, r Resource) (int, error) {
	u, err := tx.Usages.Get(QuotaID(projectID, r))
	if err == nil {
		return u.Used, nil
	}
	if KindOf(err) == NotFound {
		return 0, nil
	}
	return 0, err
}

// Charge adds n (negative gives back) to what a project holds of a resource. Its
// error is of kind OverQuota, and nothing is changed, when that would pass the
// limit; giving back never fails for that.
func (tx *Tx) Charge(projectID string, r Resource, n int) error {
	return tx.ChargeAll(projectID, []Charge{{r, n}})
}

// Charge is an amount of a resource.
type Charge struct {
	Resource Resource
	N        int
}

// ChargeAll is Charge for several resources, all or none, with two questions to
// the store for all of them.
func (tx *Tx) ChargeAll(projectID string, charges []Charge) error {
	var usageIDs, quotaIDs []string
	for _, c := range charges {
		if c.N != 0 {
			usageIDs = append(usageIDs, QuotaID(projectID, c.Resource))
		}
		if c.N > 0 {
			quotaIDs = append(quotaIDs, QuotaID(projectID, c.Resource), QuotaID(classDefault, c.Resource))
		}
	}
	if len(usageIDs) == 0 {
		return nil
	}
	usages, err := tx.Usages.List(Query{Where: Where{"id": usageIDs}})
	if err != nil {
		return err
	}
	held := make(map[Resource]*Usage, len(usages))
	for _, u := range usages {
		held[u.Resource] = u
	}
	var quotas []*Quota
	if len(quotaIDs) > 0 {
		if quotas, err = tx.Quotas.List(Query{Where: Where{"id": quotaIDs}}); err != nil {
			return err
		}
	}
	for _, c := range charges {
		limit, used := limitAmong(quotas, projectID, c.Resource), 0
		if u := held[c.Resource]; u != nil {
			used = u.Used
		}
		if c.N > 0 && limit != Unlimited && used+c.N > limit {
			return &Error{Kind: OverQuota, Name: "OverQuota", Detail: overQuota(c.Resource, c.N, used, limit)}
		}
	}
	for _, c := range charges {
		if c.N == 0 {
			continue
		}
		u := held[c.Resource]
		write := tx.Usages.Update
		if u == nil {
			u, write = &Usage{ID: QuotaID(projectID, c.Resource), ProjectID: projectID, Resource: c.Resource}, tx.Usages.Insert
		}
		u.Used = max(u.Used+c.N, 0)
		if err := write(u); err != nil {
			return err
		}
	}
	return nil
}

// limitAmong is Limit with the rows at hand.
func limitAmong(quotas []*Quota, projectID string, r Resource) int {
	for _, owner := range []string{projectID, classDefault} {
		for _, q := range quotas {
			if q.ID == QuotaID(owner, r) {
				return q.Limit
			}
		}
	}
	return QuotaDefaults[r]
}

// overQuota says it in Nova's words, which clients search for.
func overQuota(r Resource, asked, used, limit int) string {
	return fmt.Sprintf("Quota exceeded for %s: Requested %d, but already used %d of %d %s", r, asked, used, limit, r)
}
