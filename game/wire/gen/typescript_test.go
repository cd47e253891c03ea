package gen_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// bundle makes one script of a TypeScript file.
func bundle(t *testing.T, entry string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.js")
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{entry}, Bundle: true, Outfile: out, Write: true, Platform: api.PlatformNode, Format: api.FormatCommonJS, Target: api.ES2022,
	})
	for _, m := range slices.Concat(result.Errors, result.Warnings) {
		t.Errorf("%s: %+v", m.Text, m.Location)
	}
	return out
}

func TestTheTypeScriptIsWellFormed(t *testing.T) {
	t.Parallel()
	bundle(t, filepath.Join(root, "game/client/zwire.ts"))
}

// object is a value as the TypeScript has it.
type object map[string]any

func asBytes(b []byte) object { return object{"$": hex.EncodeToString(b)} }

// sample fills each field of a message with something that is not its default; n makes samples differ.
func sample(m protoreflect.MessageDescriptor, n int) *dynamicpb.Message {
	msg := dynamicpb.NewMessage(m)
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if o := f.ContainingOneof(); o != nil && o.Fields().Get(n%o.Fields().Len()) != f {
			continue
		}
		switch {
		case f.IsList():
			for k := range 2 {
				msg.Mutable(f).List().Append(protoreflect.ValueOfMessage(sample(f.Message(), n+k)))
			}
		case f.Kind() == protoreflect.MessageKind:
			msg.Set(f, protoreflect.ValueOfMessage(sample(f.Message(), n)))
		default:
			msg.Set(f, scalar(f, n+i))
		}
	}
	return msg
}

func scalar(f protoreflect.FieldDescriptor, n int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32([]uint32{1, 300, 1<<32 - 1}[n%3])
	case protoreflect.Uint64Kind:
		if isUID(f) {
			return protoreflect.ValueOfUint64([]uint64{1001, 1<<63 - 1, 1<<64 - 1}[n%3])
		}
		return protoreflect.ValueOfUint64([]uint64{1, 1 << 40, 1<<53 - 1}[n%3])
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64([]int64{-1, 1<<53 - 1, -(1<<53 - 1), 1_795_867_200_000}[n%4])
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(1 + n%12))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString([]string{"plaza", "広場 🌸", "\ufeffmark", strings.Repeat("x", 300)}[n%4])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0, 1, 255, byte(n)})
	}
	panic(f.Kind())
}

func isUID(f protoreflect.FieldDescriptor) bool {
	return slices.Contains([]string{"uid", "from", "to"}, string(f.Name()))
}

// asObject is the message as the TypeScript has it, with the defaults.
func asObject(m protoreflect.Message) object {
	out := object{}
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		v := m.Get(f)
		switch {
		case f.IsList():
			list := []any{}
			for k := range v.List().Len() {
				list = append(list, asObject(v.List().Get(k).Message()))
			}
			out[f.JSONName()] = list
		case f.Kind() == protoreflect.MessageKind:
			out[f.JSONName()] = asObject(v.Message())
		case f.Kind() == protoreflect.BytesKind:
			out[f.JSONName()] = asBytes(v.Bytes())
		case f.Kind() == protoreflect.EnumKind:
			out[f.JSONName()] = v.Enum()
		case isUID(f):
			out[f.JSONName()] = fmt.Sprint(v.Uint())
		default:
			out[f.JSONName()] = v.Interface()
		}
	}
	return out
}

