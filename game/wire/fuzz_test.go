package wire_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/kamado/kamado/game/wire"
)

// FuzzFrames: in whatever pieces a stream comes, the same frames and the same error come out; what was taken is written
// again as the same bytes; and no more memory is held than the bytes that came.
func FuzzFrames(f *testing.F) {
	whole := wire.AppendFrame([]byte(wire.Magic), wire.CmdHello, []byte("hello"))
	whole = wire.AppendReliable(whole, wire.CmdSay, 1, bytes.Repeat([]byte("x"), 200))
	f.Add(whole, byte(1), true)
	f.Add(whole[4:], byte(7), false)
	f.Add(whole[:9], byte(2), true)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), byte(5), true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f}, byte(1), false)
	f.Add([]byte{0x81, 0x00, 0x04}, byte(2), false)
	f.Add([]byte{0x80, 0x80, 0x40, 0x04}, byte(3), false)
	f.Fuzz(func(t *testing.T, stream []byte, size byte, magic bool) {
		once := wire.Splitter{Limit: wire.LimitHello, Magic: magic}
		want, wantErr := split(&once, stream, max(len(stream), 1))
		pieces := wire.Splitter{Limit: wire.LimitHello, Magic: magic}
		got, err := split(&pieces, stream, max(int(size), 1))
		if err != wantErr || !slices.EqualFunc(got, want, func(a, b wire.Frame) bool { return a.Command == b.Command && bytes.Equal(a.Body, b.Body) }) {
			t.Fatalf("in pieces of %d: %d frames, %v; at once: %d frames, %v", size, len(got), err, len(want), wantErr)
		}
		if err == nil && pieces.Whole() != once.Whole() {
			t.Errorf("whole in pieces: %v, at once: %v", pieces.Whole(), once.Whole())
		}
		if held := max(once.RestCap(), pieces.RestCap()); held > 2*len(stream)+1024 {
			t.Errorf("%d bytes are held of a stream of %d", held, len(stream))
		}
		var again []byte
		if magic && len(want) > 0 {
			again = append(again, wire.Magic...)
		}
		for _, f := range want {
			again = wire.AppendFrame(again, f.Command, f.Body)
			if seq, body, err := wire.SplitSeq(f.Body); err == nil {
				if !bytes.Equal(wire.AppendReliable(nil, f.Command, seq, body), wire.AppendFrame(nil, f.Command, f.Body)) {
					t.Errorf("sequence number %d is written otherwise", seq)
				}
			}
		}
		if !bytes.HasPrefix(stream, again) {
			t.Errorf("%x is written as %x", stream, again)
		}
	})
}

// FuzzFixed: a fixed body that is taken is written again as the same bytes, but for what is passed over.
func FuzzFixed(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{5})
	f.Add([]byte{0x81, 0x00})
	f.Add(wire.AppendMove(nil, wire.Move{Step: 9}))
	f.Add(wire.AppendMoved(nil, wire.Moved{Avatar: 1}))
	f.Add(bytes.Repeat([]byte{0xff}, 24))
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, ok bool, again []byte) {
			if ok && !bytes.Equal(again, b) {
				t.Errorf("%s %x is written as %x", what, b, again)
			}
		}
		m, ok := wire.ParseMove(b)
		same("move", ok, wire.AppendMove(nil, m))
		e, ok := wire.ParseEmote(b)
		same("emote", ok, wire.AppendEmote(nil, e))
		p, ok := wire.ParsePing(b)
		same("ping", ok, wire.AppendPing(nil, p))
		a, ok := wire.ParseAck(b)
		same("ack", ok, wire.AppendAck(nil, a))
		if face, ok := wire.ParseFace(b); ok && !bytes.Equal(wire.AppendFace(nil, face)[:4], b[:4]) {
			t.Errorf("face %x is %v", b, face)
		}
		fuzzRows(t, b)
	})
}

// fuzzRows does the same for bodies of rows.
func fuzzRows(t *testing.T, b []byte) {
	t.Helper()
	var again []byte
	moves, ok := wire.ParseMoves(nil, b)
	if ok != (len(b)%wire.MovedBytes == 0) {
		t.Errorf("moves of %d bytes: %v", len(b), ok)
	}
	for _, m := range moves {
		again = wire.AppendMoved(again, m)
	}
	if ok && !bytes.Equal(again, b) {
		t.Errorf("moves %x are written as %x", b, again)
	}
	again = again[:0]
	emotes, ok := wire.ParseEmoted(nil, b)
	for _, e := range emotes {
		again = wire.AppendEmoted(again, e)
	}
	if ok && !bytes.Equal(again, b) {
		t.Errorf("emoted %x is written as %x", b, again)
	}
	again = again[:0]
	far, ok := wire.ParseFar(nil, b)
	for _, id := range far {
		again = wire.AppendFar(again, id)
	}
	if ok && !bytes.Equal(again, b) {
		t.Errorf("far %x is written as %x", b, again)
	}
}

