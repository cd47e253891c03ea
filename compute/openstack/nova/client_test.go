package nova_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stock is a stock client as somebody.
type stock struct {
	t   *testing.T
	env []string
}

// commandTimeout ends a command that waits for what never comes.
const commandTimeout = 2 * time.Minute

// stock gives the clients as a user with a password.
func (c *cloud) stock(t *testing.T, user, password, project string) *stock {
	t.Helper()
	if testing.Short() {
		t.Skip("the stock clients take 1 s a command")
	}
	return &stock{t, []string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "OS_IDENTITY_API_VERSION=3", "OS_AUTH_URL=" + c.url + "/identity/v3",
		"OS_USERNAME=" + user, "OS_PASSWORD=" + password, "OS_PROJECT_NAME=" + project, "OS_USER_DOMAIN_ID=default", "OS_PROJECT_DOMAIN_ID=default"}}
}

// run gives what a command prints that must succeed.
func (s *stock) run(program string, args ...string) string {
	s.t.Helper()
	path := "/usr/bin/" + program
	if _, err := os.Stat(path); err != nil {
		s.t.Skipf("needs the stock client %s (python3-openstackclient, python3-novaclient)", program)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// says is run for a command whose answer must have a text.
func (s *stock) says(want string, program string, args ...string) string {
	s.t.Helper()
	out := s.run(program, args...)
	if !strings.Contains(out, want) {
		s.t.Errorf("%s %s = %q, want %q in it", program, strings.Join(args, " "), out, want)
	}
	return out
}

// TestStockOpenStackClient walks the commands of a tenant.
func TestStockOpenStackClient(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	m := c.stock(t, "kamado", c.boot.MemberPassword, "kamado")
	key := filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(key, []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJm0Jr6zJg1Zl1m9r6l6KzvQFvO6mZxq0rXyJbq0m5aV me\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.run("openstack", "keypair", "create", "--public-key", key, "mine")
	m.says("BEGIN RSA PRIVATE KEY", "openstack", "keypair", "create", "made")
	m.says("m1.tiny", "openstack", "flavor", "list")
	m.says("ACTIVE", "openstack", "server", "create", "--image", "tiny", "--flavor", "m1.nano", "--key-name", "mine", "--network", "default", "--property", "a=b", "--wait", "one")
	m.says("one", "openstack", "server", "list", "--name", "^one$", "-f", "value", "-c", "Name", "-c", "Status", "-c", "Networks")
	m.says("'a': 'b'", "openstack", "server", "show", "one", "-f", "value", "-c", "properties")
	m.run("openstack", "server", "stop", "one")
	who := c.member
	id := m.run("openstack", "server", "show", "one", "-f", "value", "-c", "id")
	c.becomes(who, id, "SHUTOFF")
	m.run("openstack", "server", "start", "one")
	c.becomes(who, id, "ACTIVE")
	m.says("Complete", "openstack", "server", "reboot", "--hard", "--wait", "one")
	m.says("Complete", "openstack", "server", "resize", "--flavor", "m1.micro", "--wait", "one")
	m.run("openstack", "server", "resize", "confirm", "one")
	c.becomes(who, id, "ACTIVE")
	m.says("active", "openstack", "server", "image", "create", "--name", "copy", "--wait", "one")
	m.says("Complete", "openstack", "server", "rebuild", "--image", "tiny", "--wait", "one")
	m.says("login:", "openstack", "console", "log", "show", "one")
	m.says("novnc", "openstack", "console", "url", "show", "one")
	m.run("openstack", "server", "set", "--name", "two", "--property", "c=d", "one")
	m.run("openstack", "server", "lock", "two")
	m.run("openstack", "server", "unlock", "two")
	m.says("affinity", "openstack", "server", "group", "create", "--policy", "affinity", "g")
	m.says("create", "openstack", "server", "event", "list", "two")
	m.says("nova", "openstack", "availability", "zone", "list", "--compute")
	m.says("totalInstancesUsed", "openstack", "limits", "show", "--absolute")
	m.run("openstack", "server", "delete", "--wait", "two")
	m.says("", "openstack", "server", "list", "-f", "value")
	if out := m.run("openstack", "server", "list", "-f", "value"); out != "" {
		t.Errorf("server list after delete = %q", out)
	}
}

// TestStockOpenStackClientAdministers walks the commands of an administrator.
func TestStockOpenStackClientAdministers(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.server(c.member, "tenants")
	a := c.stock(t, "admin", c.boot.AdminPassword, "admin")
	a.says(id, "openstack", "server", "list", "--all-projects")
	a.says("nova-compute", "openstack", "compute", "service", "list")
	a.run("openstack", "compute", "service", "set", "--disable", "--disable-reason", "cleaning", "one", "nova-compute")
	a.says("disabled", "openstack", "compute", "service", "list", "--service", "nova-compute")
	a.run("openstack", "compute", "service", "set", "--enable", "one", "nova-compute")
	a.says("up", "openstack", "hypervisor", "list")
	a.says("fake", "openstack", "hypervisor", "show", "one")
	a.says("vcpus", "openstack", "hypervisor", "stats", "show")
	a.says("fast", "openstack", "aggregate", "create", "--zone", "kitchen", "fast")
	a.says("one", "openstack", "aggregate", "add", "host", "fast", "one")
	a.says("kitchen", "openstack", "availability", "zone", "list", "--compute")
	a.run("openstack", "aggregate", "remove", "host", "fast", "one")
	a.run("openstack", "aggregate", "delete", "fast")
	a.says("big", "openstack", "flavor", "create", "--ram", "1024", "--disk", "5", "--vcpus", "2", "--property", "hw:cpu_policy=shared", "--private", "big")
	a.run("openstack", "flavor", "set", "--project", "kamado", "big")
	a.run("openstack", "flavor", "delete", "big")
	a.run("openstack", "quota", "set", "--instances", "12", "--cores", "24", "kamado")
	a.says("| 12", "openstack", "quota", "show", "kamado")
	a.says("kamado", "openstack", "usage", "list")
}

// TestStockNovaClient walks the commands of the older client.
func TestStockNovaClient(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	m := c.stock(t, "kamado", c.boot.MemberPassword, "kamado")
	m.says("m1.tiny", "nova", "flavor-list")
	m.says("one", "nova", "boot", "--image", c.image, "--flavor", "m1.nano", "--poll", "one")
	m.says("ACTIVE", "nova", "list")
	m.says("m1.nano", "nova", "show", "one")
	m.run("nova", "stop", "one")
	id := strings.Fields(m.run("nova", "list", "--minimal"))
	for _, word := range id {
		if len(word) == 36 {
			c.becomes(c.member, word, "SHUTOFF")
		}
	}
	m.run("nova", "start", "one")
	m.run("nova", "meta", "one", "set", "a=b")
	m.says("create", "nova", "instance-action-list", "one")
	m.says("default", "nova", "list-secgroup", "one")
	m.says("Cores", "nova", "limits")
	m.says("instances", "nova", "quota-show")
	m.says("2.95", "nova", "version-list")
	m.run("nova", "delete", "one")
	a := c.stock(t, "admin", c.boot.AdminPassword, "admin")
	a.says("nova-compute", "nova", "service-list")
	a.says("one", "nova", "hypervisor-list")
	a.says(c.member.project, "nova", "usage-list")
}
