package guest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/guest"
	"github.com/kamado/kamado/compute/metadata"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// parts are those that ./setup build gathered.
func parts(t *testing.T) guest.Gathered {
	t.Helper()
	p, err := guest.Parts("../../bin/guest")
	if err != nil {
		t.Skipf("needs the parts of the guest (./setup build gathers them): %v", err)
	}
	return p
}

// machine is a guest in QEMU, with emulation, user-mode networking and what it
// says on its serial console.
type machine struct {
	t       *testing.T
	cmd     *exec.Cmd
	stdin   *bufio.Writer // the monitor
	sshAddr string
	began   time.Time

	mu      sync.Mutex
	console bytes.Buffer  // guarded by mu
	ended   chan struct{} // closed when QEMU is gone
}

// boot starts a guest. address is where its ssh is, empty: where DHCP puts it;
// more are further arguments of QEMU.
func boot(t *testing.T, f guest.Files, disk, network, address string, more ...string) *machine {
	t.Helper()
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("needs qemu-system-x86_64 (./setup test installs it)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	serial, err := net.Listen("unix", filepath.Join(t.TempDir(), "serial"))
	if err != nil {
		t.Fatal(err)
	}
	defer serial.Close()
	args := []string{"-nodefaults", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "256", "-display", "none", "-no-reboot",
		"-serial", "unix:" + serial.Addr().String(), "-monitor", "stdio", "-device", "virtio-rng-pci", "-device", "virtio-balloon-pci",
		"-drive", "file=" + disk + ",format=raw,if=virtio", "-kernel", f.Kernel, "-initrd", f.Ramdisk, "-append", f.CommandLine,
		"-netdev", "user,id=n,hostfwd=tcp:" + addr + "-" + address + ":22" + network, "-device", "virtio-net-pci,netdev=n,romfile="}
	m := &machine{t: t, sshAddr: addr, began: time.Now(), ended: make(chan struct{})}
	m.cmd = exec.Command(qemu, append(args, more...)...)
	var talk bytes.Buffer
	m.cmd.Stdout, m.cmd.Stderr = &talk, &talk
	stdin, err := m.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.stdin = bufio.NewWriter(stdin)
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.cmd.Process.Kill() //nolint:errcheck // it may be gone
		<-m.ended
	})
	go func() {
		m.cmd.Wait() //nolint:errcheck // killed
		close(m.ended)
	}()
	serial.(*net.UnixListener).SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // a listener takes deadlines
	c, err := serial.Accept()
	if err != nil {
		t.Fatalf("QEMU did not open its console: %v: %s", err, talk.String())
	}
	t.Cleanup(func() { c.Close() })
	go m.listen(c)
	return m
}

func (m *machine) listen(c net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		m.mu.Lock()
		m.console.Write(b[:n])
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (m *machine) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.console.String()
}

// within waits until ok, and fails with what the console said.
func (m *machine) within(d time.Duration, what string, ok func() bool) {
	m.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: not within %s; the console said:\n%s", what, d, m.said())
		}
	}
	m.t.Logf("%s after %.2f s", what, time.Since(m.began).Seconds())
}

func (m *machine) prompt(name string) {
	m.t.Helper()
	m.within(60*time.Second, "login prompt", func() bool { return strings.HasSuffix(strings.TrimSpace(m.said()), name+" login:") })
}

// monitor gives QEMU a command.
func (m *machine) monitor(command string) {
	m.t.Helper()
	fmt.Fprintln(m.stdin, command)
	if err := m.stdin.Flush(); err != nil {
		m.t.Fatal(err)
	}
}

// powerOff presses the power button and waits until the guest is off.
func (m *machine) powerOff() {
	m.t.Helper()
	began := time.Now()
	m.monitor("system_powerdown")
	select {
	case <-m.ended:
		m.t.Logf("power off took %.2f s", time.Since(began).Seconds())
	case <-time.After(20 * time.Second):
		m.t.Fatalf("the power button was pressed, and the guest is on; the console said:\n%s", m.said())
	}
}

