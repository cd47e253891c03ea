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

// ParseMoves appends the rows of the body to list; false: it is none.
func ParseMoves(list []Moved, b []byte) ([]Moved, bool) {
	if len(b)%MovedBytes != 0 {
		return list, false
	}
	for ; len(b) > 0; b = b[MovedBytes:] {
		m, _ := ParseMoved(b[:MovedBytes])
		list = append(list, m)
	}
	return list, true
}

// Face turns the client's own avatar, or changes what it does, without a move.
type Face struct {
	Facing, Gait uint8 // as in game.Pose
	Step         uint16
}

// AppendFace appends the body.
func AppendFace(b []byte, f Face) []byte {
	b = append(b, f.Facing, f.Gait)
	b = binary.LittleEndian.AppendUint16(b, f.Step)
	return append(b, 0, 0, 0, 0)
}

// ParseFace reads the body; false: it is none. The last four bytes are passed over.
func ParseFace(b []byte) (f Face, ok bool) {
	if len(b) != FaceBytes {
		return f, false
	}
	return Face{b[0], b[1], binary.LittleEndian.Uint16(b[2:])}, true
}

// Emote is a gesture of the client's own avatar. It is shown and forgotten.
type Emote struct {
	Emote    uint16 // which one: 1 waves, 2 dances, 3 laughs, 4 bows, 5 cries; others are the application's
	Step     uint16
	Argument uint32 // of the application: an object, another avatar
}

// AppendEmote appends the body.
func AppendEmote(b []byte, e Emote) []byte {
	b = binary.LittleEndian.AppendUint16(b, e.Emote)
	b = binary.LittleEndian.AppendUint16(b, e.Step)
	return binary.LittleEndian.AppendUint32(b, e.Argument)
}

// ParseEmote reads the body; false: it is none.
func ParseEmote(b []byte) (e Emote, ok bool) {
	if len(b) != EmoteBytes {
		return e, false
	}
	return Emote{binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])}, true
}

// Emoted is a row of the body of emoted.
type Emoted struct {
	Avatar game.AvatarID
	Emote
}

// AppendEmoted appends a row.
func AppendEmoted(b []byte, e Emoted) []byte {
	return AppendEmote(binary.LittleEndian.AppendUint32(b, uint32(e.Avatar)), e.Emote)
}

// ParseEmoted appends the rows of the body to list; false: it is none.
func ParseEmoted(list []Emoted, b []byte) ([]Emoted, bool) {
	if len(b)%EmotedBytes != 0 {
		return list, false
	}
	for ; len(b) > 0; b = b[EmotedBytes:] {
		e, _ := ParseEmote(b[4:EmotedBytes])
		list = append(list, Emoted{game.AvatarID(binary.LittleEndian.Uint32(b)), e})
	}
	return list, true
}

// AppendFar appends a row of far.
func AppendFar(b []byte, id game.AvatarID) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(id))
}

// ParseFar appends the avatars of the body to list; false: it is none.
func ParseFar(list []game.AvatarID, b []byte) ([]game.AvatarID, bool) {
	if len(b)%FarBytes != 0 {
		return list, false
	}
	for ; len(b) > 0; b = b[FarBytes:] {
		list = append(list, game.AvatarID(binary.LittleEndian.Uint32(b)))
	}
	return list, true
}

// AppendPing appends the body of ping or pong: bytes of whoever asks, which come back as they are.
func AppendPing(b []byte, mark uint64) []byte { return binary.LittleEndian.AppendUint64(b, mark) }

// ParsePing reads the body of ping or pong; false: it is none.
func ParsePing(b []byte) (mark uint64, ok bool) {
	if len(b) != PingBytes {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}

// AppendAck appends the body of ack: the last reliable frame that was got, as a varint; 0: none.
func AppendAck(b []byte, seq uint64) []byte { return binary.AppendUvarint(b, seq) }

// ParseAck reads the body of ack; false: it is none.
func ParseAck(b []byte) (seq uint64, ok bool) {
	seq, n, err := varint(b, 10)
	return seq, err == nil && n == len(b) && n > 0
}
