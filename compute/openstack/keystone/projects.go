package keystone

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack"
)

// ofProject lets a token at the project that it is scoped to, and an
// administrator at any.
func (a *api) ofProject(h handler) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		if (r.PathValue("project") != r.Caller.ProjectID || !r.Caller.Is(compute.RoleReader)) && !r.Caller.Admin() {
			return policyError(r)
		}
		return h(w, r)
	}
}

func (a *api) projectView(r *openstack.Request, p *compute.Project) view {
	return view{
		"id": p.ID, "name": p.Name, "description": p.Description, "domain_id": p.DomainID, "parent_id": p.ParentID, "enabled": p.Enabled,
		"is_domain": false, "tags": orEmpty(p.Tags), "options": view{}, "links": a.self(r, "/projects/%s", p.ID),
	}.with(p.Extra)
}

// domainAsProject is a domain in the words of projects: Keystone keeps both as
// one.
func (a *api) domainAsProject(r *openstack.Request, d *compute.Domain) view {
	return view{
		"id": d.ID, "name": d.Name, "description": d.Description, "domain_id": nil, "parent_id": nil, "enabled": d.Enabled,
		"is_domain": true, "tags": orEmpty(d.Tags), "options": view{}, "links": a.self(r, "/projects/%s", d.ID),
	}
}

func readProject(at *attrs, p *compute.Project) error {
	at.text("name", &p.Name)
	at.text("description", &p.Description)
	at.text("domain_id", &p.DomainID)
	at.text("parent_id", &p.ParentID)
	at.boolean("enabled", &p.Enabled)
	at.texts("tags", &p.Tags)
	at.extra(&p.Extra, "options", "is_domain")
	return at.err
}

func (a *api) listProjects(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		q, f := r.URL.Query(), filter{r}
		if q.Has("is_domain") && truth(q.Get("is_domain")) {
			list, err := tx.Domains.List(compute.Query{Order: "name"})
			list = slices.DeleteFunc(list, func(d *compute.Domain) bool { return !f.text("name", d.Name) || !f.boolean("enabled", d.Enabled) })
			return listed(a, r, "projects", list, func(d *compute.Domain) view { return a.domainAsProject(r, d) }), err
		}
		where := compute.Where{}
		for _, name := range []string{"name", "domain_id", "parent_id"} {
			if q.Has(name) {
				where[name] = q.Get(name)
			}
		}
		list, err := tx.Projects.List(compute.Query{Where: where, Order: "name"})
		list = slices.DeleteFunc(list, func(p *compute.Project) bool { return !f.boolean("enabled", p.Enabled) || !tagged(q, p.Tags) })
		return listed(a, r, "projects", list, func(p *compute.Project) view { return a.projectView(r, p) }), err
	})
}

// tagged says whether tags are what a list asks for: all of "tags", any of
// "tags-any", not all of "not-tags", none of "not-tags-any".
func tagged(q map[string][]string, tags []string) bool {
	for name, values := range q {
		if !strings.Contains(name, "tags") {
			continue
		}
		wanted := strings.Split(values[0], ",")
		n := 0
		for _, tag := range wanted {
			if slices.Contains(tags, tag) {
				n++
			}
		}
		all, some := n == len(wanted), n > 0
		if name == "tags" && !all || name == "tags-any" && !some || name == "not-tags" && all || name == "not-tags-any" && some {
			return false
		}
	}
	return true
}

func (a *api) createProject(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "project")
	if err != nil {
		return err
	}
	isDomain := false
	at.boolean("is_domain", &isDomain)
	if isDomain {
		d := &compute.Domain{Enabled: true}
		if err := readDomain(at, d); err != nil {
			return err
		}
		if err := a.Identity.CreateDomain(r.Context(), d); err != nil {
			return err
		}
		r.Note("domains", d.ID)
		return openstack.WriteJSON(w, http.StatusCreated, view{"project": a.domainAsProject(r, d)})
	}
	p := &compute.Project{Enabled: true}
	at.need("name", &p.Name)
	if err := readProject(at, p); err != nil {
		return err
	}
	if p.DomainID == "" && p.ParentID == "" {
		if s, err := a.session(r); err == nil && s.ProjectDomain != nil {
			p.DomainID = s.ProjectDomain.ID
		} else if err == nil && s.Domain != nil {
			p.DomainID = s.Domain.ID
		}
	}
	if err := a.Identity.CreateProject(r.Context(), p); err != nil {
		return err
	}
	r.Note("projects", p.ID)
	return openstack.WriteJSON(w, http.StatusCreated, view{"project": a.projectView(r, p)})
}

