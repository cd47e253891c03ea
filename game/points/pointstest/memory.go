package pointstest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
)

// Memory is a ledger in memory, for tests of what lies above one. A Memory that was
// closed can be opened again by Reopen.
type Memory struct {
	cfg  Config
	flaw flaw

	mu       sync.Mutex
	closed   bool
	last     game.Instant // of the last posting
	accounts map[game.UID]*game.Account
	postings []*game.Posting // a posting's place is its index and 1
	byTx     map[string]*game.Posting
	ends     map[uint64]*game.Posting // of reservations that were confirmed or cancelled
	totals   game.Totals
}

var _ points.Ledger = (*Memory)(nil)

// flaw is a promise that a Memory breaks, so that the suite can be seen to notice.
type flaw string

const (
	lostUpdate    flaw = "lost-update"    // accounts are read before and written after other orders
	doubleSpend   flaw = "double-spend"   // a transaction id is not looked for
	forgetful     flaw = "forgetful"      // the last posting before Close is gone afterwards
	clockFollower flaw = "clock-follower" // the ledger's time goes back with the clock
	partTransfer  flaw = "part-transfer"  // who gets a transfer gets it in a step of its own
	secondEnd     flaw = "second-end"     // a reservation that ended is ended again
	badTotals     flaw = "bad-totals"     // totals miss what expired
	staleRead     flaw = "stale-read"     // an account is shown as it was one posting ago
)

// NewMemory gives an empty ledger.
func NewMemory(cfg Config) *Memory {
	return &Memory{cfg: cfg, accounts: map[game.UID]*game.Account{}, byTx: map[string]*game.Posting{}, ends: map[uint64]*game.Posting{}}
}

// Reopen makes a closed ledger usable again.
func (m *Memory) Reopen(cfg Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cfg, m.closed = cfg, false
}

// enter locks the ledger, unless it is closed or nobody waits any more.
func (m *Memory) enter(ctx context.Context) error {
	m.mu.Lock()
	err := ctx.Err()
	if err != nil || m.closed {
		m.mu.Unlock()
		return &game.Error{Kind: game.Unavailable, Detail: "the ledger is closed, or nobody waits", Err: err}
	}
	return nil
}

// Now implements points.Ledger.
func (m *Memory) Now() game.Instant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now()
}

func (m *Memory) now() game.Instant {
	if m.flaw == clockFollower {
		return game.At(m.cfg.Now())
	}
	m.last = max(m.last, game.At(m.cfg.Now()))
	return m.last
}

func (m *Memory) account(uid game.UID) *game.Account {
	if a := m.accounts[uid]; a != nil {
		return a
	}
	return &game.Account{UID: uid}
}

// Post implements points.Ledger.
func (m *Memory) Post(ctx context.Context, o *game.Order) (points.Answer, error) {
	if err := m.enter(ctx); err != nil {
		return points.Answer{}, err
	}
	defer m.mu.Unlock()
	if o.Op == game.OpExpire {
		return points.Answer{}, game.Errorf(game.Invalid, "only the ledger ends what is over")
	}
	if p := m.byTx[o.Tx]; p != nil && m.flaw != doubleSpend {
		if !p.Same(o) {
			return points.Answer{}, game.Errorf(game.Conflict, "transaction id %q is that of another order", o.Tx)
		}
		return points.Answer{Posting: p, Again: true}, nil
	}
	now := m.now()
	if err := o.Check(now); err != nil {
		return points.Answer{}, err
	}
	uid := o.UID
	if o.Op == game.OpConfirm || o.Op == game.OpCancel {
		p, err := m.ended(o)
		if err != nil || p != nil {
			return points.Answer{Posting: p, Again: true}, err
		}
		uid = m.postings[o.Hold-1].UID
	}
	acct, other := m.account(uid), m.account(o.To)
	if m.flaw == lostUpdate {
		m.letOthers()
	}
	out, err := m.cfg.Rules.Decide(o, game.Stamp{Seq: uint64(len(m.postings) + 1), Now: now}, acct, other)
	if err != nil {
		return points.Answer{}, err
	}
	if out.Posting != nil {
		m.keep(out)
	}
	return points.Answer{Posting: out.Posting}, nil
}

// letOthers lets other orders in between the halves of one, which is what flaws are made of.
func (m *Memory) letOthers() {
	m.mu.Unlock()
	time.Sleep(10 * time.Microsecond)
	m.mu.Lock()
}

// ended gives the posting that an end of a reservation repeats, or says why it
// cannot be one; nothing when the reservation may be open.
func (m *Memory) ended(o *game.Order) (*game.Posting, error) {
	if o.Hold > uint64(len(m.postings)) || m.postings[o.Hold-1].Op != game.OpReserve || o.UID != 0 && o.UID != m.postings[o.Hold-1].UID {
		return nil, game.Errorf(game.NotFound, "there is no reservation %d", o.Hold)
	}
	made, end := m.postings[o.Hold-1], m.ends[o.Hold]
	open := slices.ContainsFunc(m.account(made.UID).Holds, func(h game.Hold) bool { return h.ID == o.Hold })
	switch {
	case open:
		return nil, nil
	case end == nil:
		return nil, game.Errorf(game.Conflict, "reservation %d is over", o.Hold)
	case end.Op == o.Op && (o.Op == game.OpCancel || end.Amount == o.Amount || o.Amount == 0 && end.Amount == made.Amount), m.flaw == secondEnd:
		return end, nil
	}
	return nil, game.Errorf(game.Conflict, "reservation %d was ended by another order", o.Hold)
}

