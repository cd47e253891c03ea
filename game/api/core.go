package api

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/points"
)

// coreRoutes are the rows for servers that keep connections and have no users and points of their own (game.core in
// their configuration). They speak for those who are connected to them, so all want the scope admin; they judge by themselves what
// those may do, and tell the events themselves. What is wrong with the one that they speak for is in the answer, so that it is
// never taken for what is wrong with their own credential. The bodies are in package core's own terms.
func (a *api) coreRoutes() []route {
	const s = game.ScopeAdmin
	return []route{
		{"POST", "core/principals", byScope, s, "Say who has some credentials, for a server that has none of its own", CoreCredentials{}, CorePrincipals{}, (*call).corePrincipals},
		{"POST", "core/logins", byScope, s, "Sign somebody in who is connected to another server", CoreLoginRequest{}, CoreLogin{}, (*call).coreLogin},
		{"GET", "core/users/{uid}", byScope, s, "Say which user an id stands for today", nil, CoreUser{}, (*call).coreUser},
		{"POST", "core/orders", byScope, s, "Carry an order of points out as it is, under the transaction id that another server made", CoreOrder{}, CoreAnswer{}, (*call).coreOrder},
		{"GET", "core/postings", byScope, s, "Find a posting by its whole transaction id (tx)", nil, CorePosting{}, (*call).corePosting},
		{"GET", "core/reservations/{id}", byScope, s, "Show a reservation with its postings", nil, CoreReservation{}, (*call).coreReservation},
		{"GET", "core/accounts/{uid}", byScope, s, "Show the points of a user as the ledger has them", nil, CoreAccount{}, (*call).coreAccount},
	}
}

// CoreCredentialsMax bounds the credentials of one request, and coreBytesMax its body.
const (
	CoreCredentialsMax = 512
	coreBytesMax       = 2 << 20
)

// CoreCredentials asks who has credentials.
type CoreCredentials struct {
	Credentials []string `json:"credentials" doc:"access tokens, or secrets of services; at most 512"`
}

// CoreFault says why something was not done for somebody else.
type CoreFault struct {
	Kind    string `json:"kind"`
	Detail  string `json:"detail,omitempty"`
	Doubt   bool   `json:"doubt,omitempty"`
	RetryMs int64  `json:"retry_ms,omitempty" doc:"when a further try makes sense"`
}

// CorePrincipal is who has a credential.
type CorePrincipal struct {
	UID     game.UID   `json:"uid,omitempty" doc:"of a user"`
	Session string     `json:"session,omitempty"`
	Expires time.Time  `json:"expires,omitzero"`
	Muted   time.Time  `json:"muted_until,omitzero"`
	Service string     `json:"service,omitempty" doc:"of a service"`
	Scopes  []string   `json:"scopes,omitempty"`
	Fault   *CoreFault `json:"fault,omitempty" doc:"nobody has it"`
}

// CorePrincipals are the owners of credentials, in the order of these.
type CorePrincipals struct {
	Principals []CorePrincipal `json:"principals"`
}

// CoreLoginRequest proves who somebody is.
type CoreLoginRequest struct {
	How      string     `json:"how" doc:"new_guest, guest, password or refresh"`
	Secret   string     `json:"secret,omitempty" doc:"new_guest, guest: the device's; refresh: the refresh token"`
	Email    string     `json:"email,omitempty"`
	Password string     `json:"password,omitempty"`
	Address  netip.Addr `json:"address,omitzero" doc:"network address of the client, for its limits; absent: not known, and not limited"`
	Agent    string     `json:"agent,omitempty"`
}

// CoreLogin is a sign-in, or why there is none.
type CoreLogin struct {
	Tokens *CoreTokens `json:"tokens,omitempty"`
	Fault  *CoreFault  `json:"fault,omitempty"`
}

// CoreTokens is a sign-in.
type CoreTokens struct {
	UID            game.UID  `json:"uid"`
	Session        string    `json:"session"`
	Created        bool      `json:"created,omitempty"`
	Access         string    `json:"access_token"`
	AccessExpires  time.Time `json:"access_expires"`
	Refresh        string    `json:"refresh_token"`
	RefreshExpires time.Time `json:"refresh_expires"`
	DeviceSecret   string    `json:"device_secret,omitempty"`
}

// CoreUser is the user that an id stands for.
type CoreUser struct {
	UID game.UID `json:"uid"`
}

// CoreOrder is an order of points.
type CoreOrder struct {
	Op      game.Op        `json:"op"`
	Tx      string         `json:"tx"`
	UID     game.UID       `json:"uid,omitempty"`
	To      game.UID       `json:"to,omitempty"`
	Amount  game.Amount    `json:"amount,omitempty"`
	Kind    game.PointKind `json:"kind,omitempty"`
	Expires game.Instant   `json:"expires,omitempty"`
	Term    int64          `json:"term,omitempty" doc:"nanoseconds that a reservation holds"`
	Hold    uint64         `json:"hold,omitempty,string"`
	Reason  string         `json:"reason,omitempty"`
	By      string         `json:"by,omitempty"`
}

