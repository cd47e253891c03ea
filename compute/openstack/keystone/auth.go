package keystone

import (
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack"
)

// timeLayout is how Keystone writes times.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeLayout) }

func (a *api) authRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "POST", Pattern: "/v3/auth/tokens", Rule: openstack.Open, Handle: a.createToken},
		{Method: "GET", Pattern: "/v3/auth/tokens", Rule: openstack.AnyToken, Handle: a.showToken},
		{Method: "DELETE", Pattern: "/v3/auth/tokens", Rule: openstack.AnyToken, Handle: a.revokeToken},
		{Method: "GET", Pattern: "/v3/auth/catalog", Rule: openstack.AnyToken, Handle: a.showCatalog},
		{Method: "GET", Pattern: "/v3/auth/projects", Rule: openstack.AnyToken, Handle: a.authProjects},
		{Method: "GET", Pattern: "/v3/auth/domains", Rule: openstack.AnyToken, Handle: a.authDomains},
		{Method: "GET", Pattern: "/v3/auth/system", Rule: openstack.AnyToken, Handle: a.authSystem},
	}
}

// The body of a login.
type (
	domainBody struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	userBody struct {
		ID       string      `json:"id"`
		Name     string      `json:"name"`
		Domain   *domainBody `json:"domain"`
		Password string      `json:"password"`
	}
	projectBody struct {
		ID     string      `json:"id"`
		Name   string      `json:"name"`
		Domain *domainBody `json:"domain"`
	}
	scopeBody struct {
		Project *projectBody    `json:"project"`
		Domain  *domainBody     `json:"domain"`
		System  map[string]bool `json:"system"`
	}
	identityBody struct {
		Methods  []string `json:"methods"`
		Password *struct {
			User userBody `json:"user"`
		} `json:"password"`
		Token *struct {
			ID string `json:"id"`
		} `json:"token"`
		AppCredential *struct {
			ID     string    `json:"id"`
			Name   string    `json:"name"`
			Secret string    `json:"secret"`
			User   *userBody `json:"user"`
		} `json:"application_credential"`
	}
	loginBody struct {
		Auth *struct {
			Identity identityBody    `json:"identity"`
			Scope    json.RawMessage `json:"scope"`
		} `json:"auth"`
	}
)

// createToken logs in.
func (a *api) createToken(w http.ResponseWriter, r *openstack.Request) error {
	var body loginBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if body.Auth == nil {
		return compute.Errorf(compute.Invalid, "'auth' is a required property")
	}
	login := identity.Login{Methods: body.Auth.Identity.Methods, RequestID: openstack.RequestID(r.Request), Remote: remote(r.Request)}
	if err := readIdentity(&login, &body.Auth.Identity); err != nil {
		return err
	}
	if err := readScope(&login, body.Auth.Scope); err != nil {
		return err
	}
	token, session, err := a.Identity.Login(r.Context(), login)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", token)
	w.Header().Set("Vary", "X-Auth-Token")
	return a.writeToken(w, r, http.StatusCreated, session)
}

