package dns_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/dnspeer"
)

// key is a row of `kamado dns keyring list -o json`.
type key struct {
	ID      string
	InUse   bool `json:"in_use"`
	Members int
}

func (c *cluster) keys(i int) (list []key) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.run(i, "keyring", "list", "-o", "json")), &list); err != nil {
		c.t.Fatal(err)
	}
	return list
}

// TestKeysChangeWhileAllRuns rotates the cluster's key: nobody is lost, and a member
// that starts with the old key file alone joins by what it kept.
func TestKeysChangeWhileAllRuns(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	old := c.keys(0)[0].ID
	c.run(0, "keyring", "install")
	var fresh string
	for _, k := range c.keys(0) {
		if k.ID != old {
			fresh = k.ID
		}
	}
	if _, err := c.try(0, "keyring", "remove", old); err == nil {
		t.Error("the key in use was removed")
	}
	c.run(1, "keyring", "use", fresh)
	for i := range c.members {
		dnspeer.Eventually(t, "the new key in use", func() (bool, string) {
			list := c.keys(i)
			return len(list) == 2 && list[0].ID == fresh && list[0].InUse && list[0].Members == 2, list[0].ID
		})
	}
	c.run(1, "keyring", "remove", old)
	dnspeer.Eventually(t, "the old key gone", func() (bool, string) { return len(c.keys(0)) == 1, "two keys" })
	c.run(0, "add", "after", "127.0.0.7")
	c.eventually("a record under the new key", 1, "after.svc.test A", func(out string) bool { return out == "127.0.0.7" })
	c.members[1].stop()
	c.again(c.members[1], "--node", "n2", "--gossip-key-file", filepath.Join(c.dir, "cluster.key"), "--join", c.members[0].gossip.String())
	c.run(0, "add", "later", "127.0.0.8")
	c.eventually("a record after the restart", 1, "later.svc.test A", func(out string) bool { return out == "127.0.0.8" })
}

// TestAMemberFilePublishesWhatItSays: and nothing else, whatever is tried with it.
func TestAMemberFilePublishesWhatItSays(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	file := filepath.Join(c.dir, "n9.member")
	if out, err := dnspeer.Run(t, "", c.program, "dns", "certify", "--gossip-key-file", filepath.Join(c.dir, "cluster.key"), "--node", "n9",
		"--names", "web.svc.test", "--addresses", "127.0.0.0/8", "--out", file); err != nil {
		t.Fatal(err, out)
	}
	c.startNode("n9", "--member-file", file)
	c.run(1, "add", "web", "127.0.0.9")
	c.eventually("what it may", 0, "web.svc.test A", func(out string) bool { return out == "127.0.0.9" })
	for what, args := range map[string][]string{
		"another name": {"add", "db", "127.0.0.9"}, "another address": {"add", "web", "10.0.0.9"}, "a zone": {"zone", "create", "example.test"},
		"a policy": {"policy", "web", "--fallback", "all"}, "a zone record": {"zone", "add", "svc.test", "x", "A", "127.0.0.1"},
		"a removal": {"remove-member", "n1"}, "a key": {"keyring", "install"},
	} {
		if out, err := c.try(1, args...); err == nil {
			t.Errorf("%s was taken: %s", what, out)
		}
	}
	if out := c.run(0, "records", "--owner", "n9", "-o", "json"); strings.Count(out, `"name"`) != 1 {
		t.Errorf("the first member knows of n9: %s", out)
	}
}

// TestAMemberThatLeavesIsGoneAtOnce, comes back by itself, and can be removed for good.
func TestAMemberThatLeavesIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	c.run(1, "zone", "create", "kept.test")
	c.run(1, "zone", "add", "kept.test", "www", "A", "192.0.2.1")
	c.run(1, "add", "web", "127.0.0.2")
	c.eventually("its record", 0, "web.svc.test A", func(out string) bool { return out == "127.0.0.2" })
	if _, err := c.try(0, "remove-member", "n2"); err == nil {
		t.Error("a member that lives was removed")
	}
	c.members[1].stop()
	c.eventually("its record gone", 0, "web.svc.test A", func(out string) bool { return out == "" })
	if out := c.run(0, "members"); !strings.Contains(out, " left ") {
		t.Errorf("members: %s", out)
	}
	c.again(c.members[1], "--node", "n2", "--gossip-key-file", filepath.Join(c.dir, "cluster.key"))
	c.eventually("its record back", 0, "web.svc.test A", func(out string) bool { return out == "127.0.0.2" })
	c.members[1].stop()
	dnspeer.Eventually(t, "n2 left again", func() (bool, string) {
		out := c.run(0, "members")
		return strings.Contains(out, " left "), out
	})
	c.run(0, "remove-member", "n2")
	if out := c.run(0, "records", "-o", "json"); strings.Contains(out, "n2") {
		t.Errorf("records after the removal: %s", out)
	}
	if out := c.dig(0, "www.kept.test", "A"); out != "192.0.2.1" {
		t.Errorf("a zone record that it had taken: %q", out)
	}
}

// TestWatchTellsAsItHappens, and the history afterwards.
func TestWatchTellsAsItHappens(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	m := c.members[0]
	watch := exec.CommandContext(t.Context(), c.program, "dns", "watch", "-o", "json", "--api", "http://"+m.http.String())
	watch.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir}
	stdout, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Process.Kill(); _ = watch.Wait() }()
	events := json.NewDecoder(stdout)
	told := make(chan string, 16)
	go func() {
		defer close(told)
		for {
			var e struct{ Kind, Name, Data string }
			if events.Decode(&e) != nil {
				return
			}
			told <- e.Kind + " " + e.Name + " " + e.Data
		}
	}()
	dnspeer.Eventually(t, "the record told", func() (bool, string) {
		c.run(0, "add", "web", "127.0.0.7")
		c.run(0, "delete", "web")
		select {
		case got := <-told:
			return got == "record web.svc.test 127.0.0.7", got
		default:
			return false, "nothing"
		}
	})
	if out := c.run(0, "history", "web"); !strings.Contains(out, "gone") || !strings.Contains(out, "127.0.0.7") {
		t.Errorf("history: %s", out)
	}
}

// TestMurakumoMovesOver applies the plan of a file of Murakumo's.
func TestMurakumoMovesOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	file := filepath.Join(c.dir, "murakumo.yml")
	text := "address: 127.0.0.1\nauth-key: secret\ndomain: svc.test\nhost: 127.0.0.1, app1, 60\nalias:\n  - www, 5, master, 10\n  - db, 5, backup, 100\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plan := c.run(0, "import", file)
	if !strings.Contains(plan, "www") || !strings.Contains(plan, "auth-key") {
		t.Errorf("the plan: %s", plan)
	}
	c.run(0, "import", file, "--apply")
	if out := c.run(0, "records", "www"); !strings.Contains(out, "127.0.0.1") || !strings.Contains(out, "master") {
		t.Errorf("records after --apply: %s", out)
	}
}
