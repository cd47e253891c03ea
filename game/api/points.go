package api

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/points"
)

// pointRoutes are the rows about points.
func (a *api) pointRoutes() []route {
	const s = game.ScopePoints
	return []route{
		{"POST", "points/grants", byScope, s, "Give points to a user", Grant{}, Transaction{}, (*call).grant},
		{"POST", "points/spends", known, s, "Take points from a user", Spend{}, Transaction{}, (*call).spend},
		{"POST", "points/transfers", known, s, "Move points from user to user, where that is allowed", Transfer{}, Transaction{}, (*call).transfer},
		{"POST", "points/revocations", byScope, s, "Take points back after a charge-back; what is missing becomes a debt", Spend{}, Transaction{}, (*call).revoke},
		{"POST", "points/receipts", byScope, s, "Give paid points for a store's receipt, once for each receipt", Receipt{}, Transaction{}, (*call).receipt},
		{"POST", "points/reservations", known, s, "Hold points of a user until they are confirmed, cancelled, or the time is over", Reserve{}, Reservation{}, (*call).reserve},
		{"GET", "points/reservations/{id}", known, s, "Show a reservation", nil, Reservation{}, (*call).showReservation},
		{"POST", "points/reservations/{id}/confirm", known, s, "Spend what is held, or a part of it", Confirm{}, Reservation{}, (*call).confirm},
		{"POST", "points/reservations/{id}/cancel", known, s, "Give back what is held", nil, Reservation{}, (*call).cancel},
		{"GET", "points/accounts", byScope, s, "List accounts by user", nil, AccountPage{}, (*call).listAccounts},
		{"GET", "points/accounts/{uid}", known, s, "Show the points of a user", nil, Account{}, (*call).showAccount},
		{"GET", "points/accounts/{uid}/transactions", known, s, "List what happened to the points of a user, the newest first", nil, TransactionPage{}, (*call).history},
		{"GET", "points/transactions", byScope, s, "List all transactions in order", nil, TransactionPage{}, (*call).listTransactions},
		{"GET", "points/transactions/{key}", known, s, "Find the caller's own transaction by its Idempotency-Key", nil, Transaction{}, (*call).findTransaction},
		{"GET", "points/sum", byScope, s, "Sums of all accounts by class; together they are zero", nil, Sum{}, (*call).sum},
		{"GET", "points/unspent", byScope, s, "Unspent paid points at a moment, from all entries until then", nil, Unspent{}, (*call).unspent},
	}
}

// tx gives the transaction id of a request: the caller's key, or one that nobody has.
func (c *call) tx() (string, error) {
	key := c.r.Header.Get("Idempotency-Key")
	if key == "" {
		key = rand.Text()
	}
	return c.who.Tx(key)
}

// whose gives the user whose points an order is about: the one that is named, or the user who asks.
func (c *call) whose(uid game.UID) (game.UID, error) {
	return core.Whose(c.ctx(), c.Identity, &c.who, uid, game.ScopePoints)
}

// order carries an order out that a request asks for.
func (c *call) order(o game.Order) (points.Answer, error) {
	var err error
	if o.Tx == "" {
		if o.Tx, err = c.tx(); err != nil {
			return points.Answer{}, err
		}
	}
	o.By = c.who.Name()
	a, err := c.Points.Post(c.ctx(), &o)
	if err != nil {
		return a, err
	}
	if !a.Again {
		c.posted(a.Posting)
	}
	return a, nil
}

// posted tells of a posting.
func (c *call) posted(p *game.Posting) {
	if c.Moved != nil {
		c.Moved(p)
	}
	if c.Events == nil {
		return
	}
	c.event(p.Event())
}

// transaction answers with what became of an order.
func (c *call) transaction(o game.Order) (any, error) {
	a, err := c.order(o)
	if err != nil {
		return nil, err
	}
	return answered{http.StatusCreated, raw(append(appendTransaction(make([]byte, 0, 320), a.Posting), '\n'))}, nil
}

