package mesh

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/internal/lock"
)

// claim is the right to run a copy.
type claim struct {
	copy    game.Copy
	token   uint64
	session string
	// until is when this node stops to believe: a tenth of the term before its end by our clock.
	until time.Duration
	next  time.Duration // of the next renewal
	busy  bool          // a renewal is under way
	over  bool          // lost is closed
	lost  chan struct{}
}

// claimSet decides when claims are renewed and when they are over. It is a step function like core.
type claimSet struct {
	cfg  Config
	of   map[game.Copy]*claim
	busy int // renewals under way
}

func newClaimSet(cfg Config) *claimSet { return &claimSet{cfg: cfg, of: map[game.Copy]*claim{}} }

// end is when a grant that was asked for at a moment stops to be believed in.
func (s *claimSet) end(asked time.Duration, h lock.Held) time.Duration {
	return asked + h.Waited + h.Term - h.Term/lock.DriftMax
}

// add takes a grant; nil: it is over already.
func (s *claimSet) add(now, asked time.Duration, at game.Copy, h lock.Held) *claim {
	c := &claim{copy: at, token: h.Token, session: h.Session, until: s.end(asked, h), next: asked + s.cfg.RenewEvery, lost: make(chan struct{})}
	if now >= c.until {
		return nil
	}
	s.of[at] = c
	return c
}

// remove forgets a claim; nil: there is none.
func (s *claimSet) remove(at game.Copy) *claim {
	c := s.of[at]
	if c != nil {
		delete(s.of, at)
		c.end()
	}
	return c
}

// end closes lost, once.
func (c *claim) end() {
	if !c.over {
		c.over = true
		close(c.lost)
	}
}

// step gives the claims that are over, those to renew now, the most urgent first, and when to step again at the latest.
func (s *claimSet) step(now time.Duration) (due, lost []*claim, next time.Duration) {
	next = now + time.Hour
	together := s.cfg.RenewEvery / 8 // what is due soon is renewed with what is due now: engines write many leases as fast as one
	for at, c := range s.of {
		switch {
		case now >= c.until:
			delete(s.of, at)
			c.end()
			lost = append(lost, c)
			continue
		case !c.busy && now+together >= c.next:
			due = append(due, c)
		case !c.busy:
			next = min(next, c.next-together)
		}
		next = min(next, c.until)
	}
	slices.SortFunc(due, func(a, b *claim) int { return cmp.Or(cmp.Compare(a.until, b.until), compareCopies(a.copy, b.copy)) })
	due = due[:min(len(due), s.cfg.AtOnce-s.busy)] // when one comes back there is a step for the rest
	for _, c := range due {
		c.busy = true
	}
	s.busy += len(due)
	return due, lost, next
}

// renewed takes what came of a renewal. lost: the claim is over by it.
func (s *claimSet) renewed(now, asked time.Duration, c *claim, h lock.Held, err error) (lost bool) {
	s.busy--
	c.busy = false
	if s.of[c.copy] != c {
		return false
	}
	switch {
	case err == nil:
		c.until, c.next = max(c.until, s.end(asked, h)), asked+s.cfg.RenewEvery
	case errors.Is(err, lock.ErrLost):
		s.remove(c.copy)
		return true
	default:
		c.next = now + s.cfg.RenewEvery/4
	}
	return false
}

// holder is what stands in the lock of a copy: who runs it.
type holder struct {
	Node      string `json:"node"`
	Run       runID  `json:"run,string"`
	WebSocket string `json:"websocket,omitempty"`
	TCP       string `json:"tcp,omitempty"`
}

func holderText(n game.Node, run runID) (string, error) {
	b, err := json.Marshal(holder{n.Name, run, n.WebSocket, n.TCP})
	if err == nil && len(b) > lock.HolderBytesMax {
		err = game.Errorf(game.Invalid, "node %s: its name and addresses take %d bytes: at most %d", n.Name, len(b), lock.HolderBytesMax)
	}
	return string(b), err
}

func parseHolder(text string) (h holder) {
	if json.Unmarshal([]byte(text), &h) != nil || checkName(h.Node) != nil {
		return holder{}
	}
	return h
}

