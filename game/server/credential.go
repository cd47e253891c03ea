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
	path, name := filepath.Join(s.opts.Data, ServiceTokenFile), "server-"+s.id
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the service's credential: %w", err)
	}
	if p, err := s.identity.Authenticate(ctx, strings.TrimSpace(string(b))); err == nil && p.Kind == game.ByService {
		return nil
	}
	secret, created, err := s.identity.EnsureService(ctx, name, game.ScopePoints|game.ScopeEntities|game.ScopeLocks|game.ScopeIdentity)
	if err == nil && !created {
		secret, err = s.identity.RenewService(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("make the service's credential: %w", err)
	}
	return writeSecret(path, secret)
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
