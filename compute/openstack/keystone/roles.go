package keystone

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack"
)

func (a *api) roleView(r *openstack.Request, role *compute.Role) view {
	return view{"id": role.ID, "name": role.Name, "description": orNull(role.Description), "domain_id": orNull(role.DomainID), "options": view{},
		"links": a.self(r, "/roles/%s", role.ID)}.with(role.Extra)
}

func readRole(at *attrs, role *compute.Role) error {
	at.text("name", &role.Name)
	at.text("description", &role.Description)
	at.text("domain_id", &role.DomainID)
	at.extra(&role.Extra, "options")
	return at.err
}

func (a *api) listRoles(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		q := r.URL.Query()
		where := compute.Where{"domain_id": q.Get("domain_id")}
		if q.Has("name") {
			where["name"] = q.Get("name")
		}
		list, err := tx.Roles.List(compute.Query{Where: where, Order: "name"})
		return listed(a, r, "roles", list, func(role *compute.Role) view { return a.roleView(r, role) }), err
	})
}

func (a *api) showRole(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		role, err := tx.Roles.Get(r.PathValue("role"))
		if err != nil {
			return nil, absent(err, "role", r.PathValue("role"))
		}
		return view{"role": a.roleView(r, role)}, nil
	})
}

// shortRole is a role within an inference.
func (a *api) shortRole(r *openstack.Request, role *compute.Role) view {
	return view{"id": role.ID, "name": role.Name, "description": orNull(role.Description), "links": a.self(r, "/roles/%s", role.ID)}
}

// inferences is what a role implies by itself.
func (a *api) inferences(tx *compute.Tx, r *openstack.Request, prior *compute.Role) (view, error) {
	list := []view{}
	for _, id := range prior.Implies {
		role, err := tx.Roles.Get(id)
		if err != nil {
			return nil, err
		}
		list = append(list, a.shortRole(r, role))
	}
	return view{"prior_role": a.shortRole(r, prior), "implies": list}, nil
}

func (a *api) listImplied(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		prior, err := tx.Roles.Get(r.PathValue("role"))
		if err != nil {
			return nil, absent(err, "role", r.PathValue("role"))
		}
		v, err := a.inferences(tx, r, prior)
		return view{"role_inference": v, "links": a.self(r, "/roles/%s/implies", prior.ID)}, err
	})
}

func (a *api) listInferences(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		roles, err := tx.Roles.List(compute.Query{Order: "name"})
		if err != nil {
			return nil, err
		}
		list := []view{}
		for _, prior := range roles {
			if len(prior.Implies) == 0 {
				continue
			}
			v, err := a.inferences(tx, r, prior)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return view{"role_inferences": list, "links": a.self(r, "/role_inferences")}, nil
	})
}

// inference is the answer about one pair of roles.
func (a *api) inference(tx *compute.Tx, r *openstack.Request) (view, error) {
	prior, err := tx.Roles.Get(r.PathValue("role"))
	if err != nil {
		return nil, absent(err, "role", r.PathValue("role"))
	}
	if !slices.Contains(prior.Implies, r.PathValue("implied")) {
		return nil, identity.Absent("implied role", prior.ID+" -> "+r.PathValue("implied"))
	}
	implied, err := tx.Roles.Get(r.PathValue("implied"))
	if err != nil {
		return nil, err
	}
	return view{"role_inference": view{"prior_role": a.shortRole(r, prior), "implies": a.shortRole(r, implied)},
		"links": a.self(r, "/roles/%s/implies/%s", prior.ID, implied.ID)}, nil
}

func (a *api) showImplied(w http.ResponseWriter, r *openstack.Request) error {
	if r.Method != http.MethodHead {
		return a.read(w, r, func(tx *compute.Tx) (view, error) { return a.inference(tx, r) })
	}
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		_, err := a.inference(tx, r)
		return err
	})
	if err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) createImplied(w http.ResponseWriter, r *openstack.Request) error {
	if err := a.Identity.Imply(r.Context(), r.PathValue("role"), r.PathValue("implied"), true); err != nil {
		return err
	}
	var v view
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		v, err = a.inference(tx, r)
		return err
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusCreated, v)
}

