package world

import (
	"context"
	"errors"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// openTimeout is how long a join waits for a copy to be opened.
const openTimeout = 5 * time.Second

// destination is where a join leads: to a stage on which a seat is reserved, or to another node.
type destination struct {
	stage *stage
	place *wire.Place
	copy  game.Copy
}

// seatFor finds room for a player in an area. number 0: any copy.
func (w *World) seatFor(ctx context.Context, p *player, plan game.AreaPlan, number uint32) (destination, error) {
	for {
		d, wait, err := w.pick(p, plan, number)
		if err != nil || wait == nil {
			return d, err
		}
		if d.stage != nil { // this join opens it
			w.open(ctx, d.stage)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return destination{}, game.Errorf(game.Unavailable, "area %s is not ready yet", plan.Name)
		}
		if d.stage == nil || d.stage.fail == nil {
			continue
		}
		var elsewhere *ElsewhereError
		if errors.As(d.stage.fail, &elsewhere) {
			return destination{place: elsewhere.Place, copy: elsewhere.Copy}, nil
		}
		return destination{}, d.stage.fail
	}
}

// pick decides where to a join leads. With wait it has to wait for that, and to ask again; with a stage beside it the caller opens that one.
func (w *World) pick(p *player, plan game.AreaPlan, number uint32) (d destination, wait <-chan struct{}, err error) {
	elsewhere := w.deps.Places.Elsewhere(plan.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return d, nil, game.Errorf(game.Unavailable, "this node closes")
	}
	if at := p.seat.Load(); at != nil && at.stage.copy.Area == plan.Name && (number == 0 || number == at.stage.copy.Number) {
		if err := at.stage.reserve(true); err == nil {
			return destination{stage: at.stage, copy: at.stage.copy}, nil, nil
		}
	}
	if number != 0 {
		return w.pickNumber(plan, number, elsewhere)
	}
	best, busy := w.fullest(plan.Name)
	var there *CopyAt
	for i, c := range elsewhere {
		if c.Avatars < c.Capacity && (there == nil || c.Avatars > there.Avatars) {
			there = &elsewhere[i]
		}
	}
	switch {
	case best != nil && (there == nil || best.population() >= there.Avatars):
		return best.take()
	case there != nil:
		return destination{place: there.Place, copy: there.Copy}, nil, nil
	case busy != nil:
		return d, busy, nil
	}
	return w.pickNew(plan, w.free(plan.Name, elsewhere))
}

// pickNumber decides on a join to one copy. Preconditions: mu is held.
func (w *World) pickNumber(plan game.AreaPlan, number uint32, elsewhere []CopyAt) (d destination, wait <-chan struct{}, err error) {
	if s := w.stages[plan.Name][number]; s != nil {
		switch s.at() {
		case opening:
			return d, s.ready, nil
		case open:
			return s.take()
		}
		return d, s.done, nil
	}
	for _, c := range elsewhere {
		if c.Copy.Number == number {
			return destination{place: c.Place, copy: c.Copy}, nil, nil
		}
	}
	return w.pickNew(plan, number)
}

// take reserves a seat of a stage that was open a moment ago.
func (s *stage) take() (d destination, wait <-chan struct{}, err error) {
	switch err := s.reserve(false); {
	case errors.Is(err, errEnding):
		return d, s.done, nil
	case err != nil:
		return d, nil, err
	}
	return destination{stage: s, copy: s.copy}, nil, nil
}

// pickNew notes a stage that the caller opens. Preconditions: mu is held.
func (w *World) pickNew(plan game.AreaPlan, number uint32) (d destination, wait <-chan struct{}, err error) {
	if number == 0 || number > game.CopiesMax {
		return d, nil, game.Errorf(game.Exhausted, "area %s has all the copies that it may have", plan.Name)
	}
	if w.copies >= w.cfg.Copies {
		if idle := w.idlest(); idle != nil {
			idle.bye(farewell{why: "idle"})
			return d, idle.done, nil
		}
		return d, nil, game.Errorf(game.Exhausted, "this node runs %d copies of areas, and no more", w.copies)
	}
	s := newStage(w, game.Copy{Area: plan.Name, Number: number}, plan)
	if w.stages[plan.Name] == nil {
		w.stages[plan.Name] = map[uint32]*stage{}
	}
	w.stages[plan.Name][number] = s
	w.copies++
	return destination{stage: s}, s.ready, nil
}

// idlest is the copy that is empty for the longest time, which makes room for another one; nil: in all of them is somebody.
// Preconditions: mu is held.
func (w *World) idlest() (idle *stage) {
	var since time.Time
	for _, area := range w.stages {
		for _, s := range area {
			s.mu.Lock()
			if s.phase == open && s.avatars == 0 && (idle == nil || s.idleSince.Before(since)) {
				idle, since = s, s.idleSince
			}
			s.mu.Unlock()
		}
	}
	return idle
}

// fullest finds the copy of this node with the most avatars that has room, and one that is about to open or close.
// Preconditions: mu is held.
func (w *World) fullest(name string) (best *stage, busy <-chan struct{}) {
	most := -1
	for number, s := range w.stages[name] {
		switch s.at() {
		case opening:
			busy = s.ready
		case open:
			if n := s.population(); n < s.plan.Capacity && (n > most || n == most && number < best.copy.Number) {
				best, most = s, n
			}
		case ending:
			if busy == nil {
				busy = s.done
			}
		}
	}
	return best, busy
}

// free is the lowest number that no copy has; 0: none. Preconditions: mu is held.
func (w *World) free(name string, elsewhere []CopyAt) uint32 {
	taken := make(map[uint32]bool, len(elsewhere))
	for _, c := range elsewhere {
		taken[c.Copy.Number] = true
	}
	for number := uint32(1); number <= game.CopiesMax; number++ {
		if !taken[number] && w.stages[name][number] == nil {
			return number
		}
	}
	return 0
}

func (s *stage) at() phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == open && s.quit != nil {
		return ending
	}
	return s.phase
}

