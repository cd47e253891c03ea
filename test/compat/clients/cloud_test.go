package clients_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// readyTimeout ends a start; commandTimeout a command that waits for what never
	// comes. Both are for machines that do other things as well.
	readyTimeout   = time.Minute
	commandTimeout = 3 * time.Minute
	// bootTimeout is for a guest in software (TCG).
	bootTimeout = 3 * time.Minute
	// pollInterval is how often a condition is looked at.
	pollInterval = 250 * time.Millisecond
)

// cloud is a running `kamado compute serve`.
type cloud struct {
	t          *testing.T
	dir        string // --data
	address    string
	hypervisor string
	uid        uint32 // of the program; 0: as who runs the tests
	cmd        *exec.Cmd
}

// newCloud starts a cloud and ends it, and its guests, after the test.
func newCloud(t *testing.T, hypervisor string) *cloud {
	t.Helper()
	return newCloudOf(t, hypervisor, 0)
}

// newCloudOf is newCloud with the program run by another user.
func newCloudOf(t *testing.T, hypervisor string, uid uint32) *cloud {
	t.Helper()
	if _, err := os.Stat(filepath.Join(parts, "manifest.json")); err != nil {
		t.Skip("needs bin/guest, the parts of the machine image tiny (./setup build makes them)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c := &cloud{t: t, dir: filepath.Join(homeOf(t, uid), "cloud"), address: address, hypervisor: hypervisor, uid: uid}
	t.Cleanup(c.end)
	c.start()
	return c
}

// homeOf makes a folder that another user reaches and owns, which t.TempDir is
// not. It skips the test when that user cannot run the program.
func homeOf(t *testing.T, uid uint32) string {
	t.Helper()
	if uid == 0 {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("", "kamado-home-")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chown(dir, int(uid), -1)
	}
	if err != nil {
		t.Fatal(err)
	}
	try := exec.Command(program, "compute", "image", "parts", "--out", parts)
	try.Dir, try.Env = dir, []string{"HOME=" + dir}
	try.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("needs a checkout that other users may read: %v %s", err, out)
	}
	return dir
}

// start starts the program and waits until it is ready.
func (c *cloud) start() {
	c.t.Helper()
	log, err := os.OpenFile(c.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	c.cmd = exec.Command(program, "compute", "serve", "--http", c.address, "--data", c.dir, "--hypervisor", c.hypervisor)
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(c.dir), "KAMADO_GUEST_PARTS=" + parts}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.uid != 0 {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.uid, Gid: c.uid}
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.eventually(readyTimeout, "ready", func() (bool, string) {
		resp, err := http.Get("http://" + c.address + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

// kill ends the program as a power cut does.
func (c *cloud) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	_ = c.cmd.Wait() // killed is what it says
}

// end stops the program and what it leaves running on purpose.
func (c *cloud) end() {
	if c.t.Failed() {
		log, _ := os.ReadFile(c.dir + ".log")
		c.t.Logf("the cloud said:\n%s", log[max(0, len(log)-8000):])
	}
	if c.cmd != nil && c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		_ = c.cmd.Wait()
	}
	for _, pid := range c.guests() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// guests are the QEMU processes whose command line names the cloud's directory.
func (c *cloud) guests() (pids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range list {
		line, err := os.ReadFile(file)
		name, arguments, _ := bytes.Cut(line, []byte{0})
		if err != nil || !bytes.Contains(name, []byte("qemu-system")) || !bytes.Contains(arguments, []byte(c.dir)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// eventually waits until a condition holds; the condition says how it is.
func (c *cloud) eventually(timeout time.Duration, what string, holds func() (bool, string)) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), timeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, state := holds()
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("not %s within %s: %s", what, timeout, state)
		case <-tick.C:
		}
	}
}

// as gives the stock clients as a cloud of clouds.yaml.
func (c *cloud) as(name string) *stock {
	c.t.Helper()
	home := filepath.Dir(c.dir)
	return &stock{c.t, home, append(c.login(name), "PATH=/usr/bin:/bin", "HOME="+home, "OS_CLOUD="+name,
		"OS_CLIENT_CONFIG_FILE="+filepath.Join(c.dir, "clouds.yaml"), "PYTHONWARNINGS=ignore")}
}

// login gives the variables of openrc for a cloud of clouds.yaml: nova knows no
// clouds.yaml. The file is small and ours: a line a value, `key: value`.
func (c *cloud) login(name string) []string {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "clouds.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	env := []string{"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_IDENTITY_API_VERSION=3"}
	_, entry, found := strings.Cut(string(text), "\n  "+name+":\n")
	if !found {
		c.t.Fatalf("clouds.yaml has no cloud %s:\n%s", name, text)
	}
	for _, key := range []string{"auth_url", "username", "password", "project_name", "region_name"} {
		_, value, _ := strings.Cut(entry, " "+key+": ")
		value, _, _ = strings.Cut(value, "\n")
		env = append(env, "OS_"+strings.ToUpper(key)+"="+value)
	}
	return env
}

// stock is the stock clients as somebody, in a folder.
type stock struct {
	t   *testing.T
	dir string
	env []string
}

// needs skips a test without the programs it drives.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		path := p
		if !strings.Contains(p, "/") {
			path = "/usr/bin/" + p
		}
		if _, err := os.Stat(path); err != nil {
			t.Skipf("needs %s (./setup test installs it)", p)
		}
	}
}

// try runs a command, and gives what it prints and whether it succeeded.
func (s *stock) try(stdin, name string, args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/"+name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || strings.Contains(stderr.String(), "Error") {
		return strings.TrimSpace(string(out) + stderr.String()), &failure{name + " " + strings.Join(args, " "), err, stderr.String()}
	}
	return strings.TrimSpace(string(out)), nil
}

// failure is a command that did not succeed.
type failure struct {
	command string
	err     error
	said    string
}

func (f *failure) Error() string { return f.command + ": " + f.said }

// run is try for a command that must succeed.
func (s *stock) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.try("", name, args...)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// says is run for a command whose answer must have a text.
func (s *stock) says(want, name string, args ...string) string {
	s.t.Helper()
	out := s.run(name, args...)
	if !strings.Contains(out, want) {
		s.t.Fatalf("%s %s = %q, want %q in it", name, strings.Join(args, " "), out, want)
	}
	return out
}

// script runs commands in one process of the stock client, one a line: its
// start costs more than most commands. What is behind " => " must be in the
// output, in the order of the lines.
func (s *stock) script(lines string) {
	s.t.Helper()
	var commands, wants []string
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		command, want, _ := strings.Cut(strings.TrimSpace(line), " => ")
		commands, wants = append(commands, command), append(wants, want)
	}
	out, err := s.try(strings.Join(commands, "\n")+"\n", "openstack")
	if err != nil {
		s.t.Fatalf("%v\nafter\n%s", err, out)
	}
	rest := out
	for i, want := range wants {
		_, behind, found := strings.Cut(rest, want)
		if !found {
			s.t.Fatalf("openstack %s: want %q in\n%s", commands[i], want, rest)
		}
		rest = behind
	}
}
