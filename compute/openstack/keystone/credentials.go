package keystone

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack"
)

func showRule(rule compute.AccessRule) view {
	return view{"id": rule.ID, "service": rule.Service, "method": rule.Method, "path": rule.Path}
}

// expiryLayout is how Keystone writes when an application credential ends:
// without a zone, in UTC.
const expiryLayout = "2006-01-02T15:04:05.000000"

func (a *api) appCredentialView(tx *compute.Tx, r *openstack.Request, c *compute.AppCredential) (view, error) {
	roles := []view{}
	for _, id := range c.RoleIDs {
		role, err := tx.Roles.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		roles = append(roles, view{"id": role.ID, "name": role.Name, "domain_id": orNull(role.DomainID)})
	}
	v := view{"id": c.ID, "name": c.Name, "description": orNull(c.Description), "project_id": c.ProjectID, "user_id": c.UserID, "roles": roles,
		"expires_at": nil, "unrestricted": c.Unrestricted, "links": a.self(r, "/users/%s/application_credentials/%s", c.UserID, c.ID)}
	if !c.Expires.IsZero() {
		v["expires_at"] = c.Expires.UTC().Format(expiryLayout)
	}
	if len(c.AccessRules) > 0 {
		rules := []view{}
		for _, rule := range c.AccessRules {
			rules = append(rules, showRule(rule))
		}
		v["access_rules"] = rules
	}
	return v, nil
}

func (a *api) listAppCredentials(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		where := compute.Where{"user_id": r.PathValue("user")}
		if q := r.URL.Query(); q.Has("name") {
			where["name"] = q.Get("name")
		}
		list, err := tx.AppCredentials.List(compute.Query{Where: where, Order: "name"})
		if err != nil {
			return nil, err
		}
		views := []view{}
		for _, c := range list {
			v, err := a.appCredentialView(tx, r, c)
			if err != nil {
				return nil, err
			}
			views = append(views, v)
		}
		return listed(a, r, "application_credentials", views, func(v view) view { return v }), nil
	})
}

func (a *api) showAppCredential(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		c, err := identity.AppCredentialOf(tx, r.PathValue("user"), r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		v, err := a.appCredentialView(tx, r, c)
		return view{"application_credential": v}, err
	})
}

// createAppCredential is for users themselves: an administrator cannot act for
// somebody else.
func (a *api) createAppCredential(w http.ResponseWriter, r *openstack.Request) error {
	if r.PathValue("user") != r.Caller.UserID {
		return policyError(r)
	}
	at, err := readAttrs(r, "application_credential")
	if err != nil {
		return err
	}
	session, err := a.session(r)
	if err != nil {
		return err
	}
	c := &compute.AppCredential{}
	secret, err := readAppCredential(at, c, session)
	if err != nil {
		return err
	}
	if secret, err = a.Identity.CreateAppCredential(r.Context(), session, c, secret); err != nil {
		return err
	}
	r.Note("users/application_credentials", c.ID)
	var v view
	err = a.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		v, err = a.appCredentialView(tx, r, c)
		return err
	})
	if err != nil {
		return err
	}
	v["secret"] = secret
	return openstack.WriteJSON(w, http.StatusCreated, view{"application_credential": v})
}

func readAppCredential(at *attrs, c *compute.AppCredential, session *identity.Session) (secret string, err error) {
	var expires string
	at.need("name", &c.Name)
	at.text("description", &c.Description)
	at.text("secret", &secret)
	at.text("expires_at", &expires)
	if v, ok := at.take("unrestricted"); ok && v != nil {
		if c.Unrestricted, ok = v.(bool); !ok {
			at.wrong("unrestricted", "boolean")
		}
	}
	if at.err != nil {
		return "", at.err
	}
	if len(secret) > 255 {
		return "", compute.Errorf(compute.Invalid, "Invalid input for field 'secret': it is too long.")
	}
	if expires != "" {
		if c.Expires, err = parseTime(expires); err != nil {
			return "", err
		}
	}
	var lists struct {
		Roles       []domainBody `json:"roles"`
		AccessRules []struct {
			ID, Service, Method, Path string
		} `json:"access_rules"`
	}
	b, err := json.Marshal(at.m)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(b, &lists); err != nil {
		return "", compute.Errorf(compute.Invalid, "Invalid input for field 'roles' or 'access_rules': they are lists of objects.")
	}
	for _, role := range lists.Roles {
		i := slices.IndexFunc(session.Roles, func(has *compute.Role) bool {
			return role.ID == has.ID || role.ID == "" && role.Name == has.Name
		})
		if i < 0 {
			return "", compute.Errorf(compute.Invalid, "Invalid application credential: Could not find role assignment with role: %s%s, user or group: %s.", role.ID, role.Name, session.User.ID)
		}
		c.RoleIDs = append(c.RoleIDs, session.Roles[i].ID)
	}
	for _, rule := range lists.AccessRules {
		if rule.ID == "" && (rule.Service == "" || rule.Path == "" || rule.Path[0] != '/' ||
			!slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, rule.Method)) {
			return "", compute.Errorf(compute.Invalid, "Invalid input for field 'access_rules': a rule has an id, or a service, a method and a path.")
		}
		c.AccessRules = append(c.AccessRules, compute.AccessRule(rule))
	}
	return secret, nil
}

