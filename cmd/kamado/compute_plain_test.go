package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
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

	"golang.org/x/crypto/ssh"

	"github.com/kamado/kamado/compute/client"
	computeserver "github.com/kamado/kamado/compute/server"
	"github.com/kamado/kamado/internal/programtest"
)

// plainUser is who the tests are when root runs them: nobody.
const plainUser = 65534

// plainWait bounds each wait of the test: a guest that is emulated boots in some
// seconds, on a machine with much to do in many.
const plainWait = 90 * time.Second

// plainCloud is "kamado compute serve" run by a user who is not root.
type plainCloud struct {
	t             *testing.T
	program, data string
	address       string
	env           []string
	cmd           *exec.Cmd
	talk          *lockedText
	c             *client.Client
}

func newPlainCloud(t *testing.T) *plainCloud {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86_64 (./setup build installs it)")
	}
	parts, err := filepath.Abs("../../bin/guest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(parts, "manifest.json")); err != nil {
		t.Skip("needs bin/guest, the parts of the machine image tiny (./setup build makes them)")
	}
	dir, err := os.MkdirTemp("", "plain") // t.TempDir lies in a directory that others may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &plainCloud{t: t, program: filepath.Join(dir, "kamado"), data: filepath.Join(dir, "data"), talk: new(lockedText)}
	self, err := os.ReadFile("/proc/self/exe")
	p.must(err)
	programtest.Write(t, p.program, self) // under this name it is the command (TestMain)
	p.must(os.Mkdir(p.data, 0o700))
	if os.Geteuid() == 0 {
		// The checkout may lie where a plain user does not come.
		p.must(os.CopyFS(filepath.Join(dir, "guest"), os.DirFS(parts)))
		parts = filepath.Join(dir, "guest")
		p.must(os.Chmod(dir, 0o755))
		p.must(os.Chown(p.data, plainUser, plainUser))
	}
	p.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.data, "KAMADO_GUEST_PARTS=" + parts}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.must(err)
	p.address = l.Addr().String()
	p.must(l.Close())
	t.Cleanup(p.end)
	p.start()
	return p
}

func (p *plainCloud) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// command is the program, run by a plain user.
func (p *plainCloud) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.program, args...)
	cmd.Env, cmd.Dir = p.env, p.data
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: plainUser, Gid: plainUser}
	}
	return cmd
}

// start starts the server and logs in once it is ready.
func (p *plainCloud) start() {
	p.t.Helper()
	p.cmd = p.command("compute", "serve", "--http", p.address, "--data", p.data, "--hypervisor", "qemu")
	p.cmd.Stderr = p.talk
	p.must(p.cmd.Start())
	p.until("the cloud is ready", func() bool {
		resp, err := http.Get("http://" + p.address + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	clouds, err := client.ReadClouds(filepath.Join(p.data, computeserver.CloudsFile))
	p.must(err)
	p.c, err = client.New(p.t.Context(), clouds[computeserver.CloudMember])
	p.must(err)
}

// kill ends the server as a crash would.
func (p *plainCloud) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// end ends the server and the guests that outlived it.
func (p *plainCloud) end() {
	p.kill()
	for _, pid := range p.guests() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if p.t.Failed() {
		p.t.Logf("the server said:\n%s", p.talk)
	}
}

// guests are the pids of QEMU processes that name the data directory.
func (p *plainCloud) guests() []int {
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	p.must(err)
	var pids []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil && bytes.HasPrefix(b, []byte("/")) && bytes.Contains(b, []byte("qemu-system")) && bytes.Contains(b, []byte(p.data+"/")) {
			pid, err := strconv.Atoi(strings.Split(name, "/")[2])
			p.must(err)
			pids = append(pids, pid)
		}
	}
	return pids
}

func (p *plainCloud) until(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(plainWait); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("not in time: %s", what)
		}
	}
}

type object = map[string]any

// do sends a request and gives what is under key in the answer.
func (p *plainCloud) do(service, method, path, key string, in any) client.Row {
	p.t.Helper()
	out := map[string]client.Row{}
	var into any
	if key != "" {
		into = &out
	}
	p.must(p.c.Do(p.t.Context(), service, method, path, in, into))
	return out[key]
}

func (p *plainCloud) find(service, path, key, name string) string {
	p.t.Helper()
	row, err := p.c.Find(p.t.Context(), service, path, key, name)
	p.must(err)
	return row.Text("id")
}

