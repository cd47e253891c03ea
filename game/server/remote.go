package server

import (
	"context"
	"fmt"

	"github.com/kamado/kamado/game/core/remote"
)

// openRemoteCore asks another server for users, points, entities and locks.
func (s *Server) openRemoteCore(context.Context) (err error) {
	cfg := remote.Default()
	cfg.URL, cfg.TokenFile, cfg.Log, cfg.Registerer = s.cfg.Core, s.cfg.CoreTokenFile, s.deps.Log, s.deps.Registerer
	if s.core, err = remote.Open(cfg); err != nil {
		return fmt.Errorf("open the core: %w", err)
	}
	s.notes = append(s.notes, fmt.Sprintf("users, points, entities and locks are kept by %s; this node keeps connections and areas", s.cfg.Core))
	return nil
}
