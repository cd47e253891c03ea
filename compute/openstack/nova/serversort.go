package nova

import (
	"cmp"
	"strings"

	"github.com/kamado/kamado/compute"
)

// sortKey is one step of an order.
type sortKey struct {
	name string
	desc bool
}

// sortable is what servers are sorted by: how two compare, and the column that
// has the same order ("" for none).
var sortable = map[string]struct {
	column  string
	compare func(a, b *compute.Instance) int
	admin   bool // for administrators only
}{
	"created_at":          {"created", func(a, b *compute.Instance) int { return a.Created.Compare(b.Created) }, false},
	"updated_at":          {"updated", func(a, b *compute.Instance) int { return a.Updated.Compare(b.Updated) }, false},
	"display_name":        {"name", by(func(i *compute.Instance) string { return i.Name }), false},
	"name":                {"name", by(func(i *compute.Instance) string { return i.Name }), false},
	"uuid":                {"id", by(func(i *compute.Instance) string { return i.ID }), false},
	"vm_state":            {"vm", by(func(i *compute.Instance) string { return string(i.VM) }), false},
	"task_state":          {"task", by(func(i *compute.Instance) string { return string(i.Task) }), false},
	"project_id":          {"project_id", by(func(i *compute.Instance) string { return i.ProjectID }), false},
	"user_id":             {"user_id", by(func(i *compute.Instance) string { return i.UserID }), false},
	"image_ref":           {"image_id", by(func(i *compute.Instance) string { return i.ImageID }), false},
	"instance_type_id":    {"flavor_id", by(func(i *compute.Instance) string { return i.Flavor.ID }), false},
	"host":                {"host_id", by(func(i *compute.Instance) string { return i.HostID }), true},
	"node":                {"host_id", by(func(i *compute.Instance) string { return i.HostID }), true},
	"launched_at":         {"", func(a, b *compute.Instance) int { return a.Launched.Compare(b.Launched) }, false},
	"terminated_at":       {"", func(a, b *compute.Instance) int { return a.Deleted.Compare(b.Deleted) }, false},
	"availability_zone":   {"", by(func(i *compute.Instance) string { return i.Zone }), false},
	"hostname":            {"", by(func(i *compute.Instance) string { return i.Hostname }), false},
	"key_name":            {"", by(func(i *compute.Instance) string { return i.KeyName }), false},
	"display_description": {"", by(func(i *compute.Instance) string { return i.Description }), false},
	"access_ip_v4":        {"", by(func(i *compute.Instance) string { return i.AccessIPv4 }), false},
	"access_ip_v6":        {"", by(func(i *compute.Instance) string { return i.AccessIPv6 }), false},
	"kernel_id":           {"", by(func(i *compute.Instance) string { return i.ImageProps["kernel_id"] }), false},
	"ramdisk_id":          {"", by(func(i *compute.Instance) string { return i.ImageProps["ramdisk_id"] }), false},
	"power_state":         {"", func(a, b *compute.Instance) int { return cmp.Compare(a.Power, b.Power) }, false},
	"progress":            {"", func(a, b *compute.Instance) int { return cmp.Compare(a.Progress, b.Progress) }, false},
	"launch_index":        {"", func(a, b *compute.Instance) int { return cmp.Compare(a.LaunchIndex, b.LaunchIndex) }, false},
	"config_drive":        {"", func(a, b *compute.Instance) int { return compareBool(a.ConfigDrive, b.ConfigDrive) }, false},
	"locked":              {"", func(a, b *compute.Instance) int { return compareBool(a.Locked, b.Locked) }, false},
	"auto_disk_config":    {"", by(func(i *compute.Instance) string { return i.DiskConfig }), false},
	"root_device_name":    {"id", by(func(i *compute.Instance) string { return i.ID }), false},
}

func by(of func(*compute.Instance) string) func(a, b *compute.Instance) int {
	return func(a, b *compute.Instance) int { return strings.Compare(of(a), of(b)) }
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// sortKeysMax bounds how many steps an order has.
const sortKeysMax = 8

// sorting reads the order of a list: the newest first when nothing is asked.
func (c *call) sorting(s *selection) error {
	q := c.URL.Query()
	keys, dirs := q["sort_key"], q["sort_dir"]
	if len(keys) > sortKeysMax {
		return invalid("At most %d sort keys are taken.", sortKeysMax)
	}
	if len(dirs) > len(keys) && len(keys) > 0 {
		return invalid("Unknown sort direction, must be 'desc' or 'asc'")
	}
	way := "desc"
	for i, name := range keys {
		k, known := sortable[name]
		if !known || k.admin && !c.Caller.Admin() {
			if known {
				return compute.Errorf(compute.Denied, "Sort key %s is for administrators.", name)
			}
			return mismatch("sort_key", name, "%s is not one of the keys that servers are sorted by", repr(name))
		}
		if i < len(dirs) {
			way = dirs[i]
		}
		if way != "asc" && way != "desc" {
			return invalid("Unknown sort direction, must be 'desc' or 'asc'")
		}
		s.order = append(s.order, sortKey{name, way == "desc"})
	}
	if len(keys) > 0 {
		return nil
	}
	if len(dirs) > 0 {
		if way = dirs[0]; way != "asc" && way != "desc" {
			return invalid("Unknown sort direction, must be 'desc' or 'asc'")
		}
	}
	s.order = []sortKey{{"created_at", way == "desc"}}
	return nil
}

// column gives the order as the store takes it; false when no column has it.
func (s *selection) column() (string, bool) {
	k := s.order[0]
	if len(s.order) > 1 || sortable[k.name].column == "" {
		return "", false
	}
	if k.desc {
		return "-" + sortable[k.name].column, true
	}
	return sortable[k.name].column, true
}

// compare orders two rows; equal ones by age and id, in the direction of the last step.
func (s *selection) compare(a, b *compute.Instance) int {
	desc := false
	for _, k := range s.order {
		desc = k.desc
		if n := sortable[k.name].compare(a, b); n != 0 {
			return signed(n, desc)
		}
	}
	if n := a.Created.Compare(b.Created); n != 0 {
		return signed(n, desc)
	}
	return signed(strings.Compare(a.ID, b.ID), desc)
}

func signed(n int, desc bool) int {
	if desc {
		return -n
	}
	return n
}
