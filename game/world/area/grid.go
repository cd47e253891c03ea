package area

import (
	"slices"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// The grid is on above gridAbove avatars, and off again at gridBelow, so that one who comes and goes at the boundary
// does not switch it each time: a switch shows everybody everything.
const (
	gridAbove = 50
	gridBelow = 40
)

// cell is column and row of a square of the area, each in 16 bits.
type cell uint32

func near(a, b cell) bool {
	dx, dy := int32(a&0xffff)-int32(b&0xffff), int32(a>>16)-int32(b>>16)
	return dx >= -1 && dx <= 1 && dy >= -1 && dy <= 1
}

// sight is where an avatar is in the grid, and what its member follows.
type sight struct {
	cell     cell
	before   cell   // where it was when the round crossed was told
	crossed  uint64 // the last round in which it came into another cell
	appeared uint64 // the last round in which everybody was told that it is here, wherever
	from     cell   // its own cell when its member had seen what it has seen
}

// grid finds who is near whom.
type grid struct {
	view     uint16
	cells    map[cell][]*avatar
	crossers []*avatar          // of the round that is collected or told; each once
	rows     map[cell][]byte    // of a round: Moves rows of the avatars that moved, by the cell where they are
	views    map[cell]sharedFor // of a round: what the members in a cell are shown
}

type sharedFor struct {
	frames []byte
	poses  int
}

func (g *grid) cellOf(at game.Pose) cell { return cell(at.X/g.view) | cell(at.Y/g.view)<<16 }

func (a *Area) gridOn() {
	a.grid = &grid{view: uint16(a.cfg.Plan.View), cells: map[cell][]*avatar{}, rows: map[cell][]byte{}, views: map[cell]sharedFor{}}
	for _, av := range a.all {
		av.sight = sight{}
		a.grid.add(av, a.grid.cellOf(av.Pose))
		av.from, av.fresh = av.cell, true
	}
	a.due = true
}

func (a *Area) gridOff() {
	a.grid = nil
	for _, av := range a.all {
		av.fresh = true
	}
	a.due = true
}

func (g *grid) add(av *avatar, c cell) {
	av.cell = c
	g.cells[c] = append(g.cells[c], av)
}

func (g *grid) remove(av *avatar) {
	list := g.cells[av.cell]
	i := slices.Index(list, av)
	list = slices.Delete(list, i, i+1)
	if len(list) == 0 {
		delete(g.cells, av.cell)
		return
	}
	g.cells[av.cell] = list
}

// appear notes for a round that everybody was told of an avatar: who is far from it is told that too.
func (g *grid) appear(av *avatar, round uint64) {
	if !slices.Contains(g.cells[av.cell], av) {
		g.add(av, g.cellOf(av.Pose))
		av.from = av.cell
	}
	g.crosses(av, round)
	av.appeared = round
}

func (g *grid) crosses(av *avatar, round uint64) {
	if av.crossed < round && av.appeared < round {
		g.crossers = append(g.crossers, av)
	}
}

// settle brings who moved into the cells where they are now.
func (g *grid) settle(moved []*avatar, round uint64) {
	for _, av := range moved {
		c := g.cellOf(av.Pose)
		if c == av.cell {
			continue
		}
		g.crosses(av, round)
		av.before, av.crossed = av.cell, round
		g.remove(av)
		g.add(av, c)
	}
	for _, av := range moved {
		g.rows[av.cell] = av.appendRow(g.rows[av.cell])
	}
}

// roundGrid tells everybody of who is near.
func (a *Area) roundGrid(s *Shown) {
	g := a.grid
	for _, av := range a.all {
		switch {
		case av.cut:
		case av.seen == a.round-1 && !av.fresh && av.from == av.cell:
			v := a.viewOf(av.cell)
			a.show(av, v.frames, av.others(v.poses), s)
		default:
			rows, fars := a.around(av)
			frames := appendMoves(make([]byte, 0, framesBytes(len(rows), len(a.emotes), len(fars))), rows)
			frames = appendEmotes(appendFar(frames, fars), a.emotesNear(av.cell))
			s.Own++
			a.show(av, frames, len(without(rows, av)), s)
		}
	}
	clear(g.rows)
	clear(g.views)
	clear(g.crossers)
	g.crossers = g.crossers[:0]
}

// viewOf builds what members in a cell are shown of a round, once for all of them.
func (a *Area) viewOf(c cell) sharedFor {
	g := a.grid
	if v, ok := g.views[c]; ok {
		return v
	}
	var rows [9][]byte
	bytes := 0
	for i := range rows {
		if n, ok := neighbour(c, i); ok {
			rows[i] = g.rows[n]
			bytes += len(rows[i])
		}
	}
	var fars []game.AvatarID
	for _, av := range g.crossers {
		if !av.gone && !near(av.cell, c) && (av.appeared == a.round || near(av.before, c)) {
			fars = append(fars, av.ID)
		}
	}
	emotes := a.emotesNear(c)
	v := sharedFor{poses: bytes / wire.MovedBytes}
	if bytes > 0 {
		v.frames = wire.AppendHead(make([]byte, 0, framesBytes(v.poses, len(emotes), len(fars))), wire.CmdMoves, bytes)
		for _, r := range rows {
			v.frames = append(v.frames, r...)
		}
	}
	v.frames = appendEmotes(appendFar(v.frames, fars), emotes)
	g.views[c] = v
	return v
}

// neighbour is the cell of number i (0 to 8) around c, itself among them; false: it lies outside of any area.
func neighbour(c cell, i int) (cell, bool) {
	x, y := int32(c&0xffff)+int32(i%3)-1, int32(c>>16)+int32(i/3)-1
	return cell(x) | cell(y)<<16, x >= 0 && y >= 0
}

func (a *Area) emotesNear(c cell) []wire.Emoted {
	var list []wire.Emoted
	for _, e := range a.emotes {
		if near(a.ids[e.Avatar].cell, c) {
			list = append(list, e)
		}
	}
	return list
}

// around lists what one member is to be shown: the poses of those near it that changed since what it has seen, or that it
// did not follow then; and those that it may follow and no longer does.
func (a *Area) around(av *avatar) (rows []*avatar, fars []game.AvatarID) {
	for _, other := range a.all {
		followed := near(other.cell, av.from)
		switch {
		case near(other.cell, av.cell):
			if av.fresh || other.changed > av.seen || !followed {
				rows = append(rows, other)
			}
		case av.fresh || followed || other.crossed > av.seen || other.appeared > av.seen:
			fars = append(fars, other.ID)
		}
	}
	return rows, fars
}
