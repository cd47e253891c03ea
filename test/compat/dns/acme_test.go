package dns_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/dnspeer"
)

// TestCertificatesByDNS has lego and certbot prove names by RFC 2136: the first
// member takes the update, and the authority asks the second one. The second name
// is a wildcard, whose proof stands beside that of the first under one name.
func TestCertificatesByDNS(t *testing.T) {
	t.Parallel()
	pebble := tool(t, "acmeserver", "tool", "-n", "pebble")
	c := newCluster(t, 2)
	c.run(0, "zone", "create", "shared.test")
	c.eventually("the shared zone on the second member", 1, "shared.test SOA", func(out string) bool { return out != "" })
	ca := startAuthority(t, pebble, c.members[1].dns.String())
	t.Run("lego", func(t *testing.T) {
		t.Parallel()
		lego := buildLego(t)
		out, err := runEnv(t, []string{"LEGO_CA_CERTIFICATES=" + ca.caFile}, lego, "-directory", ca.directory, "-server", c.members[0].dns.String(),
			"-resolver", c.members[1].dns.String(), "-key", tsigKey.Name, "-secret", tsigKey.Secret, "lego.shared.test", "*.lego.shared.test")
		if err != nil {
			t.Fatal(err)
		}
		judge(t, []byte(out), "lego.shared.test", "a.lego.shared.test")
		c.gone(t, "_acme-challenge.lego.shared.test")
	})
	t.Run("certbot", func(t *testing.T) {
		t.Parallel()
		dnspeer.Need(t, "python3-certbot-dns-rfc2136", "certbot")
		dir := t.TempDir()
		host, port := hostPort(c.members[0].dns)
		ini := fmt.Sprintf("dns_rfc2136_server = %s\ndns_rfc2136_port = %s\ndns_rfc2136_name = %s\ndns_rfc2136_secret = %s\ndns_rfc2136_algorithm = HMAC-SHA256\n",
			host, port, tsigKey.Name, tsigKey.Secret)
		if err := os.WriteFile(filepath.Join(dir, "rfc2136.ini"), []byte(ini), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := runEnv(t, []string{"REQUESTS_CA_BUNDLE=" + ca.caFile}, "certbot", "certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email",
			"--config-dir", filepath.Join(dir, "config"), "--work-dir", filepath.Join(dir, "work"), "--logs-dir", filepath.Join(dir, "logs"), "--server", ca.directory,
			"--dns-rfc2136", "--dns-rfc2136-credentials", filepath.Join(dir, "rfc2136.ini"), "--dns-rfc2136-propagation-seconds", "1", "-d", "bot.svc.test", "-d", "*.bot.svc.test")
		if err != nil {
			t.Fatal(err)
		}
		chain, err := os.ReadFile(filepath.Join(dir, "config", "live", "bot.svc.test", "fullchain.pem"))
		if err != nil {
			t.Fatal(err)
		}
		judge(t, chain, "bot.svc.test", "a.bot.svc.test")
		c.gone(t, "_acme-challenge.bot.svc.test")
	})
}

// judge wants a certificate of the authority for some names.
func judge(t *testing.T, chain []byte, names ...string) {
	t.Helper()
	block, _ := pem.Decode(chain)
	if block == nil {
		t.Fatalf("no certificate in %q", chain)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := cert.VerifyHostname(name); err != nil || !strings.Contains(cert.Issuer.CommonName, "Pebble") {
			t.Errorf("the certificate is of %v by %v: %v", cert.DNSNames, cert.Issuer, err)
		}
	}
}

// gone wants that a proof was cleaned up on both members.
func (c *cluster) gone(t *testing.T, name string) {
	t.Helper()
	for _, m := range c.members {
		dnspeer.Eventually(t, "the proof gone", func() (bool, string) {
			out := dnspeer.Dig(t, m.dns, name, "TXT")
			return out == "", out
		})
	}
}

// tool runs go in a module of test/ that pins a tool.
func tool(t *testing.T, module string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("needs %s (./setup test installs it): %v", module, err)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join("..", "..", module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("needs %s (./setup test installs it): %v: %s", module, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func buildLego(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lego")
	tool(t, filepath.Join("compat", "lego"), "build", "-o", program, ".")
	return program
}

func runEnv(t *testing.T, env []string, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s%s", program, err, out.String(), errs.String())
	}
	return out.String(), nil
}

// authority is a running pebble.
type authority struct {
	directory string // URL
	caFile    string // certificate of its own server
}

func startAuthority(t *testing.T, program, dnsServer string) authority {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := writePair(t, dir)
	addr := dnspeer.Port(t).String()
	cfg, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": addr, "certificate": certFile, "privateKey": keyFile, "httpPort": 1, "tlsPort": 1,
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "test", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cfgFile := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(cfgFile, cfg, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", cfgFile, "-dnsserver", dnsServer)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	dnspeer.Eventually(t, "the authority listens", func() (bool, string) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false, err.Error()
		}
		c.Close()
		return true, ""
	})
	return authority{directory: "https://" + addr + "/dir", caFile: certFile}
}

// writePair makes the certificate of the authority's own server.
func writePair(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
