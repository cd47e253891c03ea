package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/points"
)

// ledger is the ledger of the core.
type ledger struct {
	*asker
	seen atomic.Pointer[moment]
}

// moment is the ledger's time at one of this process.
type moment struct {
	ledger game.Instant
	here   time.Time
}

// Now goes on from the last time that the ledger told, and is the clock of this machine until it told one.
func (l *ledger) Now() game.Instant {
	now := time.Now()
	if m := l.seen.Load(); m != nil {
		return m.ledger.Add(now.Sub(m.here))
	}
	return game.At(now)
}

func (l *ledger) see(at game.Instant) {
	if at != 0 {
		l.seen.Store(&moment{at, time.Now()})
	}
}

// Post carries an order out at the core. OpMerge is Invalid: users are merged where they are kept.
func (l *ledger) Post(ctx context.Context, o *game.Order) (points.Answer, error) {
	if err := o.Check(0); err != nil { // what is no text must not be changed on its way
		return points.Answer{}, err
	}
	in := api.CoreOrder{Op: o.Op, Tx: o.Tx, UID: o.UID, To: o.To, Amount: o.Amount, Kind: o.Kind, Expires: o.Expires, Term: int64(o.Term), Hold: o.Hold, Reason: o.Reason, By: o.By}
	sum := sha256.Sum256([]byte(o.Tx))
	// A connection that the core closes just now lets the client of package http send the order again by itself, since
	// the header says that it may.
	h := http.Header{"Idempotency-Key": {hex.EncodeToString(sum[:16])}}
	var out api.CoreAnswer
	if err := l.do(ctx, &request{op: "order", method: http.MethodPost, path: "core/orders", header: h, in: in, out: &out, change: true}); err != nil {
		return points.Answer{}, err
	}
	if out.Fault != nil {
		return points.Answer{}, fault(out.Fault)
	}
	if out.Posting == nil {
		return points.Answer{}, &game.Error{Op: "order", Kind: game.Unavailable, Detail: "the core answers something else than was asked", Doubt: true}
	}
	p := out.Posting.Posting()
	if !out.Again {
		l.see(p.Time)
	}
	return points.Answer{Posting: p, Again: out.Again}, nil
}

func (l *ledger) Account(ctx context.Context, uid game.UID) (*game.Account, error) {
	if uid == 0 || uid > game.UIDMax {
		return &game.Account{UID: uid}, nil
	}
	var out api.CoreAccount
	if err := l.do(ctx, &request{op: "account", method: http.MethodGet, path: "core/accounts/" + uid.String(), out: &out}); err != nil {
		return nil, err
	}
	l.see(game.Instant(out.Now))
	return out.Account(), nil
}

func (l *ledger) Reservation(ctx context.Context, id uint64) (game.Reservation, error) {
	if id == 0 || id > 1<<63-1 {
		return game.Reservation{}, game.Errorf(game.NotFound, "there is no reservation %d", id)
	}
	var out api.CoreReservation
	if err := l.do(ctx, &request{op: "reservation", method: http.MethodGet, path: "core/reservations/" + strconv.FormatUint(id, 10), out: &out}); err != nil {
		return game.Reservation{}, err
	}
	return out.Reservation(), nil
}

func (l *ledger) Posting(ctx context.Context, tx string) (*game.Posting, error) {
	var out api.CorePosting
	if err := l.do(ctx, &request{op: "posting", method: http.MethodGet, path: "core/postings?tx=" + url.QueryEscape(tx), out: &out}); err != nil {
		return nil, err
	}
	return out.Posting(), nil
}
