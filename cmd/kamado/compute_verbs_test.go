package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/client"
)

// cloudTest is a server with the fake hypervisor, and somebody who uses it.
type cloudTest struct {
	t    *testing.T
	dir  string
	env  []string
	file string // a clouds.yaml with tokens
}

// startCloud starts a server in this process. Its first start makes the machine
// image "tiny" of the parts that ./setup build gathers.
func startCloud(t *testing.T) *cloudTest {
	t.Helper()
	parts, err := filepath.Abs("../../bin/guest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(parts, "manifest.json")); err != nil {
		t.Skip("needs the parts of the machine image tiny (./setup build)")
	}
	c := &cloudTest{t: t, dir: filepath.Join(t.TempDir(), "data")}
	c.env = []string{"HOME=" + t.TempDir(), "KAMADO_GUEST_PARTS=" + parts}
	c.file = filepath.Join(t.TempDir(), "clouds.yaml")
	ctx, stop := context.WithCancel(context.Background())
	var talk bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- newApp(strings.NewReader(""), &talk, &talk, c.env).execute(ctx, []string{"compute", "serve", "--http", "127.0.0.1:0", "--data", c.dir, "--hypervisor", "fake"})
	}()
	t.Cleanup(func() {
		stop()
		if got := <-code; got != 0 {
			t.Errorf("serve exits %d: %s", got, &talk)
		}
	})
	c.poll("clouds.yaml", func() bool { _, err := os.Stat(filepath.Join(c.dir, "clouds.yaml")); return err == nil })
	c.writeTokens()
	c.poll("the machine image", func() bool {
		out, _, got := c.try("", "image", "list")
		return got == 0 && strings.Contains(out, "tiny ") && !strings.Contains(out, "queued") && !strings.Contains(out, "saving")
	})
	return c
}

// poll asks until there is something, for a minute.
func (c *cloudTest) poll(what string, there func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("no %s after a minute", what)
		}
	}
}

