package gen

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// example is a frame that the document shows byte by byte.
type example struct {
	Command wire.Command
	Seq     uint64
	Magic   bool // in front of it
	What    string
	Message proto.Message // or
	Fixed   []byte
}

// exampleTime is a moment for examples: 2026-11-28 12:00 UTC.
var exampleTime = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC).UnixMilli()

// examples are a short visit: somebody comes, enters the plaza, walks, talks, and asks for the balance.
func examples() []example {
	walk := wire.Move{Pose: game.Pose{X: 300, Y: 200, Facing: 64, Gait: game.GaitWalk}, Step: 1}
	moves := wire.AppendMoved(nil, wire.Moved{Avatar: 7, Move: walk})
	moves = wire.AppendMoved(moves, wire.Moved{Avatar: 9, Move: wire.Move{Pose: game.Pose{X: 1599, Y: 0}, Step: 65535}})
	return []example{
		{Command: wire.CmdHello, Magic: true, What: "The client opens, with a token and version 1.2.3 of itself.",
			Message: &wire.Hello{Protocol: 1, Client: 1<<20 | 2<<10 | 3, Token: "TOKEN", Agent: "demo", Language: "en"}},
		{Command: wire.CmdWelcome, What: "The server knows the user, 1001.",
			Message: &wire.Welcome{Protocol: 1, Uid: 1001, Resume: []byte{1, 2, 3, 4}, ExpiresMs: exampleTime + 900_000, KeepAliveMs: 30_000, ResumeMs: 30_000, TickMs: 50, NowMs: exampleTime, Node: "n1"}},
		{Command: wire.CmdJoin, Seq: 1, What: "The client's first reliable frame: into any copy of the plaza.", Message: &wire.Join{Area: "plaza", Name: "momo"}},
		{Command: wire.CmdEntered, Seq: 1, What: "The server's first reliable frame: the client is avatar 7 in copy 1, and alone.",
			Message: &wire.Entered{Area: "plaza", Copy: 1, Avatar: 7, Width: 1600, Height: 1200, TickMs: 50, Members: []*wire.Member{{Avatar: 7, Uid: 1001, Name: "momo", X: 800, Y: 600}}}},
		{Command: wire.CmdMove, What: "A step to 300, 200, walking, facing down.", Fixed: wire.AppendMove(nil, walk)},
		{Command: wire.CmdMoves, What: "Two avatars have moved, one of them the client's own.", Fixed: moves},
		{Command: wire.CmdFace, What: "A turn to the left, sitting.", Fixed: wire.AppendFace(nil, wire.Face{Facing: 128, Gait: game.GaitSit, Step: 2})},
		{Command: wire.CmdEmote, What: "A wave.", Fixed: wire.AppendEmote(nil, wire.Emote{Emote: 1, Step: 3})},
		{Command: wire.CmdSay, Seq: 2, What: "Something is said.", Message: &wire.Say{Text: "hi"}},
		{Command: wire.CmdSaid, Seq: 2, What: "Everybody hears it.", Message: &wire.Said{Avatar: 7, Uid: 1001, Name: "momo", Text: "hi", AtMs: exampleTime}},
		{Command: wire.CmdCall, Seq: 3, What: "A call without a body's fields: the caller's own account. `PointsAccountRequest` with all defaults has no bytes.",
			Message: &wire.Call{Id: 1, Method: "points.account"}},
		{Command: wire.CmdAnswer, Seq: 3, What: "Its answer: body is a `PointsAccount` of user 1001, balance 300.",
			Message: &wire.Answer{Id: 1, Body: must(wire.Body(&wire.PointsAccount{Uid: 1001, Balance: 300, Free: 300}))}},
		{Command: wire.CmdAck, What: "The client has got everything up to 3.", Fixed: wire.AppendAck(nil, 3)},
		{Command: wire.CmdPing, What: "A sign of life is asked for.", Fixed: wire.AppendPing(nil, 5)},
	}
}

// must is for messages of this file: they are fine, or the program is wrong.
func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// frame is the example as it stands on the wire.
func (e example) frame() []byte {
	var b []byte
	if e.Magic {
		b = append(b, wire.Magic...)
	}
	if e.Message == nil {
		return wire.AppendFrame(b, e.Command, e.Fixed)
	}
	return must(wire.AppendMessage(b, e.Command, e.Seq, e.Message))
}

// row is some bytes with what they are.
func (w *writer) row(b []byte, format string, args ...any) {
	for len(b) > 8 {
		w.line("%s", spaced(b[:8]))
		b = b[8:]
	}
	w.line("%-24s  %s", spaced(b), fmt.Sprintf(format, args...))
}

// spaced is hex with blanks.
func spaced(b []byte) string {
	var parts []string
	for _, c := range b {
		parts = append(parts, hex.EncodeToString([]byte{c}))
	}
	return strings.Join(parts, " ")
}

// write writes the example with a comment for each field.
func (e example) write(w *writer) {
	info, _ := wire.Lookup(e.Command)
	b := e.frame()
	w.line("\n%s\n\n```frame %s", e.What, info.Name)
	if e.Magic {
		w.row(b[:4], "magic: %q", b[:4])
		b = b[4:]
	}
	length, n := protowire.ConsumeVarint(b)
	w.row(b[:n], "length: %d bytes follow", length)
	b = b[n:]
	_, n = protowire.ConsumeVarint(b)
	w.row(b[:n], "command %d: %s", info.Command, info.Name)
	b = b[n:]
	if e.Seq > 0 {
		_, n = protowire.ConsumeVarint(b)
		w.row(b[:n], "sequence number %d", e.Seq)
		b = b[n:]
	}
	switch {
	case e.Message != nil:
		w.fields(b, e.Message.ProtoReflect().Descriptor(), "")
	case e.Command == wire.CmdAck:
		w.row(b, "sequence number %d", e.Fixed[0])
	default:
		w.offsets(b, e.Command)
	}
	w.line("```")
}

// fields writes those of a message.
func (w *writer) fields(b []byte, m protoreflect.MessageDescriptor, indent string) {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		f := m.Fields().ByNumber(number)
		size := n + protowire.ConsumeFieldValue(number, typ, b[n:])
		name := fmt.Sprintf("%sfield %d, %s", indent, number, f.Name())
		switch {
		case typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(b[n:])
			w.row(b[:size], "%s = %d", name, v)
		case f.Kind() == protoreflect.MessageKind:
			inner, m := protowire.ConsumeBytes(b[n:])
			w.row(b[:n+m-len(inner)], "%s: a %s of %d bytes", name, f.Message().Name(), len(inner))
			w.fields(inner, f.Message(), indent+"  ")
		case f.Kind() == protoreflect.StringKind:
			v, _ := protowire.ConsumeBytes(b[n:])
			w.row(b[:size], "%s = %q", name, v)
		default:
			v, _ := protowire.ConsumeBytes(b[n:])
			w.row(b[:size], "%s: %d bytes", name, len(v))
		}
		b = b[size:]
	}
}

// offsets writes the fields of a fixed body.
func (w *writer) offsets(b []byte, c wire.Command) {
	for _, l := range layouts {
		if l.Command != c {
			continue
		}
		for ; len(b) > 0; b = b[l.Bytes:] {
			for _, f := range l.Fields {
				part, v := b[f.Offset:f.Offset+f.Bytes], uint64(0)
				for i := len(part) - 1; i >= 0; i-- {
					v = v<<8 | uint64(part[i])
				}
				if f.Name == "" {
					w.row(part, "zero")
					continue
				}
				w.row(part, "%s = %d", f.Name, v)
			}
		}
	}
}
