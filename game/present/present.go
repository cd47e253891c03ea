// Package present is the box in which players find what the house gives to many:
// compensation after an outage, a gift of the season.
//
// Vocabulary. A present is points with words, for everybody or for the users that
// it names, until its end. A user takes a present once.
//
// Invariants. What was taken is a posting of the ledger whose transaction id is
// made of the present and the user: so nobody takes one twice, whatever fails in
// between, and nothing about it is kept twice. A present is never changed. Its
// users are bounded, and so is what one user sees.
package present

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/sqldb"
)

// Bounds of the box.
const (
	UsersMax    = 100_000 // of one present that names its users
	ListMax     = 100     // presents that one user sees
	PresentsMax = 100_000
)

// Present is points for many.
type Present struct {
	ID      string
	Amount  game.Amount
	Kind    game.PointKind
	Expires game.Instant // of the points; 0: none
	Reason  string
	Until   game.Instant // when it can be taken no more
	Users   []game.UID   // empty: everybody who was there when it was made
	By      string
	Made    game.Instant
}

var migrations = []string{`CREATE TABLE game_presents (
	id TEXT NOT NULL PRIMARY KEY,
	amount BIGINT NOT NULL,
	kind BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	reason TEXT NOT NULL,
	until BIGINT NOT NULL,
	everybody BIGINT NOT NULL,
	made_by TEXT NOT NULL,
	made BIGINT NOT NULL
)`, `CREATE INDEX game_presents_until ON game_presents (until)`, `CREATE TABLE game_present_users (
	present TEXT NOT NULL,
	uid BIGINT NOT NULL,
	PRIMARY KEY (uid, present)
)`}

// Box keeps presents. Its methods may be called concurrently, by several servers on one database.
type Box struct {
	db     sqldb.DB
	ledger points.Ledger
}

// New prepares the tables.
func New(ctx context.Context, db sqldb.DB, ledger points.Ledger) (*Box, error) {
	if err := db.Migrate(ctx, "game_present", migrations); err != nil {
		return nil, err
	}
	return &Box{db: db, ledger: ledger}, nil
}