// sameJSON compares two values by what they are in JSON.
func sameJSON(t *testing.T, a, b any) bool {
	t.Helper()
	norm := func(v any) (out any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	return reflect.DeepEqual(norm(a), norm(b))
}

// answer is what roundtrip.ts writes.
type answer struct {
	Messages, Fixed []struct {
		Name, Encoded string
		Decoded       any
	}
	Whole                                       []cut
	Pieces                                      [][]cut
	Framed                                      []string
	Seqs                                        []uint64
	BadFrames, BadStreams, BadBodies, BadValues []string
	Reliable                                    int
}

type cut struct {
	Command wire.Command
	Body    string
}

// ask runs the TypeScript on samples.
func ask(t *testing.T, samples object) (a answer) {
	t.Helper()
	script := bundle(t, "testdata/roundtrip.ts")
	in, err := json.Marshal(samples)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", script)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, complaint.Bytes())
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// messageSamples has three of each message, with an unknown field at the end of the bytes to be decoded, and one empty.
func messageSamples(t *testing.T) (list []object, want []*dynamicpb.Message) {
	t.Helper()
	unknown := []byte{0xf8, 0x7f, 0x05, 0xfb, 0x7f, 0x08, 0x01, 0xfc, 0x7f, 0xfa, 0x7f, 0x01, 'x', 0xf9, 0x7f, 1, 2, 3, 4, 5, 6, 7, 8, 0xfd, 0x7f, 1, 2, 3, 4} // field 2047, of each wire type
	messages := wire.File_wire_proto.Messages()
	for i := range messages.Len() {
		for n := range 5 {
			m := dynamicpb.NewMessage(messages.Get(i))
			if n > 0 {
				m = sample(messages.Get(i), n)
			}
			b, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, object{"name": messages.Get(i).Name(), "value": asObject(m), "bytes": asBytes(append(b, unknown...))})
			want = append(want, m)
		}
	}
	// Of two choices the last one counts; a message that comes twice is one, with the fields of both.
	for _, c := range []struct {
		name protoreflect.Name
		hex  string
	}{{"SignIn", "1203616161" + "2203626262"}, {"SignIn", "1203616161" + "0a00"}, {"Redirect", "0a030a0161" + "0a031a0162"}, {"Closing", "22030a0161" + "22031a0162"}} {
		name := c.name
		raw, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		m := dynamicpb.NewMessage(messages.ByName(name))
		if err := proto.Unmarshal(raw, m); err != nil {
			t.Fatal(err)
		}
		list = append(list, object{"name": name, "value": asObject(m), "bytes": asBytes(raw)})
		want = append(want, m)
	}
	return list, want
}

// fixedSamples has each fixed body.
func fixedSamples() []object {
	pose := game.Pose{X: 1, Y: 65535, Facing: 255, Gait: 3}
	p := object{"x": 1, "y": 65535, "facing": 255, "gait": 3, "step": 513}
	with := func(avatar uint32, o object) object {
		out := object{"avatar": avatar}
		for k, v := range o {
			out[k] = v
		}
		return out
	}
	move, emote := wire.Move{Pose: pose, Step: 513}, wire.Emote{Emote: 2, Step: 3, Argument: 1<<32 - 1}
	e := object{"emote": 2, "step": 3, "argument": uint32(1<<32 - 1)}
	return []object{
		{"name": "Move", "value": p, "bytes": asBytes(wire.AppendMove(nil, move))},
		{"name": "Face", "value": object{"facing": 9, "gait": 1, "step": 77}, "bytes": asBytes(wire.AppendFace(nil, wire.Face{Facing: 9, Gait: 1, Step: 77}))},
		{"name": "Emote", "value": e, "bytes": asBytes(wire.AppendEmote(nil, emote))},
		{"name": "Moved", "value": []object{with(7, p), with(1<<32-1, p)}, "bytes": asBytes(wire.AppendMoved(wire.AppendMoved(nil, wire.Moved{Avatar: 7, Move: move}), wire.Moved{Avatar: 1<<32 - 1, Move: move}))},
		{"name": "Emoted", "value": []object{with(5, e)}, "bytes": asBytes(wire.AppendEmoted(nil, wire.Emoted{Avatar: 5, Emote: emote}))},
		{"name": "Far", "value": []object{{"avatar": 1}, {"avatar": 70000}}, "bytes": asBytes(wire.AppendFar(wire.AppendFar(nil, 1), 70000))},
		{"name": "Ping", "value": object{"mark": 1 << 52}, "bytes": asBytes(wire.AppendPing(nil, 1<<52))},
		{"name": "Ack", "value": 1 << 52, "bytes": asBytes(wire.AppendAck(nil, 1<<52))},
	}
}

func TestTypeScriptAndGoUnderstandEachOther(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node here to run TypeScript")
	}
	messages, want := messageSamples(t)
	fixed := fixedSamples()
	var stream []byte
	var frames []object
	for i, c := range []wire.Command{wire.CmdHello, wire.CmdSay, wire.CmdMoves, 500, wire.CmdApp, game.CommandMax} {
		body := bytes.Repeat([]byte{byte(i)}, i*i*i*40)
		f := wire.AppendFrame(nil, c, body)
		if c.Reliable() {
			f = wire.AppendReliable(nil, c, uint64(i)*1000, body)
		}
		stream = append(stream, f...)
		frames = append(frames, object{"command": c, "seq": i * 1000, "body": asBytes(body), "frame": asBytes(f)})
	}
	badFrames := []string{"810004", "ffffffff", "00", "814004", "028400", "03808001", "0100", "0180", "050400"}
	var bad []object
	for _, h := range badFrames {
		bad = append(bad, object{"$": h})
	}
	badBodies := []object{
		{"name": "Say", "bytes": object{"$": "0a05"}}, {"name": "Say", "bytes": object{"$": "0a01ff"}}, {"name": "Say", "bytes": object{"$": "00"}},
		{"name": "Say", "bytes": object{"$": "0f"}}, {"name": "Call", "bytes": object{"$": "08ffffffffffffffffff7f"}}, {"name": "Call", "bytes": object{"$": "08ffffffffffffffffff01"}},
		{"name": "Say", "bytes": object{"$": strings.Repeat("1b", 200_000)}}, {"name": "Join", "bytes": object{"$": "10ffffffffffffffffff02"}},
	}
	badValues := []object{
		{"name": "Join", "value": object{"copy": -1}}, {"name": "Join", "value": object{"copy": 1 << 32}}, {"name": "Join", "value": object{"copy": 1.5}},
		{"name": "Call", "value": object{"id": 1 << 53}}, {"name": "Whisper", "value": object{"uid": "-1"}}, {"name": "Whisper", "value": object{"uid": "18446744073709551616"}},
	}
	got := ask(t, object{"messages": messages, "fixed": fixed, "stream": asBytes(stream), "frames": frames, "badFrames": bad, "badBodies": badBodies, "badValues": badValues})
	compareMessages(t, got, messages, want)
	for i, f := range got.Fixed {
		if (object{"$": f.Encoded})["$"] != fixed[i]["bytes"].(object)["$"] || !sameJSON(t, f.Decoded, fixed[i]["value"]) {
			t.Errorf("%s: %v %v, want %v", f.Name, f.Encoded, f.Decoded, fixed[i])
		}
	}
	compareFrames(t, got, stream, frames)
	for what, list := range map[string][]string{"frame": got.BadFrames, "stream": got.BadStreams, "body": got.BadBodies, "value": got.BadValues} {
		for i, s := range list {
			if s != "refused" {
				t.Errorf("bad %s %d: %s", what, i, s)
			}
		}
	}
}

