package world

import (
	"context"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/world/area"
)

const (
	keepEvery   = time.Second // at most one write of a copy's things in that time
	keepTimeout = 5 * time.Second
	thingsType  = "application/x-kamado-things"
)

// thingsName is the entity of game.WorldUID in which the things of a copy lie: "area.plaza.2".
func thingsName(c game.Copy) string { return "area." + c.String() }

// keep is how far the things of a stage are kept.
type keep struct {
	fence   uint64 // under which they are written
	kept    uint64 // area.ThingsChange that is written
	writing bool
	last    time.Time // when the last write began
	failing bool      // the last write failed, and that was logged
	lost    bool      // nothing may be written any more
}

// next is when things are to be written; false: they need not be.
func (k *keep) next(a *area.Area) (time.Time, bool) {
	return k.last.Add(keepEvery), !k.lost && !k.writing && a.ThingsChange() != k.kept
}

// loadThings reads what was kept of a copy, before anybody is there.
func (s *stage) loadThings(ctx context.Context) error {
	s.keep.fence = s.claim.Fence
	e, err := s.w.deps.Entities.Get(ctx, game.WorldUID, thingsName(s.copy))
	if game.KindOf(err) == game.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if s.keep.fence == 0 {
		s.keep.fence = e.Fence // nobody else could have a claim: the last one goes on
	}
	if err := s.area.Load(e.Value); err != nil {
		s.w.log.Warn("things of an area cannot be read, or not all of them", "area", s.copy.String(), "err", err)
	}
	return nil
}

// keepThings has things written that changed, if it is time.
func (s *stage) keepThings(now time.Time) {
	at, ok := s.keep.next(s.area)
	if !ok || now.Before(at) {
		return
	}
	s.keep.writing, s.keep.last = true, now
	value, change := s.area.Things(), s.area.ThingsChange()
	s.w.jobs.Go(func() {
		err := s.writeThings(value)
		s.must(func(s *stage) { s.wrote(change, err) })
	})
}

func (s *stage) writeThings(value []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout) // of the stage's own, not of any request
	defer cancel()
	_, err := s.w.deps.Entities.Put(ctx, entity.Write{
		UID: game.WorldUID, Name: thingsName(s.copy), Value: value, Type: thingsType, Base: entity.AnyBase, Fence: s.keep.fence,
	})
	return err
}

// wrote goes on after a write.
func (s *stage) wrote(change uint64, err error) {
	s.keep.writing = false
	if err == nil {
		s.w.m.keeps.WithLabelValues("ok").Inc()
		if s.keep.kept = change; s.keep.failing {
			s.keep.failing = false
			s.w.log.Info("things of an area are kept again", "area", s.copy.String())
		}
		return
	}
	s.w.m.keeps.WithLabelValues("error").Inc()
	switch game.KindOf(err) {
	case game.Conflict: // a newer fence: another node has the copy
		s.lose()
		return
	case game.TooLarge, game.Invalid:
		s.keep.kept = change // another try would end the same way
	}
	if !s.keep.failing {
		s.keep.failing = true
		s.w.log.Warn("things of an area cannot be kept", "area", s.copy.String(), "err", err)
	}
}

// lose ends a stage whose claim is over. Nothing of it is written any more.
func (s *stage) lose() {
	if s.keep.lost {
		return
	}
	s.keep.lost = true
	s.w.m.lost.Inc()
	s.w.log.Warn("the right to run an area was lost", "area", s.copy.String(), "fence", s.claim.Fence)
	s.bye(farewell{why: "lost", text: "the area goes on elsewhere"})
}

// finish keeps what is to be kept of a stage that has ended, and gives its claim back.
func (s *stage) finish() {
	for {
		s.mu.Lock()
		t := s.inbox.pop()
		last := t == nil && !s.keep.writing
		if last {
			s.phase = gone
		}
		s.mu.Unlock()
		if last {
			break
		}
		if t == nil {
			<-s.wake // the write that is under way
			continue
		}
		t(s)
	}
	s.timer.Stop()
	if !s.keep.lost && s.area.ThingsChange() != s.keep.kept {
		s.wrote(s.area.ThingsChange(), s.writeThings(s.area.Things()))
	}
	if !s.keep.lost {
		ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
		if err := s.w.deps.Places.Release(ctx, s.copy); err != nil {
			s.w.log.Warn("the right to run an area cannot be given back", "area", s.copy.String(), "err", err)
		}
		cancel()
	}
	s.w.forget(s)
	close(s.done)
}
