package jetstream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// secret is what makes a machine a member: the key of the cluster's own authority.
// Each node signs a certificate for itself with it at each start, and takes only
// peers that did so too. Who has the file is a member.
type secret struct {
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
}

// secretYears is how long an authority is valid. It is the lifetime of a cluster.
const secretYears = 100

// MakeSecret writes a new cluster file (mode 0600), which is to be copied to each
// machine of the cluster and to nobody else. It must not be there yet.
func MakeSecret(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "kamado entities"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(secretYears, 0, 0), // clocks of machines differ
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("Whoever has this file is a member of the cluster of entities: copy it to its machines only.\n")
	if err := errors.Join(
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: k}),
	); err != nil {
		return err
	}
	return writeNew(path, b.Bytes())
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// writeNew writes a file that must not be there, durably and whole.
func writeNew(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // has another name by then
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // refuses what exists
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readSecret(path string) (*secret, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster file %s: %w: copy it from another machine of the cluster, or make it on the first one", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster file: %w", err)
	}
	if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("cluster file %s: others may read it (mode %04o): chmod 600", path, st.Mode().Perm())
	}
	s, err := parseSecret(b)
	if err != nil {
		return nil, fmt.Errorf("cluster file %s: %w", path, err)
	}
	return s, nil
}

func parseSecret(b []byte) (*secret, error) {
	var s secret
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			s.authority = c
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			s.key, _ = k.(*ecdsa.PrivateKey)
		}
	}
	if s.authority == nil || s.key == nil || !s.authority.IsCA || !s.key.PublicKey.Equal(s.authority.PublicKey) {
		return nil, errors.New("it is not a certificate with its private key")
	}
	return &s, nil
}

// serverName is in the certificate of each node.
const serverName = "node.kamado"

// password of routes; it follows from the key.
func (s *secret) password() (string, error) {
	key, err := s.key.Bytes()
	if err != nil {
		return "", err
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte("password of routes"))
	return hex.EncodeToString(m.Sum(nil)), nil
}

// tls gives the configuration of the route port, for both of its sides. Peers are
// known by their authority and not by their address, which may change.
func (s *secret) tls(node string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: node}, DNSNames: []string{serverName},
		NotBefore: s.authority.NotBefore, NotAfter: s.authority.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, s.authority, key.Public(), s.key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.authority)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		RootCAs:      pool,
		// All nodes go by one name: what matters is who signed it, and addresses change.
		ServerName: serverName,
	}, nil
}
