package worldtest

import (
	"fmt"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"google.golang.org/protobuf/proto"
)

// Seen is an avatar as a client knows it.
type Seen struct {
	game.Avatar
	Step uint16
	Far  bool
}

// View is what a client knows.
type View struct {
	Area    string // empty: it is nowhere
	Copy    uint32
	Own     game.AvatarID
	Again   int // Entered with again
	Avatars map[game.AvatarID]*Seen
	Things  map[string]string
	// Heard are texts of Said, Whispered and Event, in order.
	Heard []string
	// Log are all reliable frames, as "command body".
	Log []Frame
	// Changes counts poses of others that changed: what a load generator calls deliveries.
	Changes int
	// Emotes are those of all avatars.
	Emotes []wire.Emoted
	// Faults are frames that make no sense.
	Faults []string
	rows   []wire.Moved
}

// Frame is a reliable frame, decoded.
type Frame struct {
	Command wire.Command
	Message proto.Message
}

// NewView is a client that knows nothing.
func NewView() *View { return &View{Avatars: map[game.AvatarID]*Seen{}, Things: map[string]string{}} }

func (v *View) fault(format string, args ...any) {
	v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
}

func messageOf(cmd wire.Command) proto.Message {
	switch cmd {
	case wire.CmdEntered:
		return &wire.Entered{}
	case wire.CmdAppeared:
		return &wire.Appeared{}
	case wire.CmdGone:
		return &wire.Gone{}
	case wire.CmdAway:
		return &wire.Away{}
	case wire.CmdSaid:
		return &wire.Said{}
	case wire.CmdWhispered:
		return &wire.Whispered{}
	case wire.CmdEvent:
		return &wire.Event{}
	case wire.CmdThingChanged:
		return &wire.ThingChanged{}
	case wire.CmdRefused:
		return &wire.Refused{}
	case wire.CmdRedirect:
		return &wire.Redirect{}
	case wire.CmdAnswer:
		return &wire.Answer{}
	case wire.CmdPresence:
		return &wire.Presence{}
	case wire.CmdNotice:
		return &wire.Notice{}
	case wire.CmdPointsChanged:
		return &wire.PointsChanged{}
	}
	return nil
}

// Told takes a reliable frame.
func (v *View) Told(cmd wire.Command, body []byte) {
	m := messageOf(cmd)
	if m == nil {
		v.fault("command %d is not told reliably", cmd)
		return
	}
	if err := wire.Parse(body, m); err != nil {
		v.fault("command %d: %v", cmd, err)
		return
	}
	v.Log = append(v.Log, Frame{cmd, m})
	switch m := m.(type) {
	case *wire.Entered:
		v.entered(m)
	case *wire.Appeared:
		v.inside(cmd)
		v.appeared(m.Member)
	case *wire.Gone:
		v.inside(cmd)
		if v.Avatars[game.AvatarID(m.Avatar)] == nil {
			v.fault("gone: avatar %d was not here", m.Avatar)
		}
		delete(v.Avatars, game.AvatarID(m.Avatar))
	case *wire.Away:
		v.Leave()
	case *wire.Said:
		v.inside(cmd)
		v.Heard = append(v.Heard, fmt.Sprintf("%d says %s", m.Uid, m.Text))
	case *wire.Whispered:
		v.Heard = append(v.Heard, fmt.Sprintf("%d whispers %s", m.From, m.Text))
	case *wire.Event:
		v.Heard = append(v.Heard, fmt.Sprintf("event %s %s", m.Name, m.Body))
	case *wire.ThingChanged:
		v.inside(cmd)
		v.thing(m.Thing)
	}
}

// Leave has the client know that it is in no area: it said so.
func (v *View) Leave() {
	v.Area, v.Copy, v.Own = "", 0, 0
	clear(v.Avatars)
	clear(v.Things)
}

func (v *View) inside(cmd wire.Command) {
	if v.Area == "" {
		v.fault("command %d while the client is in no area", cmd)
	}
}

func (v *View) entered(m *wire.Entered) {
	v.Leave()
	v.Area, v.Copy, v.Own = m.Area, m.Copy, game.AvatarID(m.Avatar)
	if m.Again {
		v.Again++
	}
	for _, member := range m.Members {
		v.appeared(member)
	}
	for _, t := range m.Things {
		v.thing(t)
	}
	if v.Avatars[v.Own] == nil {
		v.fault("entered without the client's own avatar")
	}
}

func (v *View) appeared(m *wire.Member) {
	id := game.AvatarID(m.GetAvatar())
	at := game.Pose{X: uint16(m.GetX()), Y: uint16(m.GetY()), Facing: uint8(m.GetFacing()), Gait: uint8(m.GetGait())}
	seen := &Seen{Avatar: game.Avatar{ID: id, UID: game.UID(m.GetUid()), Name: m.GetName(), Look: m.GetLook(), Pose: at}}
	if before := v.Avatars[id]; before != nil {
		seen.Step = before.Step
	}
	v.Avatars[id] = seen
}

func (v *View) thing(t *wire.Thing) {
	if len(t.GetValue()) == 0 {
		delete(v.Things, t.GetName())
		return
	}
	v.Things[t.GetName()] = string(t.GetValue())
}

// Shown takes a volatile frame.
func (v *View) Shown(cmd wire.Command, body []byte) {
	ok := true
	switch cmd {
	case wire.CmdMoves:
		if v.rows, ok = wire.ParseMoves(v.rows[:0], body); ok {
			v.moves()
		}
	case wire.CmdEmoted:
		v.Emotes, ok = wire.ParseEmoted(v.Emotes, body)
	case wire.CmdFar:
		var list []game.AvatarID
		list, ok = wire.ParseFar(list, body)
		for _, id := range list {
			if seen := v.Avatars[id]; seen != nil {
				seen.Far = true
			} else {
				v.fault("far: avatar %d is not here", id)
			}
		}
	default:
		v.fault("command %d is not shown", cmd)
	}
	if !ok {
		v.fault("command %d with a body of %d bytes", cmd, len(body))
	}
}

func (v *View) moves() {
	if len(v.rows) == 0 {
		v.fault("moves without a row")
	}
	for _, m := range v.rows {
		seen := v.Avatars[m.Avatar]
		if seen == nil {
			v.fault("moves: avatar %d is not here", m.Avatar)
			continue
		}
		if seen.Pose != m.Pose && m.Avatar != v.Own {
			v.Changes++
		}
		seen.Pose, seen.Step, seen.Far = m.Pose, m.Step, false
	}
}
