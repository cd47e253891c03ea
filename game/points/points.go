// Package points is a ledger of points as the room uses it. An engine is a package
// one level below: an append-only log on one machine, or PostgreSQL for several
// servers at once; pointstest holds what all of them promise.
//
// Vocabulary. That of package game: an order is judged by Rules.Decide on the
// accounts that it touches, and becomes a posting. An engine finds the accounts,
// gives the posting its place and time, and keeps it.
//
// Invariants. A posting that was answered is durable, and no later answer misses
// it. Orders on one account happen one after another. The time of postings grows
// with their place, also when the clock of the machine goes back. What was not
// carried out leaves nothing, and its transaction id stays free.
package points

import (
	"context"

	"github.com/kamado/kamado/game"
)

// HistoryMax bounds one page of postings.
const HistoryMax = 1000

// Answer is what became of an order.
type Answer struct {
	Posting *game.Posting // shared: nobody changes it
	// Again: the order had been carried out before; this is that posting.
	Again bool
}

// Ledger keeps points. Its methods may be called concurrently. Errors are
// *game.Error: of Decide's kinds when the order cannot be, Conflict when its
// transaction id is of another order, Exhausted when there is no space, and
// Unavailable when the engine is away or overloaded; Doubt is set when the order
// may have been carried out all the same.
type Ledger interface {
	// Post carries an order out, once: see Answer. A merge of a user who has nothing makes no posting: it is nil then. It returns when the posting is
	// durable. The context ends waiting, not the order: Doubt is set then.
	//
	// The transaction id comes first: an order that was carried out is answered with
	// its posting, also when it could not be carried out any more, and another order
	// under that id is Conflict. Then Check and Decide judge it. OpExpire is Invalid
	// here: Sweep makes those.
	//
	// A reservation ends once. Confirm, under another transaction id, of one that was
	// confirmed gives the posting that confirmed it, with Again, when the amounts
	// agree (0 stands for what was held at the beginning), and so does Cancel of one
	// that was cancelled; nothing is kept under the new id then. Every other end of one that
	// ended or is over is Conflict. One that never was, or is not that of the
	// order's UID, is NotFound.
	Post(ctx context.Context, o *game.Order) (Answer, error)
	// Account gives the points of a user; of one who never had any, the empty account.
	Account(ctx context.Context, uid game.UID) (*game.Account, error)
	// Reservation tells of one, also when it ended; NotFound when there was none.
	Reservation(ctx context.Context, id uint64) (game.Reservation, error)
	// Posting finds one by its transaction id; NotFound when there is none.
	Posting(ctx context.Context, tx string) (*game.Posting, error)
	// History gives postings of a user, the newest first, from before a place (0: from
	// the end), at most limit (1 to HistoryMax).
	History(ctx context.Context, uid game.UID, before uint64, limit int) ([]*game.Posting, error)
	// Postings gives all postings in order, from behind a place.
	Postings(ctx context.Context, after uint64, limit int) ([]*game.Posting, error)
	// Accounts gives users that have an account, by UID, from behind one.
	Accounts(ctx context.Context, after game.UID, limit int) ([]*game.Account, error)
	// Totals gives the sums by class, those that the engine keeps beside the entries.
	Totals(ctx context.Context) (Totals, error)
	// TotalsAt adds up all entries until a moment, one by one: the sum check, and the
	// report of what is unspent at a date. It may take long.
	TotalsAt(ctx context.Context, at game.Instant) (Totals, error)
	// Sweep ends lots and reservations that are over, of at most limit accounts (1 to
	// HistoryMax), and gives the postings that it made: one for each account, none when
	// nothing is over.
	Sweep(ctx context.Context, limit int) ([]*game.Posting, error)
	// Now is the ledger's time.
	Now() game.Instant
	// Close gives everything back; what was answered is durable without it.
	Close() error
}

// Totals are sums with the place up to which they count.
type Totals struct {
	Classes  game.Totals
	Postings uint64 // how many were counted
	Last     uint64 // place of the last one
	Accounts uint64 // users with an account; 0 where it is not counted
}
