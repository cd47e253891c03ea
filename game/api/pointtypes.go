package api

import (
	"strconv"
	"strings"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
)

// Grant asks for points for a user.
type Grant struct {
	UID     game.UID       `json:"uid"`
	Amount  game.Amount    `json:"amount"`
	Kind    game.PointKind `json:"kind,omitempty" doc:"free (default) or paid"`
	Expires game.Instant   `json:"expires,omitempty" doc:"end of the points; none by default"`
	Reason  string         `json:"reason,omitempty" doc:"for people"`
}

// Spend asks for points from a user.
type Spend struct {
	UID    game.UID    `json:"uid,omitempty" doc:"by default the user whose token it is"`
	Amount game.Amount `json:"amount"`
	Reason string      `json:"reason,omitempty" doc:"for people"`
}

// Transfer asks to move points.
type Transfer struct {
	From   game.UID    `json:"from,omitempty" doc:"by default the user whose token it is"`
	To     game.UID    `json:"to"`
	Amount game.Amount `json:"amount"`
	Reason string      `json:"reason,omitempty" doc:"for people"`
}

// Receipt asks for the points that a user bought in a store.
type Receipt struct {
	Store   string       `json:"store" doc:"name of the store"`
	Receipt string       `json:"receipt" doc:"the store's own id of the purchase"`
	UID     game.UID     `json:"uid"`
	Amount  game.Amount  `json:"amount"`
	Expires game.Instant `json:"expires,omitempty" doc:"end of the points; none by default"`
	Reason  string       `json:"reason,omitempty" doc:"for people"`
}

// Reserve asks to hold points.
type Reserve struct {
	UID       game.UID    `json:"uid,omitempty" doc:"by default the user whose token it is"`
	Amount    game.Amount `json:"amount"`
	ExpiresIn int64       `json:"expires_in,omitempty" doc:"seconds until it gives back by itself; by default points.hold_term"`
	Reason    string      `json:"reason,omitempty" doc:"for people"`
}

// Confirm may say how much of a reservation is spent; the rest goes back.
type Confirm struct {
	Amount game.Amount `json:"amount,omitempty" doc:"by default all that is held"`
}

// Transaction is an order that was carried out.
type Transaction struct {
	ID          string         `json:"id" doc:"the Idempotency-Key, or one that was chosen"`
	Seq         string         `json:"seq" doc:"place in the ledger"`
	Op          string         `json:"op" doc:"grant, spend, transfer, reserve, confirm, cancel, revoke or expire"`
	UID         game.UID       `json:"uid"`
	To          game.UID       `json:"to,omitempty"`
	Amount      game.Amount    `json:"amount"`
	Kind        game.PointKind `json:"kind" doc:"of a grant: free or paid"`
	Balance     game.Amount    `json:"balance" doc:"what the user could spend afterwards"`
	Reservation string         `json:"reservation,omitempty"`
	Reason      string         `json:"reason,omitempty"`
	By          string         `json:"by,omitempty" doc:"who asked"`
	Time        game.Instant   `json:"time"`
	Entries     []game.Entry   `json:"entries,omitempty" doc:"what moved, in lists"`
}

// Reservation is points that are held, or were.
type Reservation struct {
	ID      string       `json:"id"`
	UID     game.UID     `json:"uid"`
	Amount  game.Amount  `json:"amount" doc:"held; once it has ended, spent or given back"`
	State   string       `json:"state" doc:"open, confirmed, cancelled or expired"`
	Balance game.Amount  `json:"balance" doc:"what the user could spend after the transaction"`
	Expires game.Instant `json:"expires" doc:"when an open one gives back by itself"`
	Seq     string       `json:"seq" doc:"place in the ledger of the transaction that made or ended it"`
	Time    game.Instant `json:"time"`
}

// Lot is points of one kind with one end.
type Lot struct {
	Kind    game.PointKind `json:"kind"`
	Amount  game.Amount    `json:"amount"`
	Expires game.Instant   `json:"expires"`
}

