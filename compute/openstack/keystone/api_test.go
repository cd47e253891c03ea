package keystone_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	base := strings.TrimSuffix(c.url, "/v3")
	for path, want := range map[string]int{"": 300, "/": 300, "/v3": 200, "/v3/": 200} {
		resp, err := http.DefaultTransport.RoundTrip(request(t, base+path))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s = %d, want %d", path, resp.StatusCode, want)
		}
	}
	v := c.want(200, "", "GET", "", nil)
	if v.at("version", "id") != "v3.14" || v.at("version", "status") != "stable" {
		t.Errorf("version = %v", v.body)
	}
}

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTokenBody holds the body of a token to what clients read of Keystone's.
func TestTokenBody(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	a := c.want(201, "", "POST", "/auth/tokens", passwordLogin(object{"id": c.boot.MemberUserID, "password": c.boot.MemberPassword}, object{"project": object{"id": c.boot.MemberProjectID}}))
	token, _ := a.body["token"].(object)
	keys := slices.Sorted(maps.Keys(token))
	if want := []string{"audit_ids", "catalog", "expires_at", "is_domain", "issued_at", "methods", "project", "roles", "user"}; !slices.Equal(keys, want) {
		t.Errorf("keys of a token = %v, want %v", keys, want)
	}
	issued, err1 := time.Parse("2006-01-02T15:04:05.000000Z", token["issued_at"].(string))
	expires, err2 := time.Parse("2006-01-02T15:04:05.000000Z", token["expires_at"].(string))
	if err1 != nil || err2 != nil || expires.Sub(issued) != time.Hour {
		t.Errorf("from %v to %v", token["issued_at"], token["expires_at"])
	}
	endpoint := token["catalog"].([]any)[0].(object)["endpoints"].([]any)[0].(object)
	if keys := slices.Sorted(maps.Keys(endpoint)); !slices.Equal(keys, []string{"id", "interface", "region", "region_id", "url"}) {
		t.Errorf("keys of an endpoint = %v", keys)
	}
	subject := a.header.Get("X-Subject-Token")
	again := c.want(200, subject, "GET", "/auth/tokens", nil, "X-Subject-Token", subject)
	if again.at("token", "expires_at") != token["expires_at"] || again.header.Get("X-Subject-Token") != subject {
		t.Errorf("the token shown = %v", again.body)
	}
	if a := c.want(200, subject, "GET", "/auth/tokens?nocatalog", nil, "X-Subject-Token", subject); a.at("token", "catalog") != nil {
		t.Errorf("nocatalog has a catalog")
	}
	c.want(404, "member", "GET", "/auth/tokens", nil, "X-Subject-Token", c.tokens["admin"])
	c.want(200, "admin", "HEAD", "/auth/tokens", nil, "X-Subject-Token", subject)
	c.want(204, subject, "DELETE", "/auth/tokens", nil, "X-Subject-Token", subject)
	c.want(401, subject, "GET", "/auth/projects", nil)
	c.want(404, "admin", "GET", "/auth/tokens", nil, "X-Subject-Token", subject)
}

func TestLoginRefusals(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	good := object{"id": c.boot.MemberUserID, "password": c.boot.MemberPassword}
	for name, row := range map[string]struct {
		body any
		want int
	}{
		"no auth":               {object{}, 400},
		"no methods":            {object{"auth": object{"identity": object{}}}, 400},
		"no password object":    {object{"auth": object{"identity": object{"methods": []string{"password"}}}}, 400},
		"a name without domain": {passwordLogin(object{"name": "kamado", "password": "x"}, nil), 400},
		"a method unknown":      {object{"auth": object{"identity": object{"methods": []string{"magic"}}}}, 401},
		"a wrong password":      {passwordLogin(object{"id": c.boot.MemberUserID, "password": "x"}, nil), 401},
		"an unknown user":       {passwordLogin(object{"id": "nobody", "password": "x"}, nil), 401},
		"a foreign project":     {passwordLogin(good, object{"project": object{"id": c.boot.AdminProjectID}}), 401},
		"an absent project":     {passwordLogin(good, object{"project": object{"id": "none"}}), 401},
		"the system":            {passwordLogin(good, object{"system": object{"all": true}}), 401},
		"a domain":              {passwordLogin(good, object{"domain": object{"id": "default"}}), 401},
		"two scopes":            {passwordLogin(good, object{"domain": object{"id": "default"}, "system": object{"all": true}}), 400},
		"a dead token":          {object{"auth": object{"identity": object{"methods": []string{"token"}, "token": object{"id": "x"}}}}, 404},
		"unscoped":              {passwordLogin(good, "unscoped"), 201},
	} {
		a := c.do("", "POST", "/auth/tokens", row.body)
		if a.status != row.want {
			t.Errorf("%s = %d %v, want %d", name, a.status, a.body, row.want)
		}
		if row.want == 401 && a.at("error", "title") != "Unauthorized" {
			t.Errorf("%s: body = %v", name, a.body)
		}
	}
}