func (c *call) grant() (any, error) {
	var in Grant
	if err := c.body(&in); err != nil {
		return nil, err
	}
	uid, err := c.whose(in.UID)
	if err != nil {
		return nil, err
	}
	return c.give(game.Order{Op: game.OpGrant, UID: uid, Amount: in.Amount, Kind: in.Kind, Expires: in.Expires, Reason: in.Reason})
}

// give carries a grant out, or lets it wait for somebody else when it is large.
func (c *call) give(o game.Order) (any, error) {
	if !c.Config.Points.NeedsApproval(o.Amount) {
		return c.transaction(o)
	}
	var err error
	if o.Tx == "" {
		if o.Tx, err = c.tx(); err != nil {
			return nil, err
		}
	}
	o.By = c.who.Name()
	if err := o.Check(c.Points.Now()); err != nil {
		return nil, err
	}
	request, err := c.Approvals.Ask(c.ctx(), o)
	if err != nil {
		return nil, err
	}
	return answered{http.StatusAccepted, approvalOf(request)}, nil
}

func (c *call) receipt() (any, error) {
	var in Receipt
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Store == "" || len(in.Store) > 32 || strings.Contains(in.Store, ":") || in.Receipt == "" || len(in.Receipt) > 128 || !utf8.ValidString(in.Store+in.Receipt) {
		return nil, game.Errorf(game.Invalid, "store and receipt: want a name of 1 to 32 bytes without a colon, and the store's own id of 1 to 128 bytes")
	}
	uid, err := c.whose(in.UID)
	if err != nil {
		return nil, err
	}
	return c.give(game.Order{Op: game.OpGrant, Tx: "r" + in.Store + ":" + in.Receipt, UID: uid, Amount: in.Amount, Kind: game.Paid, Expires: in.Expires, Reason: in.Reason})
}

func (c *call) spend() (any, error) { return c.take(game.OpSpend) }

func (c *call) revoke() (any, error) { return c.take(game.OpRevoke) }

// take carries out an order that takes points from a user.
func (c *call) take(op game.Op) (any, error) {
	var in Spend
	if err := c.body(&in); err != nil {
		return nil, err
	}
	uid, err := c.whose(in.UID)
	if err != nil {
		return nil, err
	}
	return c.transaction(game.Order{Op: op, UID: uid, Amount: in.Amount, Reason: in.Reason})
}

func (c *call) transfer() (any, error) {
	var in Transfer
	if err := c.body(&in); err != nil {
		return nil, err
	}
	from, err := c.whose(in.From)
	if err != nil {
		return nil, err
	}
	to, err := c.Identity.Canonical(c.ctx(), in.To)
	if err != nil {
		return nil, err
	}
	return c.transaction(game.Order{Op: game.OpTransfer, UID: from, To: to, Amount: in.Amount, Reason: in.Reason})
}

func (c *call) reserve() (any, error) {
	var in Reserve
	if err := c.body(&in); err != nil {
		return nil, err
	}
	uid, err := c.whose(in.UID)
	if err != nil {
		return nil, err
	}
	term := c.Config.Points.HoldTerm
	if in.ExpiresIn != 0 {
		if in.ExpiresIn < 0 || in.ExpiresIn > int64(game.HoldTermMax/time.Second) {
			return nil, game.Errorf(game.Invalid, "expires_in is %d: want 1 to %d seconds", in.ExpiresIn, game.HoldTermMax/time.Second)
		}
		term = time.Duration(in.ExpiresIn) * time.Second
	}
	a, err := c.order(game.Order{Op: game.OpReserve, UID: uid, Amount: in.Amount, Term: term, Reason: in.Reason})
	if err != nil {
		return nil, err
	}
	return answered{http.StatusCreated, raw(append(appendReservation(make([]byte, 0, 256), a.Posting, game.HoldOpen), '\n'))}, nil
}

// reservation finds the one that the path names, if the caller may see it.
func (c *call) reservation() (game.Reservation, error) {
	id, err := c.reservationID()
	if err != nil {
		return game.Reservation{}, err
	}
	r, err := c.Points.Reservation(c.ctx(), id)
	if err != nil {
		return r, err
	}
	return r, c.who.For(r.UID, game.ScopePoints)
}

