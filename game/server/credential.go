package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kamado/kamado/game"
)

// ServiceTokenFile is the name of the file with the first service's credential, in the data directory.
const ServiceTokenFile = "service.token"

// serverID reads the random name of a server, or makes one.
func serverID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := strings.ToLower(rand.Text()[:12])
		return id, writeSecret(path, id)
	}
	id := strings.TrimSpace(string(b))
	if err == nil && game.CheckServiceName("server-"+id) != nil {
		err = fmt.Errorf("%s holds no name of a server; remove it to get a fresh one", path)
	}
	return id, err
}

// openService makes the credential with which other programs of this machine act
// here, unless the file's is good.
func (s *Server) openService(ctx context.Context) error {
	_, err := s.ensureCredential(ctx, filepath.Join(s.opts.Data, ServiceTokenFile), "server-"+s.id, game.ScopePoints|game.ScopeEntities|game.ScopeLocks|game.ScopeIdentity)
	return err
}

// NodeTokenFile holds, in the room's directory, the credential with which this node speaks to others.
const NodeTokenFile = "node.token"

// nodeCredential is that with which this node opens links to others: its own where it keeps users, else that for its core.
func (s *Server) nodeCredential(ctx context.Context) (string, error) {
	if s.cfg.Core != "" {
		return s.coreCredential()
	}
	return s.ensureCredential(ctx, filepath.Join(s.dir, NodeTokenFile), "node-"+s.id, game.ScopeAdmin)
}

// coreCredential reads the credential for the core.
func (s *Server) coreCredential() (string, error) {
	b, err := os.ReadFile(s.cfg.CoreTokenFile)
	if err != nil {
		return "", fmt.Errorf("read the credential for the core (game.core_token_file): %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// ensureCredential reads a service's credential from a file, or makes one where that is not good.
func (s *Server) ensureCredential(ctx context.Context, path, name string, scopes game.Scope) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the service's credential: %w", err)
	}
	secret := strings.TrimSpace(string(b))
	if p, err := s.identity.Authenticate(ctx, secret); err == nil && p.Kind == game.ByService {
		return secret, nil
	}
	secret, created, err := s.identity.EnsureService(ctx, name, scopes)
	if err == nil && !created {
		secret, err = s.identity.RenewService(ctx, name)
	}
	if err != nil {
		return "", fmt.Errorf("make the service's credential: %w", err)
	}
	return secret, writeSecret(path, secret)
}

// writeSecret writes a file that its owner alone can read, whole or not at all.
func writeSecret(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := fmt.Fprintln(f, text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
