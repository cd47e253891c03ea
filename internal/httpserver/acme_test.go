package httpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/porttest"
)

// acmeName is the name that the tests get a certificate for. Only the name server of the test knows it.
const acmeName = "pictures.kamado.test"

// pebble builds the authority from its pinned module.
func pebble(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("needs pebble (./setup test installs it): %v", err)
	}
	dir := filepath.Join("..", "..", "test", "acmeserver")
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, stderr.String())
		}
		return strings.TrimSpace(string(out)), err
	}
	if _, err := run("list", "-deps", "tool"); err != nil {
		t.Skipf("needs pebble (./setup test installs it): %v", err)
	}
	program, err := run("tool", "-n", "pebble")
	if err != nil {
		t.Fatalf("build pebble: %v", err)
	}
	return program
}

// nameServer answers every question for an IPv4 address with 127.0.0.1, and every other one with nothing. It speaks DNS over TCP
// (RFC 1035 4.2.2: each message after its length in two bytes), as pebble does.
func nameServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				for answerName(c) == nil {
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func answerName(c net.Conn) error {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return err
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return err
	}
	m.Response, m.Additionals = true, nil
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}})
		}
	}
	answer, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

// authority is a running pebble that looks for challenges on the two ports.
type authority struct {
	directory string // URL
	caFile    string // the root of its own server's certificate
}

func startAuthority(t *testing.T, program string, port, tlsPort, httpPort int) authority {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, certFile, keyFile, 1)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	cfg, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": addr, "certificate": certFile, "privateKey": keyFile, "httpPort": httpPort, "tlsPort": tlsPort,
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
	said := new(lockedBuffer)
	cmd := exec.CommandContext(context.Background(), program, "-config", cfgFile, "-dnsserver", nameServer(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive the test
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the authority says:\n%s", said)
		}
	})
	eventually(t, "the authority listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return authority{directory: "https://" + addr + "/dir", caFile: certFile}
}

// handshake asks a server for a name, waiting for a certificate as long as issuing one may take.
func handshake(addr, name string) (*x509.Certificate, error) {
	d := &net.Dialer{Timeout: time.Minute}
	c, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

func TestACME(t *testing.T) {
	program := pebble(t)
	for name, way := range map[string]struct{ overHTTP, elsewhere bool }{
		"TLS-ALPN-01 on the listener":              {},
		"HTTP-01 on an address of its own":         {overHTTP: true},
		"HTTP-01 on the address of another server": {overHTTP: true, elsewhere: true},
	} {
		overHTTP := way.overHTTP
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := filepath.Join(t.TempDir(), "acme")
			port, tlsPort, httpPort := porttest.Free(t), porttest.Free(t), porttest.Free(t)
			addr := fmt.Sprintf("127.0.0.1:%d", tlsPort)
			validated := tlsPort
			if overHTTP {
				validated = porttest.Free(t) // nobody answers there, so the other challenge has to do
			}
			ca := startAuthority(t, program, port, validated, httpPort)
			serveAt := func(addr string, elsewhere bool) *running {
				return start(t, func(c *httpserver.Config) {
					c.Addr = addr
					c.ReadHeaderTimeout, c.ReadTimeout = time.Minute, time.Minute // the first handshake waits for the authority
					c.TLS.ACME = httpserver.ACMEConfig{Domains: []string{acmeName}, Email: "cook@kamado.test", CacheDir: cache, DirectoryURL: ca.directory, CAFile: ca.caFile}
					if overHTTP {
						c.TLS.ACME.HTTPAddr, c.TLS.ACME.HTTPElsewhere = fmt.Sprintf("127.0.0.1:%d", httpPort), elsewhere
					}
				}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
			}
			if way.elsewhere {
				serveAt("127.0.0.1:0", false)
			}
			serve := func() *running { return serveAt(addr, way.elsewhere) }
			s := serve()
			cert, err := handshake(addr, acmeName)
			if err != nil {
				t.Fatalf("handshake: %v\n%s", err, s.log)
			}
			if err := cert.VerifyHostname(acmeName); err != nil || !strings.Contains(cert.Issuer.CommonName, "Pebble") {
				t.Errorf("certificate is of %v by %v: %v", cert.DNSNames, cert.Issuer, err)
			}
			if _, err := handshake(addr, "other.kamado.test"); err == nil {
				t.Errorf("a name that is not configured gets a certificate")
			}
			if overHTTP {
				client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				req, _ := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d/a?b=c", httpPort), nil)
				req.Host = acmeName
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got := resp.Header.Get("Location"); got != "https://"+acmeName+"/a?b=c" {
					t.Errorf("plain request is sent to %q, want https", got)
				}
			}
			if err := s.stop(); err != nil {
				t.Errorf("Run = %v", err)
			}
			serve()
			again, err := handshake(addr, acmeName)
			if err != nil || again.SerialNumber.Cmp(cert.SerialNumber) != 0 {
				t.Errorf("after a restart the certificate is another one (%v): want it from the cache", err)
			}
		})
	}
}

func TestACMENeedsACacheAndARightFile(t *testing.T) {
	cfg := httpserver.Default()
	cfg.TLS.ACME.Domains = []string{acmeName}
	if _, err := httpserver.New(cfg, nil, httpserver.Deps{Log: discardLog}); err == nil || !strings.Contains(err.Error(), "cache_dir") {
		t.Errorf("New without a cache = %v", err)
	}
	cfg.TLS.ACME.CacheDir = t.TempDir()
	cfg.TLS.ACME.CAFile = filepath.Join(t.TempDir(), "missing.pem")
	if _, err := httpserver.New(cfg, nil, httpserver.Deps{Log: discardLog}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("New with a missing CA file = %v", err)
	}
	for change, want := range map[*string]string{&cfg.TLS.ACME.HTTPAddr: "tls.acme.http", &cfg.TLS.ACME.Domains[0]: "tls.acme.domains"} {
		was := *change
		*change = "not right"
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want+" ") {
			t.Errorf("Validate = %v, want a complaint about %s", err, want)
		}
		*change = was
	}
	nameless := httpserver.Default()
	nameless.TLS.ACME.HTTPAddr = ":80"
	if err := nameless.Validate(); err == nil || !strings.Contains(err.Error(), "tls.acme.domains names nothing") {
		t.Errorf("Validate of ACME without names = %v, want a complaint: the listener would speak without TLS", err)
	}
	cfg.TLS.ACME.DirectoryURL = "http://plain.example/dir"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "directory_url") {
		t.Errorf("Validate of a directory without TLS = %v", err)
	}
}
