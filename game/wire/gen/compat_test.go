package gen_test

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/wire/gen"
)

// protoName is the name of a message.
func protoName(s string) protoreflect.Name { return protoreflect.Name(s) }

func source(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func compile(t *testing.T, text string) *gen.Schema {
	t.Helper()
	s, err := gen.Compile(t.Context(), "wire.proto", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func schemas(t *testing.T) (previous, next *gen.Schema) {
	t.Helper()
	return compile(t, source(t, "testdata/previous/wire.proto")), compile(t, source(t, "../wire.proto"))
}

func TestTheSchemaOnlyGrows(t *testing.T) {
	t.Parallel()
	previous, next := schemas(t)
	for _, b := range gen.Breaks(previous, next) {
		t.Error(b)
	}
	if len(gen.Breaks(next, previous)) == 0 {
		t.Error("the previous schema has all that the next one has: it shows nothing")
	}
}

func TestASchemaThatTakesSomethingBackIsRefused(t *testing.T) {
	t.Parallel()
	now := source(t, "../wire.proto")
	for _, c := range []struct{ name, old, new, want string }{
		{"a field with another number", "string agent = 6;", "string agent = 60;", "field 6 of Hello (agent) is gone"},
		{"a field with another type", "uint32 avatar = 3;", "uint64 avatar = 3;", "was uint32, and is uint64"},
		{"a field with another name", "string detail = 2;", "string text = 2;", "was detail, and is text"},
		{"a field that is many", "Place place = 4;", "repeated Place place = 4;", "was Place, and is repeated Place"},
		{"a field that is gone", "  bool again = 9; ", "//", "field 9 of Entered (again) is gone"},
		{"two fields that change places", "uint64 from = 1;\n  uint64 to = 2;", "uint64 to = 1;\n  uint64 from = 2;", "had number 1, and has 2"},
		{"a choice that is none any more", "    string refresh = 4;      // a refresh token\n  }", "  }\n  string refresh = 4;", `was one of "how", and is one of ""`},
		{"a message that is gone", "message Notice {", "message Announcement {", "message Notice is gone"},
		{"a value with another meaning", "REASON_FULL = 8;", "REASON_SLEEPY = 8;", "value 8 of Reason was REASON_FULL"},
		{"another package", "package kamado.game.v1;", "package kamado.game.v2;", "is kamado.game.v2"},
	} {
		text := strings.Replace(now, c.old, c.new, 1)
		if text == now {
			t.Fatalf("%s: the schema has no %q", c.name, c.old)
		}
		if breaks := strings.Join(gen.Breaks(compile(t, now), compile(t, text)), "\n"); !strings.Contains(breaks, c.want) {
			t.Errorf("%s: %q, want %q", c.name, breaks, c.want)
		}
	}
}

// through encodes a message and decodes it by another schema, passing over what that one does not know.
func through(t *testing.T, m *dynamicpb.Message, other protoreflect.MessageDescriptor) *dynamicpb.Message {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := dynamicpb.NewMessage(other)
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, out); err != nil {
		t.Fatalf("%s: %v", other.Name(), err)
	}
	return out
}

func TestOldAndNewLoseNothingThatBothKnow(t *testing.T) {
	t.Parallel()
	previous, next := schemas(t)
	shrunk := 0
	for i := range previous.Messages().Len() {
		old := previous.Messages().Get(i)
		now := next.Messages().ByName(old.Name())
		for n := range 4 {
			m := sample(old, n)
			if back := through(t, through(t, m, now), old); !proto.Equal(back, m) {
				t.Errorf("%s: from old to new and back: %v, want %v", old.Name(), back, m)
			}
			// The new message, with what only it knows taken away, is what the old schema sees.
			full := sample(now, n)
			seen := through(t, full, old)
			back := through(t, seen, now)
			if !proto.Equal(back, through(t, full, now)) {
				shrunk++
			}
			strip(full, old)
			if !proto.Equal(back, full) {
				t.Errorf("%s: from new to old: %v, want %v", old.Name(), back, full)
			}
		}
	}
	if shrunk == 0 {
		t.Error("no message lost anything: the test shows nothing")
	}
}

// strip takes away what an older form of the message does not know.
func strip(m protoreflect.Message, old protoreflect.MessageDescriptor) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		was := old.Fields().ByNumber(f.Number())
		switch {
		case was == nil:
			m.Clear(f)
		case f.IsList():
			for i := range v.List().Len() {
				strip(v.List().Get(i).Message(), was.Message())
			}
		case f.Message() != nil:
			strip(v.Message(), was.Message())
		}
		return true
	})
}

