package tempest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/test/compat/cloud"
)

// TestTempest runs some of the required tests, and all of them in the long form.
// Those of volumes are left out while the catalog has no volumes.
func TestTempest(t *testing.T) {
	list := "short.txt"
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		list = "include.txt"
	}
	run(t, "fake", list, 25, 15*time.Minute)
}

// TestTempestOnQEMU logs in to guests.
func TestTempestOnQEMU(t *testing.T) {
	switch _, err := exec.LookPath("qemu-system-x86_64"); {
	case os.Getenv("KAMADO_TEST_ALL") == "":
		t.Skip("runs in the long form (./setup test --all)")
	case os.Geteuid() != 0:
		t.Skip("needs root: floating addresses are reached through network namespaces")
	case err != nil:
		t.Skip("needs qemu-system-x86_64 (./setup test installs it)")
	}
	c := run(t, "qemu", "qemu.txt", 3, 15*time.Minute)
	purge(t, c)
}

// purge leaves an instance behind, ends the server, and wants nothing of the
// installation to be left on this machine after `kamado compute purge`.
func purge(t *testing.T, c *cloud.Cloud) {
	t.Helper()
	kamado := func(args ...string) {
		t.Helper()
		if out, err := command(t.Context(), c, cloud.Program, append(args, "--data", c.Dir)...).CombinedOutput(); err != nil {
			t.Fatalf("kamado %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	kamado("compute", "instance", "create", "left", "--wait")
	c.Stop()
	if n := len(c.Guests()); n != 1 {
		t.Errorf("%d guests outlive their server, want 1", n)
	}
	kamado("compute", "purge", "--yes")
	left, err := os.ReadDir("/run/netns") // of this test alone: see cloud.Main
	if err != nil || len(left) != 0 || len(c.Guests()) != 0 {
		t.Errorf("after a purge there are %d guests and the network namespaces %v, %v; want none", len(c.Guests()), left, err)
	}
}

var (
	passedLine = regexp.MustCompile(`(?m)^ - Passed: (\d+)$`)
	failedLine = regexp.MustCompile(`(?m)^ - Failed: (\d+)$`)
	volumeLine = regexp.MustCompile(`(?m)^.*(api\\\.volume|compute\\\.volumes).*\n`)
)

// run starts a cloud and runs a list; at least least tests must pass and none
// fail.
func run(t *testing.T, hypervisor, list string, least int, timeout time.Duration) *cloud.Cloud {
	t.Helper()
	if err := exec.Command("/usr/bin/python3", "-c", "import tempest").Run(); err != nil {
		t.Skip("needs python3-tempest (./setup test installs it)")
	}
	c := cloud.New(t, hypervisor)
	conf := filepath.Join(filepath.Dir(c.Dir), "conf")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if out, err := command(ctx, c, "./configure", "--url", "http://"+c.Address, "--clouds", filepath.Join(c.Dir, "clouds.yaml"), "--out", conf).CombinedOutput(); err != nil {
		t.Fatalf("configure: %v\n%s", err, out)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(c.Dir), list)
	if err := os.WriteFile(file, volumeLine.ReplaceAll(text, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(ctx, c, "./run", "--conf", conf, "--include", file).CombinedOutput()
	passed, failed := count(passedLine, out), count(failedLine, out)
	if err != nil || passed < least || failed != 0 {
		t.Errorf("run: %v; %d tests passed, %d failed; want at least %d and 0\n%s", err, passed, failed, least, out[max(0, len(out)-16_000):])
	}
	t.Logf("%d tests of %s passed", passed, list)
	return c
}

// count reads a total that Tempest prints; -1 when it is not there.
func count(line *regexp.Regexp, out []byte) int {
	m := line.FindSubmatch(out)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(string(m[1])) // digits
	return n
}

// command is a process with an environment of its own, ended with all that it
// started when ctx ends.
func command(ctx context.Context, c *cloud.Cloud, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = c.Env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
