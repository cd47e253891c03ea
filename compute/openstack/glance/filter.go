package glance

import (
	"cmp"
	"encoding/csv"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/registry"
)

// Bounds of a page. Unit: images. They are Glance's own.
const (
	limitDefault = 25
	limitMax     = 1000
)

// sortMax bounds how many keys a list is sorted by.
const sortMax = 10

// listing is what a request for a list asks for.
type listing struct {
	visibility   string // empty: the default view
	memberStatus string // accepted, pending, rejected, all
	hidden       bool
	owner        string
	limit        int
	marker       string
	order        []order
	where        compute.Where // conditions that the store's columns hold
	keep         []func(*compute.MachineImage) bool
}

// order is one key of the sort.
type order struct {
	key  string
	desc bool
}

// parseListing reads a query. Its errors are of kind Invalid.
func parseListing(q url.Values) (*listing, error) {
	l := &listing{limit: limitDefault, memberStatus: registry.Accepted, where: compute.Where{}}
	if err := l.parseOrder(q); err != nil {
		return nil, err
	}
	for name, values := range q {
		for _, value := range values {
			if err := l.param(name, value); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

func invalid(name, value string) error {
	return compute.Errorf(compute.Invalid, "Invalid value '%s' for the parameter '%s'.", value, name)
}

// param reads one parameter.
func (l *listing) param(name, value string) error {
	switch name {
	case "sort", "sort_key", "sort_dir":
		return nil // parseOrder
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return compute.Errorf(compute.Invalid, "limit param must be an integer that is not negative")
		}
		l.limit = min(n, limitMax)
		return nil
	case "marker":
		l.marker = value
		return nil
	case "visibility":
		if !slices.Contains(append(registry.Visibilities(), "all"), value) {
			return compute.Errorf(compute.Invalid, "Invalid visibility value: %s", value)
		}
		l.visibility = value
		return nil
	case "member_status":
		if !slices.Contains([]string{registry.Pending, registry.Accepted, registry.Rejected, "all"}, value) {
			return compute.Errorf(compute.Invalid, "Invalid status: %s", value)
		}
		l.memberStatus = value
		return nil
	case "os_hidden":
		b, err := parseBool(name, value)
		l.hidden = b
		return err
	case "owner":
		l.owner = value
		return nil
	}
	return l.filter(name, value)
}

// filter reads one condition about an image itself.
func (l *listing) filter(name, value string) error {
	switch name {
	case "protected":
		b, err := parseBool(name, value)
		l.keep = append(l.keep, func(m *compute.MachineImage) bool { return m.Protected == b })
		return err
	case "tag":
		l.keep = append(l.keep, func(m *compute.MachineImage) bool { return slices.Contains(m.Tags, value) })
		return nil
	case "created_at", "updated_at":
		return l.timeFilter(name, value)
	case "size_min", "size_max", "size", "virtual_size", "min_disk", "min_ram":
		return l.numberFilter(name, value)
	}
	if get := textOf[name]; get != nil {
		return l.textFilter(name, value, get)
	}
	l.keep = append(l.keep, func(m *compute.MachineImage) bool {
		v, ok := m.Properties[name]
		return ok && v == value
	})
	return nil
}

// textOf are the attributes that a text, or a list of texts, selects by.
var textOf = map[string]func(*compute.MachineImage) string{
	"id":               func(m *compute.MachineImage) string { return m.ID },
	"name":             func(m *compute.MachineImage) string { return m.Name },
	"status":           func(m *compute.MachineImage) string { return string(m.Status) },
	"disk_format":      func(m *compute.MachineImage) string { return m.DiskFormat },
	"container_format": func(m *compute.MachineImage) string { return m.ContainerFormat },
	"checksum":         func(m *compute.MachineImage) string { return m.Checksum },
	"os_hash_algo":     func(m *compute.MachineImage) string { return m.HashAlgo },
	"os_hash_value":    func(m *compute.MachineImage) string { return m.HashValue },
}

// columns are those of them that the store selects by.
var columns = []string{"id", "name", "status"}

func (l *listing) textFilter(name, value string, get func(*compute.MachineImage) string) error {
	list := []string{value}
	if op, rest, ok := strings.Cut(value, ":"); ok && op == "eq" {
		list = []string{rest}
	} else if ok && op == "in" {
		r := csv.NewReader(strings.NewReader(rest))
		r.TrimLeadingSpace = true
		fields, err := r.Read()
		if err != nil {
			return compute.Errorf(compute.Invalid, "Invalid filter value %s.", value)
		}
		list = fields
	}
	if _, twice := l.where[name]; slices.Contains(columns, name) && !twice {
		l.where[name] = list
		return nil
	}
	l.keep = append(l.keep, func(m *compute.MachineImage) bool { return slices.Contains(list, get(m)) })
	return nil
}

// operators compare what an image has with what was asked.
var operators = map[string]func(c int) bool{
	"gt": func(c int) bool { return c > 0 }, "gte": func(c int) bool { return c >= 0 }, "lt": func(c int) bool { return c < 0 },
	"lte": func(c int) bool { return c <= 0 }, "eq": func(c int) bool { return c == 0 }, "neq": func(c int) bool { return c != 0 },
}

// operator splits "gt:value"; without an operator it is eq.
func operator(value string) (func(int) bool, string) {
	if op, rest, ok := strings.Cut(value, ":"); ok && operators[op] != nil {
		return operators[op], rest
	}
	return operators["eq"], value
}

func (l *listing) timeFilter(name, value string) error {
	holds, rest := operator(value)
	want, err := parseTime(rest)
	if err != nil {
		return invalid(name, value)
	}
	l.keep = append(l.keep, func(m *compute.MachineImage) bool {
		at := m.Created
		if name == "updated_at" {
			at = m.Updated
		}
		return holds(at.Truncate(time.Second).Compare(want)) // as clients see it
	})
	return nil
}

func (l *listing) numberFilter(name, value string) error {
	attribute := name
	holds, rest := operators["eq"], value
	switch name {
	case "size_min":
		attribute, holds = "size", operators["gte"]
	case "size_max":
		attribute, holds = "size", operators["lte"]
	default:
		holds, rest = operator(value)
	}
	want, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || want < 0 {
		return invalid(name, value)
	}
	l.keep = append(l.keep, func(m *compute.MachineImage) bool {
		if (attribute == "size" || attribute == "virtual_size") && m.Checksum == "" {
			return false // no bytes, no size
		}
		return holds(cmp.Compare(numberOf(m, attribute), want))
	})
	return nil
}

func numberOf(m *compute.MachineImage, name string) int64 {
	switch name {
	case "size":
		return m.Size
	case "virtual_size":
		return m.VirtualSize
	case "min_disk":
		return int64(m.MinDisk)
	}
	return int64(m.MinRAM)
}

func parseBool(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, invalid(name, value)
}

// parseOrder reads sort ("name:asc,size:desc"), or sort_key and sort_dir.
func (l *listing) parseOrder(q url.Values) error {
	keys, dirs := q["sort_key"], q["sort_dir"]
	if q.Has("sort") {
		if len(keys) > 0 || len(dirs) > 0 {
			return compute.Errorf(compute.Invalid, "Old and new sorting syntax cannot be combined")
		}
		for _, part := range strings.Split(q.Get("sort"), ",") {
			key, dir, ok := strings.Cut(strings.TrimSpace(part), ":")
			if !ok {
				dir = "desc"
			}
			keys, dirs = append(keys, key), append(dirs, dir)
		}
	}
	if len(keys) == 0 {
		keys = []string{"created_at"}
	}
	if len(dirs) > len(keys) || len(dirs) > 1 && len(dirs) != len(keys) {
		return compute.Errorf(compute.Invalid, "Number of sort dirs does not match the number of sort keys")
	}
	if len(keys) > sortMax {
		return compute.Errorf(compute.Invalid, "At most %d sort keys are taken.", sortMax)
	}
	for i, key := range keys {
		dir := "desc"
		if len(dirs) == 1 {
			dir = dirs[0]
		} else if len(dirs) > 1 {
			dir = dirs[i]
		}
		if compares[key] == nil {
			return compute.Errorf(compute.Invalid, "Invalid sort key: %s.", key)
		}
		if dir != "asc" && dir != "desc" {
			return compute.Errorf(compute.Invalid, "Invalid sort direction: %s", dir)
		}
		l.order = append(l.order, order{key, dir == "desc"})
	}
	return nil
}

// compares are the keys of a sort. Times are compared as the store keeps them.
var compares = map[string]func(a, b *compute.MachineImage) int{
	"name":             func(a, b *compute.MachineImage) int { return cmp.Compare(a.Name, b.Name) },
	"status":           func(a, b *compute.MachineImage) int { return cmp.Compare(a.Status, b.Status) },
	"disk_format":      func(a, b *compute.MachineImage) int { return cmp.Compare(a.DiskFormat, b.DiskFormat) },
	"container_format": func(a, b *compute.MachineImage) int { return cmp.Compare(a.ContainerFormat, b.ContainerFormat) },
	"size":             func(a, b *compute.MachineImage) int { return cmp.Compare(a.Size, b.Size) },
	"id":               func(a, b *compute.MachineImage) int { return cmp.Compare(a.ID, b.ID) },
	"owner":            func(a, b *compute.MachineImage) int { return cmp.Compare(a.ProjectID, b.ProjectID) },
	"visibility":       func(a, b *compute.MachineImage) int { return cmp.Compare(a.Visibility, b.Visibility) },
	"min_disk":         func(a, b *compute.MachineImage) int { return cmp.Compare(a.MinDisk, b.MinDisk) },
	"min_ram":          func(a, b *compute.MachineImage) int { return cmp.Compare(a.MinRAM, b.MinRAM) },
	"created_at":       func(a, b *compute.MachineImage) int { return cmp.Compare(a.Created.UnixMicro(), b.Created.UnixMicro()) },
	"updated_at":       func(a, b *compute.MachineImage) int { return cmp.Compare(a.Updated.UnixMicro(), b.Updated.UnixMicro()) },
}

// compare is the order of the list: its keys, then the id, so that no two images
// are equal in it.
func (l *listing) compare(a, b *compute.MachineImage) int {
	for _, o := range l.order {
		c := compares[o.key](a, b)
		if o.desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	c := cmp.Compare(a.ID, b.ID)
	if l.order[0].desc {
		c = -c
	}
	return c
}
