package world

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// counts are sums over all copies.
type counts struct{ copies, avatars, inbox int }

func (w *World) counts() counts {
	var c counts
	for _, s := range w.running() {
		s.mu.Lock()
		c.copies++
		c.avatars += s.avatars
		c.inbox = max(c.inbox, s.inbox.len())
		s.mu.Unlock()
	}
	return c
}

// running lists the copies that are not about to open, in order.
func (w *World) running() []*stage {
	w.mu.Lock()
	var list []*stage
	for _, area := range w.stages {
		for _, s := range area {
			if at := s.at(); at == open || at == ending {
				list = append(list, s)
			}
		}
	}
	w.mu.Unlock()
	slices.SortFunc(list, func(a, b *stage) int {
		return cmp.Or(cmp.Compare(a.copy.Area, b.copy.Area), cmp.Compare(a.copy.Number, b.copy.Number))
	})
	return list
}

// state tells of a stage, without members.
func (s *stage) state() CopyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return CopyState{
		Copy: s.copy, Node: s.w.deps.Node, Fence: s.claim.Fence, Avatars: s.avatars, Capacity: s.plan.Capacity, Opened: s.since, Rounds: s.rounds,
		Moves: s.moves, Things: s.things, Load: s.load.at(time.Now()),
	}
}

// Areas lists the copies that this node runs, without their members.
func (w *World) Areas() []CopyState {
	list := []CopyState{}
	for _, s := range w.running() {
		list = append(list, s.state())
	}
	return list
}

// find finds a copy; NotFound when this node does not run it.
func (w *World) find(c game.Copy) (*stage, error) {
	w.mu.Lock()
	s := w.stages[c.Area][c.Number]
	w.mu.Unlock()
	if s == nil || s.at() != open {
		return nil, game.Errorf(game.NotFound, "copy %v does not run on this node", c)
	}
	return s, nil
}

// Copy tells of one copy, with its members; NotFound when this node does not run it.
func (w *World) Copy(c game.Copy) (CopyState, error) {
	s, err := w.find(c)
	if err != nil {
		return CopyState{}, err
	}
	state := s.state()
	seen := make(chan struct{})
	if !s.must(func(s *stage) {
		defer close(seen)
		state.Things = s.area.ThingsLen() // with this turn's changes
		for _, a := range s.area.Sightings() {
			m := MemberState{Avatar: a.ID, UID: a.UID, Name: a.Name, X: a.Pose.X, Y: a.Pose.Y, Cut: a.Cut, Behind: a.Behind}
			if at := s.seats[a.ID]; at != nil {
				m.Session = at.player.m.ID()
			}
			state.Members = append(state.Members, m)
		}
	}) {
		return CopyState{}, game.Errorf(game.NotFound, "copy %v does not run on this node", c)
	}
	<-seen
	return state, nil
}

// Evict closes a copy that this node runs, and waits for that: its members are told to join anew, with a text for them. NotFound when this
// node does not run it.
func (w *World) Evict(ctx context.Context, c game.Copy, text string) error {
	s, err := w.find(c)
	if err != nil {
		return err
	}
	s.bye(farewell{why: "evicted", text: valid(text)})
	return s.closed(ctx)
}

func (s *stage) closed(ctx context.Context) error {
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return game.Errorf(game.Unavailable, "copy %v closes, and is not ready with that", s.copy)
	}
}

// CloseAll closes all copies, keeps what they keep, and gives their claims back. No further one is opened.
func (w *World) CloseAll(ctx context.Context) error {
	w.mu.Lock()
	w.closing = true
	var list []*stage
	for _, area := range w.stages {
		for _, s := range area {
			list = append(list, s)
		}
	}
	w.mu.Unlock()
	for _, s := range list {
		s.bye(farewell{why: "closing", text: "the server closes"})
	}
	for _, s := range list {
		if err := s.closed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// areasList answers areas.list: what can be entered, and how full it is, on all nodes as far as they told.
// An area that nobody described is among them while this node runs it.
func (w *World) areasList(_ context.Context, _ *player, _ []byte) ([]byte, error) {
	infos := map[string]*wire.AreaInfo{}
	for _, plan := range w.cfg.Plans() {
		infos[plan.Name] = &wire.AreaInfo{Area: plan.Name, Capacity: uint32(plan.Capacity)}
	}
	for _, s := range w.Areas() {
		info := infos[s.Copy.Area]
		if info == nil {
			info = &wire.AreaInfo{Area: s.Copy.Area, Capacity: uint32(s.Capacity)}
			infos[s.Copy.Area] = info
		}
		info.Copies++
		info.Avatars += uint32(s.Avatars)
	}
	list := &wire.Areas{}
	for name, info := range infos {
		for _, c := range w.deps.Places.Elsewhere(name) {
			info.Copies++
			info.Avatars += uint32(c.Avatars)
		}
		list.Areas = append(list.Areas, info)
	}
	slices.SortFunc(list.Areas, func(a, b *wire.AreaInfo) int { return cmp.Compare(a.Area, b.Area) })
	return encode(list), nil
}
