package nova

import (
	"maps"
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
)

// extraMax bounds the extra specs of one flavor; Nova has no bound.
const extraMax = 256

// extraSpec takes the value of an extra spec: a string, or a number that becomes one.
func extraSpec(path string, v any) error {
	return either(text(0, 255), wholeNumber(-flavorMax, flavorMax), number)(path, v)
}

// extraSpecs takes names with values.
func (c *call) extraSpecs(path string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return mismatch(path, v, "%s is not of type 'object'", repr(v))
	}
	if len(m) == 0 {
		return mismatch(path, v, "%s does not have enough properties", repr(v))
	}
	for _, k := range sortedKeys(m) {
		if !metadataKey.MatchString(k) {
			return mismatch(path, v, "%s does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{1,255}$'", repr(k))
		}
		if err := extraSpec(k, m[k]); err != nil {
			return err
		}
		if c.v >= 86 {
			if err := knownExtra(k, plainText(m[k])); err != nil {
				return err
			}
		}
	}
	return nil
}

// extraValues are the extra specs whose values Nova checks from 2.86 on, as far
// as they mean something here.
var extraValues = map[string][]string{
	"hw:cpu_policy":        {"mixed", "dedicated", "shared"},
	"hw:watchdog_action":   {"none", "pause", "poweroff", "reset", "disabled"},
	"hw:boot_menu":         {"true", "false", "1", "0", "yes", "no", "on", "off"},
	"hw_video:ram_max_mb":  nil,
	"hw:numa_nodes":        nil,
	"hw:cpu_sockets":       nil,
	"hw:cpu_cores":         nil,
	"hw:cpu_threads":       nil,
	"hw_rng:rate_bytes":    nil,
	"hw:serial_port_count": nil,
}

// knownExtra says what is wrong with a known extra spec; unknown ones are free.
// A nil list of words means a number of at least 0.
func knownExtra(key, value string) error {
	words, known := extraValues[key]
	switch {
	case !known:
	case words == nil:
		if n, ok := asInt(value); !ok || n < 0 {
			return invalid("Validation failed; failed to validate value '%s' for extra spec '%s': must be an integer of at least 0.", value, key)
		}
	case !slices.Contains(words, value):
		return invalid("Validation failed; failed to validate value '%s' for extra spec '%s': must be one of %v.", value, key, words)
	}
	return nil
}

// plainText is a string or a number as text.
func plainText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return repr(v)
}

func (a *API) listExtraSpecs(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		f, err := flavor(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, object{"extra_specs": pairs(f.Extra)})
	})
}

func (a *API) showExtraSpec(c *call) error {
	key := c.PathValue("key")
	return c.read(func(tx *compute.Tx) error {
		f, err := flavor(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		v, has := f.Extra[key]
		if !has {
			return noExtra(f.ID, key)
		}
		return c.json(http.StatusOK, object{key: v})
	})
}

func noExtra(id, key string) error {
	return notFound("Flavor %s has no extra specs with key %s.", id, key)
}

func (a *API) createExtraSpecs(c *call) error {
	body, err := c.body(objectOf(fields{"extra_specs": c.extraSpecs}, "extra_specs"))
	if err != nil {
		return err
	}
	in := sub(body, "extra_specs")
	return c.changeFlavor(func(f *compute.Flavor) error {
		extra := maps.Clone(pairs(f.Extra))
		for k, v := range in {
			extra[k] = plainText(v)
		}
		if len(extra) > extraMax {
			return invalid("A flavor has at most %d extra specs.", extraMax)
		}
		f.Extra = extra
		return nil
	}, func(*compute.Flavor) any {
		set := map[string]string{}
		for k, v := range in {
			set[k] = plainText(v)
		}
		return object{"extra_specs": set}
	})
}

func (a *API) updateExtraSpec(c *call) error {
	key := c.PathValue("key")
	body, err := c.body(nil)
	if err != nil {
		return err
	}
	if err := c.extraSpecs("extra_specs", map[string]any(body)); err != nil {
		return err
	}
	if len(body) > 1 {
		return invalid("Request body contains too many items")
	}
	v, has := body[key]
	if !has {
		return invalid("Request body and URI mismatch")
	}
	return c.changeFlavor(func(f *compute.Flavor) error {
		f.Extra = maps.Clone(pairs(f.Extra))
		f.Extra[key] = plainText(v)
		return nil
	}, func(f *compute.Flavor) any { return object{key: f.Extra[key]} })
}

func (a *API) deleteExtraSpec(c *call) error {
	key := c.PathValue("key")
	err := c.write(func(tx *compute.Tx) error {
		f, err := flavor(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		if _, has := f.Extra[key]; !has {
			return noExtra(f.ID, key)
		}
		f.Extra = maps.Clone(f.Extra)
		delete(f.Extra, key)
		return tx.Flavors.Update(f)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// accessView is the list of projects that may use a flavor that is not public.
func accessView(f *compute.Flavor) object {
	rows := []object{}
	for _, p := range f.Access {
		rows = append(rows, object{"flavor_id": f.ID, "tenant_id": p})
	}
	return object{"flavor_access": rows}
}

func (a *API) listFlavorAccess(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		f, err := flavor(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		if f.Public {
			return notFound("Access list not available for public flavors.")
		}
		return c.json(http.StatusOK, accessView(f))
	})
}

// flavorAction adds or takes away a project's access.
func (a *API) flavorAction(c *call) error {
	tenant := objectOf(fields{"tenant": text(1, 255)}, "tenant")
	body, err := c.body(objectOf(fields{"addTenantAccess": tenant, "removeTenantAccess": tenant}))
	if err != nil {
		return err
	}
	if len(body) != 1 {
		return invalid("There is no such action: %s", repr(sortedKeys(body)))
	}
	_, add := body["addTenantAccess"]
	project := str(sub(body, sortedKeys(body)[0]), "tenant")
	if err := c.read(func(tx *compute.Tx) error { return knownProject(tx, project) }); err != nil {
		return err
	}
	return c.changeFlavor(func(f *compute.Flavor) error {
		has := slices.Contains(f.Access, project)
		switch {
		case add && f.Public && c.v >= 7:
			return conflict("Can not add access to a public flavor.")
		case add && has:
			return conflict("Flavor access already exists for flavor %s and project %s combination.", f.ID, project)
		case !add && !has:
			return notFound("Flavor access not found for %s / %s combination.", f.ID, project)
		case add:
			f.Access = append(slices.Clone(f.Access), project)
		default:
			f.Access = slices.DeleteFunc(slices.Clone(f.Access), func(p string) bool { return p == project })
		}
		return nil
	}, func(f *compute.Flavor) any { return accessView(f) })
}

// knownProject says that a project is none of this cloud's.
func knownProject(tx *compute.Tx, id string) error {
	_, err := tx.Projects.Get(id)
	if compute.IsKind(err, compute.NotFound) {
		return invalid("Project ID %s is not a valid project.", id)
	}
	return err
}