// blank makes an empty message of the schema; n chooses which.
func blank(n uint16) proto.Message {
	messages := wire.File_wire_proto.Messages()
	typ, err := protoregistry.GlobalTypes.FindMessageByName(messages.Get(int(n) % messages.Len()).FullName())
	if err != nil {
		panic(err)
	}
	return typ.New().Interface()
}

// FuzzMessages: what is decoded as a message can be encoded, and is the same message then.
func FuzzMessages(f *testing.F) {
	for i := range wire.File_wire_proto.Messages().Len() {
		m := blank(uint16(i))
		fill(m.ProtoReflect(), i)
		b, err := wire.Body(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(i), b)
	}
	f.Add(uint16(0), []byte{0x1a, 0x02, 0xff, 0xfe})
	f.Add(uint16(0), []byte{0xfb, 0x7f, 0x08, 0x01})
	f.Fuzz(func(t *testing.T, n uint16, b []byte) {
		m := blank(n)
		if wire.Parse(b, m) != nil {
			return
		}
		again, err := wire.Body(m)
		if err != nil {
			t.Fatalf("%s was decoded, and not encoded: %v", m.ProtoReflect().Descriptor().Name(), err)
		}
		back := blank(n)
		if err := wire.Parse(again, back); err != nil || !proto.Equal(m, back) {
			t.Errorf("%v is %v, %v", m, back, err)
		}
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			t.Error("fields that are not known were kept")
		}
	})
}

// fill sets every field to something.
func fill(m protoreflect.Message, n int) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		switch {
		case f.IsList():
			v := m.Mutable(f).List().NewElement()
			fill(v.Message(), n)
			m.Mutable(f).List().Append(v)
		case f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).Message(), n)
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString("広場"))
		case f.Kind() == protoreflect.BytesKind:
			m.Set(f, protoreflect.ValueOfBytes([]byte{0, 255}))
		case f.Kind() == protoreflect.BoolKind:
			m.Set(f, protoreflect.ValueOfBool(true))
		case f.Kind() == protoreflect.Uint32Kind:
			m.Set(f, protoreflect.ValueOfUint32(uint32(300+n)))
		case f.Kind() == protoreflect.Uint64Kind:
			m.Set(f, protoreflect.ValueOfUint64(math.MaxUint64))
		case f.Kind() == protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(-1))
		case f.Kind() == protoreflect.EnumKind:
			m.Set(f, protoreflect.ValueOfEnum(8))
		}
	}
}

func FuzzSeq(f *testing.F) {
	f.Add([]byte{1})
	f.Add(binary.AppendUvarint(nil, math.MaxUint64))
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		seq, body, err := wire.SplitSeq(b)
		if err != nil {
			return
		}
		if again := append(binary.AppendUvarint(nil, seq), body...); seq == 0 || !bytes.Equal(again, b) {
			t.Errorf("%x is %d and %x", b, seq, body)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	rows := make([]byte, 30*wire.MovedBytes)
	buffer := make([]byte, 0, 1024)
	b.Run("append/moves-of-30", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(rows)))
		for b.Loop() {
			buffer = wire.AppendFrame(buffer[:0], wire.CmdMoves, rows)
		}
	})
	b.Run("split/moves-of-30", func(b *testing.B) {
		frame := wire.AppendFrame(nil, wire.CmdMoves, rows)
		s := wire.Splitter{Limit: wire.LimitServer}
		list := make([]wire.Moved, 0, 30)
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		for b.Loop() {
			for f, err := range s.Message(frame) {
				if err != nil {
					b.Fatal(err)
				}
				list, _ = wire.ParseMoves(list[:0], f.Body)
			}
		}
	})
	b.Run("split/64-moves", func(b *testing.B) {
		var stream []byte
		for range 64 {
			stream = wire.AppendFrame(stream, wire.CmdMove, rows[:wire.MoveBytes])
		}
		s := wire.Splitter{Limit: wire.LimitClient}
		n := 0
		b.ReportAllocs()
		b.SetBytes(int64(len(stream)))
		for b.Loop() {
			for f := range s.Frames(stream) {
				if _, ok := wire.ParseMove(f.Body); ok {
					n++
				}
			}
		}
	})
}
