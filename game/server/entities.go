package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/internal/cache"
	"github.com/kamado/kamado/internal/cache/memcached"
	"github.com/kamado/kamado/internal/cache/memory"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/jetstream"
	"github.com/kamado/kamado/internal/kv/mongodb"
	"github.com/kamado/kamado/internal/kv/pebble"
	"github.com/kamado/kamado/internal/telemetry"
)

func (s *Server) openEntities(ctx context.Context) (err error) {
	if s.store, err = s.openStore(ctx); err != nil {
		return fmt.Errorf("open the entities: %w", err)
	}
	if err := s.openCache(); err != nil {
		return fmt.Errorf("open the cache of entities: %w", err)
	}
	if f, ok := s.store.(kv.Fallible); ok {
		s.runs("disk of entities", func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-f.Stopped(): // the process ends, and recovers at its next start
				return fmt.Errorf("entities: %w", f.Fault())
			}
		})
	}
	s.entities = entity.New(s.store, s.cache, entity.Config{BytesMax: int(s.cfg.Entities.BytesMax)})
	return nil
}

// openStore picks the engine of the entities.
func (s *Server) openStore(ctx context.Context) (kv.Store, error) {
	switch s.cfg.Entities.Engine {
	case game.EngineJetStream:
		return s.openJetStream(ctx)
	case game.EngineMongoDB:
		return s.openMongoDB(ctx)
	}
	cfg := pebble.Default()
	cfg.Log = s.deps.Log
	fitEntities(s.dir, &cfg)
	store, err := pebble.Open(filepath.Join(s.dir, "entities"), cfg)
	if err != nil {
		return nil, err
	}
	s.closeLater(store.Close)
	if s.deps.Registerer != nil {
		err = store.Register(s.deps.Registerer)
	}
	return store, err
}

func (s *Server) openMongoDB(ctx context.Context) (kv.Store, error) {
	cfg := mongodb.Default()
	cfg.URI, cfg.Database, cfg.PoolMax = telemetry.Secret(s.cfg.Entities.MongoDB.URI), s.cfg.Entities.MongoDB.Database, s.cfg.Entities.MongoDB.Connections
	store, err := mongodb.Open(ctx, cfg, mongodb.Deps{Log: s.deps.Log, Registry: s.deps.Registerer})
	if err != nil {
		return nil, err
	}
	s.closeLater(store.Close)
	return store, nil
}

// clusterKeyFile is the secret of the cluster of entities, unless another file is named.
const clusterKeyFile = "cluster.key"

// openJetStream starts this server's node of the cluster of entities, and opens the shards. It waits for the other
// nodes: without them there is nothing to serve.
func (s *Server) openJetStream(ctx context.Context) (kv.Store, error) {
	j := s.cfg.Entities.JetStream
	node := jetstream.DefaultConfig(filepath.Join(s.dir, "entities"))
	node.Machine, node.Zone, node.Listen, node.Advertise, node.Peers = machineName(s.node), j.Zone, j.Cluster, j.Advertise, j.Join
	node.FileBytesMax, node.Log, node.Secret = int64(j.StoreBytes), s.deps.Log, j.KeyFile
	if len(j.Join) == 0 { // alone, which needs no address and no secret
		node.Listen, node.Advertise = "", ""
		s.notes = append(s.notes, "entities are on this node alone (game.entities.jetstream.join is empty): one replica, and it cannot become a cluster later")
	} else if err := s.clusterSecret(&node); err != nil {
		return nil, err
	}
	n, err := jetstream.Start(node)
	if err != nil {
		return nil, err
	}
	s.closeLater(func() error { n.Close(); return nil })
	cfg := jetstream.DefaultStore()
	cfg.Shards, cfg.Replicas, cfg.Log = j.Shards, j.Replicas, s.deps.Log
	cfg.ShardBytesMax = int64(j.StoreBytes) / int64(j.Shards) // each server may come to keep a replica of all
	s.deps.Log.Info("waiting for the shards of the entities", "node", n.Name(), "shards", j.Shards)
	store, err := jetstream.OpenStore(ctx, n, cfg)
	if err != nil {
		return nil, err
	}
	s.closeLater(store.Close)
	s.closeLater(func() error { return s.leave(store) })
	s.runs("shards of entities", func(ctx context.Context) error { return s.lookAtShards(ctx, store) })
	if s.deps.Registerer != nil {
		err = store.Register(s.deps.Registerer)
	}
	return store, err
}

// clusterSecret finds the file that makes this server a member.
func (s *Server) clusterSecret(node *jetstream.Config) error {
	if node.Secret == "" {
		node.Secret = filepath.Join(s.dir, clusterKeyFile)
	}
	if _, err := os.Stat(node.Secret); err != nil {
		return game.Errorf(game.Invalid, "the secret of the cluster of entities, %s, is not there: \"kamado game shards key --out FILE\" makes one, which is copied to all servers and named by game.entities.jetstream.key_file", node.Secret)
	}
	return nil
}

// shardsEvery is how often the metrics of the shards are made anew.
const shardsEvery = 15 * time.Second

func (s *Server) lookAtShards(ctx context.Context, store *jetstream.Store) error {
	tick := time.NewTicker(shardsEvery)
	defer tick.Stop()
	for {
		_, _ = store.Shards(ctx) // a shard that does not answer is seen in its metrics
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// leaveTime bounds handing the lead of shards over before a stop.
const leaveTime = 5 * time.Second

// leave makes other nodes lead what this one leads, so that the stop of this one costs nobody an election.
func (s *Server) leave(store *jetstream.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := store.Leave(ctx); err != nil {
		s.deps.Log.Warn("shards could not be handed over before the stop", "error", err)
	}
	return nil
}

// machineName makes of a node's name the part of a name that the cluster takes.
func machineName(node string) string {
	name := []byte(node)
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			name[i] = '-'
		}
	}
	return string(name[:min(len(name), 40)])
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
