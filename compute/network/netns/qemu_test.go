package netns

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kamado/kamado/compute/guest"
	"github.com/kamado/kamado/compute/network"
)

// TestRealGuest boots the tiny guest on a tap: it gets its address by DHCP and
// its key from the metadata service, and the host reaches it by ssh at a
// floating address once a rule opens the port. Another engine then adopts it.
func TestRealGuest(t *testing.T) {
	needsRoot(t)
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("needs qemu-system-x86_64 (./setup test installs it)")
	}
	parts, err := guest.Parts("../../../bin/guest")
	if err != nil {
		t.Skipf("needs the parts of the guest (./setup build gathers them): %v", err)
	}
	files, err := guest.Build(t.Context(), parts, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	signer, public := newKey(t)
	s := twoNetworks()
	s.Routers[0].Floating = []network.Floating{{External: ip("172.24.4.20"), Internal: ip("10.1.0.11")}}
	needed := map[string]string{
		"/openstack/latest/meta_data.json": fmt.Sprintf(`{"uuid": "11111111-2222-4333-8444-555555555555", "hostname": "box", "public_keys": {"k": %q}, "launch_index": 0, "meta": {}}`, public),
	}
	l := newLab(t, s)
	var mu sync.Mutex
	var asked []network.Source
	leased := map[string]int{}
	l.stop()
	l.cfg = network.Config{Dir: l.e.cfg.Dir, Leased: func(id string) { mu.Lock(); defer mu.Unlock(); leased[id]++ },
		Metadata: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			src, _ := network.SourceOf(r.Context())
			mu.Lock()
			asked = append(asked, src)
			mu.Unlock()
			if body, ok := needed[r.URL.Path]; ok {
				_, _ = fmt.Fprint(w, body)
				return
			}
			http.NotFound(w, r)
		})}
	l.start(l.cfg.Dir)
	l.apply()
	console := startQEMU(t, qemu, files, l)
	deadline := time.Now().Add(2 * time.Minute)
	for !strings.Contains(console(), "login:") {
		if time.Now().After(deadline) {
			t.Fatalf("the guest does not come to its prompt:\n%s", console())
		}
		time.Sleep(50 * time.Millisecond)
	}
	mu.Lock()
	if leased["a1"] == 0 || !slices.Contains(asked, network.Source{NetworkID: "a", Address: netip.MustParseAddr("10.1.0.11")}) {
		t.Errorf("leases %v, metadata asked by %v, want both by a1", leased, asked)
	}
	mu.Unlock()
	if _, ok := (*machine)(nil).reaches("172.24.4.20:22", 3*silence); ok {
		t.Error("ssh is open without a rule")
	}
	l.port("a1").Rules = append(l.port("a1").Rules, tcpIn(22))
	l.apply()
	cfg := &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 20 * time.Second}
	c, err := ssh.Dial("tcp", "172.24.4.20:22", cfg)
	if err != nil {
		t.Fatalf("ssh: %v; the console said:\n%s", err, console())
	}
	defer func() { _ = c.Close() }()
	run := func(command string) string {
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = session.Close() }()
		out, err := session.CombinedOutput(command)
		if err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
		return string(out)
	}
	if out := run("ip route; cat /sys/class/net/eth0/mtu"); !strings.Contains(out, "default via 10.1.0.1") || !strings.Contains(out, "1450") {
		t.Errorf("routes and MTU of the guest: %s", out)
	}
	l.restart()
	l.apply()
	if l.count.changes != 0 {
		t.Errorf("adopting changed %d things, want 0", l.count.changes)
	}
	if out := run("head -c 3000000 /dev/zero | tr '\\0' x | wc -c"); !strings.Contains(out, "3000000") {
		t.Errorf("the session says %q after another engine came", out)
	}
	if out := run("head -c 3000000 /dev/zero"); len(out) != 3000000 {
		t.Errorf("%d bytes came, want 3000000", len(out))
	}
}

// startQEMU boots the guest of port a1, and gives what it says on its console.
func startQEMU(t *testing.T, qemu string, f guest.Files, l *lab) (console func() string) {
	t.Helper()
	tap, err := l.e.Open(context.Background(), "a1")
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "root.raw")
	b, err := os.ReadFile(f.Disk)
	if err == nil {
		err = os.WriteFile(disk, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var out bytes.Buffer
	cmd := exec.Command(qemu, "-nodefaults", "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "256", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-device", "virtio-rng-pci", "-drive", "file="+disk+",format=raw,if=virtio", "-kernel", f.Kernel, "-initrd", f.Ramdisk, "-append", guest.CommandLine,
		"-netdev", "tap,id=n,fd=3", "-device", "virtio-net-pci,netdev=n,romfile=,mac="+l.port("a1").MAC)
	cmd.Stdout = writer(func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return out.Write(p) })
	cmd.Stderr = cmd.Stdout
	cmd.ExtraFiles = []*os.File{tap}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tap.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return func() string { mu.Lock(); defer mu.Unlock(); return out.String() }
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func newKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}
