package bench

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game/wire"
)

// walker is one avatar of a fan-out with its connection, whatever protocol that speaks.
type walker interface {
	speaker
	// step sends a place; leave says farewell.
	step(c *link, x, y uint16)
	leave(c *link)
	seated() *seat
}

// seat is where a walker belongs.
type seat struct {
	room *gathering
	n    int // within the room
	gate *gate
	link *link // nil: not in
}

// gathering is one room with those who are in it. It belongs to one crowd.
type gathering struct {
	tally *tally
	name  string
	first int            // number of its first walker among all
	ids   map[uint32]int // seat of each avatar, by the server's number
	// Of a peer: seat of each avatar by its session, and the number of the structure that holds them.
	names   map[string]int
	avatars uint32
}

// avatarSeat finds the seat of an avatar; -1: it is nobody's.
func (g *gathering) avatarSeat(id uint32) int {
	if n, ok := g.ids[id]; ok {
		return n
	}
	return -1
}

// stroller walks over the game's own protocol.
type stroller struct {
	player
	seat
	tick uint32 // milliseconds between two Moves, as Entered says
	out  []byte
	made uint16 // moves
}

func newStroller(token string, s seat) *stroller {
	p := &stroller{player: player{token: token}, seat: s}
	p.part = p
	return p
}

func (p *stroller) seated() *seat { return &p.seat }

func (p *stroller) welcomed(c *link, _ *wire.Welcome) {
	x, y := placeOf(0)
	join, err := proto.Marshal(&wire.Join{Area: p.room.name, Name: fmt.Sprintf("bench %d", p.n+1), At: true, X: uint32(x), Y: uint32(y)})
	if err != nil {
		c.end(err) // a name that is no text
		return
	}
	c.send(p.reliable(nil, wire.CmdJoin, join))
}

func (p *stroller) frame(c *link, cmd wire.Command, body []byte, now int64) error {
	switch cmd {
	case wire.CmdMoves:
		return p.moves(body, now)
	case wire.CmdEntered:
		var m wire.Entered
		if err := wire.Parse(body, &m); err != nil {
			return err
		}
		p.tick = m.GetTickMs()
		p.room.ids[m.GetAvatar()] = p.n
		if p.link == nil {
			p.link = c
			p.gate.entered(now)
		}
	case wire.CmdRefused:
		var m wire.Refused
		if err := wire.Parse(body, &m); err != nil {
			return err
		}
		if p.link == nil {
			return fmt.Errorf("%w: %s: %s", errRefused, m.GetFault().GetKind(), m.GetFault().GetDetail())
		}
	case wire.CmdRedirect, wire.CmdAway:
		return fmt.Errorf("%w: it said %d, as for an area that is elsewhere", errRefused, cmd)
	}
	return nil
}

// moves counts the rows of one frame.
func (p *stroller) moves(body []byte, now int64) error {
	if len(body)%wire.MovedBytes != 0 {
		return fmt.Errorf("%w: %d bytes of moves", wire.ErrLength, len(body))
	}
	for ; len(body) > 0; body = body[wire.MovedBytes:] {
		id := binary.LittleEndian.Uint32(body)
		x, y := binary.LittleEndian.Uint16(body[4:]), binary.LittleEndian.Uint16(body[6:])
		p.room.tally.row(p.n, p.room.avatarSeat(id), x, y, now)
	}
	return nil
}

func (p *stroller) step(c *link, x, y uint16) {
	p.made++
	m := wire.Move{Step: p.made}
	m.Pose.X, m.Pose.Y, m.Pose.Gait = x, y, 1
	var body [wire.MoveBytes]byte
	p.out = wire.AppendFrame(p.out[:0], wire.CmdMove, wire.AppendMove(body[:0], m))
	c.send(p.out)
}

func (p *stroller) leave(c *link) { c.send(p.reliable(nil, wire.CmdLeave, nil)) }

func (p *stroller) ended(c *link, err error) {
	wasIn := p.link != nil
	p.link = nil
	p.gate.ended(wasIn, c.crowd.now(), err)
}

// errRefused is a server that does not do what the measurement needs.
var errRefused = fmt.Errorf("the server refused")
