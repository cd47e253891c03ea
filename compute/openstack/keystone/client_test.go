package keystone_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// stock is the stock client as somebody.
type stock struct {
	t   testing.TB
	env []string
}

func (c *cloud) stock(env ...string) *stock {
	c.t.Helper()
	const path = "/usr/bin/openstack"
	if _, err := os.Stat(path); err != nil {
		c.t.Skip("needs the stock client openstack (python3-openstackclient)")
	}
	if testing.Short() {
		c.t.Skip("the stock client takes 1 s a command")
	}
	env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + c.t.TempDir(), "OS_IDENTITY_API_VERSION=3", "OS_AUTH_URL=" + c.url}, env...)
	return &stock{c.t, env}
}

// asUser is the environment of somebody with a password.
func (c *cloud) asUser(name, password, project string) *stock {
	return c.stock("OS_USERNAME="+name, "OS_PASSWORD="+password, "OS_PROJECT_NAME="+project, "OS_USER_DOMAIN_ID=default", "OS_PROJECT_DOMAIN_ID=default")
}

func (s *stock) try(args ...string) (string, error) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "/usr/bin/openstack", args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run gives what a command that must succeed prints.
func (s *stock) run(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("openstack %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// json is run with -f json.
func (s *stock) json(args ...string) map[string]any {
	s.t.Helper()
	var v map[string]any
	out := s.run(append(args, "-f", "json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		s.t.Fatalf("openstack %s: %v in %q", strings.Join(args, " "), err, out)
	}
	return v
}

func (s *stock) fails(want string, args ...string) {
	s.t.Helper()
	out, err := s.try(args...)
	if err == nil || !strings.Contains(out, want) {
		s.t.Fatalf("openstack %s = %v %q, want a failure with %q", strings.Join(args, " "), err, out, want)
	}
}

// TestStockClientAdministers walks the commands of an administrator.
func TestStockClientAdministers(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	admin := c.asUser("admin", c.boot.AdminPassword, "admin")
	if got := admin.json("token", "issue"); got["project_id"] != c.boot.AdminProjectID || len(got["id"].(string)) != 43 {
		t.Errorf("token issue = %v", got)
	}
	admin.run("project", "create", "--description", "cakes", "--tag", "sweet", "bakery")
	admin.run("user", "create", "--password", "secret-1", "--email", "hana@example.org", "hana")
	admin.run("role", "add", "--user", "hana", "--project", "bakery", "member")
	if got := admin.run("role", "assignment", "list", "--user", "hana", "--names", "--effective", "-f", "value", "-c", "Role", "-c", "Project"); !strings.Contains(got, "member bakery@Default") || !strings.Contains(got, "reader bakery@Default") {
		t.Errorf("role assignment list --effective = %q", got)
	}
	hana := c.asUser("hana", "secret-1", "bakery")
	hana.run("token", "issue")
	hana.fails("HTTP 403", "user", "list")
	admin.run("user", "set", "--password", "secret-2", "hana")
	hana.fails("HTTP 401", "token", "issue")
	c.asUser("hana", "secret-2", "bakery").run("user", "password", "set", "--original-password", "secret-2", "--password", "secret-3")
	c.asUser("hana", "secret-3", "bakery").run("token", "issue")
	admin.run("role", "remove", "--user", "hana", "--project", "bakery", "member")
	c.asUser("hana", "secret-3", "bakery").fails("HTTP 401", "token", "issue")
	admin.run("group", "create", "bakers")
	admin.run("group", "add", "user", "bakers", "hana")
	admin.run("role", "create", "taster")
	admin.run("role", "add", "--group", "bakers", "--project", "bakery", "taster")
	c.asUser("hana", "secret-3", "bakery").run("token", "issue")
	admin.run("implied", "role", "create", "--implied-role", "reader", "taster")
	admin.run("domain", "create", "abroad")
	admin.run("domain", "set", "--disable", "abroad")
	admin.run("domain", "delete", "abroad")
	admin.run("project", "set", "--disable", "bakery")
	c.asUser("hana", "secret-3", "bakery").fails("HTTP 401", "token", "issue")
	admin.run("user", "delete", "hana")
	admin.run("project", "delete", "bakery")
	admin.run("role", "delete", "taster")
	admin.fails("admin", "role", "delete", "admin")
}

// TestStockClientCatalog walks the catalog's commands.
func TestStockClientCatalog(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	admin := c.asUser("admin", c.boot.AdminPassword, "admin")
	if got := admin.run("catalog", "list", "-f", "value", "-c", "Name", "-c", "Type"); !strings.Contains(got, "nova compute") || !strings.Contains(got, "keystone identity") {
		t.Errorf("catalog list = %q", got)
	}
	if got := admin.run("service", "list", "-f", "value", "-c", "Name"); !strings.Contains(got, "glance") {
		t.Errorf("service list = %q", got)
	}
	admin.run("service", "create", "--name", "ovens", "baking")
	admin.run("endpoint", "create", "--region", "kitchen", "ovens", "public", "http://example.org/v1/%(tenant_id)s")
	if got := admin.run("catalog", "show", "ovens", "-f", "value", "-c", "endpoints"); !strings.Contains(got, "http://example.org/v1/"+c.boot.AdminProjectID) {
		t.Errorf("catalog show = %q", got)
	}
	admin.run("endpoint", "list", "--service", "ovens")
	admin.run("service", "delete", "ovens")
	admin.run("region", "delete", "kitchen")
	admin.fails("HTTP 403", "service", "delete", "nova")
	c.stock("OS_USERNAME=admin", "OS_PASSWORD="+c.boot.AdminPassword, "OS_USER_DOMAIN_ID=default", "OS_SYSTEM_SCOPE=all").run("user", "list")
}

// TestStockClientCredentials walks what a member keeps of its own.
func TestStockClientCredentials(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	member := c.asUser("kamado", c.boot.MemberPassword, "kamado")
	made := member.json("application", "credential", "create", "--role", "reader", "robot")
	robot := c.stock("OS_AUTH_TYPE=v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID="+made["id"].(string), "OS_APPLICATION_CREDENTIAL_SECRET="+made["secret"].(string))
	if got := robot.json("token", "issue"); got["project_id"] != c.boot.MemberProjectID {
		t.Errorf("token issue of an application credential = %v", got)
	}
	robot.fails("HTTP 403", "application", "credential", "create", "another")
	if got := member.run("application", "credential", "list", "-f", "value", "-c", "Name"); got != "robot" {
		t.Errorf("application credential list = %q", got)
	}
	member.run("application", "credential", "delete", "robot")
	robot.fails("HTTP 401", "token", "issue")
	pair := member.json("ec2", "credentials", "create")
	if got := member.json("ec2", "credentials", "show", pair["access"].(string)); got["secret"] != pair["secret"] {
		t.Errorf("ec2 credentials show = %v, want %v", got, pair)
	}
	member.run("ec2", "credentials", "delete", pair["access"].(string))
	token := member.run("token", "issue", "-f", "value", "-c", "id")
	member.run("token", "revoke", token)
	c.stock("OS_AUTH_TYPE=v3token", "OS_TOKEN="+token, "OS_PROJECT_ID="+c.boot.MemberProjectID).fails("", "token", "issue")
}