// writeTokens logs in once for each cloud: hashing a password takes a quarter of
// a second, with the race detector many times that.
func (c *cloudTest) writeTokens() {
	c.t.Helper()
	clouds, err := client.ReadClouds(filepath.Join(c.dir, "clouds.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("clouds:\n")
	for name, cloud := range clouds {
		who, err := client.New(c.t.Context(), cloud)
		if err != nil {
			c.t.Fatal(err)
		}
		fmt.Fprintf(&b, "  %s: {auth: {auth_url: %q, token: %q, project_id: %q}}\n", name, cloud.Auth.AuthURL, who.Token(), who.ProjectID)
	}
	if err := os.WriteFile(c.file, []byte(b.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// try runs kamado compute … and gives what it prints, what it says and its exit code.
func (c *cloudTest) try(stdin string, args ...string) (out, talk string, code int) {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	code = newApp(strings.NewReader(stdin), &stdout, &stderr, c.env).execute(c.t.Context(), append(append([]string{"compute"}, args...), "--clouds", c.file))
	return stdout.String(), stderr.String(), code
}

// run is try for what must succeed.
func (c *cloudTest) run(args ...string) string {
	c.t.Helper()
	out, talk, code := c.try("", args...)
	if code != 0 {
		c.t.Fatalf("compute %s exits %d: %s", strings.Join(args, " "), code, talk)
	}
	return out
}

// object is run with -o json.
func (c *cloudTest) object(args ...string) map[string]any {
	c.t.Helper()
	var v map[string]any
	out := c.run(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		c.t.Fatalf("compute %s: %v in %q", strings.Join(args, " "), err, out)
	}
	return v
}

func (c *cloudTest) contains(want string, args ...string) {
	c.t.Helper()
	if out := c.run(args...); !strings.Contains(out, want) {
		c.t.Errorf("compute %s = %q, want %q in it", strings.Join(args, " "), out, want)
	}
}

func (c *cloudTest) exits(want int, says string, args ...string) {
	c.t.Helper()
	if _, talk, code := c.try("", args...); code != want || !strings.Contains(talk, says) {
		c.t.Errorf("compute %s exits %d saying %q, want %d saying %q", strings.Join(args, " "), code, talk, want, says)
	}
}

// TestCloudVerbs walks the verbs of an administrator and of a member.
func TestCloudVerbs(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole server")
	}
	c := startCloud(t)
	t.Run("people", c.people)
	t.Run("sizes and networks", c.sizes)
	t.Run("hosts", c.hosts)
	t.Run("instances", c.instances)
}

func (c *cloudTest) people(*testing.T) {
	c.contains("identity  yes", "admin", "status")
	c.run("admin", "project", "create", "bakery")
	made := c.object("admin", "user", "create", "hana", "--project", "bakery")
	if password, _ := made["password"].(string); len(password) < 20 {
		c.t.Errorf("a made password is %q", password)
	}
	c.contains("member  hana", "admin", "role", "assignments")
	c.run("admin", "role", "revoke", "member", "--user", "hana", "--project", "bakery")
	c.run("admin", "role", "grant", "reader", "--user", "hana", "--project", "bakery")
	if out, talk, code := c.try("a secret\n", "admin", "user", "password", "hana", "--password-stdin"); code != 0 || strings.Contains(out, "a secret") {
		c.t.Errorf("user password exits %d with %q %q", code, out, talk)
	}
	c.exits(1, "HTTP 409", "admin", "project", "create", "bakery")
	c.contains("projects", "admin", "audit", "list")
	c.exits(1, "HTTP 403", "admin", "audit", "list", "--cloud", "kamado")
	c.exits(3, "no user", "admin", "user", "delete", "nobody")
	c.exits(1, "HTTP 403", "admin", "user", "list", "--cloud", "kamado")
	c.run("admin", "user", "delete", "hana")
	c.run("admin", "project", "delete", "bakery")
}

func (c *cloudTest) sizes(*testing.T) {
	c.run("admin", "flavor", "create", "m9.odd", "--ram", "96", "--vcpus", "3")
	c.contains("m9.odd", "flavor", "list")
	c.run("admin", "flavor", "delete", "m9.odd")
	c.run("admin", "network", "create", "inner", "--range", "10.9.0.0/24", "--shared")
	c.contains("inner", "network", "list")
	c.exits(1, "", "admin", "network", "create", "broken", "--range", "10.9.0.0/99")
	c.exits(2, "--range", "admin", "network", "create", "broken")
	if out := c.run("network", "list"); strings.Contains(out, "broken") {
		c.t.Errorf("a network without its subnet is left: %s", out)
	}
	c.run("admin", "network", "delete", "inner")
	c.run("admin", "floating-pool", "create", "outside", "--range", "203.0.113.0/24", "--from", "203.0.113.10", "--to", "203.0.113.20")
	c.contains("203.0.113.0/24", "admin", "floating-pool", "list")
	c.run("admin", "floating-pool", "delete", "outside")
}

func (c *cloudTest) hosts(t *testing.T) {
	var services []map[string]any
	if err := json.Unmarshal([]byte(c.run("admin", "service", "list", "-o", "json")), &services); err != nil {
		t.Fatal(err)
	}
	host := ""
	for _, s := range services {
		if s["binary"] == "nova-compute" {
			host, _ = s["host"].(string)
			if s["state"] != "up" {
				t.Errorf("service = %v, want it up", s)
			}
		}
	}
	c.run("admin", "service", "disable", host, "--reason", "new fans")
	c.contains("new fans", "admin", "service", "list")
	c.run("admin", "service", "enable", host)
	c.contains("fake", "admin", "host", "list")
	c.contains("state", "admin", "host", "show", host)
	c.exits(3, "no host", "admin", "host", "show", "nowhere")
	c.run("admin", "quota", "set", "kamado", "instances=3", "floatingip=7")
	c.contains("floatingip            7", "admin", "quota", "show", "kamado")
	c.exits(2, "NAME=LIMIT", "admin", "quota", "set", "kamado", "instances")
	c.run("admin", "agent", "list")
}

func (c *cloudTest) instances(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(key, []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdDaaMdm+aeEUNIQ4XzUqpBIZvTjq7FNYTZvX1tQ3Lb me\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.exits(2, "ssh-keygen", "keypair", "create", "laptop")
	c.run("keypair", "create", "laptop", "--public-key", key)
	c.contains("laptop", "keypair", "list")
	if r := c.object("instance", "create", "web", "--key", "laptop", "--wait"); r["status"] != "ACTIVE" || r["key_name"] != "laptop" {
		t.Errorf("instance = %v", r)
	}
	address, _ := c.object("floating-ip", "create")["floating_ip_address"].(string)
	c.run("floating-ip", "attach", address, "web")
	c.contains("ssh root@"+address, "instance", "ssh-hint", "web")
	c.contains("login:", "instance", "log", "web")
	c.contains("token", "instance", "console", "web")
	c.run("instance", "reboot", "--hard", "web")
	c.contains("web", "instance", "list")
	c.run("floating-ip", "detach", address)
	c.run("floating-ip", "delete", address)
	c.run("instance", "delete", "web", "--wait")
	c.exits(3, "no instance", "instance", "show", "web")
	c.run("keypair", "delete", "laptop")
}
