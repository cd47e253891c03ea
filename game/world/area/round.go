package area

import (
	"slices"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Shown counts what a round did.
type Shown struct {
	Moves      int // avatars whose pose changed
	Deliveries int // poses that outlets of other members took
	Own        int // frames that were built for one member
	Refused    int // outlets that did not take
}

// Round tells what changed since the last one. Call Flush afterwards.
func (a *Area) Round() Shown {
	if !a.due {
		return Shown{}
	}
	a.round++
	a.due = false
	var s Shown
	a.compactMoved()
	s.Moves = len(a.moved)
	if a.grid != nil {
		a.grid.settle(a.moved, a.round)
		a.roundGrid(&s)
	} else {
		a.roundAll(&s)
	}
	for _, av := range a.moved {
		av.inMoved = false
	}
	clear(a.moved)
	a.moved, a.emotes = a.moved[:0], a.emotes[:0]
	return s
}

// compactMoved forgets who has left since.
func (a *Area) compactMoved() {
	kept := a.moved[:0]
	for _, av := range a.moved {
		if !av.gone {
			kept = append(kept, av)
		}
	}
	clear(a.moved[len(kept):])
	a.moved = kept
	rows := a.emotes[:0]
	for _, e := range a.emotes {
		if a.ids[e.Avatar] != nil {
			rows = append(rows, e)
		}
	}
	a.emotes = rows
}

// roundAll tells everybody of everybody.
func (a *Area) roundAll(s *Shown) {
	var shared []byte
	if len(a.moved)+len(a.emotes) > 0 {
		shared = appendMoves(make([]byte, 0, framesBytes(len(a.moved), len(a.emotes), 0)), a.moved)
		shared = appendEmotes(shared, a.emotes)
	}
	for _, av := range a.all {
		switch {
		case av.cut:
		case av.seen == a.round-1 && !av.fresh:
			a.show(av, shared, av.others(len(a.moved)), s)
		default:
			rows := a.since(av)
			frames := appendMoves(make([]byte, 0, framesBytes(len(rows), len(a.emotes), 0)), rows)
			s.Own++
			a.show(av, appendEmotes(frames, a.emotes), len(without(rows, av)), s)
		}
	}
}

// since lists whose pose changed after what a member has seen.
func (a *Area) since(av *avatar) []*avatar {
	var list []*avatar
	for _, other := range a.all {
		if av.fresh || other.changed > av.seen {
			list = append(list, other)
		}
	}
	return list
}

// others is how many of the poses that are shared are not its own.
func (av *avatar) others(poses int) int {
	if av.inMoved {
		poses--
	}
	return poses
}

// without takes an avatar out of a list.
func without(list []*avatar, av *avatar) []*avatar {
	return slices.DeleteFunc(list, func(other *avatar) bool { return other == av })
}

// show offers frames with poses of so many others to a member.
func (a *Area) show(av *avatar, frames []byte, poses int, s *Shown) {
	if len(frames) > 0 {
		if !av.out.Show(frames) {
			s.Refused++
			a.due = true
			return
		}
		av.dirty = true
		s.Deliveries += poses
	}
	av.seen, av.fresh, av.from = a.round, false, av.cell
}

// framesBytes is room for frames with so many rows.
func framesBytes(moves, emotes, fars int) int {
	return 3*wire.HeadBytesMax + moves*wire.MovedBytes + emotes*wire.EmotedBytes + fars*wire.FarBytes
}

func appendMoves(b []byte, list []*avatar) []byte {
	if len(list) == 0 {
		return b
	}
	b = wire.AppendHead(b, wire.CmdMoves, len(list)*wire.MovedBytes)
	for _, av := range list {
		b = av.appendRow(b)
	}
	return b
}

func (av *avatar) appendRow(b []byte) []byte {
	return wire.AppendMoved(b, wire.Moved{Avatar: av.ID, Move: wire.Move{Pose: av.Pose, Step: av.step}})
}

func appendEmotes(b []byte, list []wire.Emoted) []byte {
	if len(list) == 0 {
		return b
	}
	b = wire.AppendHead(b, wire.CmdEmoted, len(list)*wire.EmotedBytes)
	for _, e := range list {
		b = wire.AppendEmoted(b, e)
	}
	return b
}

func appendFar(b []byte, list []game.AvatarID) []byte {
	if len(list) == 0 {
		return b
	}
	b = wire.AppendHead(b, wire.CmdFar, len(list)*wire.FarBytes)
	for _, id := range list {
		b = wire.AppendFar(b, id)
	}
	return b
}
