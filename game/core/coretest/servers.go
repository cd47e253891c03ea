// Package coretest holds what every core promises, as tests, and servers on real engines for tests of what lies above a core. A promise
// that is not here is not one: the suite runs against the servers of one process as they are, and against the same
// servers asked from another one.
package coretest

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/identity/identitytest"
	"github.com/kamado/kamado/game/points/ledger"
	"github.com/kamado/kamado/internal/kv/pebble"
	"github.com/kamado/kamado/internal/lock"
	locksql "github.com/kamado/kamado/internal/lock/sql"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
	"github.com/kamado/kamado/internal/unit"
)

// Servers are the four servers of one process: users in SQLite with a clock that tests move, the ledger's own log, entities in
// Pebble, and locks in SQLite.
type Servers struct {
	Identity *identity.Server
	Clock    *Clock // of Identity
	Points   *ledger.Ledger
	Entities *entity.Store
	Locks    *lock.Registry
	Config   game.Config
}

// Clock is the system's, and what tests let pass beside it.
type Clock struct{ passed atomic.Int64 }

var began = time.Now()

func (c *Clock) wall() time.Time { return time.Now().Add(time.Duration(c.passed.Load())) }
func (c *Clock) elapsed() time.Duration {
	return time.Since(began) + time.Duration(c.passed.Load()) + time.Second
}

// Pass lets time go by.
func (c *Clock) Pass(d time.Duration) { c.passed.Add(int64(d)) }

// EntityBytesMax bounds an entity of these servers.
const EntityBytesMax = 16 << 10

// Open starts servers, until the test ends. change may be nil.
func Open(t testing.TB, change func(*game.Config)) *Servers {
	t.Helper()
	cfg := game.Default()
	cfg.Identity = identitytest.Config()
	cfg.Points.Transfers = true
	cfg.Entities.BytesMax = EntityBytesMax
	if change != nil {
		change(&cfg)
	}
	ctx, dir := context.WithoutCancel(t.Context()), t.TempDir()
	db, err := sqlite.Open(ctx, filepath.Join(dir, "users.db"))
	fine(t, err)
	ended(t, db.Close)
	s := &Servers{Config: cfg, Clock: &Clock{}}
	s.Identity, err = identity.Open(ctx, cfg.Identity, identity.Deps{DB: db, Log: slog.New(slog.DiscardHandler), Wall: s.Clock.wall, Elapsed: s.Clock.elapsed})
	fine(t, err)
	s.openPoints(t, filepath.Join(dir, "ledger"))
	store, err := pebble.Open(filepath.Join(dir, "entities"), pebble.Default())
	fine(t, err)
	ended(t, store.Close)
	s.Entities = entity.New(store, nil, entity.Config{BytesMax: int(cfg.Entities.BytesMax)})
	place, err := locksql.Open(ctx, db)
	fine(t, err)
	s.Locks, err = lock.NewRegistry(place, lock.Default(), nil)
	fine(t, err)
	return s
}

func (s *Servers) openPoints(t testing.TB, dir string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cfg := ledger.Default()
	cfg.Rules = s.Config.Points.Rules()
	cfg.SegmentBytes, cfg.FilterBytes, cfg.IndexCacheBytes, cfg.FreeBytesMin = unit.MiB, unit.MiB, unit.MiB, 0
	var err error
	s.Points, err = ledger.Open(ctx, dir, cfg, ledger.Deps{Log: slog.New(slog.DiscardHandler)})
	fine(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Points.Run(ctx) }()
	ended(t, func() error {
		stop()
		if err := <-done; err != nil {
			return err
		}
		return s.Points.Close()
	})
}

// Core is the servers as a core.
func (s *Servers) Core() core.Core {
	return core.Core{Identity: s.Identity, Points: s.Points, Entities: s.Entities, Locks: s.Locks}
}

// Guest makes a user.
func (s *Servers) Guest(t testing.TB) game.Login {
	t.Helper()
	l, err := s.Identity.CreateGuest(t.Context(), "", game.Client{})
	fine(t, err)
	return l
}

// Grant gives points.
func (s *Servers) Grant(t testing.TB, uid game.UID, amount game.Amount) {
	t.Helper()
	_, err := s.Points.Post(t.Context(), &game.Order{Op: game.OpGrant, Tx: "test:" + t.Name() + uid.String(), UID: uid, Amount: amount})
	fine(t, err)
}

func fine(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ended(t testing.TB, end func() error) {
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