func (c *call) reservationID() (uint64, error) {
	id, err := strconv.ParseUint(c.r.PathValue("id"), 10, 63)
	if err != nil || id == 0 {
		return 0, game.Errorf(game.NotFound, "there is no reservation %.40q", c.r.PathValue("id"))
	}
	return id, nil
}

func (c *call) showReservation() (any, error) {
	r, err := c.reservation()
	if err != nil {
		return nil, err
	}
	return reservationOf(&r), nil
}

func (c *call) confirm() (any, error) {
	var in Confirm
	if err := c.body(&in); err != nil {
		return nil, err
	}
	return c.end(game.OpConfirm, in.Amount, game.HoldConfirmed)
}

func (c *call) cancel() (any, error) { return c.end(game.OpCancel, 0, game.HoldCancelled) }

// end confirms or cancels a reservation. Whose it is has not to be looked up, which would cost a read of the log.
func (c *call) end(op game.Op, amount game.Amount, state game.HoldState) (any, error) {
	id, err := c.reservationID()
	if err != nil {
		return nil, err
	}
	o, err := c.who.EndOrder(op, id, 0, amount, c.r.Header.Get("Idempotency-Key"))
	if err != nil {
		return nil, err
	}
	a, err := c.order(o)
	if err != nil {
		return nil, core.EndTold(c.ctx(), c.Points, &c.who, id, err)
	}
	return raw(append(appendReservation(make([]byte, 0, 256), a.Posting, state), '\n')), nil
}

func (c *call) showAccount() (any, error) {
	uid, err := c.uid()
	if err != nil {
		return nil, err
	}
	if uid, err = c.whose(uid); err != nil {
		return nil, err
	}
	acct, err := c.Points.Account(c.ctx(), uid)
	if err != nil {
		return nil, err
	}
	return accountOf(acct, c.Points.Now()), nil
}

func (c *call) listAccounts() (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	after, err := c.number("after", 0, 0, uint64(game.UIDMax))
	if err != nil {
		return nil, err
	}
	list, err := c.Points.Accounts(c.ctx(), game.UID(after), limit)
	if err != nil {
		return nil, err
	}
	page, now := AccountPage{Accounts: make([]Account, 0, len(list))}, c.Points.Now()
	for _, a := range list {
		page.Accounts = append(page.Accounts, accountOf(a, now))
	}
	if len(list) == limit {
		page.Next = list[limit-1].UID.String()
	}
	return page, nil
}

func (c *call) history() (any, error) {
	uid, err := c.uid()
	if err != nil {
		return nil, err
	}
	if uid, err = c.whose(uid); err != nil {
		return nil, err
	}
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	before, err := c.number("before", 0, 1, 1<<63-1)
	if err != nil {
		return nil, err
	}
	list, err := c.Points.History(c.ctx(), uid, before, limit)
	return transactionPage(list, limit, c.who.Kind == game.ByUser), err
}

func (c *call) listTransactions() (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	after, err := c.number("after", 0, 0, 1<<63-1)
	if err != nil {
		return nil, err
	}
	list, err := c.Points.Postings(c.ctx(), after, limit)
	return transactionPage(list, limit, false), err
}

func (c *call) findTransaction() (any, error) {
	tx, err := c.who.Tx(c.r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	p, err := c.Points.Posting(c.ctx(), tx)
	if err != nil {
		return nil, err
	}
	return transactionOf(p, true), nil
}

func (c *call) sum() (any, error) {
	t, err := c.Points.Totals(c.ctx())
	if err != nil {
		return nil, err
	}
	return sumOf(t), nil
}

func (c *call) unspent() (any, error) {
	at, err := c.moment("at")
	if err != nil {
		return nil, err
	}
	if at == 0 {
		at = c.Points.Now()
	}
	t, err := c.Points.TotalsAt(c.ctx(), at)
	if err != nil {
		return nil, err
	}
	return Unspent{At: at, Paid: t.Classes.UnspentPaid(), Free: t.Classes[game.UserFree] + t.Classes[game.HeldFree], Debt: -t.Classes[game.UserDebt], Transactions: t.Postings}, nil
}
