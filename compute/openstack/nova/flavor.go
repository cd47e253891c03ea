package nova

import (
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
)

// DefaultFlavors are the sizes that exist from the first start on. The classic
// five have their classic ids; nano and micro are for small hosts.
func DefaultFlavors() []compute.Flavor {
	sizes := []struct {
		id, name         string
		vcpus, ram, disk int
	}{
		{"1", "m1.tiny", 1, 512, 1}, {"2", "m1.small", 1, 2048, 20}, {"3", "m1.medium", 2, 4096, 40},
		{"4", "m1.large", 4, 8192, 80}, {"5", "m1.xlarge", 8, 16384, 160},
		{"42", "m1.nano", 1, 128, 1}, {"84", "m1.micro", 1, 192, 1},
	}
	flavors := make([]compute.Flavor, 0, len(sizes))
	for _, s := range sizes {
		flavors = append(flavors, compute.Flavor{ID: s.id, Name: s.name, VCPUs: s.vcpus, MemoryMiB: s.ram, DiskGiB: s.disk,
			RXTXFactor: 1, Public: true})
	}
	return flavors
}

// mayUse says whether a caller sees a flavor and may start instances of it.
func mayUse(f *compute.Flavor, who compute.Caller) bool {
	return f.Public || who.Admin() || slices.Contains(f.Access, who.ProjectID)
}

// flavor gives a flavor that the caller may see.
func flavor(tx *compute.Tx, who compute.Caller, id string) (*compute.Flavor, error) {
	f, err := tx.Flavors.Get(id)
	if err != nil {
		return nil, unknown(err, "Flavor %s could not be found.", id)
	}
	if !mayUse(f, who) {
		return nil, notFound("Flavor %s could not be found.", id)
	}
	return f, nil
}

// flavorView is a flavor as the microversion shows it.
func (c *call) flavorView(f *compute.Flavor) object {
	swap := any("") // Nova's way to say none, before 2.75
	if f.SwapMiB > 0 || c.v >= 75 {
		swap = f.SwapMiB
	}
	o := object{"id": f.ID, "name": f.Name, "ram": f.MemoryMiB, "vcpus": f.VCPUs, "disk": f.DiskGiB, "swap": swap,
		"OS-FLV-EXT-DATA:ephemeral": f.EphemeralGiB, "OS-FLV-DISABLED:disabled": f.Disabled,
		"os-flavor-access:is_public": f.Public, "rxtx_factor": f.RXTXFactor, "links": c.links("/flavors/" + f.ID)}
	if c.v >= 55 {
		o["description"] = orNil(f.Description)
	}
	if c.v >= 61 {
		o["extra_specs"] = pairs(f.Extra)
	}
	return o
}

func (c *call) flavorBrief(f *compute.Flavor) object {
	o := object{"id": f.ID, "name": f.Name, "links": c.links("/flavors/" + f.ID)}
	if c.v >= 55 {
		o["description"] = orNil(f.Description)
	}
	return o
}

func (a *API) listFlavors(c *call) error       { return c.flavorPage("/flavors", c.flavorBrief) }
func (a *API) listFlavorsDetail(c *call) error { return c.flavorPage("/flavors/detail", c.flavorView) }

// flavorKeys are what flavors are sorted by.
var flavorKeys = map[string]func(a, b *compute.Flavor) bool{
	"flavorid":     func(a, b *compute.Flavor) bool { return a.ID < b.ID },
	"id":           func(a, b *compute.Flavor) bool { return a.ID < b.ID },
	"name":         func(a, b *compute.Flavor) bool { return a.Name < b.Name },
	"memory_mb":    func(a, b *compute.Flavor) bool { return a.MemoryMiB < b.MemoryMiB },
	"vcpus":        func(a, b *compute.Flavor) bool { return a.VCPUs < b.VCPUs },
	"root_gb":      func(a, b *compute.Flavor) bool { return a.DiskGiB < b.DiskGiB },
	"ephemeral_gb": func(a, b *compute.Flavor) bool { return a.EphemeralGiB < b.EphemeralGiB },
	"swap":         func(a, b *compute.Flavor) bool { return a.SwapMiB < b.SwapMiB },
	"rxtx_factor":  func(a, b *compute.Flavor) bool { return a.RXTXFactor < b.RXTXFactor },
	"is_public":    func(a, b *compute.Flavor) bool { return !a.Public && b.Public },
	"disabled":     func(a, b *compute.Flavor) bool { return !a.Disabled && b.Disabled },
	"created_at":   func(a, b *compute.Flavor) bool { return a.Created.Before(b.Created) },
	"updated_at":   func(a, b *compute.Flavor) bool { return a.Updated.Before(b.Updated) },
	"description":  func(a, b *compute.Flavor) bool { return a.Description < b.Description },
}

// flavorFilter reads which flavors a query selects.
func (c *call) flavorFilter() (func(*compute.Flavor) bool, error) {
	q := c.URL.Query()
	least := map[string]int{}
	for _, key := range []string{"minRam", "minDisk"} {
		if text := q.Get(key); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, invalid("Invalid %s filter [%s]", key, text)
			}
			least[key] = n
		}
	}
	public := "true" // administrators choose; others see what they may use
	if c.Caller.Admin() {
		if text := q.Get("is_public"); text != "" {
			b, ok := asBool(text)
			switch {
			case strings.EqualFold(text, "none"):
				public = ""
			case !ok:
				return nil, invalid("Invalid is_public filter [%s]", text)
			default:
				public = strconv.FormatBool(b)
			}
		}
	}
	return func(f *compute.Flavor) bool {
		if f.MemoryMiB < least["minRam"] || f.DiskGiB < least["minDisk"] {
			return false
		}
		if c.Caller.Admin() {
			return public == "" || f.Public == (public == "true") || public == "true" && slices.Contains(f.Access, c.Caller.ProjectID)
		}
		return mayUse(f, c.Caller)
	}, nil
}

