package gen

import (
	"bytes"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// The bodies that game/wire makes of these values, byte by byte.
var bodies = map[string][]byte{
	"Move":   wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: 0x0201, Y: 0x0403, Facing: 5, Gait: 6}, Step: 0x0807}),
	"Face":   wire.AppendFace(nil, wire.Face{Facing: 1, Gait: 2, Step: 0x0403}),
	"Emote":  wire.AppendEmote(nil, wire.Emote{Emote: 0x0201, Step: 0x0403, Argument: 0x08070605}),
	"Moved":  wire.AppendMoved(nil, wire.Moved{Avatar: 0x04030201, Move: wire.Move{Pose: game.Pose{X: 0x0605, Y: 0x0807, Facing: 9, Gait: 10}, Step: 0x0c0b}}),
	"Emoted": wire.AppendEmoted(nil, wire.Emoted{Avatar: 0x04030201, Emote: wire.Emote{Emote: 0x0605, Step: 0x0807, Argument: 0x0c0b0a09}}),
	"Far":    wire.AppendFar(nil, 0x04030201),
	"Ping":   wire.AppendPing(nil, 0x0807060504030201),
}

// names of the fields in the order in which the values above stand.
var fieldNames = map[string][]string{
	"Move": {"x", "y", "facing", "gait", "step"}, "Face": {"facing", "gait", "step", ""}, "Emote": {"emote", "step", "argument"},
	"Moved": {"avatar", "x", "y", "facing", "gait", "step"}, "Emoted": {"avatar", "emote", "step", "argument"}, "Far": {"avatar"}, "Ping": {"mark"},
}

func TestTablesOfOffsetsAreThoseOfTheCodec(t *testing.T) {
	t.Parallel()
	known := map[wire.Command]bool{wire.CmdPong: true, wire.CmdAck: true}
	for _, l := range layouts {
		known[l.Command] = true
		end := 0
		for i, f := range l.Fields {
			if f.Offset != end || f.Name != fieldNames[l.Name][i] {
				t.Errorf("%s: field %d (%s) at %d", l.Name, i, f.Name, f.Offset)
			}
			end += f.Bytes
		}
		if end != l.Bytes || len(bodies[l.Name]) != l.Bytes {
			t.Errorf("%s: %d bytes, the codec makes %d", l.Name, end, len(bodies[l.Name]))
		}
		want := make([]byte, l.Bytes)
		for i := range want {
			want[i] = byte(i + 1)
		}
		if l.Name == "Face" {
			copy(want[4:], []byte{0, 0, 0, 0})
		}
		if !bytes.Equal(bodies[l.Name], want) {
			t.Errorf("%s: the codec makes %x, want %x", l.Name, bodies[l.Name], want)
		}
	}
	for _, c := range wire.Commands() {
		if c.Layout == wire.LayoutFixed && !known[c.Command] {
			t.Errorf("%s has no table", c.Name)
		}
	}
}

func TestAPageWithoutMarksIsRefused(t *testing.T) {
	t.Parallel()
	s, err := Compile(t.Context(), "x.proto", []byte(`syntax = "proto3"; message M { map<string, string> m = 1; }`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.document([]byte("# A page\n")); err == nil {
		t.Error("it was taken")
	}
	if _, err := s.typeScript(); err == nil {
		t.Error("a schema with a map was written as if it had none")
	}
	if _, err := Compile(t.Context(), "x.proto", []byte("message {")); err == nil {
		t.Error("a schema that is none was compiled")
	}
}