func (s *stage) population() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.avatars
}

// open makes a stage run, or notes why it cannot.
func (w *World) open(ctx context.Context, s *stage) {
	if s.fail = w.claim(ctx, s); s.fail != nil {
		s.mu.Lock()
		s.phase = gone
		s.mu.Unlock()
		w.forget(s)
		close(s.ready)
		close(s.done)
		return
	}
	now := time.Now()
	s.mu.Lock()
	s.phase, s.since, s.idleSince = open, now, now
	s.load.from = now
	s.timer = time.NewTimer(w.cfg.IdleTerm)
	s.alarm = now.Add(w.cfg.IdleTerm)
	s.mu.Unlock()
	w.deps.Places.Population(s.copy, 0, s.plan.Capacity)
	w.jobs.Go(s.run)
	close(s.ready)
	w.mu.Lock()
	closing := w.closing
	w.mu.Unlock()
	if closing { // CloseAll has passed by
		s.bye(farewell{why: "closing", text: "the server closes"})
	}
}

// claim gets the right to run a stage, and what was kept of it.
func (w *World) claim(ctx context.Context, s *stage) (err error) {
	if s.claim, err = w.deps.Places.Claim(ctx, s.copy); err != nil {
		return openError(err, s.copy)
	}
	if err := s.loadThings(ctx); err != nil {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout) // also when the join has given up
		defer cancel()
		if err := w.deps.Places.Release(release, s.copy); err != nil {
			w.log.Warn("the right to run an area cannot be given back", "area", s.copy.String(), "err", err)
		}
		return openError(err, s.copy)
	}
	return nil
}

// openError makes of whatever kept a copy from opening something that a client may try again.
func openError(err error, c game.Copy) error {
	var elsewhere *ElsewhereError
	if errors.As(err, &elsewhere) || game.KindOf(err) != game.Internal {
		return err
	}
	return &game.Error{Op: "open copy " + c.String(), Kind: game.Unavailable, Detail: "the area cannot be opened now", Err: err}
}

// forget takes a stage off the list.
func (w *World) forget(s *stage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stages[s.copy.Area][s.copy.Number] == s {
		delete(w.stages[s.copy.Area], s.copy.Number)
		w.copies--
	}
	if len(w.stages[s.copy.Area]) == 0 {
		delete(w.stages, s.copy.Area)
	}
}
