package keystone_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/compute/openstack/keystone"
)

// anyToken is what routes of AnyToken answer to a member that asks for what is
// somebody else's. Every route of that rule is in it.
var anyToken = map[string]int{
	"GET /v3/auth/tokens": 400, "DELETE /v3/auth/tokens": 400, // no X-Subject-Token
	"GET /v3/auth/catalog": 200, "GET /v3/auth/projects": 200, "GET /v3/auth/domains": 200, "GET /v3/auth/system": 200,
	"GET /v3/users/{user}": 403, "GET /v3/users/{user}/projects": 403, "GET /v3/users/{user}/groups": 403,
	"GET /v3/users/{user}/application_credentials": 403, "POST /v3/users/{user}/application_credentials": 403,
	"GET /v3/users/{user}/application_credentials/{id}": 403, "DELETE /v3/users/{user}/application_credentials/{id}": 403,
	"GET /v3/users/{user}/access_rules": 403, "GET /v3/users/{user}/access_rules/{id}": 403, "DELETE /v3/users/{user}/access_rules/{id}": 403,
	"GET /v3/users/{user}/credentials/OS-EC2": 403, "POST /v3/users/{user}/credentials/OS-EC2": 403,
	"GET /v3/users/{user}/credentials/OS-EC2/{access}": 403, "DELETE /v3/users/{user}/credentials/OS-EC2/{access}": 403,
	"GET /v3/credentials": 200, "POST /v3/credentials": 400, // no body
	"GET /v3/credentials/{id}": 404, "PATCH /v3/credentials/{id}": 404, "DELETE /v3/credentials/{id}": 404,
	"GET /v3/projects/{project}": 403, "GET /v3/projects/{project}/tags": 403, "GET /v3/projects/{project}/tags/{tag}": 403,
	"GET /v3/domains/{domain}": 403, "GET /v3/groups/{group}/users/{user}": 403,
	"GET /v3/regions": 200, "GET /v3/regions/{region}": 404,
	"GET /v3/limits": 200, "GET /v3/registered_limits": 200, "GET /v3/limits/model": 200,
}

// fill puts ids into a pattern.
func fill(pattern string, ids map[string]string) string {
	for name, id := range ids {
		pattern = strings.ReplaceAll(pattern, "{"+name+"}", id)
	}
	return strings.TrimPrefix(pattern, "/v3")
}

// foreign makes one of everything that is not the member's.
func (c *cloud) foreign() map[string]string {
	domain := c.make("domains", "domain", object{"name": "abroad"})
	ids := map[string]string{
		"user": c.boot.AdminUserID, "actor": c.boot.AdminUserID, "project": c.boot.AdminProjectID, "target": c.boot.AdminProjectID, "domain": domain, "tag": "x",
		"group":  c.make("groups", "group", object{"name": "bakers"}),
		"role":   c.make("roles", "role", object{"name": "taster"}),
		"region": "nowhere", "implied": "nothing",
		"service": c.make("services", "service", object{"type": "baking", "name": "ovens"}),
	}
	ids["endpoint"] = c.make("endpoints", "endpoint", object{"service_id": ids["service"], "interface": "public", "url": "http://example.org"})
	ids["id"] = c.make("credentials", "credential", object{"type": "totp", "blob": "x"})
	ids["access"], _ = c.want(201, "admin", "POST", "/users/"+c.boot.AdminUserID+"/credentials/OS-EC2", object{"tenant_id": c.boot.AdminProjectID}).at("credential", "access").(string)
	return ids
}

func TestEveryRouteAsksForItsRole(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	foreign := c.foreign()
	absent := map[string]string{}
	for name := range foreign {
		absent[name] = strings.Repeat("0", 32)
	}
	c.make("users", "user", object{"name": "rin", "password": "pass"})
	c.tokens["unscoped"] = c.want(201, "", "POST", "/auth/tokens", passwordLogin(object{"name": "rin", "password": "pass", "domain": object{"id": "default"}}, nil)).header.Get("X-Subject-Token")
	reader := c.make("users", "user", object{"name": "yomi", "password": "pass"})
	c.assign(reader, c.boot.MemberProjectID, compute.RoleReader)
	c.tokens["reader"] = c.login("yomi", "pass", c.boot.MemberProjectID)

	for _, route := range keystone.Routes() {
		if strings.Contains(route.Pattern, "{$}") || route.Rule == openstack.Open {
			continue
		}
		name := route.Method + " " + route.Pattern
		t.Run(name, func(t *testing.T) {
			path := fill(route.Pattern, foreign)
			for _, who := range []string{"", "no-such-token"} {
				a := c.do(who, route.Method, path, nil)
				if a.status != 401 || a.header.Get("WWW-Authenticate") != fmt.Sprintf("Keystone uri=%q", strings.TrimSuffix(c.url, "/v3")) {
					t.Errorf("as %q = %d %v, want 401 with WWW-Authenticate", who, a.status, a.header)
				}
			}
			want, named := anyToken[name]
			if route.Rule == openstack.AsAdmin {
				want = http.StatusForbidden
			} else if !named {
				t.Fatalf("the route is for any token, and no row says what a foreign id gives")
			}
			for _, who := range []string{"reader", "member", "unscoped"} {
				if who == "unscoped" && want < 400 {
					continue
				}
				if a := c.do(who, route.Method, path, nil); a.status != want {
					t.Errorf("a foreign id as %s = %d %v, want %d", who, a.status, a.body, want)
				}
				a, b := c.do(who, route.Method, path, nil), c.do(who, route.Method, fill(route.Pattern, absent), nil)
				if a.status != b.status {
					t.Errorf("as %s: a foreign id gives %d, an absent one %d", who, a.status, b.status)
				}
			}
			if a := c.do("admin", route.Method, fill(route.Pattern, absent), nil); route.Rule == openstack.AsAdmin && (a.status == 403 || a.status == 401 || a.status >= 500) {
				t.Errorf("an absent id as admin = %d %v", a.status, a.body)
			}
		})
	}
}

// assign gives a user a role in a project.
func (c *cloud) assign(user, project, role string) {
	c.t.Helper()
	roles, _ := c.want(200, "admin", "GET", "/roles?name="+role, nil).body["roles"].([]any)
	if len(roles) != 1 {
		c.t.Fatalf("roles named %s: %v", role, roles)
	}
	c.want(204, "admin", "PUT", "/projects/"+project+"/users/"+user+"/roles/"+roles[0].(object)["id"].(string), nil)
}

func TestEveryKindHasAStatus(t *testing.T) {
	for _, k := range compute.Kinds() {
		if keystone.Statuses[k] == 0 {
			t.Errorf("kind %v has no status", k)
		}
	}
}
