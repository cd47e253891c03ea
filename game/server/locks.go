package server

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/lock"
	locksql "github.com/kamado/kamado/internal/lock/sql"
	"github.com/kamado/kamado/internal/lock/zookeeper"
)

func (s *Server) openLocks(ctx context.Context) error {
	place, err := s.openPlace(ctx)
	if err != nil {
		return fmt.Errorf("open the locks: %w", err)
	}
	metrics, err := lock.NewMetrics(s.deps.Registerer)
	if err != nil {
		return err
	}
	if s.locks, err = lock.NewRegistry(place, lock.Default(), metrics); err != nil {
		return err
	}
	s.runs("locks", s.locks.Run)
	return nil
}

func (s *Server) openPlace(ctx context.Context) (lock.Place, error) {
	if s.cfg.Locks.Engine == game.EngineDatabase {
		return locksql.Open(ctx, s.db)
	}
	cfg := zookeeper.Default()
	cfg.Servers, cfg.Root, cfg.User = s.cfg.Locks.ZooKeeper, s.cfg.Locks.Root, s.cfg.Locks.User
	if s.cfg.Locks.PasswordFile != "" {
		b, err := os.ReadFile(s.cfg.Locks.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		cfg.Password = strings.TrimSpace(string(b))
	}
	place, err := zookeeper.Open(ctx, cfg, s.deps.Log)
	if err != nil {
		return nil, err
	}
	s.closeLater(place.Close)
	return place, nil
}
