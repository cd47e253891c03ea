package keystone

import (
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack"
)

// policyError is the answer to whoever may not: the same for what is not there.
func policyError(r *openstack.Request) error {
	return compute.Errorf(compute.Denied, "You are not authorized to perform the requested action: %s %s.", r.Method, r.Pattern)
}

// ofUser lets a user at its own things, and an administrator at anybody's.
func (a *api) ofUser(h handler) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		if r.PathValue("user") != r.Caller.UserID && !r.Caller.Admin() {
			return policyError(r)
		}
		return h(w, r)
	}
}

// unrestricted refuses tokens of application credentials that may not manage
// credentials.
func (a *api) unrestricted(h handler) handler {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		s, err := a.session(r)
		if err != nil {
			return err
		}
		if err := identity.Unrestricted(s); err != nil {
			return err
		}
		return h(w, r)
	}
}

// absent puts the store's "not found" in Keystone's words.
func absent(err error, noun, id string) error {
	if compute.IsKind(err, compute.NotFound) {
		return identity.Absent(noun, id)
	}
	return err
}

func (a *api) userView(r *openstack.Request, u *compute.User) view {
	v := view{
		"id": u.ID, "name": u.Name, "domain_id": u.DomainID, "enabled": u.Enabled, "password_expires_at": nil, "options": view{},
		"links": a.self(r, "/users/%s", u.ID),
	}
	if u.DefaultProjectID != "" {
		v["default_project_id"] = u.DefaultProjectID
	}
	if u.Description != "" {
		v["description"] = u.Description
	}
	if u.Email != "" {
		v["email"] = u.Email
	}
	return v.with(u.Extra)
}

// read sets what a body says about a user, and gives its password.
func readUserAttrs(at *attrs, u *compute.User) (password string, err error) {
	at.text("name", &u.Name)
	at.text("description", &u.Description)
	at.text("email", &u.Email)
	at.text("domain_id", &u.DomainID)
	at.text("default_project_id", &u.DefaultProjectID)
	at.boolean("enabled", &u.Enabled)
	at.text("password", &password)
	at.extra(&u.Extra, "options", "original_password")
	return password, at.err
}

func (a *api) listUsers(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		where, f := compute.Where{}, filter{r}
		q := r.URL.Query()
		for _, name := range []string{"name", "domain_id"} {
			if q.Has(name) {
				where[name] = q.Get(name)
			}
		}
		list, err := tx.Users.List(compute.Query{Where: where, Order: "name"})
		list = slices.DeleteFunc(list, func(u *compute.User) bool { return !f.boolean("enabled", u.Enabled) })
		return listed(a, r, "users", list, func(u *compute.User) view { return a.userView(r, u) }), err
	})
}

func (a *api) createUser(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "user")
	if err != nil {
		return err
	}
	u := &compute.User{Enabled: true}
	at.need("name", &u.Name)
	password, err := readUserAttrs(at, u)
	if err != nil {
		return err
	}
	if err := a.Identity.CreateUser(r.Context(), u, password); err != nil {
		return err
	}
	r.Note("users", u.ID)
	return openstack.WriteJSON(w, http.StatusCreated, view{"user": a.userView(r, u)})
}

func (a *api) showUser(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		u, err := tx.Users.Get(r.PathValue("user"))
		if err != nil {
			return nil, absent(err, "user", r.PathValue("user"))
		}
		return view{"user": a.userView(r, u)}, nil
	})
}

func (a *api) updateUser(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "user")
	if err != nil {
		return err
	}
	var password string
	at.text("password", &password)
	u, err := a.Identity.UpdateUser(r.Context(), r.PathValue("user"), password, func(u *compute.User) error {
		_, err := readUserAttrs(at.again(), u)
		return err
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"user": a.userView(r, u)})
}