func (a *api) deleteImplied(w http.ResponseWriter, r *openstack.Request) error {
	if err := a.Identity.Imply(r.Context(), r.PathValue("role"), r.PathValue("implied"), false); err != nil {
		return err
	}
	return noContent(w)
}

// grantKind is one family of the routes that give roles.
type grantKind struct {
	target    string // project, domain or system
	group     bool
	inherited bool
}

// grants are all families.
func grants() []grantKind {
	var list []grantKind
	for _, group := range []bool{false, true} {
		for _, inherited := range []bool{false, true} {
			list = append(list, grantKind{identity.KindProject, group, inherited}, grantKind{identity.KindDomain, group, inherited})
		}
		list = append(list, grantKind{identity.KindSystem, group, false})
	}
	return list
}

// paths are the patterns of a family: of the list, and of one role.
func (g grantKind) paths() (list, one string) {
	base := "/" + g.target + "s/{target}"
	if g.target == identity.KindSystem {
		base = "/system"
	}
	base += "/users/{actor}/roles"
	if g.group {
		base = strings.Replace(base, "/users/", "/groups/", 1)
	}
	if g.inherited {
		base = "/v3/OS-INHERIT" + base
		return base + "/inherited_to_projects", base + "/{role}/inherited_to_projects"
	}
	return "/v3" + base, "/v3" + base + "/{role}"
}

// assignment is what a route of the family names.
func (g grantKind) assignment(r *openstack.Request) compute.Assignment {
	a := compute.Assignment{ActorID: r.PathValue("actor"), ActorIsGroup: g.group, TargetKind: g.target, TargetID: r.PathValue("target"),
		RoleID: r.PathValue("role"), InheritedProjects: g.inherited}
	if g.target == identity.KindSystem {
		a.TargetID = identity.SystemAll
	}
	return a
}

func (a *api) listGrants(g grantKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		return a.read(w, r, func(tx *compute.Tx) (view, error) {
			want := g.assignment(r)
			roles, err := identity.Assigned(tx, &want)
			return listed(a, r, "roles", roles, func(role *compute.Role) view { return a.roleView(r, role) }), err
		})
	}
}

func (a *api) checkGrant(g grantKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		want := g.assignment(r)
		if err := a.Store.Read(r.Context(), func(tx *compute.Tx) error { return identity.Given(tx, &want) }); err != nil {
			return err
		}
		return noContent(w)
	}
}

func (a *api) grant(g grantKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		if err := a.Identity.Assign(r.Context(), g.assignment(r)); err != nil {
			return err
		}
		return noContent(w)
	}
}

func (a *api) revokeGrant(g grantKind) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		if err := a.Identity.Unassign(r.Context(), g.assignment(r)); err != nil {
			return err
		}
		return noContent(w)
	}
}

// listAssignments lists who has which role where.
func (a *api) listAssignments(w http.ResponseWriter, r *openstack.Request) error {
	q := r.URL.Query()
	if q.Has("user.id") && q.Has("group.id") || q.Has("group.id") && asked(q, "effective") {
		return compute.Errorf(compute.Invalid, "Combining group with user, or with effective, makes no sense in a list of role assignments.")
	}
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		list, err := tx.Assignments.List(compute.Query{})
		if err != nil {
			return nil, err
		}
		if asked(q, "effective") {
			if list, err = identity.Expand(tx, list); err != nil {
				return nil, err
			}
		}
		targets, err := a.targets(tx, q)
		if err != nil {
			return nil, err
		}
		list = slices.DeleteFunc(list, func(e *compute.Assignment) bool { return !selected(q, targets, e) })
		names := newNames(tx, asked(q, "include_names"))
		v := listed(a, r, "role_assignments", list, func(e *compute.Assignment) view { return a.assignmentView(r, names, e) })
		return v, names.err
	})
}

// asked says whether a query has a flag: there, and not "0" or "false".
func asked(q map[string][]string, name string) bool {
	v, ok := q[name]
	return ok && truth(v[0])
}