// parseTime reads a time with or without zone; without, it is UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, compute.Errorf(compute.Invalid, "Invalid input for field 'expires_at': it is no time such as 2026-12-01T00:00:00.000000.")
}

func (a *api) deleteAppCredential(w http.ResponseWriter, r *openstack.Request) error {
	if err := a.Identity.DeleteAppCredential(r.Context(), r.PathValue("user"), r.PathValue("id")); err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) listAccessRules(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		u, err := tx.Users.Get(r.PathValue("user"))
		if err != nil {
			return nil, absent(err, "user", r.PathValue("user"))
		}
		return listed(a, r, "access_rules", u.AccessRules, func(rule compute.AccessRule) view {
			v := showRule(rule)
			v["links"] = a.self(r, "/users/%s/access_rules/%s", u.ID, rule.ID)
			return v
		}), nil
	})
}

func (a *api) showAccessRule(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		u, err := tx.Users.Get(r.PathValue("user"))
		if err != nil {
			return nil, absent(err, "user", r.PathValue("user"))
		}
		for _, rule := range u.AccessRules {
			if rule.ID == r.PathValue("id") {
				return view{"access_rule": showRule(rule)}, nil
			}
		}
		return nil, identity.Absent("access_rule", r.PathValue("id"))
	})
}

func (a *api) deleteAccessRule(w http.ResponseWriter, r *openstack.Request) error {
	if err := a.Identity.DeleteAccessRule(r.Context(), r.PathValue("user"), r.PathValue("id")); err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) ec2View(r *openstack.Request, c *compute.Credential) view {
	return view{"access": c.Access, "secret": c.Secret, "user_id": c.UserID, "tenant_id": c.ProjectID, "trust_id": nil,
		"links": a.self(r, "/users/%s/credentials/OS-EC2/%s", c.UserID, c.Access)}
}

// ec2Of gives the EC2 key pairs of the path's user; access "" means all.
func ec2Of(tx *compute.Tx, r *openstack.Request, access string) ([]*compute.Credential, error) {
	where := compute.Where{"user_id": r.PathValue("user")}
	if access != "" {
		where["access"] = access
	}
	list, err := tx.Credentials.List(compute.Query{Where: where})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c *compute.Credential) bool { return c.Type != "ec2" })
	if access != "" && len(list) == 0 {
		return nil, identity.Absent("credential", access)
	}
	return list, nil
}

func (a *api) listEC2(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		list, err := ec2Of(tx, r, "")
		return listed(a, r, "credentials", list, func(c *compute.Credential) view { return a.ec2View(r, c) }), err
	})
}

func (a *api) showEC2(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		list, err := ec2Of(tx, r, r.PathValue("access"))
		if err != nil {
			return nil, err
		}
		return view{"credential": a.ec2View(r, list[0])}, nil
	})
}

func (a *api) createEC2(w http.ResponseWriter, r *openstack.Request) error {
	var body struct {
		ProjectID string `json:"tenant_id"`
	}
	if err := r.Decode(&body); err != nil {
		return err
	}
	user := r.PathValue("user")
	if err := a.hasRole(r, user, body.ProjectID); err != nil {
		return err
	}
	c, err := a.Identity.CreateEC2(r.Context(), user, body.ProjectID)
	if err != nil {
		return err
	}
	r.Note("users/credentials/OS-EC2", c.Access)
	return openstack.WriteJSON(w, http.StatusCreated, view{"credential": a.ec2View(r, c)})
}

// hasRole says whether a user may act in a project; what it may not is absent.
func (a *api) hasRole(r *openstack.Request, userID, projectID string) error {
	return a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		if _, err := tx.Users.Get(userID); err != nil {
			return absent(err, "user", userID)
		}
		roles, err := identity.EffectiveRoles(tx, userID, identity.Target{ProjectID: projectID})
		if err == nil && (projectID == "" || len(roles) == 0) || compute.IsKind(err, compute.NotFound) {
			return identity.Absent("project", projectID)
		}
		return err
	})
}

