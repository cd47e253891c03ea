package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/node"
)

// clusterKeyFile is the key of a member that was given none: it is alone, until its file is copied.
const clusterKeyFile = "cluster.key"

// openRing reads the keys that the configuration names, or makes one.
func (s *Server) openRing(now time.Time) (err error) {
	if s.cfg.MemberFile != "" {
		b, err := os.ReadFile(s.cfg.MemberFile)
		if err != nil {
			return fmt.Errorf("read the member file: %w", err)
		}
		m, err := credential.ParseMemberFile(string(b))
		if err != nil {
			return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("%s: %v", s.cfg.MemberFile, err)}
		}
		if s.cfg.Node != "" && s.cfg.Node != m.Identity.Cert.Node {
			return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("the member file %s is of the node %s, not of %s", s.cfg.MemberFile, m.Identity.Cert.Node, s.cfg.Node)}
		}
		s.node, s.ring = m.Identity.Cert.Node, node.OpenMember(m)
		return nil
	}
	keys, err := s.readKeys()
	if err != nil {
		return err
	}
	s.ring, err = node.OpenRing(s.dir, s.node, keys, now)
	return err
}

// readKeys gives the cluster's keys. A named file that is not there is an error: a key made in its place would be nobody else's.
func (s *Server) readKeys() ([]credential.Key, error) {
	path := s.cfg.GossipKeyFile
	if path == "" {
		path = filepath.Join(s.dir, clusterKeyFile)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && s.cfg.GossipKeyFile == "" {
		keys := []credential.Key{credential.NewKey()}
		return keys, os.WriteFile(path, []byte(credential.FormatKeys(keys)), 0o600)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("the key file %s is not there; \"kamado dns key --out %s\" makes one for a new cluster", path, path)}
	}
	if err != nil {
		return nil, fmt.Errorf("read the cluster's key: %w", err)
	}
	keys, err := credential.ParseKeys(string(b))
	if err != nil {
		return nil, &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("%s: %v", path, err)}
	}
	return keys, nil
}

// cookieSecret is the key of DNS cookies: the same on all members, so that a
// client may turn to any (RFC 9018 5).
func (s *Server) cookieSecret() (secret [16]byte) {
	h := sha256.New()
	h.Write([]byte("kamado dns cookies"))
	h.Write(s.ring.Gossip()[0])
	copy(secret[:], h.Sum(nil))
	return secret
}
