package sql_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/points/pointstest"
	"github.com/kamado/kamado/game/points/sql"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
)

// pair is two servers on one database: each call goes to the other one than the call before.
type pair struct {
	list [2]*sql.Ledger
	n    atomic.Int64
}

func (p *pair) next() *sql.Ledger { return p.list[p.n.Add(1)%2] }

func (p *pair) Post(ctx context.Context, o *game.Order) (points.Answer, error) {
	return p.next().Post(ctx, o)
}
func (p *pair) Account(ctx context.Context, uid game.UID) (*game.Account, error) {
	return p.next().Account(ctx, uid)
}
func (p *pair) Reservation(ctx context.Context, id uint64) (game.Reservation, error) {
	return p.next().Reservation(ctx, id)
}
func (p *pair) Posting(ctx context.Context, tx string) (*game.Posting, error) {
	return p.next().Posting(ctx, tx)
}
func (p *pair) History(ctx context.Context, uid game.UID, before uint64, limit int) ([]*game.Posting, error) {
	return p.next().History(ctx, uid, before, limit)
}
func (p *pair) Postings(ctx context.Context, after uint64, limit int) ([]*game.Posting, error) {
	return p.next().Postings(ctx, after, limit)
}
func (p *pair) Accounts(ctx context.Context, after game.UID, limit int) ([]*game.Account, error) {
	return p.next().Accounts(ctx, after, limit)
}
func (p *pair) Totals(ctx context.Context) (points.Totals, error) { return p.next().Totals(ctx) }
func (p *pair) TotalsAt(ctx context.Context, at game.Instant) (points.Totals, error) {
	return p.next().TotalsAt(ctx, at)
}
func (p *pair) Sweep(ctx context.Context, limit int) ([]*game.Posting, error) {
	return p.next().Sweep(ctx, limit)
}
func (p *pair) Now() game.Instant { return max(p.list[0].Now(), p.list[1].Now()) }
func (p *pair) Close() error      { return errors.Join(p.list[0].Close(), p.list[1].Close()) }

// TestTwoServersKeepEveryPromise runs the whole suite with two servers on each database.
func TestTwoServersKeepEveryPromise(t *testing.T) {
	server := postgrestest.Start(t)
	t.Run("suite", func(t *testing.T) {
		pointstest.Run(t, func(t *testing.T) pointstest.Place {
			url := server.Database(t)
			var dbs [2]sqldb.DB
			for i := range dbs {
				db, err := postgres.Open(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() }) //nolint:errcheck // the test is over
				dbs[i] = db
			}
			return func(ctx context.Context, cfg pointstest.Config) (points.Ledger, error) {
				p := &pair{}
				for i, db := range dbs {
					var err error
					if p.list[i], err = sql.Open(ctx, db, sql.Config{Rules: cfg.Rules, Now: cfg.Now}); err != nil {
						return nil, err
					}
				}
				return p, nil
			}
		})
	})
}