// CorePosting is a posting as the ledger has it. Instants are microseconds since 1970.
type CorePosting struct {
	Seq       uint64         `json:"seq,string"`
	Time      int64          `json:"time"`
	Op        game.Op        `json:"op"`
	Tx        string         `json:"tx"`
	Digest    string         `json:"digest"`
	UID       game.UID       `json:"uid"`
	To        game.UID       `json:"to,omitempty"`
	Amount    game.Amount    `json:"amount"`
	Kind      game.PointKind `json:"kind"`
	Hold      uint64         `json:"hold,omitempty,string"`
	Until     int64          `json:"until,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	By        string         `json:"by,omitempty"`
	Entries   []game.Entry   `json:"entries,omitempty"`
	Balance   game.Amount    `json:"balance"`
	BalanceTo game.Amount    `json:"balance_to,omitempty"`
}

// CoreAnswer is what became of an order.
type CoreAnswer struct {
	Posting *CorePosting `json:"posting,omitempty"`
	Again   bool         `json:"again,omitempty"`
	Fault   *CoreFault   `json:"fault,omitempty" doc:"why it was not carried out"`
}

// CoreReservation is a reservation with its postings.
type CoreReservation struct {
	ID     uint64       `json:"id,string"`
	UID    game.UID     `json:"uid"`
	Amount game.Amount  `json:"amount"`
	Until  int64        `json:"until"`
	State  uint8        `json:"state" doc:"0 open, 1 confirmed, 2 cancelled, 3 expired"`
	Made   *CorePosting `json:"made,omitempty"`
	Ended  *CorePosting `json:"ended,omitempty"`
}

// CoreHold is an open reservation of an account.
type CoreHold struct {
	ID    uint64 `json:"id,string"`
	Until int64  `json:"until"`
	Lots  []Lot  `json:"lots"`
}

// CoreAccount is an account as the ledger has it.
type CoreAccount struct {
	UID   game.UID    `json:"uid"`
	Lots  []Lot       `json:"lots,omitempty"`
	Holds []CoreHold  `json:"holds,omitempty"`
	Debt  game.Amount `json:"debt,omitempty"`
	Seq   uint64      `json:"seq,string"`
	Now   int64       `json:"now" doc:"the ledger's time"`
}

func coreFault(err error) *CoreFault {
	var e *game.Error
	if !errors.As(err, &e) || e.Kind == game.Internal {
		return nil
	}
	f := &CoreFault{Kind: e.Kind.String(), Detail: e.Detail, Doubt: e.Doubt}
	var after game.RetryAfter
	if errors.As(err, &after) {
		f.RetryMs = time.Duration(after).Milliseconds()
	}
	return f
}

func (c *call) corePrincipals() (any, error) {
	b, err := c.bytes(coreBytesMax)
	if err != nil {
		return nil, err
	}
	var in CoreCredentials
	if err := decode(b, &in); err != nil {
		return nil, err
	}
	if len(in.Credentials) == 0 || len(in.Credentials) > CoreCredentialsMax {
		return nil, game.Errorf(game.Invalid, "%d credentials: want 1 to %d", len(in.Credentials), CoreCredentialsMax)
	}
	out := CorePrincipals{Principals: make([]CorePrincipal, len(in.Credentials))}
	for i, bearer := range in.Credentials {
		p, err := c.Identity.Authenticate(c.ctx(), bearer)
		if err != nil {
			fault := coreFault(err)
			if fault == nil {
				return nil, err
			}
			out.Principals[i].Fault = fault
			continue
		}
		out.Principals[i] = CorePrincipal{UID: p.UID, Session: p.Session, Expires: p.Expires, Muted: p.MutedUntil, Service: p.Service, Scopes: p.Scopes.Names()}
	}
	return out, nil
}

func (c *call) coreLogin() (any, error) {
	var in CoreLoginRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	cl := game.Client{Address: in.Address.Unmap(), Agent: in.Agent[:min(len(in.Agent), game.AgentBytesMax)]}
	var l game.Login
	var err error
	switch in.How {
	case "new_guest":
		l, err = c.Identity.CreateGuest(c.ctx(), in.Secret, cl)
	case "guest":
		l, err = c.Identity.LoginGuest(c.ctx(), in.Secret, cl)
	case "password":
		l, err = c.Identity.LoginPassword(c.ctx(), in.Email, in.Password, cl)
	case "refresh":
		l, err = c.Identity.Refresh(c.ctx(), in.Secret, cl)
	default:
		return nil, game.Errorf(game.Invalid, "how is %.20q: want new_guest, guest, password or refresh", in.How)
	}
	if err == nil {
		t := CoreTokens(l)
		return CoreLogin{Tokens: &t}, nil
	}
	if fault := coreFault(err); fault != nil {
		return CoreLogin{Fault: fault}, nil
	}
	return nil, err
}

func (c *call) coreUser() (any, error) {
	uid, err := c.uid()
	if err != nil {
		return nil, err
	}
	uid, err = c.Identity.Canonical(c.ctx(), uid)
	return CoreUser{uid}, err
}

// coreOrder carries an order out as the ledger does. A grant that needs an approval gets none this way, whatever the other server's
// configuration says.
func (c *call) coreOrder() (any, error) {
	var in CoreOrder
	if err := c.body(&in); err != nil {
		return nil, err
	}
	o := game.Order{Op: in.Op, Tx: in.Tx, UID: in.UID, To: in.To, Amount: in.Amount, Kind: in.Kind, Expires: in.Expires, Term: time.Duration(in.Term), Hold: in.Hold, Reason: in.Reason, By: in.By}
	a, err := c.postForCore(&o)
	if err == nil {
		return CoreAnswer{Posting: corePostingOf(a.Posting), Again: a.Again}, nil
	}
	if fault := coreFault(err); fault != nil {
		return CoreAnswer{Fault: fault}, nil
	}
	return nil, err
}

func (c *call) postForCore(o *game.Order) (points.Answer, error) {
	switch {
	case o.Op == game.OpGrant && c.Config.Points.NeedsApproval(o.Amount):
		return points.Answer{}, core.GrantTold(o.Amount)
	case o.Op == game.OpMerge:
		return points.Answer{}, game.Errorf(game.Invalid, "users are merged where they are kept")
	}
	return c.Points.Post(c.ctx(), o)
}

func (c *call) corePosting() (any, error) {
	p, err := c.Points.Posting(c.ctx(), c.r.URL.Query().Get("tx"))
	return corePostingOf(p), err
}

func corePostingOf(p *game.Posting) *CorePosting {
	if p == nil {
		return nil
	}
	return &CorePosting{
		Seq: p.Seq, Time: int64(p.Time), Op: p.Op, Tx: p.Tx, Digest: hex.EncodeToString(p.Digest[:]), UID: p.UID, To: p.To, Amount: p.Amount, Kind: p.Kind, Hold: p.Hold,
		Until: int64(p.Until), Reason: p.Reason, By: p.By, Entries: p.Entries, Balance: p.Balance, BalanceTo: p.BalanceTo,
	}
}

// Posting is the ledger's own posting again.
func (p *CorePosting) Posting() *game.Posting {
	if p == nil {
		return nil
	}
	out := &game.Posting{
		Seq: p.Seq, Time: game.Instant(p.Time), Op: p.Op, Tx: p.Tx, UID: p.UID, To: p.To, Amount: p.Amount, Kind: p.Kind, Hold: p.Hold, Until: game.Instant(p.Until),
		Reason: p.Reason, By: p.By, Entries: p.Entries, Balance: p.Balance, BalanceTo: p.BalanceTo,
	}
	if b, err := hex.DecodeString(p.Digest); err == nil {
		copy(out.Digest[:], b)
	}
	return out
}

func (c *call) coreReservation() (any, error) {
	id, err := c.reservationID()
	if err != nil {
		return nil, err
	}
	r, err := c.Points.Reservation(c.ctx(), id)
	return CoreReservation{r.ID, r.UID, r.Amount, int64(r.Until), uint8(r.State), corePostingOf(r.Made), corePostingOf(r.Ended)}, err
}

// Reservation is the ledger's own reservation again.
func (r *CoreReservation) Reservation() game.Reservation {
	return game.Reservation{ID: r.ID, UID: r.UID, Amount: r.Amount, Until: game.Instant(r.Until), State: game.HoldState(r.State), Made: r.Made.Posting(), Ended: r.Ended.Posting()}
}

func (c *call) coreAccount() (any, error) {
	uid, err := c.uid()
	if err != nil {
		return nil, err
	}
	a, err := c.Points.Account(c.ctx(), uid)
	if err != nil {
		return nil, err
	}
	out := CoreAccount{UID: a.UID, Lots: lotsOf(a.Lots), Debt: a.Debt, Seq: a.Seq, Now: int64(c.Points.Now())}
	for _, h := range a.Holds {
		out.Holds = append(out.Holds, CoreHold{h.ID, int64(h.Until), lotsOf(h.Lots)})
	}
	return out, nil
}

func lotsOf(list []game.Lot) []Lot {
	out := make([]Lot, 0, len(list))
	for _, l := range list {
		out = append(out, lotOf(l))
	}
	return out
}

// Account is the ledger's own account again.
func (a *CoreAccount) Account() *game.Account {
	out := &game.Account{UID: a.UID, Lots: ledgerLots(a.Lots), Debt: a.Debt, Seq: a.Seq}
	for _, h := range a.Holds {
		out.Holds = append(out.Holds, game.Hold{ID: h.ID, Until: game.Instant(h.Until), Lots: ledgerLots(h.Lots)})
	}
	return out
}

func ledgerLots(list []Lot) []game.Lot {
	out := make([]game.Lot, 0, len(list))
	for _, l := range list {
		out = append(out, game.Lot{Kind: l.Kind, Amount: l.Amount, Expires: l.Expires})
	}
	return out
}
