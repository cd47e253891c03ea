package dns_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kamado/kamado/internal/dnspeer"
)

// tsigKey is known to all members.
var tsigKey = dnspeer.Key{Name: "tools.test", Algorithm: "hmac-sha256", Secret: "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}

// cluster is two members of one cluster, and the way to start them.
type cluster struct {
	t       *testing.T
	program string
	dir     string
	members []*member
}

// member is a running `kamado dns serve`.
type member struct {
	dns, gossip, http netip.AddrPort
	dir               string
	stop              func() // as an operator does; the member says goodbye
}

// newCluster starts n members with some more flags.
func newCluster(t *testing.T, n int, flags ...string) *cluster {
	t.Helper()
	dnspeer.Need(t, "bind9-dnsutils", "dig", "nsupdate")
	c := &cluster{t: t, program: built(t), dir: t.TempDir()}
	key := fmt.Sprintf("key %q { algorithm %s; secret %q; };\n", tsigKey.Name, tsigKey.Algorithm, tsigKey.Secret)
	if err := os.WriteFile(filepath.Join(c.dir, "tsig.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(c.program, "dns", "key").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "cluster.key"), out, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c.start(i, flags...)
	}
	if n > 1 {
		dnspeer.Eventually(t, "one view of the members", func() (bool, string) {
			out := c.run(0, "members", "-o", "json")
			return strings.Count(out, `"alive"`) == n, out
		})
	}
	return c
}

func (c *cluster) start(i int, flags ...string) {
	c.t.Helper()
	node := fmt.Sprintf("n%d", i+1)
	c.startNode(node, append([]string{"--node", node, "--gossip-key-file", filepath.Join(c.dir, "cluster.key")}, flags...)...)
}

// startNode starts one more member, whatever makes it one.
func (c *cluster) startNode(node string, flags ...string) {
	c.t.Helper()
	m := &member{dns: dnspeer.Port(c.t), gossip: dnspeer.Port(c.t), http: dnspeer.Port(c.t), dir: filepath.Join(c.dir, node)}
	if len(c.members) > 0 {
		flags = append(flags, "--join", c.members[0].gossip.String())
	}
	c.members = append(c.members, m)
	c.again(m, flags...)
}

// again starts a member, perhaps once more.
func (c *cluster) again(m *member, flags ...string) {
	c.t.Helper()
	args := append([]string{
		"dns", "serve", "--domain", "svc.test", "--dns", m.dns.String(), "--gossip", m.gossip.String(), "--http", m.http.String(),
		"--data", m.dir, "--tsig-key-file", filepath.Join(c.dir, "tsig.key"),
	}, flags...)
	cmd := exec.Command(c.program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir}
	cmd.Stdout, cmd.Stderr = c.t.Output(), c.t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	m.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // ended by the signal
	})
	c.t.Cleanup(m.stop)
	dnspeer.Eventually(c.t, m.dir+" ready", func() (bool, string) {
		resp, err := http.Get("http://" + m.http.String() + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

// try runs a client verb of `kamado dns` on a member, and gives its error too.
func (c *cluster) try(i int, args ...string) (string, error) {
	c.t.Helper()
	m := c.members[i]
	args = append([]string{"dns"}, append(args, "--api", "http://"+m.http.String(), "--token-file", filepath.Join(m.dir, "operator.token"))...)
	cmd := exec.CommandContext(c.t.Context(), c.program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir}
	var out, talk strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kamado %s: %w: %s", strings.Join(args, " "), err, talk.String())
	}
	return out.String(), nil
}

// run runs a client verb of `kamado dns` on a member.
func (c *cluster) run(i int, args ...string) string {
	c.t.Helper()
	out, err := c.try(i, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// dig asks a member.
func (c *cluster) dig(i int, args ...string) string {
	return dnspeer.Dig(c.t, c.members[i].dns, args...)
}

// built gives the program that KAMADO_BIN names, or builds it.
func built(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("KAMADO_BIN"); program != "" {
		return program
	}
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "kamado")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/kamado")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build kamado: %v\n%s", err, out)
	}
	return program
}

// hostPort is an address as two words.
func hostPort(a netip.AddrPort) (host, port string) {
	host, port, _ = net.SplitHostPort(a.String())
	return host, port
}
