// Package dot keeps the certificate of DNS over TLS (RFC 7858) for a member that
// has none from an authority. It signs one itself and keeps its key, so that
// clients may know the member by its pin: the SHA-256 of the public key (RFC 7858 4.2).
//
// Vocabulary. The key is made once and stays; the certificate is made of it, and made
// again when it runs out or the member got other names or addresses. The pin is of
// the key, and therefore outlives certificates. Invariant: the private key is never
// readable by others, and a pair that cannot be read is an error, not a reason for a
// new key, since all pins would be lost with the old one.
package dot

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
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The files in the directory, and how long certificates live: long, since clients look at the key.
const (
	keyFile  = "tls.key"
	certFile = "tls.crt"
	lifetime = 10 * 365 * 24 * time.Hour
	renewal  = 365 * 24 * time.Hour // before its end
)

// Identity is whom a certificate is for.
type Identity struct {
	Names []string
	Addrs []netip.Addr
}

// SelfSigned reads the member's own certificate from dir, and makes what is missing
// or does not fit: key, certificate or both. dir must exist.
func SelfSigned(dir string, who Identity, now time.Time) (tls.Certificate, error) {
	key, err := readKey(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(filepath.Join(dir, keyFile))
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the key of DNS over TLS: %w", err)
	}
	file := filepath.Join(dir, certFile)
	leaf, err := readCert(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, fmt.Errorf("the certificate of DNS over TLS: %w", err)
	}
	if leaf == nil || !fits(leaf, key, who, now) {
		if leaf, err = makeCert(file, key, who, now); err != nil {
			return tls.Certificate{}, fmt.Errorf("the certificate of DNS over TLS: %w", err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// Config is the TLS of a listener with one certificate.
func Config(cert tls.Certificate) *tls.Config {
	return ConfigFrom(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil })
}

// ConfigFrom is the TLS of a listener whose certificates come from elsewhere, as those of the HTTP server do.
func ConfigFrom(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"dot"}, GetCertificate: get} // ALPN: RFC 7858, IANA
}

// Pin is what clients may know the certificate by: base64 of the SHA-256 of its public key, as in kdig +tls-pin.
func Pin(cert tls.Certificate) (string, error) {
	leaf := cert.Leaf
	if leaf == nil {
		if len(cert.Certificate) == 0 {
			return "", errors.New("no certificate")
		}
		var err error
		if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return "", err
		}
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

func readKey(file string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(file, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T, want one for ECDSA", file, key)
	}
	return ec, nil
}

func readCert(file string) (*x509.Certificate, error) {
	der, err := readPEM(file, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return cert, nil
}

func readPEM(file, kind string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no %q in PEM; move it away to get a new one, with a new pin", file, kind)
	}
	return block.Bytes, nil
}

func makeKey(file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(file, "PRIVATE KEY", der, 0o600)
}

func makeCert(file string, key *ecdsa.PrivateKey, who Identity, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName(who)}, DNSNames: who.Names,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(lifetime), // clocks differ
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, // so that the file itself can be given to clients as their root
	}
	for _, a := range who.Addrs {
		template.IPAddresses = append(template.IPAddresses, net.IP(a.Unmap().AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(file, "CERTIFICATE", der, 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// commonNameMax is the most that a certificate's common name may have (RFC 5280 A.1), in bytes.
const commonNameMax = 64

func commonName(who Identity) string {
	if len(who.Names) == 0 || len(who.Names[0]) > commonNameMax {
		return "kamado dns"
	}
	return who.Names[0]
}

// writePEM writes a file whole or not at all.
func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename
	err = errors.Join(f.Chmod(mode), pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// fits says whether a certificate is of the key, for who, and good for a while.
func fits(leaf *x509.Certificate, key *ecdsa.PrivateKey, who Identity, now time.Time) bool {
	if !key.PublicKey.Equal(leaf.PublicKey) || now.Before(leaf.NotBefore) || leaf.NotAfter.Sub(now) < renewal {
		return false
	}
	var addrs []netip.Addr
	for _, ip := range leaf.IPAddresses {
		a, _ := netip.AddrFromSlice(ip)
		addrs = append(addrs, a.Unmap())
	}
	return slices.Equal(leaf.DNSNames, who.Names) && slices.EqualFunc(addrs, who.Addrs, func(a, b netip.Addr) bool { return a == b.Unmap() })
}