func compareMessages(t *testing.T, got answer, samples []object, want []*dynamicpb.Message) {
	t.Helper()
	if len(got.Messages) != len(want) {
		t.Fatalf("%d messages of %d", len(got.Messages), len(want))
	}
	for i, m := range got.Messages {
		b, _ := hex.DecodeString(m.Encoded)
		back := dynamicpb.NewMessage(want[i].Descriptor())
		if err := proto.Unmarshal(b, back); err != nil || !proto.Equal(back, want[i]) {
			t.Errorf("%s from TypeScript: %v\n%v, want\n%v", m.Name, err, back, want[i])
		}
		if !sameJSON(t, m.Decoded, samples[i]["value"]) {
			t.Errorf("%s in TypeScript: %v, want %v", m.Name, m.Decoded, samples[i]["value"])
		}
	}
}

func compareFrames(t *testing.T, got answer, stream []byte, frames []object) {
	t.Helper()
	var list []cut
	s := wire.Splitter{Limit: wire.LimitServer}
	for f, err := range s.Message(stream) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, cut{f.Command, hex.EncodeToString(f.Body)})
	}
	if !slices.Equal(got.Whole, list) {
		t.Errorf("whole: %v", got.Whole)
	}
	for _, p := range got.Pieces {
		if !slices.Equal(p, list) {
			t.Errorf("in pieces: %d frames of %d", len(p), len(list))
		}
	}
	for i, f := range got.Framed {
		if f != frames[i]["frame"].(object)["$"] {
			t.Errorf("frame %d: %.60s", i, f)
		}
	}
	if !slices.Equal(got.Seqs, []uint64{1000, 3000}) {
		t.Errorf("sequence numbers %v", got.Seqs)
	}
	n := 0
	for c := range wire.Command(game.CommandMax + 1) {
		if c.Reliable() {
			n++
		}
	}
	if got.Reliable != n {
		t.Errorf("%d reliable commands in TypeScript, %d in Go", got.Reliable, n)
	}
}