// TestMemberLivesInItsOwn walks what a member may do, beside what
// TestEveryRouteAsksForItsRole says that it may not.
func TestMemberLivesInItsOwn(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	me, mine := "/users/"+c.boot.MemberUserID, "/projects/"+c.boot.MemberProjectID
	for _, path := range []string{me, me + "/projects", me + "/groups", me + "/application_credentials", me + "/access_rules", me + "/credentials/OS-EC2", mine, mine + "/tags", "/domains/default", "/regions/RegionOne"} {
		c.want(200, "member", "GET", path, nil)
	}
	if a := c.want(200, "member", "GET", me, nil); strings.Contains(strings.ToLower(toText(a.body)), "hash") {
		t.Errorf("a user shows its hash: %v", a.body)
	}
	made := c.want(201, "member", "POST", me+"/credentials/OS-EC2", object{"tenant_id": c.boot.MemberProjectID})
	c.want(404, "member", "POST", me+"/credentials/OS-EC2", object{"tenant_id": c.boot.AdminProjectID})
	c.want(403, "member", "POST", "/credentials", object{"credential": object{"type": "totp", "blob": "x", "user_id": c.boot.AdminUserID}})
	list, _ := c.want(200, "member", "GET", "/credentials", nil).body["credentials"].([]any)
	if len(list) != 1 {
		t.Errorf("credentials of the member = %v", list)
	}
	c.want(204, "member", "DELETE", me+"/credentials/OS-EC2/"+made.at("credential", "access").(string), nil)
}

func toText(v any) string {
	switch v := v.(type) {
	case object:
		var b strings.Builder
		for k, e := range v {
			b.WriteString(k + " " + toText(e) + " ")
		}
		return b.String()
	case string:
		return v
	}
	return ""
}

func TestAccessRulesAreKept(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	me := "/users/" + c.boot.MemberUserID
	rules := []object{{"service": "identity", "method": "GET", "path": "/v3/auth/projects"}}
	a := c.want(201, "member", "POST", me+"/application_credentials", object{"application_credential": object{"name": "robot", "access_rules": rules}})
	login := object{"auth": object{"identity": object{"methods": []string{"application_credential"},
		"application_credential": object{"id": a.at("application_credential", "id"), "secret": a.at("application_credential", "secret")}}}}
	token := c.want(201, "", "POST", "/auth/tokens", login).header.Get("X-Subject-Token")
	c.want(200, token, "GET", "/auth/projects", nil)
	c.want(401, token, "GET", "/auth/domains", nil)
	c.want(401, token, "GET", me, nil)
}

