// Package cloud starts the built program as a cloud of its own, for tests that
// drive it as strangers do: a process, a free loopback port, a directory.
//
// Vocabulary: a Cloud is `kamado compute serve`; its guests are the QEMU processes
// whose command line names its directory.
//
// Invariant: nothing is left. As root the tests run in a network and a mount
// namespace of their own (see Main), so that no route and no namespace of this
// machine is touched, and guests that outlive their cloud, which they should, are
// ended with the test. Only tests use this package.
package cloud

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// readyTimeout ends a start, on machines that do other things as well;
// pollInterval is how often a condition is looked at.
const (
	readyTimeout = 3 * time.Minute
	pollInterval = 250 * time.Millisecond
)

// Cloud is a running `kamado compute serve`.
type Cloud struct {
	Dir     string // --data
	Address string // of its APIs, host:port

	t          *testing.T
	hypervisor string
	uid        uint32 // of the program; 0: as who runs the tests
	cmd        *exec.Cmd
}

// New starts a cloud and ends it, and its guests, after the test.
func New(t *testing.T, hypervisor string) *Cloud {
	t.Helper()
	return NewAs(t, hypervisor, 0)
}

// NewAs is New with the program run by another user. It skips the test when that
// user cannot run the program.
func NewAs(t *testing.T, hypervisor string, uid uint32) *Cloud {
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
	c := &Cloud{t: t, Dir: filepath.Join(homeOf(t, uid), "cloud"), Address: address, hypervisor: hypervisor, uid: uid}
	t.Cleanup(c.end)
	c.Start()
	return c
}

// homeOf makes a folder that another user reaches and owns, which t.TempDir is
// not.
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
	try := exec.Command(Program, "compute", "image", "parts", "--out", parts)
	try.Dir, try.Env = dir, []string{"HOME=" + dir}
	try.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("needs a checkout that other users may read: %v %s", err, out)
	}
	return dir
}

// Start starts the program, again after Kill or Stop, and waits until it is ready.
func (c *Cloud) Start() {
	c.t.Helper()
	log, err := os.OpenFile(c.Dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	c.cmd = exec.Command(Program, "compute", "serve", "--http", c.Address, "--data", c.Dir, "--hypervisor", c.hypervisor)
	c.cmd.Env = c.Env()
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.uid != 0 {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.uid, Gid: c.uid}
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.Eventually(readyTimeout, "ready", func() (bool, string) {
		resp, err := http.Get("http://" + c.Address + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

// Env is the environment of the program and of those that drive it: nothing of
// who runs the tests but where executables are.
func (c *Cloud) Env() []string {
	return []string{"PATH=/usr/local/sbin:/usr/sbin:/sbin:" + os.Getenv("PATH"), "HOME=" + filepath.Dir(c.Dir), "KAMADO_GUEST_PARTS=" + parts}
}

// Kill ends the program as a power cut does.
func (c *Cloud) Kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	_ = c.cmd.Wait() // killed is what it says
}

// Stop ends the program as its operator does, and leaves its guests. Twice is as
// once.
func (c *Cloud) Stop() {
	if c.cmd != nil && c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		_ = c.cmd.Wait() // ended is what it says
	}
}

// end stops the program and what it leaves running on purpose.
func (c *Cloud) end() {
	if c.t.Failed() {
		log, _ := os.ReadFile(c.Dir + ".log")
		c.t.Logf("the cloud said:\n%s", log[max(0, len(log)-8000):])
	}
	c.Stop()
	EndGuests(c.Dir)
}

// Guests gives the processes of the cloud's guests.
func (c *Cloud) Guests() []int { return guests(c.Dir) }

// EndGuests ends the guests of clouds whose directories are below one.
func EndGuests(dir string) {
	for _, pid := range guests(dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func guests(dir string) (pids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range list {
		line, err := os.ReadFile(file)
		name, arguments, _ := bytes.Cut(line, []byte{0})
		if err != nil || !bytes.Contains(name, []byte("qemu-system")) || !bytes.Contains(arguments, []byte(dir)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Eventually waits until a condition holds; the condition says how it is.
func (c *Cloud) Eventually(timeout time.Duration, what string, holds func() (bool, string)) {
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
