package neutron

import (
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack"
)

// tagRoutes are the tags of each kind of thing that carries them.
func (a *api) tagRoutes() []openstack.Route {
	var routes []openstack.Route
	find := map[fabric.Tagged]func(tx *compute.Tx, who compute.Caller, id string) ([]string, error){
		fabric.TagNetworks:       tagsOf(a.Fabric.Network, func(n *compute.Network) []string { return n.Tags }),
		fabric.TagSubnets:        tagsOf(a.Fabric.Subnet, func(s *compute.Subnet) []string { return s.Tags }),
		fabric.TagPorts:          tagsOf(a.Fabric.Port, func(p *compute.Port) []string { return p.Tags }),
		fabric.TagRouters:        tagsOf(a.Fabric.Router, func(r *compute.Router) []string { return r.Tags }),
		fabric.TagSubnetPools:    tagsOf(a.Fabric.SubnetPool, func(p *compute.SubnetPool) []string { return p.Tags }),
		fabric.TagFloatingIPs:    tagsOf(a.Fabric.FloatingIP, func(f *compute.FloatingIP) []string { return f.Tags }),
		fabric.TagSecurityGroups: tagsOf(a.Fabric.Group, func(g *compute.SecurityGroup) []string { return g.Tags }),
	}
	for kind, tags := range find {
		t := &tagger{a, kind, tags}
		all := root + "/" + string(kind) + "/{id}/tags"
		routes = append(routes,
			openstack.Route{Method: "GET", Pattern: all, Rule: openstack.AsReader, Handle: t.list},
			openstack.Route{Method: "PUT", Pattern: all, Rule: openstack.AsMember, Handle: t.replace},
			openstack.Route{Method: "DELETE", Pattern: all, Rule: openstack.AsMember, Handle: t.clear},
			openstack.Route{Method: "GET", Pattern: all + "/{tag}", Rule: openstack.AsReader, Handle: t.has},
			openstack.Route{Method: "PUT", Pattern: all + "/{tag}", Rule: openstack.AsMember, Handle: t.add},
			openstack.Route{Method: "DELETE", Pattern: all + "/{tag}", Rule: openstack.AsMember, Handle: t.remove})
	}
	return routes
}

// tagsOf finds a thing's tags.
func tagsOf[T any](find func(*compute.Tx, compute.Caller, string) (*T, error), tags func(*T) []string) func(*compute.Tx, compute.Caller, string) ([]string, error) {
	return func(tx *compute.Tx, who compute.Caller, id string) ([]string, error) {
		row, err := find(tx, who, id)
		if err != nil {
			return nil, err
		}
		return tags(row), nil
	}
}

// tagger serves the tags of one kind of thing.
type tagger struct {
	*api
	kind fabric.Tagged
	find func(tx *compute.Tx, who compute.Caller, id string) ([]string, error)
}

func (t *tagger) tags(r *openstack.Request) (tags []string, err error) {
	err = t.Store.Read(r.Context(), func(tx *compute.Tx) error {
		tags, err = t.find(tx, r.Caller, r.PathValue("id"))
		return err
	})
	return tags, err
}

func (t *tagger) list(w http.ResponseWriter, r *openstack.Request) error {
	tags, err := t.tags(r)
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"tags": orEmpty(tags)})
}

func tagAbsent(tag string) error {
	return &compute.Error{Kind: compute.NotFound, Name: "TagNotFound", Detail: "Tag " + plainly(tag) + " could not be found."}
}

func (t *tagger) has(w http.ResponseWriter, r *openstack.Request) error {
	tags, err := t.tags(r)
	if err != nil {
		return err
	}
	if tag := r.PathValue("tag"); !slices.Contains(tags, tag) {
		return tagAbsent(tag)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// change changes tags and answers with a status alone.
func (t *tagger) change(w http.ResponseWriter, r *openstack.Request, status int, fn func([]string) ([]string, error)) error {
	if err := t.Fabric.ChangeTags(r.Context(), r.Caller, t.kind, r.PathValue("id"), fn); err != nil {
		return err
	}
	w.WriteHeader(status)
	return nil
}

func checkTag(tag string) error {
	if tag == "" || utf8.RuneCountInString(tag) > fabric.TagLengthMax {
		return badValue("tags", "'%s' is not 1 to %d characters long", plainly(tag), fabric.TagLengthMax)
	}
	return nil
}

func (t *tagger) add(w http.ResponseWriter, r *openstack.Request) error {
	tag := r.PathValue("tag")
	if err := checkTag(tag); err != nil {
		return err
	}
	return t.change(w, r, http.StatusCreated, func(tags []string) ([]string, error) {
		if slices.Contains(tags, tag) {
			return tags, nil
		}
		return append(tags, tag), nil
	})
}

func (t *tagger) remove(w http.ResponseWriter, r *openstack.Request) error {
	tag := r.PathValue("tag")
	return t.change(w, r, http.StatusNoContent, func(tags []string) ([]string, error) {
		i := slices.Index(tags, tag)
		if i < 0 {
			return nil, tagAbsent(tag)
		}
		return slices.Delete(tags, i, i+1), nil
	})
}

func (t *tagger) clear(w http.ResponseWriter, r *openstack.Request) error {
	return t.change(w, r, http.StatusNoContent, func([]string) ([]string, error) { return nil, nil })
}

func (t *tagger) replace(w http.ResponseWriter, r *openstack.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	v, given := body["tags"]
	if !given || v == nil {
		return bad("Invalid tags body")
	}
	tags, err := toList("tags", v, itemText)
	if err != nil {
		return err
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	for _, tag := range tags {
		if err := checkTag(tag); err != nil {
			return err
		}
	}
	if err := t.Fabric.ChangeTags(r.Context(), r.Caller, t.kind, r.PathValue("id"), func([]string) ([]string, error) { return tags, nil }); err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"tags": orEmpty(tags)})
}