// open makes a rule that opens a port, and gives its id.
func (p *plainCloud) open(group string, port int) string {
	p.t.Helper()
	return p.do("network", "POST", "/security-group-rules", "security_group_rule", object{"security_group_rule": object{"security_group_id": group,
		"direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port}}).Text("id")
}

// TestAPlainUserHasACloud takes one instance from its boot to its end, without
// root: it has the address that the cloud says, its user data ran, its ports are
// open when a rule says so and at no other time, and it outlives the server.
func TestAPlainUserHasACloud(t *testing.T) {
	p := newPlainCloud(t)
	port := 22
	if strings.Contains(p.talk.String(), "ssh -p 20022") {
		port = 20022
	}
	if !strings.Contains(p.talk.String(), "real networks need root") {
		t.Errorf("the start does not say what it cannot do:\n%s", p.talk)
	}
	_, private, err := ed25519.GenerateKey(nil)
	p.must(err)
	signer, err := ssh.NewSignerFromKey(private)
	p.must(err)
	p.do("compute", "POST", "/os-keypairs", "keypair", object{"keypair": object{"name": "k", "type": "ssh", "public_key": string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}})
	script := "#!/bin/sh\necho made by user data >/root/made\n"
	id := p.do("compute", "POST", "/servers", "server", object{"server": object{"name": "one", "hostname": "harbour", "key_name": "k", "networks": "auto",
		"imageRef": p.find("image", "/images", "images", computeserver.TinyImage), "flavorRef": p.find("compute", "/flavors", "flavors", "m1.tiny"),
		"user_data": base64.StdEncoding.EncodeToString([]byte(script))}}).Text("id")
	p.until("the console has a prompt, and then the end of the user data", func() bool {
		var out struct{ Output string }
		err := p.c.Do(t.Context(), "compute", "POST", "/servers/"+id+"/action", object{"os-getConsoleOutput": object{}}, &out)
		_, after, prompt := strings.Cut(out.Output, "harbour login: ")
		return err == nil && prompt && strings.Contains(after, "user data ended with status 0")
	})
	ports, err := p.c.List(t.Context(), "network", "/ports?device_id="+id, "ports")
	p.must(err)
	fixed := ports[0]["fixed_ips"].([]any)[0].(object)["ip_address"].(string)
	floating := p.do("network", "POST", "/floatingips", "floatingip", object{"floatingip": object{
		"floating_network_id": p.find("network", "/networks", "networks", "public"), "port_id": ports[0].Text("id")}}).Text("floating_ip_address")
	at := net.JoinHostPort(floating, strconv.Itoa(port))
	group := p.find("network", "/security-groups", "security_groups", "default")
	closed := func() bool { return !accepts(at) }
	if !closed() {
		t.Errorf("%s is open before a rule says so", at)
	}

	hint, err := p.command("compute", "instance", "ssh-hint", "one", "--data", p.data).Output()
	if err != nil || port != 22 && !strings.Contains(string(hint), fmt.Sprintf("ssh -p %d root@%s", port, floating)) {
		t.Errorf("the hint for ssh is %q, %v, want port %d of %s", hint, err, port, floating)
	}

	rule := p.open(group, 22)
	p.until("the port is open", func() bool { return !closed() })
	first := p.run(at, signer, "hostname; ip -4 -o addr show eth0; cat /root/made; cut -d. -f1 /proc/uptime")
	if len(first) < 4 || first[0] != "harbour" || !strings.Contains(first[1], " "+fixed+"/") || first[2] != "made by user data" {
		t.Errorf("inside of the guest: %q, want harbour, %s, and what user data made", first, fixed)
	}
	p.do("network", "DELETE", "/security-group-rules/"+rule, "", nil)
	p.until("the port is closed again", closed)

	p.kill()
	p.start()
	p.open(group, 22)
	p.until("the port is open after a restart of the server", func() bool { return !closed() })
	second := p.run(at, signer, "cut -d. -f1 /proc/uptime")
	if before, after := number(first[len(first)-1]), number(second[0]); after <= 0 || after < before {
		t.Errorf("the guest is up for %d s, and was for %d s before the server was killed", after, before)
	}
	p.do("compute", "DELETE", "/servers/"+id, "", nil)
	p.until("no guest is left", func() bool { return len(p.guests()) == 0 })
	p.until("nobody listens for the guest", closed)
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // 0 is no uptime
	return n
}

func accepts(at string) bool {
	c, err := net.DialTimeout("tcp", at, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// run runs a line in the guest and gives the lines that it prints.
func (p *plainCloud) run(at string, key ssh.Signer, line string) []string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), plainWait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at)
	p.must(err)
	p.must(conn.SetDeadline(time.Now().Add(plainWait)))
	c, channels, requests, err := ssh.NewClientConn(conn, at, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey()}) // made at the guest's first boot
	if err != nil {
		p.t.Fatalf("ssh to %s: %v", at, err)
	}
	session, err := ssh.NewClient(c, channels, requests).NewSession()
	p.must(err)
	defer session.Close()
	out, err := session.Output(line)
	if err != nil {
		p.t.Fatal(fmt.Errorf("run in the guest: %w", err))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestNobodyElseWorksOnTheData: a second server on the same data is refused, and
// one beside it has floating addresses of its own.
func TestNobodyElseWorksOnTheData(t *testing.T) {
	p := newPlainCloud(t)
	again := p.command("compute", "serve", "--http", "127.0.0.1:0", "--data", p.data, "--hypervisor", "qemu")
	out, err := again.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another kamado works on") {
		t.Errorf("a second server on the same data: %v\n%s", err, out)
	}
	taken := p.command("compute", "serve", "--http", p.address, "--data", p.data+"2", "--hypervisor", "fake")
	p.must(os.Mkdir(p.data+"2", 0o777))
	p.must(os.Chmod(p.data+"2", 0o777))
	if out, err := taken.CombinedOutput(); err == nil || !strings.Contains(string(out), p.address) {
		t.Errorf("a server on an address that is taken: %v\n%s", err, out)
	}
	pool := func(data string) string {
		clouds, err := client.ReadClouds(filepath.Join(data, computeserver.CloudsFile))
		p.must(err)
		admin, err := client.New(t.Context(), clouds[computeserver.CloudAdmin])
		p.must(err)
		row, err := admin.Find(t.Context(), "network", "/subnets", "subnets", "public-subnet")
		p.must(err)
		return row.Text("cidr")
	}
	first := pool(p.data)
	other := *p
	other.data, other.talk = p.data+"2", new(lockedText)
	other.env = append([]string(nil), p.env...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.must(err)
	other.address = l.Addr().String()
	p.must(l.Close())
	t.Cleanup(other.end)
	other.start()
	if second := pool(other.data); second == first {
		t.Errorf("both servers have the floating addresses %s", first)
	}
}
