package wire

import (
	"encoding/binary"

	"github.com/kamado/kamado/game"
)

// Sizes of fixed bodies, in bytes.
const (
	MoveBytes   = 8  // client: x u16, y u16, facing u8, gait u8, step u16
	FaceBytes   = 8  // client: facing u8, gait u8, step u16, 4 bytes zero
	EmoteBytes  = 8  // client: emote u16, step u16, argument u32 (of the application)
	MovedBytes  = 12 // server: avatar u32, x u16, y u16, facing u8, gait u8, step u16; Moves is a row of them
	EmotedBytes = 12 // server: avatar u32, emote u16, step u16, argument u32; Emoted is a row of them
	FarBytes    = 4  // server: avatar u32; Far is a row of them
	PingBytes   = 8  // of the asking side; comes back as it is
)

// Move is a step of the client's own avatar. Step is the client's count of moves; it comes back with the pose, so that a client
// can tell which of its steps the server has.
type Move struct {
	Pose game.Pose
	Step uint16
}

// AppendMove appends the body.
func AppendMove(b []byte, m Move) []byte {
	b = binary.LittleEndian.AppendUint16(b, m.Pose.X)
	b = binary.LittleEndian.AppendUint16(b, m.Pose.Y)
	b = append(b, m.Pose.Facing, m.Pose.Gait)
	return binary.LittleEndian.AppendUint16(b, m.Step)
}

// ParseMove reads the body; false: it is none.
func ParseMove(b []byte) (m Move, ok bool) {
	if len(b) != MoveBytes {
		return m, false
	}
	m.Pose.X, m.Pose.Y = binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
	m.Pose.Facing, m.Pose.Gait = b[4], b[5]
	m.Step = binary.LittleEndian.Uint16(b[6:])
	return m, true
}

// Moved is a row of Moves.
type Moved struct {
	Avatar game.AvatarID
	Move
}

// AppendMoved appends a row.
func AppendMoved(b []byte, m Moved) []byte {
	return AppendMove(binary.LittleEndian.AppendUint32(b, uint32(m.Avatar)), m.Move)
}

// ParseMoved reads a row of exactly MovedBytes.
func ParseMoved(b []byte) (m Moved, ok bool) {
	if len(b) != MovedBytes {
		return m, false
	}
	m.Avatar = game.AvatarID(binary.LittleEndian.Uint32(b))
	m.Move, _ = ParseMove(b[4:])
	return m, true
}
