package tempest_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyTimeout = time.Minute
	pollInterval = 250 * time.Millisecond
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
	c.purge()
}

// purge leaves an instance behind, ends the server, and wants nothing of the
// installation to be left on this machine after `kamado compute purge`.
func (c *cloud) purge() {
	c.t.Helper()
	kamado := func(args ...string) {
		c.t.Helper()
		if out, err := c.command(c.t.Context(), program, append(args, "--data", c.dir)...).CombinedOutput(); err != nil {
			c.t.Fatalf("kamado %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	kamado("compute", "instance", "create", "left", "--wait")
	c.stop()
	if n := len(c.guests()); n != 1 {
		c.t.Errorf("%d guests outlive their server, want 1", n)
	}
	kamado("compute", "purge", "--yes")
	left, err := os.ReadDir("/run/netns") // of this test alone: see settle
	if err != nil || len(left) != 0 || len(c.guests()) != 0 {
		c.t.Errorf("after a purge there are %d guests and the network namespaces %v, %v; want none", len(c.guests()), left, err)
	}
}

var (
	passedLine = regexp.MustCompile(`(?m)^ - Passed: (\d+)$`)
	failedLine = regexp.MustCompile(`(?m)^ - Failed: (\d+)$`)
	volumeLine = regexp.MustCompile(`(?m)^.*(api\\\.volume|compute\\\.volumes).*\n`)
)

// run starts a cloud and runs a list; at least least tests must pass and none
// fail.
func run(t *testing.T, hypervisor, list string, least int, timeout time.Duration) *cloud {
	t.Helper()
	if err := exec.Command("/usr/bin/python3", "-c", "import tempest").Run(); err != nil {
		t.Skip("needs python3-tempest (./setup test installs it)")
	}
	c := start(t, hypervisor)
	conf := filepath.Join(filepath.Dir(c.dir), "conf")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if out, err := c.command(ctx, "./configure", "--url", "http://"+c.address, "--clouds", filepath.Join(c.dir, "clouds.yaml"), "--out", conf).CombinedOutput(); err != nil {
		t.Fatalf("configure: %v\n%s", err, out)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(c.dir), list)
	if err := os.WriteFile(file, volumeLine.ReplaceAll(text, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := c.command(ctx, "./run", "--conf", conf, "--include", file).CombinedOutput()
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

// cloud is a running `kamado compute serve`.
type cloud struct {
	t       *testing.T
	stop    func() // ends the program, not its guests
	dir     string // --data
	address string
}

// start starts the program, waits until it is ready, and ends it and its guests
// after the test.
func start(t *testing.T, hypervisor string) *cloud {
	t.Helper()
	if _, err := os.Stat(filepath.Join(parts, "manifest.json")); err != nil {
		t.Skip("needs bin/guest, the parts of the machine image tiny (./setup build makes them)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, dir: filepath.Join(t.TempDir(), "cloud"), address: l.Addr().String()}
	l.Close()
	cmd := c.command(t.Context(), program, "compute", "serve", "--http", c.address, "--data", c.dir, "--hypervisor", hypervisor)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // ended is what it says
	})
	t.Cleanup(func() {
		c.stop()
		for _, pid := range c.guests() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("the cloud said:\n%s", log.Bytes()[max(0, log.Len()-8000):])
		}
	})
	ready := func() bool {
		resp, err := http.Get("http://" + c.address + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for deadline := time.Now().Add(readyTimeout); !ready(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the cloud is not ready within %s", readyTimeout)
		}
	}
	return c
}

// command is a process with an environment of its own, ended with all that it
// started when ctx ends.
func (c *cloud) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/sbin:/sbin:" + os.Getenv("PATH"), "HOME=" + filepath.Dir(c.dir), "KAMADO_GUEST_PARTS=" + parts}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// guests are the QEMU processes whose command line names the cloud's directory:
// they outlive their cloud on purpose.
func (c *cloud) guests() (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, err := os.ReadFile(file)
		name, _, _ := strings.Cut(string(line), "\x00")
		if err != nil || !strings.Contains(name, "qemu-system") || !strings.Contains(string(line), c.dir) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