// Account is the points of a user.
type Account struct {
	UID          game.UID      `json:"uid"`
	Balance      game.Amount   `json:"balance" doc:"what can be spent now"`
	Free         game.Amount   `json:"free"`
	Paid         game.Amount   `json:"paid"`
	Held         game.Amount   `json:"held" doc:"under open reservations"`
	Debt         game.Amount   `json:"debt" doc:"what a charge-back took that was spent already"`
	Lots         []Lot         `json:"lots"`
	Reservations []Reservation `json:"reservations" doc:"those that are open"`
	Seq          string        `json:"seq" doc:"place of the last transaction; 0: there was none"`
}

// AccountPage is a page of accounts.
type AccountPage struct {
	Accounts []Account `json:"accounts"`
	Next     string    `json:"next,omitempty" doc:"after of the next page"`
}

// TransactionPage is a page of transactions.
type TransactionPage struct {
	Transactions []Transaction `json:"transactions"`
	Next         string        `json:"next,omitempty" doc:"before or after of the next page"`
}

// Sum is what all accounts hold.
type Sum struct {
	Sum          game.Amount            `json:"sum" doc:"zero, or the ledger is broken"`
	Classes      map[string]game.Amount `json:"classes"`
	Transactions uint64                 `json:"transactions"`
	Accounts     uint64                 `json:"accounts,omitempty"`
	Last         string                 `json:"last" doc:"place of the last transaction that is counted"`
}

// Unspent is what users own at a moment.
type Unspent struct {
	At           game.Instant `json:"at"`
	Paid         game.Amount  `json:"paid"`
	Free         game.Amount  `json:"free"`
	Debt         game.Amount  `json:"debt"`
	Transactions uint64       `json:"transactions" doc:"that were added up"`
}

// keyOf gives the caller's key of a transaction id.
func keyOf(tx string) string {
	_, key, _ := strings.Cut(tx, ":")
	return key
}

func transactionOf(p *game.Posting, entries bool) Transaction {
	t := Transaction{
		ID: keyOf(p.Tx), Seq: strconv.FormatUint(p.Seq, 10), Op: p.Op.String(), UID: p.UID, To: p.To, Amount: p.Amount, Kind: p.Kind, Balance: p.Balance,
		Reason: p.Reason, By: p.By, Time: p.Time,
	}
	if p.Hold != 0 {
		t.Reservation = strconv.FormatUint(p.Hold, 10)
	}
	if entries {
		t.Entries = p.Entries
	}
	return t
}

// appendTransaction is the JSON of transactionOf without entries, for the answer
// to an order, which is the hottest of all.
func appendTransaction(b []byte, p *game.Posting) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, keyOf(p.Tx))
	b = append(b, `,"seq":"`...)
	b = strconv.AppendUint(b, p.Seq, 10)
	b = append(b, `","op":"`...)
	b = append(b, p.Op.String()...)
	b = append(b, `","uid":"`...)
	b = strconv.AppendUint(b, uint64(p.UID), 10)
	if p.To != 0 {
		b = append(b, `","to":"`...)
		b = strconv.AppendUint(b, uint64(p.To), 10)
	}
	b = append(b, `","amount":`...)
	b = strconv.AppendInt(b, int64(p.Amount), 10)
	b = append(b, `,"kind":"`...)
	b = append(b, p.Kind.String()...)
	b = append(b, `","balance":`...)
	b = strconv.AppendInt(b, int64(p.Balance), 10)
	if p.Hold != 0 {
		b = append(b, `,"reservation":"`...)
		b = strconv.AppendUint(b, p.Hold, 10)
		b = append(b, '"')
	}
	for _, member := range [...]struct{ name, value string }{{"reason", p.Reason}, {"by", p.By}} {
		if member.value != "" {
			b = append(b, `,"`...)
			b = append(b, member.name...)
			b = append(b, `":`...)
			b = appendText(b, member.value)
		}
	}
	b = append(b, `,"time":`...)
	b = appendInstant(b, p.Time)
	return append(b, '}')
}

