package httpserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/httpserver"
)

// writePair writes a fresh self-signed certificate for 127.0.0.1 with this serial number, and its key.
func writePair(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		// Two writes within one tick of the file system's clock look like one.
		later := time.Now().Add(time.Duration(serial) * time.Second)
		if err := os.Chtimes(name, later, later); err != nil {
			t.Fatal(err)
		}
	}
}

// serialOf shakes hands and gives the serial number of the certificate that the server shows.
func serialOf(t *testing.T, addr string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestTLSByFilesIsReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, certFile, keyFile, 1)
	s := start(t, func(c *httpserver.Config) { c.TLS.CertFile, c.TLS.KeyFile = certFile, keyFile },
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	if !strings.HasPrefix(s.url, "https://127.0.0.1:") {
		t.Errorf("URL = %q", s.url)
	}
	roots := x509.NewCertPool()
	data, err := os.ReadFile(certFile)
	if err != nil || !roots.AppendCertsFromPEM(data) {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	resp, err := client.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	client.CloseIdleConnections()
	if string(body) != "HTTP/2.0" {
		t.Errorf("over TLS the protocol is %s, want HTTP/2.0", body)
	}

	addr := s.Addr().String()
	if err := os.WriteFile(certFile, []byte("half a certi"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server notices a broken file", func() bool {
		if n := serialOf(t, addr); n != 1 {
			t.Fatalf("with a broken file the certificate is number %d, want the last good one", n)
		}
		return strings.Contains(s.log.String(), "cannot be read")
	})
	writePair(t, certFile, keyFile, 2)
	eventually(t, "the server shows the changed certificate", func() bool { return serialOf(t, addr) == 2 })
	if n := strings.Count(s.log.String(), "cannot be read"); n != 1 {
		t.Errorf("log tells of the broken file %d times, want once", n)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}
