package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/gossip"
	"github.com/kamado/kamado/dns/health"
	"github.com/kamado/kamado/internal/lock"
	locksql "github.com/kamado/kamado/internal/lock/sql"
	"github.com/kamado/kamado/internal/sqldb/postgres"
)

// openHealth makes what runs checks and hooks.
func (s *Server) openHealth(context.Context) (err error) {
	s.health, err = health.New(health.Config{Health: s.cfg.Health, Hooks: s.cfg.Hooks, Domain: s.domain}, health.Deps{
		Node: s.member, OpenLease: s.openLease, Joined: s.met, Log: s.deps.Log, Registerer: s.deps.Registerer,
	})
	return err
}

// openLease opens the locks of activity, in the database that the configuration names.
func (s *Server) openLease(ctx context.Context) (health.Lease, func() error, error) {
	db, err := postgres.Open(ctx, s.cfg.Hooks.Lock)
	if err != nil {
		return nil, nil, fmt.Errorf("open the database of locks: %w", err)
	}
	place, err := locksql.Open(ctx, db)
	if err != nil {
		return nil, nil, fmt.Errorf("open the locks: %w", errors.Join(err, db.Close()))
	}
	return lock.NewLocker(place, s.node, nil), db.Close, nil
}

// meetEvery is how often a member that joins looks whether it met somebody.
const meetEvery = 50 * time.Millisecond

// meet closes met when this member has met another one, or need not.
func (s *Server) meet(ctx context.Context) error {
	defer close(s.met)
	if s.gossip == nil || len(s.cfg.Join) == 0 && s.cfg.JoinCloud == "" {
		return nil
	}
	tick := time.NewTicker(meetEvery)
	defer tick.Stop()
	end := time.After(joinPatience)
	for !slices.ContainsFunc(s.gossip.Peers(), func(p gossip.Peer) bool { return p.Up }) {
		select {
		case <-tick.C:
		case <-end:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// checkSpec judges a check before a record is taken.
func (s *Server) checkSpec(c dns.Check) error { return health.CheckSpec(s.cfg.Health, c) }
