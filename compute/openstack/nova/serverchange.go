package nova

import (
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
)

// textField gives an attribute of a body as control takes it: nil when it is not
// there, "" for null.
func textField(in map[string]any, key string) *string {
	v, has := in[key]
	if !has {
		return nil
	}
	s, _ := v.(string)
	return &s
}

func addressField(in map[string]any, key string) *string {
	s := textField(in, key)
	if s != nil {
		*s = canonical(*s)
	}
	return s
}

// shown is how much of a server an update or a rebuild answers with: all of it
// from 2.75 on.
func (c *call) shown() depth {
	if c.v >= 75 {
		return full
	}
	return brief
}

func (a *API) updateServer(c *call) error {
	f := fields{"name": name, "OS-DCF:diskConfig": diskConfig, "accessIPv4": accessIPv4, "accessIPv6": accessIPv6}
	if c.v >= 19 {
		f["description"] = orNull(text(0, 255))
	}
	if c.v >= 90 {
		f["hostname"] = c.hostname()
	}
	body, err := c.body(objectOf(fields{"server": objectOf(f)}, "server"))
	if err != nil {
		return err
	}
	in := sub(body, "server")
	i, err := a.Control.Update(c.Context(), c.Caller, c.PathValue("id"), control.UpdateRequest{
		Name: textField(in, "name"), Description: textField(in, "description"), Hostname: textField(in, "hostname"),
		AccessIPv4: addressField(in, "accessIPv4"), AccessIPv6: addressField(in, "accessIPv6"), DiskConfig: textField(in, "OS-DCF:diskConfig")})
	if err != nil {
		return err
	}
	b, err := c.serverBody(i, c.shown(), nil)
	if err != nil {
		return err
	}
	return c.raw(http.StatusOK, b)
}

func (a *API) deleteServer(c *call) error {
	if err := a.Control.Delete(c.Context(), c.Caller, c.PathValue("id")); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

func (a *API) listMetadata(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"metadata": pairs(i.Metadata)})
}

func (a *API) setMetadata(c *call) error    { return c.changeMetadata(true) }
func (a *API) updateMetadata(c *call) error { return c.changeMetadata(false) }

func (c *call) changeMetadata(replace bool) error {
	body, err := c.body(objectOf(fields{"metadata": metadata}, "metadata"))
	if err != nil {
		return err
	}
	all, err := c.api.Control.SetMetadata(c.Context(), c.Caller, c.PathValue("id"), textMap(body, "metadata"), replace)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"metadata": pairs(all)})
}

func (a *API) showMetadataItem(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	key := c.PathValue("key")
	v, has := i.Metadata[key]
	if !has {
		return notFound("Metadata item was not found")
	}
	return c.json(http.StatusOK, object{"meta": object{key: v}})
}

func (a *API) setMetadataItem(c *call) error {
	body, err := c.body(objectOf(fields{"meta": metadata}, "meta"))
	if err != nil {
		return err
	}
	key, in := c.PathValue("key"), textMap(body, "meta")
	if len(in) != 1 {
		return mismatch("meta", body["meta"], "%s does not have exactly one property", repr(body["meta"]))
	}
	if _, has := in[key]; !has {
		return invalid("Request body and URI mismatch")
	}
	if _, err := a.Control.SetMetadata(c.Context(), c.Caller, c.PathValue("id"), in, false); err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"meta": in})
}

func (a *API) deleteMetadataItem(c *call) error {
	if err := a.Control.DeleteMetadata(c.Context(), c.Caller, c.PathValue("id"), c.PathValue("key")); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// Tags (2.26 on).

func (a *API) listTags(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"tags": list(i.Tags)})
}

func (a *API) showTag(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	if !slices.Contains(i.Tags, c.PathValue("tag")) {
		return noTag(i.ID, c.PathValue("tag"))
	}
	return c.empty(http.StatusNoContent)
}

func noTag(id, tag string) error { return notFound("Server %s has no tag '%s'", id, tag) }

func (a *API) setTags(c *call) error {
	body, err := c.body(objectOf(fields{"tags": listOf(tag, 0, tagsMax)}, "tags"))
	if err != nil {
		return err
	}
	wanted := stringsOf(body, "tags")
	slices.Sort(wanted)
	tags, err := c.changeTags(func([]string) ([]string, error) { return slices.Compact(wanted), nil })
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"tags": list(tags)})
}

func (c *call) changeTags(change func([]string) ([]string, error)) ([]string, error) {
	return c.api.Control.SetTags(c.Context(), c.Caller, c.PathValue("id"), change)
}

func (a *API) deleteTags(c *call) error {
	if _, err := c.changeTags(func([]string) ([]string, error) { return nil, nil }); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

func (a *API) setTag(c *call) error {
	t := c.PathValue("tag")
	if err := tag("tag", t); err != nil || t == "" {
		return invalid("Tag '%s' is invalid. It must be a non empty string without characters '/' and ','. Validation error: %v", t, err)
	}
	added := false
	_, err := c.changeTags(func(tags []string) ([]string, error) {
		if added = !slices.Contains(tags, t); !added {
			return tags, nil
		}
		if len(tags) >= tagsMax {
			return nil, invalid("The number of tags exceeded the per-server limit %d", tagsMax)
		}
		return append(slices.Clone(tags), t), nil
	})
	if err != nil {
		return err
	}
	if !added {
		return c.empty(http.StatusNoContent)
	}
	c.w.Header().Set("Location", c.base()+"/v2.1/servers/"+c.PathValue("id")+"/tags/"+t)
	return c.empty(http.StatusCreated)
}

func (a *API) deleteTag(c *call) error {
	t := c.PathValue("tag")
	_, err := c.changeTags(func(tags []string) ([]string, error) {
		if !slices.Contains(tags, t) {
			return nil, noTag(c.PathValue("id"), t)
		}
		return slices.DeleteFunc(slices.Clone(tags), func(o string) bool { return o == t }), nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

// The addresses of a server.

func (a *API) listAddresses(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	w := c.serverWriter(nil)
	w.e.open('{')
	w.addresses(i, false)
	w.e.close('}')
	return c.raw(http.StatusOK, w.e.b)
}

func (a *API) showAddresses(c *call) error {
	i, err := c.find()
	if err != nil {
		return err
	}
	network := c.PathValue("network")
	only := *i
	only.Addresses = slices.DeleteFunc(slices.Clone(i.Addresses), func(a compute.InstanceAddress) bool { return a.Network != network })
	if len(only.Addresses) == 0 {
		return notFound("Network label not found: %s", network)
	}
	w := c.serverWriter(nil)
	w.addresses(&only, false)
	return c.raw(http.StatusOK, w.e.b[len(`"addresses":`):])
}