// flavorPage answers one page of flavors.
func (c *call) flavorPage(path string, view func(*compute.Flavor) object) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	keep, err := c.flavorFilter()
	if err != nil {
		return err
	}
	q := c.URL.Query()
	key, dir := q.Get("sort_key"), q.Get("sort_dir")
	if key == "" {
		key = "flavorid"
	}
	less, known := flavorKeys[key]
	if !known || dir != "" && dir != "asc" && dir != "desc" {
		return invalid("Sort key supplied was not valid.")
	}
	var rows []*compute.Flavor
	err = c.read(func(tx *compute.Tx) error {
		rows, err = tx.Flavors.List(compute.Query{})
		return err
	})
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(f *compute.Flavor) bool { return !keep(f) })
	sort.SliceStable(rows, func(i, j int) bool {
		if dir == "desc" {
			i, j = j, i
		}
		return less(rows[i], rows[j])
	})
	rows, more, err := cut(p, rows, func(f *compute.Flavor) string { return f.ID })
	if err != nil {
		return err
	}
	views := make([]object, len(rows))
	for i, f := range rows {
		views[i] = view(f)
	}
	o := object{"flavors": views}
	if more && len(rows) > 0 {
		o["flavors_links"] = c.nextLink(path, rows[len(rows)-1].ID)
	}
	return c.json(http.StatusOK, o)
}

func (a *API) showFlavor(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		f, err := flavor(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, object{"flavor": c.flavorView(f)})
	})
}

// The bounds of a flavor's numbers: Nova's, a signed 32-bit column.
const flavorMax = 1<<31 - 1

var flavorID = regexp.MustCompile(`^[a-zA-Z0-9. _-]*$`)

func (a *API) createFlavor(c *call) error {
	f := fields{"name": name, "ram": wholeNumber(1, flavorMax), "vcpus": wholeNumber(1, flavorMax), "disk": wholeNumber(0, flavorMax),
		"id": anything, "swap": wholeNumber(0, flavorMax), "OS-FLV-EXT-DATA:ephemeral": wholeNumber(0, flavorMax),
		"rxtx_factor": number, "os-flavor-access:is_public": truth}
	if c.v >= 55 {
		f["description"] = orNull(text(0, 65535))
	}
	body, err := c.body(objectOf(fields{"flavor": objectOf(f, "name", "ram", "vcpus", "disk")}, "flavor"))
	if err != nil {
		return err
	}
	in := sub(body, "flavor")
	row := &compute.Flavor{ID: compute.NewID(), Name: str(in, "name"), Description: str(in, "description"), VCPUs: num(in, "vcpus"),
		MemoryMiB: num(in, "ram"), DiskGiB: num(in, "disk"), SwapMiB: num(in, "swap"), EphemeralGiB: num(in, "OS-FLV-EXT-DATA:ephemeral"),
		RXTXFactor: 1, Public: true, Created: a.Now().UTC()}
	if v := in["id"]; v != nil && v != "auto" {
		s := strings.Trim(repr(v), "'")
		if s == "" || len(s) > 255 || s != strings.TrimSpace(s) || !flavorID.MatchString(s) {
			return mismatch("id", v, "id can only contain letters from A-Z (both cases), periods, dashes, underscores and spaces.")
		}
		row.ID = s
	}
	if v, has := in["rxtx_factor"]; has {
		row.RXTXFactor, _ = strconv.ParseFloat(strings.Trim(repr(v), "'"), 64)
	}
	if _, has := in["os-flavor-access:is_public"]; has {
		row.Public = yes(in, "os-flavor-access:is_public")
	}
	err = c.write(func(tx *compute.Tx) error {
		same, err := tx.Flavors.Count(compute.Query{Where: compute.Where{"name": row.Name}})
		if err != nil {
			return err
		}
		if same > 0 {
			return conflict("Flavor with name %s already exists.", row.Name)
		}
		if err := tx.Flavors.Insert(row); compute.IsKind(err, compute.Conflict) {
			return conflict("Flavor with ID %s already exists.", row.ID)
		} else if err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"flavor": c.flavorView(row)})
}

func (a *API) updateFlavor(c *call) error {
	body, err := c.body(objectOf(fields{"flavor": objectOf(fields{"description": orNull(text(0, 65535))}, "description")}, "flavor"))
	if err != nil {
		return err
	}
	return c.changeFlavor(func(f *compute.Flavor) error {
		f.Description = str(sub(body, "flavor"), "description")
		return nil
	}, func(f *compute.Flavor) any { return object{"flavor": c.flavorView(f)} })
}

func (a *API) deleteFlavor(c *call) error {
	id := c.PathValue("id")
	err := c.write(func(tx *compute.Tx) error {
		return unknown(tx.Flavors.Delete(id), "Flavor %s could not be found.", id)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusAccepted)
}

// changeFlavor changes the path's flavor and answers with a view of it.
func (c *call) changeFlavor(change func(*compute.Flavor) error, view func(*compute.Flavor) any) error {
	var f *compute.Flavor
	err := c.write(func(tx *compute.Tx) error {
		var err error
		if f, err = flavor(tx, c.Caller, c.PathValue("id")); err != nil {
			return err
		}
		if err := change(f); err != nil {
			return err
		}
		f.Updated = c.api.Now().UTC().Truncate(time.Second)
		return tx.Flavors.Update(f)
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, view(f))
}