// patience watches a lock that somebody has, who may be dead: when its lease is renewed, somebody lives.
type patience struct {
	known    bool
	wait     time.Duration // that the lock may last at least, as it was said last
	answered time.Duration // when that was
}

// moved takes an answer of the locks (wait, from the question to the answer) and says whether the lease was renewed since the last one.
func (p *patience) moved(wait, asked, answered time.Duration) bool {
	if wait == 0 {
		return false // not known
	}
	moved := p.known && wait > p.wait-(asked-p.answered)/2
	*p = patience{true, wait, answered}
	return moved
}

// How often a claim asks for a lock that somebody has.
const (
	askEveryMin = 10 * time.Millisecond
	askEveryMax = 100 * time.Millisecond
)

// Claim implements world.Places. A copy whose node may be dead is waited for, for up to Config.ClaimWait. It needs Run.
func (m *Mesh) Claim(ctx context.Context, at game.Copy) (world.Claim, error) {
	if _, err := game.ParseCopy(at.String()); err != nil {
		return world.Claim{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.ClaimWait)
	defer cancel()
	done, have, err := m.asking(ctx, at)
	if err != nil || have != nil {
		return have.claim(), err
	}
	defer done()
	got, err := m.ask(ctx, at)
	return got.claim(), err
}

// claim is how the world knows it.
func (c *claim) claim() world.Claim {
	if c == nil {
		return world.Claim{}
	}
	return world.Claim{Fence: c.token, Lost: c.lost}
}

// asking makes this call the one that asks for a copy, until done; or gives the claim that is there.
func (m *Mesh) asking(ctx context.Context, at game.Copy) (done func(), have *claim, err error) {
	for {
		m.mu.Lock()
		other := m.asks[at]
		switch {
		case !m.running:
			err = game.Errorf(game.Unavailable, "this node does not run")
		case m.claims.of[at] != nil:
			have = m.claims.of[at]
		case m.core.self.Draining:
			err = game.Errorf(game.Unavailable, "this node is being emptied: it opens no further copy")
		case other == nil && len(m.claims.of)+len(m.asks) >= m.cfg.ClaimsMax:
			err = game.Errorf(game.Exhausted, "this node runs %d copies, which is all that it may", m.cfg.ClaimsMax)
		case other == nil:
			mine := make(chan struct{})
			m.asks[at] = mine
			done = func() {
				m.mu.Lock()
				delete(m.asks, at)
				m.mu.Unlock()
				close(mine)
			}
		}
		m.mu.Unlock()
		if other == nil || err != nil || have != nil {
			return done, have, err
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, nil, m.notKnown(ctx, at, nil)
		}
	}
}

// notKnown is the error when nobody could say in time who runs a copy.
func (m *Mesh) notKnown(ctx context.Context, at game.Copy, err error) error {
	return &game.Error{Op: "claim copy " + at.String(), Kind: game.Unavailable, Detail: "it is not known yet who runs copy " + at.String() + ": try again", Err: cmp.Or(err, ctx.Err())}
}

// ask asks for the lock of a copy until it is had, or somebody living has it.
func (m *Mesh) ask(ctx context.Context, at game.Copy) (*claim, error) {
	var p patience
	began := m.now()
	for turn := 0; ; turn++ {
		asked := m.now()
		h, err := m.deps.Locks.Acquire(ctx, claimPrefix+at.String(), m.holder, m.cfg.ClaimTerm)
		if err == nil {
			c := m.granted(ctx, asked, at, h)
			switch {
			case c == nil && ctx.Err() == nil && m.runs():
				continue
			case c == nil:
				return nil, m.notKnown(ctx, at, nil)
			case turn > 0:
				m.metrics.takeover(m.now() - began)
			}
			return c, nil
		}
		var held *lock.HeldError
		if !errors.As(err, &held) {
			return nil, m.notKnown(ctx, at, err)
		}
		if err := m.judge(at, held, p.moved(held.Wait, asked, m.now())); err != nil {
			return nil, err
		}
		pause := time.NewTimer(max(askEveryMin, min(askEveryMax, held.Wait)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, m.notKnown(ctx, at, held)
		}
	}
}

// judge says whether somebody who has a lock lives: then its error says where. nil: it may be dead.
func (m *Mesh) judge(at game.Copy, held *lock.HeldError, renewed bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if place := m.core.runner(m.now(), held.Holder, renewed); place != nil {
		return &world.ElsewhereError{Copy: at, Place: place}
	}
	return nil
}

// runner is where the node that is named in the lock of a copy runs it; nil: it may be dead, or gives the copy up soon. renewed: the lock
// was renewed just now.
func (c *core) runner(now time.Duration, text string, renewed bool) *wire.Place {
	h := parseHolder(text)
	if h.Node == "" || h.Node == c.self.Name && h.Run == c.run { // our own grant, whose answer was lost, ends by itself
		return nil
	}
	stands := c.standing(now, h.Node, h.Run)
	if stands == standsDraining || stands == standsUnknown && !renewed {
		return nil
	}
	return placeOf(game.Node{Name: h.Node, WebSocket: h.WebSocket, TCP: h.TCP})
}

// granted takes a grant into the claims; nil: its answer took so long that it is over, or the node ends.
func (m *Mesh) granted(ctx context.Context, asked time.Duration, at game.Copy, h lock.Held) (c *claim) {
	m.do(func(k *core, now time.Duration) {
		if !m.running {
			return
		}
		if c = m.claims.add(now, asked, at, h); c != nil {
			k.claimed(at, true)
		}
	})
	if c == nil {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackMax)
		defer cancel()
		_ = m.deps.Locks.Release(release, h.Name, h.Token, h.Session) // else it ends by itself
		return nil
	}
	m.poke(m.keepNow)
	return c
}

func (m *Mesh) runs() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running
}