// key makes a key that a guest is to let in.
func key(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " somebody@somewhere"
}

// login logs in as root and gives the host's key too.
func (m *machine) login(auth ssh.AuthMethod) (*ssh.Client, ssh.PublicKey, error) {
	var host ssh.PublicKey
	c, err := ssh.Dial("tcp", m.sshAddr, &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{auth}, Timeout: 20 * time.Second,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error { host = k; return nil },
	})
	return c, host, err
}

// run runs a command in the guest.
func run(t *testing.T, c *ssh.Client, command string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.CombinedOutput(command)
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// metadataServer says what a metadata service says about one instance.
func metadataServer(t *testing.T, id, hostname, publicKey, userData string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/openstack/latest/meta_data.json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"uuid": %q, "name": "Box \"one\"", "hostname": %q, "public_keys": {"mine": "%s\n"}, "launch_index": 0, "meta": {}}`, id, hostname+".novalocal", publicKey)
	})
	mux.HandleFunc("/openstack/latest/user_data", func(w http.ResponseWriter, r *http.Request) {
		if userData == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, userData)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// linkLocal is user-mode networking whose 169.254.169.254 is a server of ours:
// QEMU runs a program for each connection.
func linkLocal(s *httptest.Server) string {
	host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return ",net=169.254.0.0/16,guestfwd=tcp:169.254.169.254:80-cmd:../../bin/guest/bin/busybox nc " + host + " " + port
}

func build(t *testing.T) (guest.Files, string) {
	t.Helper()
	began := time.Now()
	f, err := guest.Build(t.Context(), parts(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("built in %.2f s", time.Since(began).Seconds())
	disk := filepath.Join(t.TempDir(), "root.raw")
	b, err := os.ReadFile(f.Disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(disk, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 1<<30); err != nil { // the flavor's disk is larger
		t.Fatal(err)
	}
	return f, disk
}

// shows gives what is on a guest's VGA display, in text.
func (m *machine) shows() string {
	m.t.Helper()
	file := filepath.Join(m.t.TempDir(), "display")
	m.monitor(`pmemsave 0xb8000 4000 "` + file + `"`)
	var cells []byte
	for deadline := time.Now().Add(10 * time.Second); len(cells) < 4000 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		cells, _ = os.ReadFile(file) // not there yet
	}
	var text strings.Builder
	for i := 0; i+1 < len(cells); i += 2 {
		if i > 0 && i%160 == 0 {
			text.WriteByte('\n')
		}
		text.WriteByte(cells[i])
	}
	return text.String()
}

// TestTinyIsOnTheDisplay looks at what a VNC console shows, and types there.
func TestTinyIsOnTheDisplay(t *testing.T) {
	if testing.Short() && os.Getenv("KAMADO_TEST_GUEST") == "off" {
		t.Skip("KAMADO_TEST_GUEST is off")
	}
	f, disk := build(t)
	m := boot(t, f, disk, "", "", "-device", "VGA")
	m.prompt("tiny")
	m.within(30*time.Second, "login on the display", func() bool { return strings.Contains(m.shows(), "\ntiny login: ") })
	for _, key := range "cook" {
		m.monitor("sendkey " + string(key))
	}
	m.within(10*time.Second, "keys on the display", func() bool { return strings.Contains(m.shows(), "\ntiny login: cook ") })
	m.monitor("sendkey ret")
	m.within(20*time.Second, "the answer on the display", func() bool { return strings.Contains(m.shows(), "\nPassword: ") })
}

func TestTinyLetsTheOwnerOfTheKeyIn(t *testing.T) {
	if testing.Short() && os.Getenv("KAMADO_TEST_GUEST") == "off" {
		t.Skip("KAMADO_TEST_GUEST is off")
	}
	f, disk := build(t)
	signer, public := key(t)
	service := metadataServer(t, "11111111-2222-4333-8444-555555555555", "box-one", public, "#!/bin/sh\necho hello from user data\ntouch /root/ran\n")
	m := boot(t, f, disk, linkLocal(service), "")
	m.prompt("box-one")
	for _, want := range []string{"instance 11111111-2222-4333-8444-555555555555", "address 169.254.2.15/16 on eth0", "metadata from http://169.254.169.254/", "ssh host key"} {
		if !strings.Contains(m.said(), want) {
			t.Errorf("the console lacks %q:\n%s", want, m.said())
		}
	}
	c, host, err := m.login(ssh.PublicKeys(signer))
	if err != nil {
		t.Fatalf("log in: %v; the console said:\n%s", err, m.said())
	}
	t.Logf("ssh after %.2f s", time.Since(m.began).Seconds())
	if got := run(t, c, "hostname"); got != "box-one" {
		t.Errorf("hostname = %q", got)
	}
	m.within(20*time.Second, "user data", func() bool { return strings.Contains(m.said(), "hello from user data") })
	m.within(20*time.Second, "grown file system", func() bool { return run(t, c, "df -m / | awk 'NR==2{print ($2 > 900)}'") == "1" })
	if got := run(t, c, "find / -xdev ! -user root | head"); got != "" {
		t.Errorf("files that are not root's: %s", got)
	}
	stranger, _ := key(t)
	for name, auth := range map[string]ssh.AuthMethod{"another key": ssh.PublicKeys(stranger), "an empty password": ssh.Password("")} {
		if c, _, err := m.login(auth); err == nil {
			c.Close()
			t.Errorf("%s was let in", name)
		}
	}
	c.Close()
	m.powerOff()

	t.Run("a second start keeps its host key and runs no user data again", func(t *testing.T) {
		m := boot(t, f, disk, linkLocal(service), "")
		m.prompt("box-one")
		c, again, err := m.login(ssh.PublicKeys(signer))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !bytes.Equal(host.Marshal(), again.Marshal()) {
			t.Error("the host key changed")
		}
		if strings.Contains(m.said(), "hello from user data") {
			t.Error("user data ran twice")
		}
	})
	t.Run("a snapshot is another instance", func(t *testing.T) {
		other, public := key(t)
		m := boot(t, f, disk, linkLocal(metadataServer(t, "99999999-2222-4333-8444-555555555555", "box-two", public, "")), "")
		m.prompt("box-two")
		c, again, err := m.login(ssh.PublicKeys(other))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if bytes.Equal(host.Marshal(), again.Marshal()) {
			t.Error("it has the host key of the instance that it is a copy of")
		}
		if c, _, err := m.login(ssh.PublicKeys(signer)); err == nil {
			c.Close()
			t.Error("the key of the instance that it is a copy of was let in")
		}
		run(t, c, "test -e /root/ran")
	})
}

// configDrive makes the config drive of an instance "driven" with a fixed address
// on QEMU's user-mode network.
func configDrive(t *testing.T, public string) string {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	st, err := store.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	const port = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
	err = st.Write(t.Context(), func(tx *compute.Tx) error {
		return errors.Join(
			tx.Networks.Insert(&compute.Network{ID: "n1", MTU: 1500}),
			tx.Subnets.Insert(&compute.Subnet{ID: "s1", NetworkID: "n1", IPVersion: 4, CIDR: "10.0.2.0/24", Gateway: "10.0.2.2", DNS: []string{"10.0.2.3"}}),
			tx.Ports.Insert(&compute.Port{ID: port, NetworkID: "n1", MAC: "52:54:00:12:34:56", FixedIPs: []compute.FixedIP{{SubnetID: "s1", IP: "10.0.2.77"}}}))
	})
	if err != nil {
		t.Fatal(err)
	}
	base64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	image, err := metadata.New(st, slog.New(slog.DiscardHandler)).ConfigDrive(t.Context(), &compute.Instance{
		ID: "22222222-2222-4333-8444-555555555555", Name: "driven", KeyName: "mine", PublicKey: public, Ports: []string{port}, AdminPass: "let me in",
		UserData: base64("#!/bin/sh\necho ran from a drive\n"), Files: []compute.InjectedFile{{Path: "/etc/deep/down", Contents: base64("a file\n")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	drive := filepath.Join(t.TempDir(), "drive.iso")
	if err := os.WriteFile(drive, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return drive
}

// TestDebian boots what "kamado compute image build --debian" made in the folder
// that KAMADO_TEST_DEBIAN names: making it needs root, a mirror and minutes.
func TestDebian(t *testing.T) {
	dir := os.Getenv("KAMADO_TEST_DEBIAN")
	if dir == "" {
		t.Skip("needs KAMADO_TEST_DEBIAN, a folder that kamado compute image build --debian --out made")
	}
	f := guest.Files{Kernel: filepath.Join(dir, "kernel"), Ramdisk: filepath.Join(dir, "ramdisk"), CommandLine: "root=/dev/vda console=tty0 console=ttyS0 net.ifnames=0"}
	signer, public := key(t)
	m := boot(t, f, filepath.Join(dir, "disk.raw"), "", "10.0.2.77", "-snapshot", "-m", "512", "-drive", "file="+configDrive(t, public)+",format=raw,read-only=on,if=virtio")
	var c *ssh.Client
	m.within(3*time.Minute, "ssh", func() (ok bool) {
		var err error
		c, _, err = m.login(ssh.PublicKeys(signer))
		return err == nil
	})
	defer c.Close()
	if got := run(t, c, "hostname"); got != "driven" {
		t.Errorf("hostname = %q", got)
	}
}

func TestTinyReadsAConfigDrive(t *testing.T) {
	f, disk := build(t)
	signer, public := key(t)
	drive := configDrive(t, public)
	for name, bus := range map[string]string{"virtio disk": "if=virtio", "IDE CD-ROM": "if=ide,media=cdrom"} {
		t.Run(name, func(t *testing.T) {
			m := boot(t, f, disk, "", "10.0.2.77", "-drive", "file="+drive+",format=raw,read-only=on,"+bus)
			m.prompt("driven")
			for _, want := range []string{"address 10.0.2.77/24 on eth0", "metadata from config drive"} {
				if !strings.Contains(m.said(), want) {
					t.Errorf("the console lacks %q:\n%s", want, m.said())
				}
			}
			c, _, err := m.login(ssh.PublicKeys(signer))
			if err != nil {
				t.Fatalf("log in: %v; the console said:\n%s", err, m.said())
			}
			defer c.Close()
			if got := run(t, c, "cat /etc/deep/down /etc/resolv.conf && ip route | grep default"); got != "a file\nnameserver 10.0.2.3\ndefault via 10.0.2.2 dev eth0" {
				t.Errorf("a file, the name server and the route: %q", got)
			}
			if got := run(t, c, "cat /run/config/openstack/latest/meta_data.json"); !strings.Contains(got, "22222222-2222-4333-8444-555555555555") {
				t.Errorf("meta_data.json = %q", got)
			}
			run(t, c, `password='let me in'; salt=$(sed -n 's/^root:\(.6.[^$]*\).*/\1/p' /etc/shadow); [ "$(mkpasswd -m sha512 "$password" "${salt#???}")" = "$(sed -n 's/^root:\([^:]*\):.*/\1/p' /etc/shadow)" ]`)
			m.powerOff()
		})
	}
}

func TestOpenPartsWithoutParts(t *testing.T) {
	_, err := guest.Parts(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "./setup build") {
		t.Errorf("Parts of an empty folder = %v, want a hint", err)
	}
	if _, err := guest.Build(context.Background(), guest.Gathered{}, t.TempDir()); err == nil {
		t.Error("Build without parts succeeded")
	}
}
