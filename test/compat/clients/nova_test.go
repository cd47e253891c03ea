package clients_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/kamado/kamado/test/compat/cloud"
)

// TestNova walks the client that the talk showed: start and stop instances,
// make snapshots, and more. It has one process a command.
func TestNova(t *testing.T) {
	t.Parallel()
	needs(t, "nova")
	c := cloud.New(t, "fake")
	me := as(t, c, "kamado")
	status := func(want string) {
		t.Helper()
		c.Eventually(commandTimeout, want, func() (bool, string) {
			out := me.run("nova", "list")
			return regexp.MustCompile(`\| one +\| ` + want + ` +\| - `).MatchString(out), out
		})
	}
	me.says("m1.tiny", "nova", "flavor-list")
	if err := os.WriteFile(filepath.Join(me.dir, "key.pub"), []byte(publicKey), 0o600); err != nil {
		t.Fatal(err)
	}
	me.run("nova", "keypair-add", "--pub-key", "key.pub", "mine")
	me.says("mine", "nova", "keypair-list")
	me.says("Finished", "nova", "boot", "--image", tiny(me), "--flavor", "m1.tiny", "--key-name", "mine", "--meta", "dish=soup", "--poll", "one")
	status("ACTIVE")
	me.says("m1.tiny", "nova", "show", "one")
	me.says("login:", "nova", "console-log", "one")
	me.says("novnc", "nova", "get-vnc-console", "one", "novnc")
	me.run("nova", "stop", "one")
	status("SHUTOFF")
	me.run("nova", "start", "one")
	status("ACTIVE")
	me.says("Finished", "nova", "reboot", "--hard", "--poll", "one")
	me.says("Finished", "nova", "image-create", "--poll", "one", "copy")
	me.run("nova", "resize", "--poll", "one", "m1.small")
	me.run("nova", "resize-confirm", "one")
	status("ACTIVE")
	me.run("nova", "pause", "one")
	status("PAUSED")
	me.run("nova", "unpause", "one")
	status("ACTIVE")
	me.run("nova", "suspend", "one")
	status("SUSPENDED")
	me.run("nova", "resume", "one")
	status("ACTIVE")
	me.says("create", "nova", "instance-action-list", "one")
	me.says("Cores", "nova", "limits")
	me.run("nova", "delete", "one")
	me.run("nova", "keypair-delete", "mine")
	boss := as(t, c, "kamado-admin")
	boss.says("nova-compute", "nova", "service-list")
	boss.says("up", "nova", "hypervisor-list")
}

// publicKey is one that nobody has the other half of.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJm0Jr6zJg1Zl1m9r6l6KzvQFvO6mZxq0rXyJbq0m5aV mine\n"

// tiny gives the id of the machine image, which nova wants where it cannot list.
func tiny(s *stock) string {
	return s.run("openstack", "image", "show", "tiny", "-f", "value", "-c", "id")
}
