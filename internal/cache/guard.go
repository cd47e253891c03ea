package cache

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// drift is by what part of Term a wait is longer than it, for clocks that run unequally.
const drift = 10

// guard is what this process knows of one place of the board.
type guard struct {
	name  string
	probe func(context.Context) error // asks whether it could be turned on; nil: it always can

	// turn is held by the one who talks to the board: one place in the channel.
	turn chan struct{}

	mu     sync.Mutex
	known  bool
	notice Notice
	since  time.Time // when this position was first seen
	until  time.Time // up to when the notice may be trusted
}

func newGuard(name string, probe func(context.Context) error) *guard {
	return &guard{name: name, probe: probe, turn: make(chan struct{}, 1)}
}

// sight is a trusted notice.
type sight struct {
	notice Notice
	since  time.Time
}

// look gives the notice while it may be trusted.
func (g *guard) look(now time.Time) (sight, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sight{g.notice, g.since}, g.known && now.Before(g.until)
}

// saw takes a notice that was asked for at a time and came at another.
func (g *guard) saw(n Notice, asked, came time.Time, term time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.known || g.notice != n {
		g.known, g.notice, g.since = true, n, came
	}
	g.until = asked.Add(term)
}

// read asks the board. Preconditions: the caller holds the turn.
func (t *Through) read(ctx context.Context, g *guard) (sight, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Term) // a later answer is of no use
	defer cancel()
	asked := t.now()
	n, err := t.Board.Read(ctx, g.name)
	if err != nil {
		return sight{}, fmt.Errorf("read the notice of %s: %w", g.name, err)
	}
	if n.Owner == "" {
		// Nobody uses what nobody owns, so it can be taken at once.
		taken := Notice{Position: t.first, Owner: t.owner}
		if err := t.Board.Replace(ctx, g.name, n, taken); err == nil {
			n = taken
		} else if n, err = t.Board.Read(ctx, g.name); err != nil {
			return sight{}, fmt.Errorf("read the notice of %s: %w", g.name, err)
		}
	}
	g.saw(n, asked, t.now(), t.cfg.Term)
	g.mu.Lock()
	defer g.mu.Unlock()
	return sight{g.notice, g.since}, nil
}

// step changes the notice, and gives the one that is there then.
// Preconditions: the caller holds the turn.
func (t *Through) step(ctx context.Context, g *guard, old, next Notice) (sight, error) {
	// Whether it worked or not, what the board says then is what counts.
	_ = t.Board.Replace(ctx, g.name, old, next)
	return t.read(ctx, g)
}

func (g *guard) take(ctx context.Context) error {
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *guard) give() { <-g.turn }

// sure gives a notice that may be trusted, and asks the board if need be.
func (t *Through) sure(ctx context.Context, g *guard) (sight, error) {
	if s, ok := g.look(t.now()); ok {
		return s, nil
	}
	if err := t.enter(ctx, g); err != nil {
		return sight{}, err
	}
	defer g.give()
	if s, ok := g.look(t.now()); ok {
		return s, nil
	}
	return t.read(ctx, g)
}

// waited says whether everybody who trusted the notice before s cannot any more,
// and that for some time more.
func (t *Through) waited(s sight, more time.Duration) bool {
	return t.now().Sub(s.since) > t.cfg.Term+t.cfg.Term/drift+more
}

// turnOff brings a place to off, and returns when it is.
func (t *Through) turnOff(ctx context.Context, g *guard, limit time.Time, why error) error {
	for {
		if t.now().After(limit) {
			return fmt.Errorf("%w: turn %s off: it took too long (%v)", ErrAway, g.name, why)
		}
		s, err := t.towardsOff(ctx, g, why)
		if err == nil && s.notice.place() == placeOff {
			return nil
		}
		if err := t.sleep(ctx, t.cfg.Term/8); err != nil {
			return err
		}
	}
}

// towardsOff takes one step there, if it is time.
func (t *Through) towardsOff(ctx context.Context, g *guard, why error) (sight, error) {
	if err := t.enter(ctx, g); err != nil {
		return sight{}, err
	}
	defer g.give()
	s, err := t.read(ctx, g)
	if err != nil {
		return s, err
	}
	n := s.notice
	switch place := n.place(); {
	case place == placeOn, place == placeWarming:
		next := Notice{Position: n.Position + (places+placeClosing-place)%places, Owner: n.Owner}
		if s, err = t.step(ctx, g, n, next); err == nil && s.notice == next {
			t.metrics.offs.WithLabelValues(g.name).Inc()
			t.Log.Warn("cache part turned off", "part", g.name, "err", why)
		}
	case place == placeClosing && t.waited(s, 0):
		s, err = t.step(ctx, g, n, Notice{Position: n.Position + 1, Owner: n.Owner})
	}
	return s, err
}

// tend refreshes a notice, and takes the step that is due.
func (t *Through) tend(ctx context.Context, g *guard) error {
	if err := t.enter(ctx, g); err != nil {
		return err
	}
	defer g.give()
	s, err := t.read(ctx, g)
	if err != nil {
		return err
	}
	n := s.notice
	next := Notice{Position: n.Position + 1, Owner: n.Owner}
	switch {
	case n.place() == placeClosing && t.waited(s, 0):
	case n.place() == placeWarming && n.Owner == t.owner && t.waited(s, t.cfg.writeMax()):
		// Whoever wrote without a mark, since it trusted that the part is off, is done by now.
	case n.place() == placeOff && t.waited(s, t.cfg.Rest) && t.answers(ctx, g):
		next.Owner = t.owner
	default:
		return nil
	}
	s, err = t.step(ctx, g, n, next)
	if err == nil && s.notice == next && next.place() == placeOn {
		t.Log.Info("cache part turned on", "part", g.name, "generation", next.generation())
	}
	return err
}

func (t *Through) answers(ctx context.Context, g *guard) bool {
	return g.probe == nil || g.probe(ctx) == nil
}
