package sql_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points/sql"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// plainFunction is what one would write without a ledger: a function for each
// transfer, idempotent by its id, with the rows of both users locked in their order.
const plainFunction = `
CREATE TABLE plain_balances (uid BIGINT PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0));
CREATE TABLE plain_entries (tx TEXT PRIMARY KEY, uid BIGINT NOT NULL, to_uid BIGINT NOT NULL, amount BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL DEFAULT now());
INSERT INTO plain_balances SELECT n, 1000000 FROM generate_series(1, 1000) AS n;
CREATE FUNCTION plain_transfer(id TEXT, giver BIGINT, taker BIGINT, points BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE left_over BIGINT;
BEGIN
	INSERT INTO plain_entries (tx, uid, to_uid, amount) VALUES (id, giver, taker, points) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN RETURN -1; END IF;
	PERFORM 1 FROM plain_balances WHERE uid IN (giver, taker) ORDER BY uid FOR UPDATE;
	UPDATE plain_balances SET balance = balance - points WHERE uid = giver RETURNING balance INTO left_over;
	UPDATE plain_balances SET balance = balance + points WHERE uid = taker;
	RETURN left_over;
END $$`

// BenchmarkPost is durable transfers between 1,000 users, and spends of one of them
// (hot), by so many callers. function is PostgreSQL with one call of plainFunction each.
func BenchmarkPost(b *testing.B) {
	server := postgrestest.Start(b, "-c", "fsync=on", "-c", "shared_buffers=128MB", "-c", "autovacuum=on")
	for _, callers := range []int{1, 64, 1024} {
		for _, hot := range []bool{false, true} {
			b.Run(fmt.Sprintf("function/hot-%v/callers-%d", hot, callers), func(b *testing.B) {
				transfer := function(b, server.Database(b))
				together(b, callers, func(n int64) error {
					from, to := pick(n)
					if hot {
						from, to = 1, 2
					}
					return transfer(fmt.Sprint(n), from, to)
				})
			})
			b.Run(fmt.Sprintf("postgres/hot-%v/callers-%d", hot, callers), func(b *testing.B) {
				db, err := postgres.Open(b.Context(), server.Database(b))
				ledger(b, db, err, hot, callers)
			})
		}
		b.Run(fmt.Sprint("sqlite/callers-", callers), func(b *testing.B) {
			db, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "db"))
			ledger(b, db, err, false, callers)
		})
	}
}

func pick(n int64) (from, to int64) {
	from = n*7919%1000 + 1
	return from, from%1000 + 1
}

func function(b *testing.B, url string) func(tx string, from, to int64) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		b.Fatal(err)
	}
	db := stdlib.OpenDB(*cfg)
	b.Cleanup(func() { db.Close() }) //nolint:errcheck // the benchmark is over
	db.SetMaxOpenConns(64)
	db.SetMaxIdleConns(64)
	if _, err := db.Exec(plainFunction); err != nil {
		b.Fatal(err)
	}
	return func(tx string, from, to int64) error {
		var left int64
		return db.QueryRow("SELECT plain_transfer($1, $2, $3, 1)", tx, from, to).Scan(&left)
	}
}

func ledger(b *testing.B, db sqldb.DB, err error, hot bool, callers int) {
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() }) //nolint:errcheck // the benchmark is over
	l, err := sql.Open(b.Context(), db, sql.Config{Rules: game.Rules{Transfers: true}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() }) //nolint:errcheck // the benchmark is over
	var wg sync.WaitGroup
	for uid := range game.UID(1000) {
		wg.Go(func() {
			if _, err := l.Post(context.Background(), &game.Order{Op: game.OpGrant, Tx: fmt.Sprint("first/", uid), UID: uid + 1, Amount: 100_000_000}); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	together(b, callers, func(n int64) error {
		from, to := pick(n)
		o := game.Order{Op: game.OpTransfer, Tx: fmt.Sprint(n), UID: game.UID(from), To: game.UID(to), Amount: 1}
		if hot {
			o.Op, o.UID, o.To = game.OpSpend, 1, 0
		}
		_, err := l.Post(context.Background(), &o)
		return err
	})
}

// together calls op with the numbers of b's loop from so many goroutines.
func together(b *testing.B, callers int, op func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := op(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "postings/s")
}