// findProject gives a project, or the domain of that id.
func findProject(tx *compute.Tx, id string) (*compute.Project, *compute.Domain, error) {
	p, err := tx.Projects.Get(id)
	if !compute.IsKind(err, compute.NotFound) {
		return p, nil, err
	}
	d, err := tx.Domains.Get(id)
	return nil, d, absent(err, "project", id)
}

// isDomain says whether a path that names a project means a domain.
func (a *api) isDomain(r *openstack.Request) (yes bool, err error) {
	err = a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		_, d, err := findProject(tx, r.PathValue("project"))
		yes = d != nil
		return err
	})
	return yes, err
}

func (a *api) showProject(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		p, d, err := findProject(tx, r.PathValue("project"))
		if err != nil {
			return nil, err
		}
		if d != nil {
			return view{"project": a.domainAsProject(r, d)}, nil
		}
		v := a.projectView(r, p)
		if err := a.addTree(tx, r, p, v); err != nil {
			return nil, err
		}
		return view{"project": v}, nil
	})
}

// addTree adds the parents or the subtree that a show asks for, as ids nested
// in each other or as a list of what the caller has roles in.
func (a *api) addTree(tx *compute.Tx, r *openstack.Request, p *compute.Project, v view) error {
	q := r.URL.Query()
	if q.Has("parents_as_ids") || q.Has("parents_as_list") {
		parents, err := identity.Ancestors(tx, p)
		if err != nil {
			return err
		}
		var ids any = view{p.DomainID: nil}
		list := []view{}
		for i := len(parents) - 1; i >= 0; i-- {
			ids = view{parents[i].ID: ids}
		}
		for _, parent := range parents {
			list = append(list, view{"project": a.projectView(r, parent)})
		}
		v["parents"] = ids
		if q.Has("parents_as_list") {
			v["parents"] = list
		}
	}
	if q.Has("subtree_as_ids") || q.Has("subtree_as_list") {
		below, err := identity.Below(tx, identity.KindProject, p.ID)
		if err != nil {
			return err
		}
		list := []view{}
		for _, child := range below {
			list = append(list, view{"project": a.projectView(r, child)})
		}
		v["subtree"] = nested(below, p.ID)
		if q.Has("subtree_as_list") {
			v["subtree"] = list
		}
	}
	return nil
}

// nested gives the ids of the projects below one in each other, nil for none.
func nested(all []*compute.Project, id string) any {
	v := view{}
	for _, p := range all {
		if p.ParentID == id {
			v[p.ID] = nested(all, p.ID)
		}
	}
	if len(v) == 0 {
		return nil
	}
	return v
}

func (a *api) updateProject(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "project")
	if err != nil {
		return err
	}
	domain, err := a.isDomain(r)
	if err != nil {
		return err
	}
	if domain {
		d, err := a.Identity.UpdateDomain(r.Context(), r.PathValue("project"), func(d *compute.Domain) error { return readDomain(at.again(), d) })
		if err != nil {
			return err
		}
		return openstack.WriteJSON(w, http.StatusOK, view{"project": a.domainAsProject(r, d)})
	}
	p, err := a.Identity.UpdateProject(r.Context(), r.PathValue("project"), func(p *compute.Project) error { return readProject(at.again(), p) })
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"project": a.projectView(r, p)})
}

