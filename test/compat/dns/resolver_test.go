package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/dnspeer"
)

// TestACachingResolverSeesARecovery has Unbound ask a member: that a name was not
// there is forgotten after the zone's negative TTL, of a second.
func TestACachingResolverSeesARecovery(t *testing.T) {
	t.Parallel()
	dnspeer.Need(t, "unbound", "unbound")
	c := newCluster(t, 1)
	at := startUnbound(t, c)
	if out := dnspeer.Dig(t, at, "web.svc.test", "A"); out != "" {
		t.Fatalf("a name that is not there = %q", out)
	}
	c.run(0, "add", "web", "127.0.0.7", "--ttl", "1")
	begun := time.Now()
	dnspeer.Eventually(t, "the name through the cache", func() (bool, string) {
		out := dnspeer.Dig(t, at, "web.svc.test", "A")
		return out == "127.0.0.7", out
	})
	// One second of negative TTL; the rest is for a busy machine. The default of most zones is minutes.
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the cache saw the name after %v", took)
	}
	c.run(0, "delete", "web")
	dnspeer.Eventually(t, "the name gone from the cache", func() (bool, string) {
		out := dnspeer.Dig(t, at, "web.svc.test", "A")
		return out == "", out
	})
}

func startUnbound(t *testing.T, c *cluster) (at netip.AddrPort) {
	t.Helper()
	dir := t.TempDir()
	at = dnspeer.Port(t)
	host, port := hostPort(at)
	memberHost, memberPort := hostPort(c.members[0].dns)
	conf := fmt.Sprintf(`server:
  interface: %s
  port: %s
  directory: %q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  local-zone: "test." nodefault
stub-zone:
  name: "svc.test"
  stub-addr: %s@%s
`, host, port, dir, memberHost, memberPort)
	file := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unbound", "-d", "-p", "-c", file)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // ended by the signal
	})
	dnspeer.Eventually(t, "Unbound answering", func() (bool, string) {
		out := dnspeer.Dig(t, at, "svc.test", "SOA")
		return strings.Contains(out, "hostmaster"), out
	})
	return at
}

// TestResolversOfLanguages looks names up as programs do.
func TestResolversOfLanguages(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.run(0, "add", "web", "127.0.0.7")
	c.run(0, "add", "web", "127.0.0.8")
	c.run(0, "add", "web", "::7")
	c.run(0, "add", "_http._tcp.web", "1 2 8080 web.svc.test.", "--type", "SRV")
	at := c.members[0].dns.String()
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		}}
		addrs, err := r.LookupHost(t.Context(), "web.svc.test")
		slices.Sort(addrs)
		if err != nil || !slices.Equal(addrs, []string{"127.0.0.7", "127.0.0.8", "::7"}) {
			t.Errorf("LookupHost = %q, %v", addrs, err)
		}
		_, srvs, err := r.LookupSRV(t.Context(), "http", "tcp", "web.svc.test")
		if err != nil || len(srvs) != 1 || srvs[0].Port != 8080 {
			t.Errorf("LookupSRV = %v, %v", srvs, err)
		}
		var none *net.DNSError
		if _, err := r.LookupHost(t.Context(), "none.svc.test"); err == nil || !errors.As(err, &none) || !none.IsNotFound {
			t.Errorf("LookupHost of nothing = %v", err)
		}
	})
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		dnspeer.Need(t, "nodejs", "node")
		script := fmt.Sprintf(`const {Resolver}=require('dns').promises;const r=new Resolver();r.setServers(['%s']);
(async()=>{console.log((await r.resolve4('web.svc.test')).sort().join(),(await r.resolve6('web.svc.test')).join(),(await r.resolveSrv('_http._tcp.web.svc.test'))[0].port);
try{await r.resolve4('none.svc.test')}catch(e){console.log(e.code)}})()`, at)
		out, err := dnspeer.Run(t, "", "node", "-e", script)
		if want := "127.0.0.7,127.0.0.8 ::7 8080\nENOTFOUND\n"; err != nil || out != want {
			t.Errorf("node says %q, %v, want %q", out, err, want)
		}
	})
}