// remote is the address of a request's client, without the port.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func readIdentity(l *identity.Login, b *identityBody) error {
	for _, method := range b.Methods {
		switch method {
		case identity.MethodPassword:
			if b.Password == nil {
				return compute.Errorf(compute.Invalid, "Expecting to find password in identity. The server could not comply with the request since it is either malformed or otherwise incorrect.")
			}
			if err := readUser(&l.User, &b.Password.User); err != nil {
				return err
			}
			l.Password = b.Password.User.Password
		case identity.MethodToken:
			if b.Token == nil {
				return compute.Errorf(compute.Invalid, "Expecting to find token in identity. The server could not comply with the request since it is either malformed or otherwise incorrect.")
			}
			l.Token = b.Token.ID
		case identity.MethodAppCredential:
			c := b.AppCredential
			if c == nil {
				return compute.Errorf(compute.Invalid, "Expecting to find application_credential in identity. The server could not comply with the request since it is either malformed or otherwise incorrect.")
			}
			l.AppCredentialID, l.AppCredentialName, l.AppCredentialSecret = c.ID, c.Name, c.Secret
			if c.ID == "" {
				if c.Name == "" || c.User == nil {
					return compute.Errorf(compute.Invalid, "An application credential is named by its id, or by its name and its user.")
				}
				if err := readUser(&l.User, c.User); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func readUser(ref *identity.UserRef, b *userBody) error {
	ref.ID, ref.Name = b.ID, b.Name
	if b.ID != "" {
		return nil
	}
	if b.Name == "" {
		return compute.Errorf(compute.Invalid, "Expecting to find id or name in user. The server could not comply with the request since it is either malformed or otherwise incorrect.")
	}
	if b.Domain == nil || b.Domain.ID == "" && b.Domain.Name == "" {
		return compute.Errorf(compute.Invalid, "Expecting to find domain in user. The server could not comply with the request since it is either malformed or otherwise incorrect.")
	}
	ref.Domain = identity.DomainRef(*b.Domain)
	return nil
}

func readScope(l *identity.Login, raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if text != "unscoped" {
			return compute.Errorf(compute.Invalid, "Invalid input for field 'scope': it is an object or 'unscoped'.")
		}
		l.Unscoped = true
		return nil
	}
	var b scopeBody
	if err := json.Unmarshal(raw, &b); err != nil {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'scope': it is not of type 'object'.")
	}
	given := 0
	if b.Project != nil {
		given++
		p := identity.ProjectRef{ID: b.Project.ID, Name: b.Project.Name}
		if b.Project.Domain != nil {
			p.Domain = identity.DomainRef(*b.Project.Domain)
		}
		if p.ID == "" && (p.Name == "" || p.Domain == identity.DomainRef{}) {
			return compute.Errorf(compute.Invalid, "Expecting to find id, or name and domain, in project. The server could not comply with the request since it is either malformed or otherwise incorrect.")
		}
		l.Project = &p
	}
	if b.Domain != nil {
		given++
		d := identity.DomainRef(*b.Domain)
		if d == (identity.DomainRef{}) {
			return compute.Errorf(compute.Invalid, "Expecting to find id or name in domain. The server could not comply with the request since it is either malformed or otherwise incorrect.")
		}
		l.Domain = &d
	}
	if b.System != nil {
		given++
		l.System = true
	}
	if given > 1 {
		return compute.Errorf(compute.Invalid, "A token has one scope: a project, a domain or the system.")
	}
	return nil
}

// subject gives the session of the token that a request is about: the caller's
// own user's, or anybody's for an administrator or a service. Others are absent.
func (a *api) subject(r *openstack.Request) (string, *identity.Session, error) {
	token := r.Header.Get("X-Subject-Token")
	if token == "" {
		return "", nil, compute.Errorf(compute.Invalid, "Expecting to find X-Subject-Token in the headers.")
	}
	session, err := a.Identity.Session(r.Context(), token)
	switch {
	case compute.IsKind(err, compute.Unauthorized),
		err == nil && session.User.ID != r.Caller.UserID && !r.Caller.Admin() && !r.Caller.Is(compute.RoleService):
		return "", nil, compute.Errorf(compute.NotFound, "Could not find token.")
	case err != nil:
		return "", nil, err
	}
	return token, session, nil
}

func (a *api) showToken(w http.ResponseWriter, r *openstack.Request) error {
	token, session, err := a.subject(r)
	if err != nil {
		return err
	}
	w.Header().Set("X-Subject-Token", token)
	w.Header().Set("Vary", "X-Auth-Token")
	return a.writeToken(w, r, http.StatusOK, session)
}

func (a *api) revokeToken(w http.ResponseWriter, r *openstack.Request) error {
	token, _, err := a.subject(r)
	if err != nil {
		return err
	}
	if err := a.Identity.Revoke(r.Context(), token); err != nil && !compute.IsKind(err, compute.NotFound) {
		return err
	}
	return noContent(w)
}

func noContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// writeToken answers with everything that a token stands for.
func (a *api) writeToken(w http.ResponseWriter, r *openstack.Request, status int, s *identity.Session) error {
	t := s.Token
	ids := []string{t.AuditID}
	if t.ParentAuditID != "" {
		ids = append(ids, t.ParentAuditID)
	}
	v := view{
		"methods": t.Methods, "audit_ids": ids, "issued_at": stamp(t.Issued), "expires_at": stamp(t.Expires),
		"user": view{"id": s.User.ID, "name": s.User.Name, "domain": view{"id": s.UserDomain.ID, "name": s.UserDomain.Name}, "password_expires_at": nil},
	}
	switch {
	case s.Project != nil:
		v["project"] = view{"id": s.Project.ID, "name": s.Project.Name, "domain": view{"id": s.ProjectDomain.ID, "name": s.ProjectDomain.Name}}
		v["is_domain"] = false
	case s.Domain != nil:
		v["domain"] = view{"id": s.Domain.ID, "name": s.Domain.Name}
	case t.System:
		v["system"] = view{"all": true}
	}
	if len(s.Roles) > 0 {
		roles := []view{}
		for _, role := range s.Roles {
			roles = append(roles, view{"id": role.ID, "name": role.Name})
		}
		v["roles"] = roles
		if _, without := r.URL.Query()["nocatalog"]; !without {
			catalog, err := a.catalog(r, s)
			if err != nil {
				return err
			}
			v["catalog"] = catalog
		}
	}
	if c := s.AppCredential; c != nil {
		v["application_credential"] = view{"id": c.ID, "name": c.Name, "restricted": !c.Unrestricted}
		if len(c.AccessRules) > 0 {
			rules := []view{}
			for _, rule := range c.AccessRules {
				rules = append(rules, showRule(rule))
			}
			v["application_credential"].(view)["access_rules"] = rules
		}
	}
	return openstack.WriteJSON(w, status, view{"token": v})
}

// session is the caller's own.
func (a *api) session(r *openstack.Request) (*identity.Session, error) {
	return a.Identity.Session(r.Context(), r.Header.Get("X-Auth-Token"))
}

func (a *api) showCatalog(w http.ResponseWriter, r *openstack.Request) error {
	s, err := a.session(r)
	if err != nil {
		return err
	}
	if len(s.Roles) == 0 {
		return compute.Errorf(compute.Denied, "An unscoped token has no catalog.")
	}
	catalog, err := a.catalog(r, s)
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"catalog": catalog, "links": a.self(r, "/auth/catalog")})
}

func (a *api) authProjects(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		list, err := identity.ProjectsOf(tx, r.Caller.UserID)
		enabled := list[:0]
		for _, p := range list {
			if p.Enabled {
				enabled = append(enabled, p)
			}
		}
		return listed(a, r, "projects", enabled, func(p *compute.Project) view { return a.projectView(r, p) }), err
	})
}

func (a *api) authDomains(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		list, err := identity.DomainsOf(tx, r.Caller.UserID)
		return listed(a, r, "domains", list, func(d *compute.Domain) view { return a.domainView(r, d) }), err
	})
}

func (a *api) authSystem(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		roles, err := identity.EffectiveRoles(tx, r.Caller.UserID, identity.Target{System: true})
		list := []view{}
		if len(roles) > 0 {
			list = append(list, view{"all": true})
		}
		return view{"system": list, "links": a.self(r, "/auth/system")}, err
	})
}

// read answers 200 with what fn makes of one consistent view of the store.
func (a *api) read(w http.ResponseWriter, r *openstack.Request, fn func(*compute.Tx) (view, error)) error {
	var v view
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		v, err = fn(tx)
		return err
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, v)
}