// changePassword needs no token: the password of now is asked for.
func (a *api) changePassword(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "user")
	if err != nil {
		return err
	}
	var old, password string
	at.need("original_password", &old)
	at.need("password", &password)
	if at.err != nil {
		return at.err
	}
	from := identity.Origin{RequestID: openstack.RequestID(r.Request), Remote: remote(r.Request)}
	if err := a.Identity.ChangePassword(r.Context(), r.PathValue("user"), old, password, from); err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) listUserProjects(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		if _, err := tx.Users.Get(r.PathValue("user")); err != nil {
			return nil, absent(err, "user", r.PathValue("user"))
		}
		f := filter{r}
		list, err := identity.ProjectsOf(tx, r.PathValue("user"))
		list = slices.DeleteFunc(list, func(p *compute.Project) bool { return !f.boolean("enabled", p.Enabled) || !f.text("name", p.Name) })
		return listed(a, r, "projects", list, func(p *compute.Project) view { return a.projectView(r, p) }), err
	})
}

func (a *api) listUserGroups(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		if _, err := tx.Users.Get(r.PathValue("user")); err != nil {
			return nil, absent(err, "user", r.PathValue("user"))
		}
		list, err := identity.GroupsOf(tx, r.PathValue("user"))
		return listed(a, r, "groups", list, func(g *compute.Group) view { return a.groupView(r, g) }), err
	})
}

func (a *api) groupView(r *openstack.Request, g *compute.Group) view {
	return view{"id": g.ID, "name": g.Name, "description": g.Description, "domain_id": g.DomainID, "links": a.self(r, "/groups/%s", g.ID)}
}

func readGroup(at *attrs, g *compute.Group) error {
	at.text("name", &g.Name)
	at.text("description", &g.Description)
	at.text("domain_id", &g.DomainID)
	return at.err
}

func (a *api) listGroups(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		f := filter{r}
		list, err := tx.Groups.List(compute.Query{Order: "name"})
		list = slices.DeleteFunc(list, func(g *compute.Group) bool { return !f.text("domain_id", g.DomainID) || !f.text("name", g.Name) })
		return listed(a, r, "groups", list, func(g *compute.Group) view { return a.groupView(r, g) }), err
	})
}

func (a *api) showGroup(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		g, err := tx.Groups.Get(r.PathValue("group"))
		if err != nil {
			return nil, absent(err, "group", r.PathValue("group"))
		}
		return view{"group": a.groupView(r, g)}, nil
	})
}

func (a *api) listMembers(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		g, err := tx.Groups.Get(r.PathValue("group"))
		if err != nil {
			return nil, absent(err, "group", r.PathValue("group"))
		}
		f := filter{r}
		users, err := tx.Users.List(compute.Query{Where: compute.Where{"id": orEmpty(g.UserIDs)}, Order: "name"})
		users = slices.DeleteFunc(users, func(u *compute.User) bool { return !f.text("name", u.Name) || !f.boolean("enabled", u.Enabled) })
		return listed(a, r, "users", users, func(u *compute.User) view { return a.userView(r, u) }), err
	})
}

func (a *api) isMember(w http.ResponseWriter, r *openstack.Request) error {
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		g, err := tx.Groups.Get(r.PathValue("group"))
		if err == nil && !slices.Contains(g.UserIDs, r.PathValue("user")) || compute.IsKind(err, compute.NotFound) {
			return compute.Errorf(compute.NotFound, "User '%s' not found in group '%s'.", r.PathValue("user"), r.PathValue("group"))
		}
		return err
	})
	if err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) addMember(w http.ResponseWriter, r *openstack.Request) error {
	return a.setMember(w, r, true)
}

func (a *api) removeMember(w http.ResponseWriter, r *openstack.Request) error {
	return a.setMember(w, r, false)
}

func (a *api) setMember(w http.ResponseWriter, r *openstack.Request, member bool) error {
	if err := a.Identity.SetMember(r.Context(), r.PathValue("group"), r.PathValue("user"), member); err != nil {
		return err
	}
	return noContent(w)
}
