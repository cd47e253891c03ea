// Package server builds the game room from its configuration and runs it. It is the
// only place that picks what lies behind the room's interfaces.
//
// Under the data directory it keeps service.token (the credential of the first
// service), and under game/: users.db (users, sessions, locks; unless a database is
// named), ledger (points), entities (the engine's files), server.id (which server this
// is among those that share a database) and cluster.key. A Server gives an HTTP handler; the
// listener is the caller's.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/approval"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/oidc"
	"github.com/kamado/kamado/game/plaza"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/present"
	"github.com/kamado/kamado/internal/cache"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/lifecycle"
	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
	"github.com/kamado/kamado/internal/unit"
)

// Options say what to build.
type Options struct {
	Config  game.Config
	Data    string // the data directory, absolute; it exists
	Version string
	// Handlers are the rules of the application beside those of the plaza; nil: none. The plaza's are added to them.
	Handlers *game.Handlers
}

// Deps are what the room uses of its process. All are needed but Registerer and Event.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Guard      api.Guard
	Audit      api.Audit
	Event      api.Events // hears what happens to players; nil: nobody does
	// Registrar finds other nodes beside the locks that all share; nil: those alone.
	Registrar game.NodeRegistrar
	// Reports makes reports from the event log; nil: there is none.
	Reports api.Reports
	// Pictures is where profile pictures are kept and shown; nil: nowhere, and WhyNoPictures says why to people.
	Pictures      *plaza.Pictures
	WhyNoPictures string
}

// BodyBytesMax is the largest body that the handler takes: a batch of entities.
const BodyBytesMax = 8 * unit.MiB

// Server is the room, built.
type Server struct {
	opts Options
	deps Deps
	cfg  game.Config
	dir  string // Data/game
	node string
	id   string // of this server among those that share a database

	core   core.Core
	living living

	// What follows is of a server that keeps users and points itself, and nil in one that has a core elsewhere.
	db        sqldb.DB
	identity  *identity.Server
	oidc      *oidc.RelyingParty // nil: no provider is configured
	points    points.Ledger
	presents  *present.Box
	approvals *approval.Desk
	store     kv.Store
	cache     *cache.Through // nil: no copies
	entities  *entity.Store
	locks     *lock.Registry

	handler http.Handler // made by Open
	parts   []part
	notes   []string
	started time.Time
	closers []func() error
	backing sync.Mutex // held while a backup is made
}

// part is something that works while the room runs.
type part struct {
	name string
	run  func(context.Context) error
}

// New builds the room. It serves nobody yet; call Open and Run, and Close at the end, also when those were never called.
func New(ctx context.Context, opts Options, deps Deps) (_ *Server, err error) {
	if err := opts.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configure game: %w", err)
	}
	s := &Server{opts: opts, deps: deps, cfg: opts.Config, dir: filepath.Join(opts.Data, "game"), node: opts.Config.Node, started: time.Now().UTC()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	s.living.drains.changed = make(chan struct{}, 1)
	steps := []func(context.Context) error{s.openIdentityOfServer, s.openDatabase, s.openIdentity, s.openPoints, s.openEntities, s.openLocks, s.openGifts, s.openService, s.openBackups}
	if s.cfg.Core != "" {
		steps = []func(context.Context) error{s.openIdentityOfServer, s.openRemoteCore}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if s.cfg.Core == "" {
		s.core = core.Core{Identity: s.identity, Points: s.points, Entities: s.entities, Locks: s.locks}
	}
	return s, nil
}

// Close gives back what New took. What was answered is durable without it.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// closeLater has something closed by Close, in the reverse of the order of the calls.
func (s *Server) closeLater(f func() error) { s.closers = append(s.closers, f) }

// runs adds something that works while the room runs.
func (s *Server) runs(name string, run func(context.Context) error) {
	s.parts = append(s.parts, part{name, run})
}

// Notes say for people what is special about this server.
func (s *Server) Notes() []string { return s.notes }

// Run works until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	g := lifecycle.Group{Log: slog.New(slog.DiscardHandler)}
	for _, p := range s.parts {
		g.Add(p.name, p.run)
	}
	return g.Run(ctx)
}