func (a *api) deleteEC2(w http.ResponseWriter, r *openstack.Request) error {
	var id string
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		list, err := ec2Of(tx, r, r.PathValue("access"))
		if err == nil {
			id = list[0].ID
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := a.Identity.DeleteCredential(r.Context(), id); err != nil {
		return err
	}
	return noContent(w)
}

// keys is the blob of an EC2 key pair.
type keys struct {
	Access string `json:"access"`
	Secret string `json:"secret"`
}

func (a *api) credentialView(r *openstack.Request, c *compute.Credential) view {
	blob := c.Blob
	if c.Type == "ec2" {
		b, _ := json.Marshal(keys{c.Access, c.Secret}) // texts
		blob = string(b)
	}
	return view{"id": c.ID, "type": c.Type, "blob": blob, "user_id": c.UserID, "project_id": orNull(c.ProjectID), "links": a.self(r, "/credentials/%s", c.ID)}
}

func readCredential(at *attrs, c *compute.Credential) error {
	at.text("type", &c.Type)
	at.text("user_id", &c.UserID)
	at.text("project_id", &c.ProjectID)
	if _, ok := at.m["blob"]; !ok {
		return at.err
	}
	var blob string
	at.text("blob", &blob)
	if at.err != nil || c.Type != "ec2" {
		c.Blob = blob
		return at.err
	}
	var k keys
	if err := json.Unmarshal([]byte(blob), &k); err != nil || k.Access == "" || k.Secret == "" {
		return compute.Errorf(compute.Invalid, "Invalid blob in credential: it must be JSON with access and secret.")
	}
	c.Access, c.Secret = k.Access, k.Secret
	return nil
}

func (a *api) listCredentials(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		q, f := r.URL.Query(), filter{r}
		where := compute.Where{}
		if !r.Caller.Admin() {
			where["user_id"] = r.Caller.UserID
		} else if q.Has("user_id") {
			where["user_id"] = q.Get("user_id")
		}
		list, err := tx.Credentials.List(compute.Query{Where: where})
		list = slices.DeleteFunc(list, func(c *compute.Credential) bool { return !f.text("type", c.Type) || !f.text("user_id", c.UserID) })
		return listed(a, r, "credentials", list, func(c *compute.Credential) view { return a.credentialView(r, c) }), err
	})
}

func (a *api) createCredential(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "credential")
	if err != nil {
		return err
	}
	if _, ok := at.m["blob"]; !ok {
		return compute.Errorf(compute.Invalid, "'blob' is a required property")
	}
	c := &compute.Credential{UserID: r.Caller.UserID}
	at.need("type", &c.Type)
	if err := readCredential(at, c); err != nil {
		return err
	}
	if !r.Caller.Admin() {
		if c.UserID != r.Caller.UserID {
			return policyError(r)
		}
		if c.ProjectID != "" {
			if err := a.hasRole(r, c.UserID, c.ProjectID); err != nil {
				return err
			}
		}
	}
	if err := a.Identity.CreateCredential(r.Context(), c); err != nil {
		return err
	}
	r.Note("credentials", c.ID)
	return openstack.WriteJSON(w, http.StatusCreated, view{"credential": a.credentialView(r, c)})
}

// ownCredential says whether the path's credential is the caller's; others and
// none have one answer.
func (a *api) ownCredential(r *openstack.Request) (*compute.Credential, error) {
	var c *compute.Credential
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		c, err = tx.Credentials.Get(r.PathValue("id"))
		return absent(err, "credential", r.PathValue("id"))
	})
	if err == nil && c.UserID != r.Caller.UserID && !r.Caller.Admin() {
		err = identity.Absent("credential", r.PathValue("id"))
	}
	return c, err
}

func (a *api) showCredential(w http.ResponseWriter, r *openstack.Request) error {
	c, err := a.ownCredential(r)
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"credential": a.credentialView(r, c)})
}

func (a *api) updateCredential(w http.ResponseWriter, r *openstack.Request) error {
	if _, err := a.ownCredential(r); err != nil {
		return err
	}
	at, err := readAttrs(r, "credential")
	if err != nil {
		return err
	}
	if project, ok := at.m["project_id"].(string); ok && !r.Caller.Admin() {
		if err := a.hasRole(r, r.Caller.UserID, project); err != nil {
			return err
		}
	}
	c, err := a.Identity.UpdateCredential(r.Context(), r.PathValue("id"), func(c *compute.Credential) error {
		owner := c.UserID
		if err := readCredential(at.again(), c); err != nil {
			return err
		}
		if c.UserID != owner && !r.Caller.Admin() {
			return policyError(r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"credential": a.credentialView(r, c)})
}

func (a *api) deleteCredential(w http.ResponseWriter, r *openstack.Request) error {
	c, err := a.ownCredential(r)
	if err != nil {
		return err
	}
	if err := a.Identity.DeleteCredential(r.Context(), c.ID); err != nil {
		return err
	}
	return noContent(w)
}