// oldClient reads as a client of the previous schema: commands whose message is not in it it does not know.
func oldClient(t *testing.T, previous *gen.Schema, stream []byte) (seen []string, last uint64) {
	t.Helper()
	s := wire.Splitter{Limit: wire.LimitServer}
	for f, err := range s.Message(stream) {
		if err != nil {
			t.Fatal(err)
		}
		body := f.Body
		if f.Command.Reliable() {
			seq, rest, err := wire.SplitSeq(body)
			if err != nil || seq != last+1 {
				t.Fatalf("command %d: sequence number %d after %d, %v", f.Command, seq, last, err)
			}
			last, body = seq, rest
		}
		info, known := wire.Lookup(f.Command)
		message := previous.Messages().ByName(protoreflect.Name(info.Message))
		if !known || message == nil {
			continue
		}
		m := dynamicpb.NewMessage(message)
		if err := wire.Parse(body, m); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, info.Name)
	}
	return seen, last
}

func TestAnOldClientPassesOverCommandsThatCameLater(t *testing.T) {
	t.Parallel()
	previous, _ := schemas(t)
	var stream []byte
	tell := func(cmd wire.Command, seq uint64, m proto.Message) {
		var err error
		if stream, err = wire.AppendMessage(stream, cmd, seq, m); err != nil {
			t.Fatal(err)
		}
	}
	tell(wire.CmdSaid, 1, &wire.Said{Text: "one"})
	tell(wire.CmdNotice, 2, &wire.Notice{Text: "maintenance"})
	tell(wire.CmdPointsChanged, 3, &wire.PointsChanged{Balance: 5})
	stream = wire.AppendReliable(stream, 400, 4, []byte("of the future"))
	stream = wire.AppendFrame(stream, 50, []byte("also of the future, and hot"))
	tell(wire.CmdClosing, 0, &wire.Closing{Reason: 99, Text: "a reason of the future", Place: &wire.Place{Tcp: "b:1"}})
	tell(wire.CmdSaid, 5, &wire.Said{Text: "two"})
	seen, last := oldClient(t, previous, stream)
	if strings.Join(seen, " ") != "said closing said" || last != 5 {
		t.Errorf("the old client saw %q, up to %d", seen, last)
	}
}

// A message of a few bytes from a client must not become many objects.
func TestClientsSendNoLists(t *testing.T) {
	t.Parallel()
	for _, c := range wire.Commands() {
		if !c.FromClient || c.Layout != wire.LayoutProto {
			continue
		}
		m := wire.File_wire_proto.Messages().ByName(protoreflect.Name(c.Message))
		for i := range m.Fields().Len() {
			if m.Fields().Get(i).IsList() {
				t.Errorf("%s has a list: two bytes of it become an object of a hundred", m.Fields().Get(i).FullName())
			}
		}
	}
	var many []byte
	for range 10 {
		many = protowire.AppendBytes(protowire.AppendTag(many, 12, protowire.BytesType), nil)
	}
	var w wire.Welcome
	if err := wire.Parse(many, &w); err != nil || len(w.GetNodes()) != 10 {
		t.Errorf("%v %v: the control shows nothing", w.GetNodes(), err)
	}
}