func (m *Memory) keep(out game.Outcome) {
	p := out.Posting
	m.accounts[p.UID] = out.Account
	if out.Other != nil {
		if m.flaw == partTransfer {
			m.letOthers()
		}
		m.accounts[p.To] = out.Other
	}
	if p.Op == game.OpConfirm || p.Op == game.OpCancel {
		m.ends[p.Hold] = p
	}
	m.postings, m.byTx[p.Tx] = append(m.postings, p), p
	if m.flaw != badTotals || p.Op != game.OpExpire {
		m.totals.Add(p.Entries)
	}
}

// Account implements points.Ledger.
func (m *Memory) Account(ctx context.Context, uid game.UID) (*game.Account, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if m.flaw != staleRead {
		return m.account(uid), nil
	}
	old := &game.Account{UID: uid}
	var mine []*game.Posting
	for _, p := range m.postings {
		if p.UID == uid || p.To == uid {
			mine = append(mine, p)
		}
	}
	for _, p := range mine[:max(0, len(mine)-1)] {
		if err := old.Apply(p); err != nil {
			return nil, err
		}
	}
	return old, nil
}

// Reservation implements points.Ledger.
func (m *Memory) Reservation(ctx context.Context, id uint64) (game.Reservation, error) {
	if err := m.enter(ctx); err != nil {
		return game.Reservation{}, err
	}
	defer m.mu.Unlock()
	if id == 0 || id > uint64(len(m.postings)) || m.postings[id-1].Op != game.OpReserve {
		return game.Reservation{}, game.Errorf(game.NotFound, "there is no reservation %d", id)
	}
	made, end := m.postings[id-1], m.ends[id]
	r := game.Reservation{ID: id, UID: made.UID, Amount: made.Amount, Until: made.Until, Made: made, Ended: end}
	switch {
	case end != nil && end.Op == game.OpConfirm:
		r.State = game.HoldConfirmed
	case end != nil:
		r.State = game.HoldCancelled
	case made.Until <= m.now():
		r.State = game.HoldExpired
	}
	return r, nil
}

// Posting implements points.Ledger.
func (m *Memory) Posting(ctx context.Context, tx string) (*game.Posting, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if p := m.byTx[tx]; p != nil {
		return p, nil
	}
	return nil, game.Errorf(game.NotFound, "there is no posting %q", tx)
}

// checkLimit judges the size of a page.
func checkLimit(limit int) error {
	if limit < 1 || limit > points.HistoryMax {
		return game.Errorf(game.Invalid, "a page of %d: want 1 to %d", limit, points.HistoryMax)
	}
	return nil
}

// History implements points.Ledger.
func (m *Memory) History(ctx context.Context, uid game.UID, before uint64, limit int) ([]*game.Posting, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var page []*game.Posting
	for _, p := range slices.Backward(m.postings) {
		if (p.UID == uid || p.To == uid) && (before == 0 || p.Seq < before) && len(page) < limit {
			page = append(page, p)
		}
	}
	return page, nil
}

// Postings implements points.Ledger.
func (m *Memory) Postings(ctx context.Context, after uint64, limit int) ([]*game.Posting, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	rest := m.postings[min(after, uint64(len(m.postings))):]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

// Accounts implements points.Ledger.
func (m *Memory) Accounts(ctx context.Context, after game.UID, limit int) ([]*game.Account, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var uids []game.UID
	for uid := range m.accounts {
		if uid > after {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	var page []*game.Account
	for _, uid := range uids[:min(limit, len(uids))] {
		page = append(page, m.accounts[uid])
	}
	return page, nil
}

// Totals implements points.Ledger.
func (m *Memory) Totals(ctx context.Context) (points.Totals, error) {
	if err := m.enter(ctx); err != nil {
		return points.Totals{}, err
	}
	defer m.mu.Unlock()
	n := uint64(len(m.postings))
	return points.Totals{Classes: m.totals, Postings: n, Last: n, Accounts: uint64(len(m.accounts))}, nil
}

// TotalsAt implements points.Ledger.
func (m *Memory) TotalsAt(ctx context.Context, at game.Instant) (points.Totals, error) {
	if err := m.enter(ctx); err != nil {
		return points.Totals{}, err
	}
	defer m.mu.Unlock()
	var t points.Totals
	for _, p := range m.postings {
		if p.Time <= at {
			t.Classes.Add(p.Entries)
			t.Postings, t.Last = t.Postings+1, p.Seq
		}
	}
	return t, nil
}

// Sweep implements points.Ledger.
func (m *Memory) Sweep(ctx context.Context, limit int) ([]*game.Posting, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var made []*game.Posting
	now := m.now()
	for _, a := range m.accounts {
		if next := a.NextEnd(); next == 0 || next > now || len(made) == limit {
			continue
		}
		seq := uint64(len(m.postings) + 1)
		out, err := m.cfg.Rules.Decide(&game.Order{Op: game.OpExpire, Tx: fmt.Sprint("ledger/", seq), UID: a.UID}, game.Stamp{Seq: seq, Now: now}, a, nil)
		if err != nil {
			return made, err
		}
		m.keep(out)
		made = append(made, out.Posting)
	}
	return made, nil
}

// Close implements points.Ledger.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flaw == forgetful && !m.closed && len(m.postings) > 0 {
		p := m.postings[len(m.postings)-1]
		m.postings = m.postings[:len(m.postings)-1]
		delete(m.byTx, p.Tx)
	}
	m.closed = true
	return nil
}
