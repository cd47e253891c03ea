package server

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/internal/cache"
	"github.com/kamado/kamado/internal/cache/memcached"
	"github.com/kamado/kamado/internal/cache/memory"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/pebble"
)

func (s *Server) openEntities(ctx context.Context) (err error) {
	if s.store, err = s.openStore(ctx); err != nil {
		return fmt.Errorf("open the entities: %w", err)
	}
	if err := s.openCache(); err != nil {
		return fmt.Errorf("open the cache of entities: %w", err)
	}
	s.entities = entity.New(s.store, s.cache, entity.Config{BytesMax: int(s.cfg.Entities.BytesMax)})
	return nil
}

// openStore picks the engine of the entities.
func (s *Server) openStore(ctx context.Context) (kv.Store, error) {
	if s.cfg.Entities.Engine != game.EnginePebble {
		return nil, game.Errorf(game.Invalid, "this build has the engine pebble alone")
	}
	cfg := pebble.Default()
	cfg.Log = s.deps.Log
	store, err := pebble.Open(filepath.Join(s.dir, "entities"), cfg)
	if err != nil {
		return nil, err
	}
	s.closeLater(store.Close)
	return store, nil
}

// boardGroup is the group of the cache's own notices among the entities, whose groups begin with "u".
const boardGroup = "cache"

func (s *Server) openCache() error {
	deps := cache.Deps{Log: s.deps.Log, Registry: s.deps.Registerer}
	switch s.cfg.Entities.Cache {
	case game.CacheOff:
		return nil
	case game.CacheMemcached:
		cfg := memcached.Default()
		cfg.Servers = s.cfg.Entities.Memcached
		engine, err := memcached.New(cfg, s.deps.Registerer)
		if err != nil {
			return err
		}
		s.closeLater(engine.Close)
		deps.Engine, deps.Board = engine, cache.NewBoard(s.store, boardGroup)
	default:
		cfg := memory.Default()
		cfg.BytesMax = int64(s.cfg.Entities.CacheBytes)
		engine, err := memory.New(cfg, s.deps.Registerer)
		if err != nil {
			return err
		}
		s.closeLater(engine.Close)
		deps.Engine, deps.Board = engine, cache.NewSole()
	}
	through, err := cache.New(cache.Default(), deps)
	if err != nil {
		return err
	}
	s.cache = through
	s.runs("cache of entities", through.Run)
	return nil
}