func (s *Server) openDatabase(ctx context.Context) (err error) {
	if s.cfg.Database == "" {
		s.db, err = sqlite.Open(ctx, filepath.Join(s.dir, "users.db"))
	} else {
		s.db, err = postgres.Open(ctx, s.cfg.Database)
	}
	if err != nil {
		return fmt.Errorf("open the database of users: %w", err)
	}
	s.closeLater(s.db.Close)
	return nil
}

func (s *Server) openIdentity(ctx context.Context) (err error) {
	s.identity, err = identity.Open(ctx, s.cfg.Identity, identity.Deps{DB: s.db, Shared: s.cfg.Database != "", Log: s.deps.Log, Metrics: s.deps.Registerer})
	if err != nil {
		return fmt.Errorf("open the users: %w", err)
	}
	s.runs("users", s.identity.Run)
	s.runs("merges of users", s.resumeMerges)
	if len(s.cfg.Identity.Providers) == 0 {
		return nil
	}
	key, err := s.identity.SharedKey(ctx, "oidc cookies")
	if err != nil {
		return err
	}
	s.oidc, err = oidc.New(oidc.Deps{Providers: s.cfg.Identity.Providers, StateKey: key, Spend: s.identity.Spend, Log: s.deps.Log, Metrics: s.deps.Registerer})
	return err
}

func (s *Server) openGifts(ctx context.Context) (err error) {
	if s.presents, err = present.New(ctx, s.db, s.points); err != nil {
		return fmt.Errorf("open the presents: %w", err)
	}
	if s.approvals, err = approval.New(ctx, s.db, s.points, time.Now); err != nil {
		return fmt.Errorf("open the approvals: %w", err)
	}
	return nil
}

func (s *Server) openBackups(context.Context) error {
	s.runs("backups of players", s.backups)
	return nil
}

func (s *Server) status(context.Context) api.Status {
	out := api.Status{
		Node: s.node, Version: s.opts.Version, Started: s.started, Database: "sqlite", Points: "ledger", Entities: s.cfg.Entities.Engine, Cache: s.cfg.Entities.Cache,
		Locks: s.cfg.Locks.Engine, LedgerNow: s.points.Now().Time(),
	}
	if s.cfg.Database != "" {
		out.Database, out.Points = "postgres", "postgres"
	}
	if stale, ok := s.store.(kv.Stale); ok {
		out.Staleness = stale.Staleness()
	}
	return out
}

// AddChecks adds what must be true before clients come.
func (s *Server) AddChecks(h *httpserver.Health) {
	if s.cfg.Core != "" {
		h.AddCheck("game-core", func(ctx context.Context) error {
			_, err := s.core.Points.Account(ctx, 1)
			return err
		})
		return
	}
	h.AddCheck("game-users", func(context.Context) error { return s.identity.Ready() })
	h.AddCheck("game-points", func(ctx context.Context) error {
		_, err := s.points.Account(ctx, 1)
		return err
	})
	h.AddCheck("game-entities", func(ctx context.Context) error {
		_, err := s.store.Get(ctx, kv.Key{Group: "health", Name: "check"})
		if errors.Is(err, kv.ErrNotFound) {
			return nil
		}
		return err
	})
	h.AddCheck("game-locks", func(ctx context.Context) error {
		_, err := s.locks.Look(ctx, "kamado.health")
		return err
	})
}

// openIdentityOfServer finds out which server this is. Servers that share something may be on one machine, so its name alone does not tell them apart.
func (s *Server) openIdentityOfServer(context.Context) (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.id, err = serverID(filepath.Join(s.dir, "server.id")); err != nil || s.node != "" {
		return err
	}
	if s.node, err = os.Hostname(); err != nil {
		return fmt.Errorf("name this server: %w", err)
	}
	if s.cfg.Database != "" || s.cfg.Core != "" {
		s.node += "-" + s.id[:serverMark]
	}
	return nil
}

// serverMark is how much of a server's id stands in its name: 25 bits, for a few servers on one machine.
const serverMark = 5