func TestBadAttributes(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for _, row := range []struct {
		path string
		body object
	}{
		{"/users", object{}},
		{"/users", object{"user": "x"}},
		{"/users", object{"user": object{}}},
		{"/users", object{"user": object{"name": ""}}},
		{"/users", object{"user": object{"name": 5}}},
		{"/users", object{"user": object{"name": "x", "enabled": "True"}}},
		{"/users", object{"user": object{"name": strings.Repeat("x", 256)}}},
		{"/users", object{"user": object{"name": "x", "password": strings.Repeat("x", 4097)}}},
		{"/projects", object{"project": object{"name": "x", "tags": []string{"a/b"}}}},
		{"/projects", object{"project": object{"name": "x", "tags": "a"}}},
		{"/projects", object{"project": object{"name": strings.Repeat("x", 65)}}},
		{"/domains", object{"domain": object{"name": nil}}},
		{"/roles", object{"role": object{"name": "  "}}},
		{"/endpoints", object{"endpoint": object{"service_id": "x", "interface": "side", "url": "http://x"}}},
		{"/regions", object{"region": object{"description": 1}}},
	} {
		if a := c.do("admin", "POST", row.path, row.body); a.status != 400 || a.at("error", "code") != 400.0 || a.at("error", "title") != "Bad Request" {
			t.Errorf("POST %s %v = %d %v, want 400", row.path, row.body, a.status, a.body)
		}
	}
	a := c.want(409, "admin", "POST", "/users", object{"user": object{"name": "kamado"}})
	if a.at("error", "message") != "Conflict occurred attempting to store user - Duplicate entry found with name kamado at domain ID default." {
		t.Errorf("conflict = %v", a.body)
	}
	a = c.want(404, "admin", "GET", "/users/nobody", nil)
	if a.at("error", "message") != "Could not find user: nobody." || a.at("error", "title") != "Not Found" {
		t.Errorf("absent = %v", a.body)
	}
}

// TestNounsAreMade makes one of each noun that takes nothing but attributes: with
// what is required, else not at all, and as the audit trail tells it.
func TestNounsAreMade(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for noun, required := range map[string]string{"role": "name", "group": "name", "domain": "name", "service": "type"} {
		path := "/" + noun + "s"
		for _, bad := range []object{{}, {required: nil}, {required: ""}, {required: 5}} {
			if a := c.do("admin", "POST", path, object{noun: bad}); a.status != 400 {
				t.Errorf("POST %s %v = %d %v, want 400", path, bad, a.status, a.body)
			}
		}
		id := c.make(noun+"s", noun, object{required: "stove", "description": "hot"})
		a := c.want(200, "admin", "GET", path+"/"+id, nil)
		if a.at(noun, required) != "stove" || a.at(noun, "description") != "hot" || noun != "role" && noun != "group" && a.at(noun, "enabled") != true {
			t.Errorf("%s = %v", noun, a.body)
		}
		c.mu.Lock()
		if !slices.ContainsFunc(c.events, func(e compute.AuditEvent) bool {
			return e.Action == "create" && e.TargetKind == noun+"s" && e.TargetID == id && e.Outcome == compute.AuditSuccess
		}) {
			t.Errorf("no event tells of %s %s", noun, id)
		}
		c.mu.Unlock()
	}
}

func TestOwnAttributesStayTheClientsOwn(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.make("users", "user", object{"name": "hana", "shoe_size": 23.5, "links": "mine", "password_hash": "x"})
	a := c.want(200, "admin", "GET", "/users/"+id, nil)
	if a.at("user", "shoe_size") != 23.5 || a.at("user", "links", "self") != c.url+"/users/"+id {
		t.Errorf("user = %v", a.body)
	}
	c.want(200, "admin", "PATCH", "/users/"+id, object{"user": object{"shoe_size": 24.0}})
	if a := c.want(200, "admin", "GET", "/users/"+id, nil); a.at("user", "shoe_size") != 24.0 {
		t.Errorf("user = %v", a.body)
	}
}

func TestAuditTrail(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.make("projects", "project", object{"name": "bakery"})
	c.do("member", "DELETE", "/projects/"+id, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	has := func(want compute.AuditEvent) {
		t.Helper()
		if !slices.ContainsFunc(c.events, func(e compute.AuditEvent) bool {
			return e.UserID == want.UserID && e.Action == want.Action && e.TargetKind == want.TargetKind && (e.TargetID == want.TargetID || want.TargetID == "") && e.Outcome == want.Outcome
		}) {
			t.Errorf("no event like %+v in %+v", want, c.events)
		}
	}
	has(compute.AuditEvent{UserID: c.boot.AdminUserID, Action: "authenticate", TargetKind: "token", Outcome: compute.AuditSuccess})
	has(compute.AuditEvent{UserID: c.boot.AdminUserID, Action: "create", TargetKind: "projects", TargetID: id, Outcome: compute.AuditSuccess})
	has(compute.AuditEvent{UserID: c.boot.MemberUserID, Action: "delete", TargetKind: "projects", TargetID: id, Outcome: compute.AuditDenied})
}