// Put puts a present into the box, under a fresh ID.
func (b *Box) Put(ctx context.Context, p Present) (Present, error) {
	p.Made = b.ledger.Now()
	switch {
	case len(p.Users) > UsersMax:
		return p, game.Errorf(game.TooLarge, "a present for %d users: at most %d, or for everybody", len(p.Users), UsersMax)
	case p.Until <= p.Made:
		return p, game.Errorf(game.Invalid, "until: want the moment at which the present can be taken no more, later than now")
	case p.Reason == "" || len(p.Reason) > game.ReasonBytesMax || !utf8.ValidString(p.Reason):
		return p, game.Errorf(game.Invalid, "a reason of %d bytes: want 1 to %d, for those who find the present", len(p.Reason), game.ReasonBytesMax)
	case p.Expires != 0 && p.Expires < p.Until:
		return p, game.Errorf(game.Invalid, "the points would end before the present can be taken no more")
	}
	if err := game.CheckAmount(p.Amount); err != nil {
		return p, err
	}
	p.ID = rand.Text()
	everybody := int64(0)
	if len(p.Users) == 0 {
		everybody = 1
	}
	err := b.db.Write(ctx, func(w sqldb.Writer) error {
		var n int
		if err := w.QueryRow("SELECT COUNT(*) FROM game_presents WHERE until > ?", int64(p.Made)).Scan(&n); err != nil {
			return err
		}
		if n >= PresentsMax {
			return game.Errorf(game.Unavailable, "%d presents can be taken, which is the most", n)
		}
		if _, err := w.Exec("INSERT INTO game_presents (id, amount, kind, expires, reason, until, everybody, made_by, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			p.ID, int64(p.Amount), int64(p.Kind), int64(p.Expires), p.Reason, int64(p.Until), everybody, p.By, int64(p.Made)); err != nil {
			return err
		}
		seen := map[game.UID]bool{}
		for _, uid := range p.Users {
			if seen[uid] {
				continue
			}
			seen[uid] = true
			if _, err := w.Exec("INSERT INTO game_present_users (present, uid) VALUES (?, ?)", p.ID, int64(uid)); err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

const selectPresent = "SELECT p.id, p.amount, p.kind, p.expires, p.reason, p.until, p.everybody, p.made_by, p.made FROM game_presents p"

func scan(row interface{ Scan(...any) error }) (p Present, everybody bool, err error) {
	var kind int64
	err = row.Scan(&p.ID, &p.Amount, &kind, &p.Expires, &p.Reason, &p.Until, &everybody, &p.By, &p.Made)
	p.Kind = game.PointKind(kind)
	return p, everybody, err
}

// query gives at most ListMax presents of which something is so, the newest first.
func query(r sqldb.Reader, so string, args ...any) (list []Present, err error) {
	rows, err := r.Query(selectPresent+" WHERE "+so+" ORDER BY p.made DESC, p.id LIMIT ?", append(args, ListMax)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p, _, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// Waiting gives the presents that a user may take and has not taken, the newest first.
// created is when the user came: what everybody got before that is not for the user.
func (b *Box) Waiting(ctx context.Context, uid game.UID, created time.Time) ([]Present, error) {
	var list []Present
	now := b.ledger.Now()
	err := b.db.Read(ctx, func(r sqldb.Reader) (err error) {
		list, err = query(r, `p.until > ? AND p.made >= ? AND p.everybody = 1 OR p.until > ? AND p.id IN (SELECT present FROM game_present_users WHERE uid = ?)`,
			int64(now), int64(game.At(created)), int64(now), int64(uid))
		return err
	})
	if err != nil {
		return nil, err
	}
	waiting := list[:0]
	for _, p := range list {
		if _, err := b.ledger.Posting(ctx, tx(p.ID, uid)); game.KindOf(err) == game.NotFound {
			waiting = append(waiting, p)
		} else if err != nil {
			return nil, err
		}
	}
	return waiting, nil
}

// tx is the transaction id of taking a present.
func tx(id string, uid game.UID) string { return "p" + id + ":" + uid.String() }

// Take gives the points of a present to a user, once; again, it answers the same.
func (b *Box) Take(ctx context.Context, id string, uid game.UID, created time.Time, by string) (points.Answer, error) {
	var p Present
	now := b.ledger.Now()
	err := b.db.Read(ctx, func(r sqldb.Reader) error {
		var everybody bool
		var err error
		p, everybody, err = scan(r.QueryRow(selectPresent+" WHERE p.id = ?", id))
		if errors.Is(err, stdsql.ErrNoRows) {
			return game.Errorf(game.NotFound, "there is no present %.40q", id)
		}
		if err != nil {
			return err
		}
		if everybody {
			if game.At(created) > p.Made {
				return game.Errorf(game.NotFound, "the present was for those who were there before")
			}
			return nil
		}
		var n int
		if err := r.QueryRow("SELECT COUNT(*) FROM game_present_users WHERE present = ? AND uid = ?", id, int64(uid)).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return game.Errorf(game.NotFound, "there is no present %.40q for user %v", id, uid)
		}
		return nil
	})
	if err != nil {
		return points.Answer{}, err
	}
	if p.Until <= now {
		if posting, err := b.ledger.Posting(ctx, tx(id, uid)); err == nil {
			return points.Answer{Posting: posting, Again: true}, nil
		}
		return points.Answer{}, game.Errorf(game.Conflict, "the present could be taken until %s", p.Until.Time().Format(time.RFC3339))
	}
	return b.ledger.Post(ctx, &game.Order{Op: game.OpGrant, Tx: tx(id, uid), UID: uid, Amount: p.Amount, Kind: p.Kind, Expires: p.Expires, Reason: p.Reason, By: by})
}

// All gives the presents that can still be taken, the newest first.
func (b *Box) All(ctx context.Context) (list []Present, err error) {
	now := b.ledger.Now()
	err = b.db.Read(ctx, func(r sqldb.Reader) error {
		list, err = query(r, "p.until > ?", int64(now))
		return err
	})
	return list, err
}