// appendReservation is the JSON of a Reservation after a transaction.
func appendReservation(b []byte, p *game.Posting, state game.HoldState) []byte {
	b = append(b, `{"id":"`...)
	b = strconv.AppendUint(b, p.Hold, 10)
	b = append(b, `","uid":"`...)
	b = strconv.AppendUint(b, uint64(p.UID), 10)
	b = append(b, `","amount":`...)
	b = strconv.AppendInt(b, int64(p.Amount), 10)
	b = append(b, `,"state":"`...)
	b = append(b, state.String()...)
	b = append(b, `","balance":`...)
	b = strconv.AppendInt(b, int64(p.Balance), 10)
	b = append(b, `,"expires":`...)
	b = appendInstant(b, p.Until)
	b = append(b, `,"seq":"`...)
	b = strconv.AppendUint(b, p.Seq, 10)
	b = append(b, `","time":`...)
	b = appendInstant(b, p.Time)
	return append(b, '}')
}

// appendText is a JSON text: as it is where nothing needs to be escaped.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return append(b, mustJSON(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendInstant is RFC 3339 in UTC, or null for never.
func appendInstant(b []byte, i game.Instant) []byte {
	if i == 0 {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = i.Time().AppendFormat(b, "2006-01-02T15:04:05.999999Z07:00")
	return append(b, '"')
}

func reservationOf(r *game.Reservation) Reservation {
	last := r.Made
	out := Reservation{ID: strconv.FormatUint(r.ID, 10), UID: r.UID, Amount: r.Amount, State: r.State.String(), Expires: r.Until}
	if r.Ended != nil {
		last = r.Ended
		if r.State == game.HoldConfirmed {
			out.Amount = last.Amount
		}
	}
	if last != nil {
		out.Balance, out.Seq, out.Time = last.Balance, strconv.FormatUint(last.Seq, 10), last.Time
	}
	return out
}

func accountOf(a *game.Account, now game.Instant) Account {
	a = a.At(now)
	out := Account{
		UID: a.UID, Balance: a.Balance(now), Free: a.Of(game.Free, now), Paid: a.Of(game.Paid, now), Held: a.Held(now), Debt: a.Debt,
		Lots: make([]Lot, 0, len(a.Lots)), Reservations: make([]Reservation, 0, len(a.Holds)), Seq: strconv.FormatUint(a.Seq, 10),
	}
	for _, l := range a.Lots {
		out.Lots = append(out.Lots, lotOf(l))
	}
	for i := range a.Holds {
		h := &a.Holds[i]
		out.Reservations = append(out.Reservations, Reservation{ID: strconv.FormatUint(h.ID, 10), UID: a.UID, Amount: h.Amount(), State: game.HoldOpen.String(), Balance: out.Balance, Expires: h.Until, Seq: strconv.FormatUint(h.ID, 10)})
	}
	return out
}

func lotOf(l game.Lot) Lot { return Lot{Kind: l.Kind, Amount: l.Amount, Expires: l.Expires} }

func sumOf(t points.Totals) Sum {
	out := Sum{Sum: t.Classes.Sum(), Classes: map[string]game.Amount{}, Transactions: t.Postings, Accounts: t.Accounts, Last: strconv.FormatUint(t.Last, 10)}
	for c := game.Class(1); c < game.ClassCount; c++ {
		out.Classes[c.String()] = t.Classes[c]
	}
	return out
}

// transactionPage makes a page of postings. A user does not see who of the house asked.
func transactionPage(list []*game.Posting, limit int, user bool) TransactionPage {
	page := TransactionPage{Transactions: make([]Transaction, 0, len(list))}
	for _, p := range list {
		t := transactionOf(p, true)
		if user {
			t.By = ""
		}
		page.Transactions = append(page.Transactions, t)
	}
	if len(list) == limit && limit > 0 {
		page.Next = strconv.FormatUint(list[limit-1].Seq, 10)
	}
	return page
}