// Release implements world.Places.
func (m *Mesh) Release(ctx context.Context, at game.Copy) error {
	var c *claim
	m.do(func(k *core, _ time.Duration) {
		c = m.claims.remove(at)
		k.claimed(at, false)
	})
	if c == nil {
		return nil
	}
	return m.giveBack(ctx, c)
}

// giveBack gives the lock of a claim back that is not among the claims any more.
func (m *Mesh) giveBack(ctx context.Context, c *claim) error {
	err := m.deps.Locks.Release(ctx, claimPrefix+c.copy.String(), c.token, c.session)
	if err != nil && !errors.Is(err, lock.ErrLost) {
		return fmt.Errorf("give copy %v back: %w", c.copy, err)
	}
	return nil
}

// keep renews claims, and ends those that could not be renewed, until ctx ends.
func (m *Mesh) keep(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		var due, lost []*claim
		var next time.Duration
		m.do(func(k *core, now time.Duration) {
			due, lost, next = m.claims.step(now)
			for _, c := range lost {
				k.claimed(c.copy, false)
			}
			next -= now
		})
		m.lost(nil, lost...)
		for _, c := range due {
			m.wg.Go(func() { m.renew(ctx, c) })
		}
		timer.Reset(max(time.Millisecond, next))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.keepNow:
		}
	}
}

// renew renews one claim.
func (m *Mesh) renew(ctx context.Context, c *claim) {
	asked := m.now()
	within, cancel := context.WithTimeout(ctx, m.cfg.ClaimTerm)
	defer cancel()
	h, err := m.deps.Locks.Renew(within, claimPrefix+c.copy.String(), c.token, c.session)
	lost, late := false, false
	m.do(func(k *core, now time.Duration) {
		if lost = m.claims.renewed(now, asked, c, h, err); lost {
			k.claimed(c.copy, false)
		}
		late = err == nil && c.over
	})
	if lost {
		m.lost(err, c)
	}
	if late { // nobody believes in it any more: others need not wait for its end
		_ = m.giveBack(within, c)
	}
	m.poke(m.keepNow)
}

// lost tells of claims that are over before they were given back.
func (m *Mesh) lost(err error, claims ...*claim) {
	if len(claims) > 0 {
		m.metrics.claimsLost.Add(float64(len(claims)))
		m.log.Warn("claims lost", "copies", len(claims), "first", claims[0].copy.String(), "fence", claims[0].token, "err", err)
	}
}