// targets gives the ids of the scope that a list asks for, nil for any.
func (a *api) targets(tx *compute.Tx, q map[string][]string) ([]string, error) {
	if v, ok := q["scope.domain.id"]; ok {
		return []string{v[0]}, nil
	}
	v, ok := q["scope.project.id"]
	if !ok {
		return nil, nil
	}
	ids := []string{v[0]}
	if asked(q, "include_subtree") {
		below, err := identity.Below(tx, identity.KindProject, v[0])
		if err != nil {
			return nil, err
		}
		for _, p := range below {
			ids = append(ids, p.ID)
		}
	}
	return ids, nil
}

func selected(q map[string][]string, targets []string, e *compute.Assignment) bool {
	is := func(name, value string) bool { v, ok := q[name]; return !ok || v[0] == value }
	_, system := q["scope.system"]
	_, inherited := q["scope.OS-INHERIT:inherited_to"]
	_, user := q["user.id"]
	_, group := q["group.id"]
	return is("role.id", e.RoleID) &&
		(!user || !e.ActorIsGroup && is("user.id", e.ActorID)) &&
		(!group || e.ActorIsGroup && is("group.id", e.ActorID)) &&
		(targets == nil || slices.Contains(targets, e.TargetID)) &&
		(!system || e.TargetKind == identity.KindSystem) &&
		(!inherited || e.InheritedProjects)
}

// names looks names up for a list, each once.
type names struct {
	tx   *compute.Tx
	on   bool
	seen map[string]view
	err  error
}

func newNames(tx *compute.Tx, on bool) *names { return &names{tx: tx, on: on, seen: map[string]view{}} }

// of gives {"id": …}, with the name and the domain when they are asked for.
func (n *names) of(kind, id string) view {
	if !n.on {
		return view{"id": id}
	}
	if v, ok := n.seen[kind+id]; ok {
		return v
	}
	name, domainID, err := n.look(kind, id)
	if err != nil && n.err == nil {
		n.err = err
	}
	v := view{"id": id, "name": name}
	if kind != identity.KindDomain && (kind != "role" || domainID != "") {
		v["domain"] = n.of(identity.KindDomain, domainID)
	}
	n.seen[kind+id] = v
	return v
}

func (n *names) look(kind, id string) (name, domainID string, err error) {
	switch kind {
	case "user":
		if u, err := n.tx.Users.Get(id); err == nil {
			return u.Name, u.DomainID, nil
		}
	case "group":
		if g, err := n.tx.Groups.Get(id); err == nil {
			return g.Name, g.DomainID, nil
		}
	case "role":
		if r, err := n.tx.Roles.Get(id); err == nil {
			return r.Name, r.DomainID, nil
		}
	case identity.KindProject:
		if p, err := n.tx.Projects.Get(id); err == nil {
			return p.Name, p.DomainID, nil
		}
	case identity.KindDomain:
		if d, err := n.tx.Domains.Get(id); err == nil {
			return d.Name, "", nil
		}
	}
	return "", "", identity.Absent(kind, id)
}

func (a *api) assignmentView(r *openstack.Request, n *names, e *compute.Assignment) view {
	actor, scope := "user", view{}
	if e.ActorIsGroup {
		actor = "group"
	}
	path := "/" + e.TargetKind + "s/" + e.TargetID
	if e.TargetKind == identity.KindSystem {
		scope["system"], path = view{"all": true}, "/system"
	} else {
		scope[e.TargetKind] = n.of(e.TargetKind, e.TargetID)
	}
	path += "/" + actor + "s/" + e.ActorID + "/roles/" + e.RoleID
	if e.InheritedProjects {
		scope["OS-INHERIT:inherited_to"] = "projects"
		path = "/OS-INHERIT" + path + "/inherited_to_projects"
	}
	return view{"role": n.of("role", e.RoleID), actor: n.of(actor, e.ActorID), "scope": scope,
		"links": view{"assignment": a.service.URL(r.Request) + "/v3" + strings.TrimSpace(path)}}
}
