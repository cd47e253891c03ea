package forward_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns/forward"
)

// secureUpstream serves DNS over TLS with a certificate for dns.example, and gives its address, CA file and pin.
func secureUpstream(t *testing.T, a answers) (u *upstream, addr, caFile, pin string, connections *atomic.Int32) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"dns.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"dot"}})
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int32)
	counted := countedListener{l, connections}
	u = &upstream{answers: a, ports: map[uint16]bool{}, changed: make(chan struct{})}
	var done sync.WaitGroup
	done.Go(func() { u.serveStream(counted) })
	t.Cleanup(func() { l.Close(); done.Wait() })
	return u, l.Addr().String(), caFile, base64.StdEncoding.EncodeToString(sum[:]), connections
}

type countedListener struct {
	net.Listener
	n *atomic.Int32
}

func (l countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

func TestOverTLS(t *testing.T) {
	t.Parallel()
	var odd atomic.Int32
	u, addr, ca, pin, connections := secureUpstream(t, func(_ string, q *miekg.Msg, packet []byte, _ *net.UDPAddr) [][]byte {
		if len(packet) != 128 {
			odd.Store(int32(len(packet)))
		}
		m := new(miekg.Msg)
		m.SetReply(q)
		m.AuthenticatedData = true
		rr, _ := miekg.NewRR(q.Question[0].Name + " 60 IN A 192.0.2.1")
		m.Answer = append(m.Answer, rr)
		return [][]byte{pack(m)}
	})
	other := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct {
		name, server string
		ca           string
		ok           bool
	}{
		{"the right name", "tls://" + addr + "#dns.example", ca, true},
		{"another name", "tls://" + addr + "#evil.example", ca, false},
		{"the address, which the certificate lacks", "tls://" + addr, ca, false},
		{"an authority that nobody knows", "tls://" + addr + "#dns.example", "", false},
		{"the right pin", "tls://" + addr + "#pin=" + pin, "", true},
		{"another pin", "tls://" + addr + "#pin=" + other, "", false},
	} {
		before := len(u.log())
		w := newWorld(t, func(cfg *forward.Config, _ *forward.Deps) { cfg.CAFile, cfg.Attempts = c.ca, 2 }, c.server)
		q := query("www.example.com", miekg.TypeA)
		q.AuthenticatedData = true
		got := w.ask(t, q)
		if ok := len(got.Answer) == 1 && got.AuthenticatedData; ok != c.ok {
			t.Errorf("%s: %v", c.name, got)
		}
		if asked := len(u.log()) > before; asked != c.ok {
			t.Errorf("%s: the question was sent: %v", c.name, asked)
		}
		if !c.ok && extended(got) != 23 {
			t.Errorf("%s: extended error %d, want 23", c.name, extended(got))
		}
	}
	if n := odd.Load(); n != 0 {
		t.Errorf("a query has %d bytes, want 128", n)
	}
	w := newWorld(t, nil, "tls://"+addr+"#pin="+pin)
	before := connections.Load()
	var done sync.WaitGroup
	for i := range 40 {
		done.Go(func() { w.ask(t, query(string(rune('a'+i%26))+string(rune('a'+i/26))+".example.com", miekg.TypeA)) })
	}
	done.Wait()
	if n := connections.Load() - before; n != 1 {
		t.Errorf("%d connections for 40 questions at once, want 1", n)
	}
}
