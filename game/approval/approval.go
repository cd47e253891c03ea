// Package approval lets a large grant of points wait until somebody else agrees.
//
// Vocabulary. A request is an order that waits. It is open until it is approved,
// refused, or too old. The desk keeps the requests.
//
// Invariants. Nobody approves what was asked with the same credential. An approved
// request becomes its order, with the transaction id that it was asked with, so it
// happens once: approved is durable before the order is given to the ledger, and
// who approves again after a crash gives it again. Not for orders of users: theirs
// never wait.
package approval

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/sqldb"
)

// Bounds of the desk.
const (
	OpenMax = 10_000             // open requests
	Life    = 7 * 24 * time.Hour // of an open request
	PageMax = 500
)

// State is how a request stands.
type State string

// The states. Only Open has a way out.
const (
	Open     State = "open"
	Approved State = "approved"
	Refused  State = "refused"
	Over     State = "over" // nobody decided within Life
)

// Request is a grant that waits.
type Request struct {
	ID        string
	Order     game.Order
	State     State
	Asked     time.Time
	DecidedBy string
	Decided   time.Time // zero while it is open
}

var migrations = []string{`CREATE TABLE game_approvals (
	id TEXT NOT NULL PRIMARY KEY,
	tx TEXT NOT NULL UNIQUE,
	body TEXT NOT NULL,
	state TEXT NOT NULL,
	asked BIGINT NOT NULL,
	decided_by TEXT NOT NULL,
	decided BIGINT NOT NULL
)`, `CREATE INDEX game_approvals_state ON game_approvals (state, asked)`}

// Desk keeps requests. Its methods may be called concurrently, by several servers on one database.
type Desk struct {
	db     sqldb.DB
	ledger points.Ledger
	now    func() time.Time
}

// New prepares the table.
func New(ctx context.Context, db sqldb.DB, ledger points.Ledger, now func() time.Time) (*Desk, error) {
	if err := db.Migrate(ctx, "game_approval", migrations); err != nil {
		return nil, err
	}
	return &Desk{db: db, ledger: ledger, now: now}, nil
}

// Ask lets a grant wait. The same transaction id with the same order gives the request that is there, with another one Conflict.
func (d *Desk) Ask(ctx context.Context, o game.Order) (r Request, err error) {
	body, err := json.Marshal(keep(o))
	if err != nil {
		return r, err
	}
	now := d.now()
	err = d.db.Write(ctx, func(w sqldb.Writer) error {
		r, err = scan(w.QueryRow(selectRequest+" WHERE tx = ?", o.Tx))
		if err == nil && r.Order.Digest() != o.Digest() {
			return game.Errorf(game.Conflict, "the transaction id is of another order, which waits for its approval")
		}
		if !errors.Is(err, stdsql.ErrNoRows) {
			return err
		}
		var open int
		if err := w.QueryRow("SELECT COUNT(*) FROM game_approvals WHERE state = ?", string(Open)).Scan(&open); err != nil {
			return err
		}
		if open >= OpenMax {
			return game.Errorf(game.Unavailable, "%d grants wait for their approval, which is the most", open)
		}
		r = Request{ID: rand.Text(), Order: o, State: Open, Asked: now.UTC().Truncate(time.Millisecond)}
		_, err := w.Exec("INSERT INTO game_approvals (id, tx, body, state, asked, decided_by, decided) VALUES (?, ?, ?, ?, ?, '', 0)", r.ID, o.Tx, string(body), string(Open), now.UnixMilli())
		return err
	})
	return r, err
}

// Approve carries a request out. by must be somebody else than who asked. One that was approved already is given to the ledger again.
func (d *Desk) Approve(ctx context.Context, id, by string) (Request, points.Answer, error) {
	r, err := d.decide(ctx, id, by, Approved)
	if err != nil {
		return r, points.Answer{}, err
	}
	a, err := d.ledger.Post(ctx, &r.Order)
	return r, a, err
}

// Refuse ends a request.
func (d *Desk) Refuse(ctx context.Context, id, by string) (Request, error) {
	return d.decide(ctx, id, by, Refused)
}

func (d *Desk) decide(ctx context.Context, id, by string, state State) (r Request, err error) {
	err = d.db.Write(ctx, func(w sqldb.Writer) error {
		r, err = scan(w.QueryRow(selectRequest+" WHERE id = ?", id))
		switch {
		case errors.Is(err, stdsql.ErrNoRows):
			return game.Errorf(game.NotFound, "there is no request %.40q", id)
		case err != nil:
			return err
		case r.Order.By == by && state == Approved:
			return game.Errorf(game.Denied, "%s asked for it: somebody else has to approve", by)
		case r.State == state:
			return nil
		case d.over(&r):
			return game.Errorf(game.Conflict, "the request was open for %v, which is the most", Life)
		case r.State != Open:
			return game.Errorf(game.Conflict, "the request is %s already, by %s", r.State, r.DecidedBy)
		}
		now := d.now()
		r.State, r.DecidedBy, r.Decided = state, by, now.UTC().Truncate(time.Millisecond)
		_, err := w.Exec("UPDATE game_approvals SET state = ?, decided_by = ?, decided = ? WHERE id = ?", string(state), by, now.UnixMilli(), id)
		return err
	})
	return r, err
}

// over turns an open request that is too old into one that is over.
func (d *Desk) over(r *Request) bool {
	if r.State == Open && d.now().Sub(r.Asked) > Life {
		r.State = Over
	}
	return r.State == Over
}

// List gives requests, the newest first; of a state, or all ("").
func (d *Desk) List(ctx context.Context, state State) (list []Request, err error) {
	err = d.db.Read(ctx, func(r sqldb.Reader) error {
		list = nil
		kept := state
		if kept == Over { // which only this package's clock knows
			kept = Open
		}
		rows, err := r.Query(selectRequest+" WHERE ? IN ('', state) ORDER BY asked DESC LIMIT ?", string(kept), PageMax)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			q, err := scan(rows)
			if err != nil {
				return err
			}
			d.over(&q)
			if state == "" || q.State == state {
				list = append(list, q)
			}
		}
		return rows.Err()
	})
	return list, err
}

const selectRequest = "SELECT id, body, state, asked, decided_by, decided FROM game_approvals"

func scan(row interface{ Scan(...any) error }) (r Request, err error) {
	var body, state string
	var asked, decided int64
	if err := row.Scan(&r.ID, &body, &state, &asked, &r.DecidedBy, &decided); err != nil {
		return r, err
	}
	r.State, r.Asked = State(state), time.UnixMilli(asked).UTC()
	if decided != 0 {
		r.Decided = time.UnixMilli(decided).UTC()
	}
	var k kept
	if err := json.Unmarshal([]byte(body), &k); err != nil {
		return r, err
	}
	r.Order = game.Order{Op: game.OpGrant, Tx: k.Tx, UID: k.UID, Amount: k.Amount, Kind: k.Kind, Expires: k.Expires, Reason: k.Reason, By: k.By}
	return r, nil
}

// kept is a grant in the table.
type kept struct {
	Tx      string
	UID     game.UID
	Amount  game.Amount
	Kind    game.PointKind
	Expires game.Instant
	Reason  string
	By      string
}

func keep(o game.Order) kept {
	return kept{Tx: o.Tx, UID: o.UID, Amount: o.Amount, Kind: o.Kind, Expires: o.Expires, Reason: o.Reason, By: o.By}
}
