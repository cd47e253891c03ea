package calls

import (
	"context"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/wire"
)

// whose gives the user whose points a call is about.
func (c *Calls) whose(ctx context.Context, who game.Principal, uid uint64) (game.UID, error) {
	return core.Whose(ctx, c.Identity, &who, game.UID(uid), game.ScopePoints)
}

// post carries an order out for a caller.
func (c *Calls) post(ctx context.Context, who game.Principal, key string, o *game.Order) (answer []byte, err error) {
	if o.Tx == "" {
		if o.Tx, err = tx(who, key); err != nil {
			return nil, err
		}
	}
	o.By = who.Name()
	a, err := c.Points.Post(ctx, o)
	if err != nil {
		return nil, err
	}
	if !a.Again && c.cfg.Posted != nil {
		c.cfg.Posted(who, a.Posting)
	}
	return appendPosting(make([]byte, 0, 64), a), nil
}

// appendPosting appends a wire.PointsPosting: by hand, since it answers what is asked most.
func appendPosting(b []byte, a points.Answer) []byte {
	p := a.Posting
	number := func(field protowire.Number, v uint64) {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
		}
	}
	number(1, p.Seq)
	number(2, protowire.EncodeBool(a.Again))
	b = protowire.AppendString(protowire.AppendTag(b, 3, protowire.BytesType), p.Op.String())
	number(4, uint64(p.Amount))
	number(5, uint64(p.Balance))
	number(6, p.Hold)
	number(7, uint64(p.Time)/1000)
	return b
}

func (c *Calls) account(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := accountRequests.read(body)
	if err != nil {
		return nil, err
	}
	defer accountRequests.put(in)
	uid, err := c.whose(ctx, who, in.Uid)
	if err != nil {
		return nil, err
	}
	a, err := c.Points.Account(ctx, uid)
	if err != nil {
		return nil, err
	}
	now := c.Points.Now()
	a = a.At(now)
	return wire.Body(&wire.PointsAccount{
		Uid: uint64(a.UID), Balance: int64(a.Balance(now)), Paid: int64(a.Of(game.Paid, now)), Free: int64(a.Of(game.Free, now)), Held: int64(a.Held(now)), Debt: int64(a.Debt),
	})
}

// expiresMsMax is the last moment that points may end: the end of the year 9999, which every text of a time can say.
const expiresMsMax = 253_402_300_799_999

func (c *Calls) grant(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	if err := who.Wants(game.ScopePoints); err != nil {
		return nil, err
	}
	in, err := grants.read(body)
	if err != nil {
		return nil, err
	}
	defer grants.put(in)
	if in.ExpiresMs < 0 || in.ExpiresMs > expiresMsMax {
		return nil, game.Errorf(game.Invalid, "expires_ms is %d: want milliseconds since 1970, or 0 for points without an end", in.ExpiresMs)
	}
	uid, err := c.whose(ctx, who, in.Uid)
	if err != nil {
		return nil, err
	}
	o := &game.Order{Op: game.OpGrant, UID: uid, Amount: game.Amount(in.Amount), Expires: game.Instant(in.ExpiresMs * 1000), Reason: in.Reason}
	if in.Paid {
		o.Kind = game.Paid
	}
	if c.cfg.Points.NeedsApproval(o.Amount) {
		return nil, core.GrantTold(o.Amount)
	}
	return c.post(ctx, who, in.Key, o)
}

func (c *Calls) spend(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := spends.read(body)
	if err != nil {
		return nil, err
	}
	defer spends.put(in)
	uid, err := c.whose(ctx, who, in.Uid)
	if err != nil {
		return nil, err
	}
	return c.post(ctx, who, in.Key, &game.Order{Op: game.OpSpend, UID: uid, Amount: game.Amount(in.Amount), Reason: in.Reason})
}

func (c *Calls) transfer(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := transfers.read(body)
	if err != nil {
		return nil, err
	}
	defer transfers.put(in)
	from, err := c.whose(ctx, who, in.From)
	if err != nil {
		return nil, err
	}
	to, err := c.Identity.Canonical(ctx, game.UID(in.To))
	if err != nil {
		return nil, err
	}
	return c.post(ctx, who, in.Key, &game.Order{Op: game.OpTransfer, UID: from, To: to, Amount: game.Amount(in.Amount), Reason: in.Reason})
}

func (c *Calls) reserve(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := reserves.read(body)
	if err != nil {
		return nil, err
	}
	defer reserves.put(in)
	uid, err := c.whose(ctx, who, in.Uid)
	if err != nil {
		return nil, err
	}
	term := c.cfg.Points.HoldTerm
	if in.Seconds != 0 { // 32 bits of seconds are a time.Duration; the order's own Check has the bound
		term = time.Duration(in.Seconds) * time.Second
	}
	return c.post(ctx, who, in.Key, &game.Order{Op: game.OpReserve, UID: uid, Amount: game.Amount(in.Amount), Term: term, Reason: in.Reason})
}

func (c *Calls) confirm(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	return c.end(ctx, who, game.OpConfirm, body)
}

func (c *Calls) cancel(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	return c.end(ctx, who, game.OpCancel, body)
}

func (c *Calls) end(ctx context.Context, who game.Principal, op game.Op, body []byte) ([]byte, error) {
	in, err := ends.read(body)
	if err != nil {
		return nil, err
	}
	defer ends.put(in)
	uid := game.UID(in.Uid)
	if uid != 0 {
		if uid, err = c.whose(ctx, who, in.Uid); err != nil {
			return nil, err
		}
	}
	amount := game.Amount(in.Amount)
	if op == game.OpCancel {
		amount = 0
	}
	o, err := who.EndOrder(op, in.Reservation, uid, amount, in.Key)
	if err != nil {
		return nil, err
	}
	answer, err := c.post(ctx, who, in.Key, &o)
	if err != nil {
		return nil, core.EndTold(ctx, c.Points, &who, in.Reservation, err)
	}
	return answer, nil
}
