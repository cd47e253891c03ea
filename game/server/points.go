package server

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/points/ledger"
	pointsql "github.com/kamado/kamado/game/points/sql"
)

// openPoints opens the ledger: the own log, or the database where there is one that servers share.
func (s *Server) openPoints(ctx context.Context) error {
	rules := s.cfg.Points.Rules()
	if s.cfg.Database != "" {
		l, err := pointsql.Open(ctx, s.db, pointsql.Config{Rules: rules, Log: s.deps.Log, Registerer: s.deps.Registerer, QueueMax: s.cfg.Points.Queue})
		if err != nil {
			return fmt.Errorf("open the points: %w", err)
		}
		s.points = l
	} else {
		cfg := ledger.Default()
		cfg.Rules, cfg.Queue = rules, s.cfg.Points.Queue
		fitLedger(s.dir, &cfg)
		l, err := ledger.Open(ctx, filepath.Join(s.dir, "ledger"), cfg, ledger.Deps{Log: s.deps.Log, Registerer: s.deps.Registerer})
		if err != nil {
			return fmt.Errorf("open the points: %w", err)
		}
		s.points = l
		s.runs("ledger", l.Run)
	}
	s.closeLater(s.points.Close)
	s.runs("ends of points", s.sweep)
	return nil
}

// sweepAccounts bounds the accounts of one turn of the sweep.
const sweepAccounts = 1000

// sweep ends points and reservations that are over, from time to time.
func (s *Server) sweep(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Points.SweepEvery)
	defer tick.Stop()
	for failed := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for {
			made, err := s.points.Sweep(ctx, sweepAccounts)
			for _, p := range made {
				s.expired(p)
			}
			if err != nil && ctx.Err() == nil && !failed {
				s.deps.Log.Warn("points that are over are not ended", "error", err)
			}
			if failed = err != nil; failed || len(made) < sweepAccounts {
				break
			}
		}
	}
}

// expired tells of points that ended.
func (s *Server) expired(p *game.Posting) {
	if s.deps.Event == nil {
		return
	}
	var amount game.Amount
	for _, e := range p.Entries {
		if e.To == game.ExpiredFree || e.To == game.ExpiredPaid {
			amount += e.Amount
		}
	}
	s.deps.Event(api.Event{Type: "points.expire", Subject: p.UID.String(), Actor: "kamado", Attributes: map[string]string{"amount": strconv.FormatInt(int64(amount), 10), "seq": strconv.FormatUint(p.Seq, 10)}})
}

// move gives what a merged user has to the user that it became. It may be done again.
func (s *Server) move(ctx context.Context, m game.Merge) error {
	if _, err := s.points.Post(ctx, &game.Order{Op: game.OpMerge, Tx: fmt.Sprintf("m%v:%v", m.Loser, m.Winner), UID: m.Loser, To: m.Winner, By: "kamado"}); err != nil {
		return err
	}
	return s.entities.Move(ctx, m.Loser, m.Winner)
}

// mergesEvery is how often merges that were interrupted are carried on.
const mergesEvery = time.Minute

func (s *Server) resumeMerges(ctx context.Context) error {
	tick := time.NewTicker(mergesEvery)
	defer tick.Stop()
	for {
		if err := s.identity.ResumeMerges(ctx, s.move); err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("a merge of users was begun and is not done", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