func (a *api) deleteProject(w http.ResponseWriter, r *openstack.Request) error {
	domain, err := a.isDomain(r)
	if err != nil {
		return err
	}
	remove := a.Identity.DeleteProject
	if domain {
		remove = a.Identity.DeleteDomain
	}
	if err := remove(r.Context(), r.PathValue("project")); err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) listTags(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		p, err := tx.Projects.Get(r.PathValue("project"))
		if err != nil {
			return nil, absent(err, "project", r.PathValue("project"))
		}
		return view{"tags": orEmpty(p.Tags), "links": a.self(r, "/projects/%s/tags", p.ID)}, nil
	})
}

func (a *api) hasTag(w http.ResponseWriter, r *openstack.Request) error {
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		p, err := tx.Projects.Get(r.PathValue("project"))
		if err != nil {
			return absent(err, "project", r.PathValue("project"))
		}
		if !slices.Contains(p.Tags, r.PathValue("tag")) {
			return identity.Absent("project tag", r.PathValue("tag"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) changeTags(r *openstack.Request, fn func(p *compute.Project) error) (*compute.Project, error) {
	return a.Identity.UpdateProject(r.Context(), r.PathValue("project"), fn)
}

func (a *api) setTags(w http.ResponseWriter, r *openstack.Request) error {
	var body struct {
		Tags *[]string `json:"tags"`
	}
	if err := r.Decode(&body); err != nil {
		return err
	}
	if body.Tags == nil {
		return compute.Errorf(compute.Invalid, "'tags' is a required property")
	}
	p, err := a.changeTags(r, func(p *compute.Project) error { p.Tags = *body.Tags; return nil })
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"tags": orEmpty(p.Tags), "links": a.self(r, "/projects/%s/tags", p.ID)})
}

func (a *api) clearTags(w http.ResponseWriter, r *openstack.Request) error {
	if _, err := a.changeTags(r, func(p *compute.Project) error { p.Tags = nil; return nil }); err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) addTag(w http.ResponseWriter, r *openstack.Request) error {
	tag := r.PathValue("tag")
	_, err := a.changeTags(r, func(p *compute.Project) error {
		if !slices.Contains(p.Tags, tag) {
			p.Tags = append(p.Tags, tag)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (a *api) removeTag(w http.ResponseWriter, r *openstack.Request) error {
	tag := r.PathValue("tag")
	_, err := a.changeTags(r, func(p *compute.Project) error {
		i := slices.Index(p.Tags, tag)
		if i < 0 {
			return identity.Absent("project tag", tag)
		}
		p.Tags = slices.Delete(p.Tags, i, i+1)
		return nil
	})
	if err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) domainView(r *openstack.Request, d *compute.Domain) view {
	return view{"id": d.ID, "name": d.Name, "description": d.Description, "enabled": d.Enabled, "tags": orEmpty(d.Tags), "options": view{},
		"links": a.self(r, "/domains/%s", d.ID)}
}

func readDomain(at *attrs, d *compute.Domain) error {
	at.text("name", &d.Name)
	at.text("description", &d.Description)
	at.boolean("enabled", &d.Enabled)
	at.texts("tags", &d.Tags)
	return at.err
}

func (a *api) listDomains(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		f := filter{r}
		list, err := tx.Domains.List(compute.Query{Order: "name"})
		list = slices.DeleteFunc(list, func(d *compute.Domain) bool { return !f.text("name", d.Name) || !f.boolean("enabled", d.Enabled) })
		return listed(a, r, "domains", list, func(d *compute.Domain) view { return a.domainView(r, d) }), err
	})
}

// showDomain is for whoever's token is in the domain, and administrators.
func (a *api) showDomain(w http.ResponseWriter, r *openstack.Request) error {
	s, err := a.session(r)
	if err != nil {
		return err
	}
	id := r.PathValue("domain")
	if own := s.ProjectDomain != nil && s.ProjectDomain.ID == id || s.Domain != nil && s.Domain.ID == id; !own && !r.Caller.Admin() {
		return policyError(r)
	}
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		d, err := tx.Domains.Get(id)
		if err != nil {
			return nil, absent(err, "domain", id)
		}
		return view{"domain": a.domainView(r, d)}, nil
	})
}
