package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// protocolRoutes are the rows about the binary protocol: what it is, and what some bytes of it say.
func (a *api) protocolRoutes() []route {
	return []route{
		{"GET", "protocol", anybody, 0, "The commands of the binary protocol with what stands in them", nil, Protocol{}, (*call).protocol},
		{"POST", "protocol/decode", anybody, 0, "Say in words what frames of the binary protocol are", DecodeRequest{}, Decoded{}, (*call).decodeFrames},
	}
}

// Protocol is the binary protocol.
type Protocol struct {
	Magic    string            `json:"magic" doc:"first bytes of a stream, from client to server"`
	Commands []ProtocolCommand `json:"commands"`
}

// ProtocolCommand is a command of it.
type ProtocolCommand struct {
	ID         uint32          `json:"id"`
	Name       string          `json:"name"`
	FromClient bool            `json:"from_client"`
	FromServer bool            `json:"from_server"`
	Reliable   bool            `json:"reliable" doc:"a sequence number stands in front of its body, and it is sent again after a cut"`
	Message    string          `json:"message,omitempty" doc:"of the schema; empty: the body is fixed, or empty"`
	What       string          `json:"what"`
	Fields     []ProtocolField `json:"fields" doc:"of the message"`
}

// ProtocolField is a field of a message.
type ProtocolField struct {
	Number   int    `json:"number"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Repeated bool   `json:"repeated"`
}

// DecodeRequest is bytes of the protocol.
type DecodeRequest struct {
	Hex string `json:"hex" doc:"hexadecimal digits; blanks are passed over. The magic may stand first"`
}

// Decoded is what the bytes say.
type Decoded struct {
	Magic  bool           `json:"magic" doc:"the magic stood first"`
	Frames []DecodedFrame `json:"frames"`
	Rest   int            `json:"rest" doc:"bytes at the end that are no whole frame"`
	Error  string         `json:"error,omitempty" doc:"why the bytes behind the last frame are none"`
}

// DecodedFrame is a frame.
type DecodedFrame struct {
	Command uint32          `json:"command"`
	Name    string          `json:"name" doc:"empty: no command of the protocol, or one of the application"`
	Seq     uint64          `json:"seq,omitempty"`
	Bytes   int             `json:"bytes" doc:"of the whole frame"`
	Body    json.RawMessage `json:"body" doc:"null: it is not known"`
	Error   string          `json:"error,omitempty"`
}

// decodeBytesMax bounds what is decoded at once.
const decodeBytesMax = 24 << 10

func (c *call) protocol() (any, error) {
	p := Protocol{Magic: wire.Magic}
	for _, info := range wire.Commands() {
		one := ProtocolCommand{
			ID: uint32(info.Command), Name: info.Name, FromClient: info.FromClient, FromServer: info.FromServer, Reliable: info.Reliable, Message: info.Message,
			What: info.What, Fields: []ProtocolField{},
		}
		if info.Message != "" {
			fields := wire.File_wire_proto.Messages().ByName(protoreflect.Name(info.Message)).Fields()
			for i := range fields.Len() {
				f := fields.Get(i)
				kind := f.Kind().String()
				if m := f.Message(); m != nil {
					kind = string(m.Name())
				} else if e := f.Enum(); e != nil {
					kind = string(e.Name())
				}
				one.Fields = append(one.Fields, ProtocolField{int(f.Number()), string(f.Name()), kind, f.IsList()})
			}
		}
		p.Commands = append(p.Commands, one)
	}
	return p, nil
}

func (c *call) decodeFrames() (any, error) {
	var in DecodeRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(in.Hex), ""))
	if err != nil {
		return nil, game.Errorf(game.Invalid, "hex has something else than hexadecimal digits: %v", err)
	}
	if len(b) > decodeBytesMax {
		return nil, tooLarge(decodeBytesMax)
	}
	return answered{http.StatusOK, decodeBytes(b)}, nil
}

func decodeBytes(b []byte) Decoded {
	out := Decoded{Frames: []DecodedFrame{}}
	if strings.HasPrefix(string(b), wire.Magic) {
		out.Magic, b = true, b[len(wire.Magic):]
	}
	for len(b) > 0 {
		f, rest, _, err := wire.Cut(b, wire.LimitServer)
		if errors.Is(err, wire.ErrShort) {
			break
		}
		if err != nil {
			out.Error = err.Error()
			break
		}
		out.Frames = append(out.Frames, describe(f, len(b)-len(rest)))
		b = rest
	}
	out.Rest = len(b)
	return out
}

// describe says what a frame is.
func describe(f wire.Frame, size int) DecodedFrame {
	out := DecodedFrame{Command: uint32(f.Command), Bytes: size, Body: json.RawMessage("null")}
	info, known := wire.Lookup(f.Command)
	if !known {
		return out
	}
	out.Name = info.Name
	body := f.Body
	var err error
	if info.Reliable {
		if out.Seq, body, err = wire.SplitSeq(body); err != nil {
			out.Error = err.Error()
			return out
		}
	}
	if out.Body, err = bodyOf(info, body); err != nil {
		out.Body, out.Error = json.RawMessage("null"), err.Error()
	}
	return out
}

func bodyOf(info wire.Info, body []byte) (json.RawMessage, error) {
	if info.Layout == wire.LayoutFixed {
		v, ok := fixedBody(info.Command, body)
		if !ok {
			return nil, fmt.Errorf("a body of %d bytes, which is not that of %s", len(body), info.Name)
		}
		return json.Marshal(v)
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("kamado.game.v1." + info.Message))
	if err != nil {
		return nil, err
	}
	m := kind.New().Interface()
	if err := wire.Parse(body, m); err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
}

// fixedBody reads a body with a table of offsets.
func fixedBody(cmd wire.Command, b []byte) (v any, ok bool) {
	switch cmd {
	case wire.CmdPing, wire.CmdPong:
		mark, ok := wire.ParsePing(b)
		return map[string]uint64{"mark": mark}, ok
	case wire.CmdAck:
		seq, ok := wire.ParseAck(b)
		return map[string]uint64{"seq": seq}, ok
	case wire.CmdMove:
		return wire.ParseMove(b)
	case wire.CmdFace:
		return wire.ParseFace(b)
	case wire.CmdEmote:
		return wire.ParseEmote(b)
	case wire.CmdMoves:
		return wire.ParseMoves(nil, b)
	case wire.CmdEmoted:
		return wire.ParseEmoted(nil, b)
	case wire.CmdFar:
		return wire.ParseFar(nil, b)
	}
	return nil, false
}
