package gen

import "github.com/kamado/kamado/game/wire"

// layout is the table of offsets of a fixed body. Everything is little-endian and has no sign.
type layout struct {
	Name    string // of the body, or of a row: "Move"
	Command wire.Command
	Rows    bool // the body is any number of these
	Bytes   int
	Fields  []layoutField
}

// layoutField is a number in a fixed body.
type layoutField struct {
	Name          string
	Offset, Bytes int // 4 zero bytes have no name
	What          string
}

// pose is the part that Move and Moves have in common, from offset at on.
func pose(at int) []layoutField {
	return []layoutField{
		{"x", at, 2, "units from the left edge of the area"},
		{"y", at + 2, 2, "units from the upper edge"},
		{"facing", at + 4, 1, "256 steps a turn, clockwise; 0 faces right, 64 down"},
		{"gait", at + 5, 1, "0 stands, 1 walks, 2 runs, 3 sits; others are the application's"},
		{"step", at + 6, 2, "the mover's count of its commands, modulo 65536"},
	}
}

// gesture is the part that Emote and Emoted have in common.
func gesture(at int) []layoutField {
	return []layoutField{
		{"emote", at, 2, "1 waves, 2 dances, 3 laughs, 4 bows, 5 cries; others are the application's"},
		{"step", at + 2, 2, "the mover's count of its commands, modulo 65536"},
		{"argument", at + 4, 4, "of the application"},
	}
}

var avatar = layoutField{"avatar", 0, 4, "whose: `Member.avatar`"}

// layouts has all fixed bodies but ack, which is one varint.
var layouts = []layout{
	{"Move", wire.CmdMove, false, wire.MoveBytes, pose(0)},
	{"Face", wire.CmdFace, false, wire.FaceBytes, []layoutField{
		{"facing", 0, 1, "as in move"},
		{"gait", 1, 1, "as in move"},
		{"step", 2, 2, "as in move"},
		{"", 4, 4, "zero; passed over by who reads"},
	}},
	{"Emote", wire.CmdEmote, false, wire.EmoteBytes, gesture(0)},
	{"Moved", wire.CmdMoves, true, wire.MovedBytes, append([]layoutField{avatar}, pose(4)...)},
	{"Emoted", wire.CmdEmoted, true, wire.EmotedBytes, append([]layoutField{avatar}, gesture(4)...)},
	{"Far", wire.CmdFar, true, wire.FarBytes, []layoutField{avatar}},
	{"Ping", wire.CmdPing, false, wire.PingBytes, []layoutField{{"mark", 0, 8, "of who asks; pong brings the same bytes back"}}},
}
