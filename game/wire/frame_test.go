package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// clone keeps a frame beyond the next call.
func clone(f wire.Frame) wire.Frame { return wire.Frame{Command: f.Command, Body: bytes.Clone(f.Body)} }

// split feeds a stream in pieces of at most n bytes.
func split(s *wire.Splitter, stream []byte, n int) (list []wire.Frame, err error) {
	for len(stream) > 0 {
		piece := bytes.Clone(stream[:min(n, len(stream))])
		stream = stream[len(piece):]
		for f, err := range s.Frames(piece) {
			if err != nil {
				return list, err
			}
			list = append(list, clone(f))
		}
		clear(piece) // a splitter that kept the piece would show it
	}
	return list, nil
}

func TestFramesComeOutAsTheyWentInWhateverThePieces(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("long"), 3000)
	stream := []byte(wire.Magic)
	stream = wire.AppendFrame(stream, wire.CmdHello, []byte("hello"))
	stream = wire.AppendFrame(stream, wire.CmdMove, wire.AppendMove(nil, wire.Move{Step: 7}))
	stream = wire.AppendReliable(stream, wire.CmdSay, 300, long)
	stream = wire.AppendFrame(stream, game.CommandMax, nil)
	stream = wire.AppendReliable(stream, wire.CmdLeave, 301, nil)
	for _, n := range []int{1, 2, 3, 5, 7, 64, 700, len(stream)} {
		s := wire.Splitter{Limit: wire.LimitClient, Magic: true}
		list, err := split(&s, stream, n)
		if err != nil || len(list) != 5 || !s.Whole() {
			t.Fatalf("pieces of %d: %d frames, %v, whole %v", n, len(list), err, s.Whole())
		}
		seq, body, err := wire.SplitSeq(list[2].Body)
		if seq != 300 || err != nil || !bytes.Equal(body, long) {
			t.Errorf("pieces of %d: seq %d, %d bytes, %v", n, seq, len(body), err)
		}
		if string(list[0].Body) != "hello" || list[3].Command != game.CommandMax || len(list[3].Body) != 0 {
			t.Errorf("pieces of %d: %v", n, list)
		}
	}
}

func TestWhatIsNoFrameIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, hex string
		want      error
	}{
		{"a length with a byte too many", "8100 04", wire.ErrVarint},
		{"a length that never ends", "ffffffff", wire.ErrVarint},
		{"a length of five bytes", "8080808001", wire.ErrVarint},
		{"a frame of no bytes", "00", wire.ErrLength},
		{"a frame above the limit", "814004", wire.ErrLength},
		{"a command with a byte too many", "02 8400", wire.ErrVarint},
		{"a command of three bytes", "03 808001", wire.ErrVarint},
		{"command 0", "01 00", wire.ErrCommand},
		{"a frame that ends within its command", "01 80", wire.ErrCommand},
		{"a command that is bad before its body came", "10 8400", wire.ErrVarint},
		{"a half frame", "05 04 00", wire.ErrShort},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := wire.Cut(b, wire.LimitHello); !errors.Is(err, c.want) {
			t.Errorf("%s: Cut = %v, want %v", c.name, err, c.want)
		}
		var got error
		s := wire.Splitter{Limit: wire.LimitHello}
		for _, err := range s.Message(b) {
			got = err
		}
		if !errors.Is(got, c.want) {
			t.Errorf("%s: Message ends with %v, want %v", c.name, got, c.want)
		}
		one := wire.Splitter{Limit: wire.LimitHello}
		if _, got := split(&one, b, 1); !errors.Is(got, c.want) && (c.want != wire.ErrShort || one.Whole()) {
			t.Errorf("%s, byte by byte: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFramesUpToTheLimitAreTaken(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{wire.LimitHello, wire.LimitClient, wire.LimitServer} {
		exact := wire.AppendFrame(nil, wire.CmdSay, make([]byte, limit-1))
		if _, rest, _, err := wire.Cut(exact, limit); err != nil || len(rest) != 0 {
			t.Errorf("limit %d: %v, rest %d", limit, err, len(rest))
		}
		over := wire.AppendFrame(nil, wire.CmdSay, make([]byte, limit))
		if _, _, _, err := wire.Cut(over[:4], limit); err != wire.ErrLength {
			t.Errorf("limit %d and one byte more: %v, want %v before the body came", limit, err, wire.ErrLength)
		}
	}
}

func TestTheMagicStandsAtTheHead(t *testing.T) {
	t.Parallel()
	s := wire.Splitter{Limit: wire.LimitHello, Magic: true}
	var got error
	for _, err := range s.Frames([]byte("GE")) {
		got = err
	}
	if got != wire.ErrMagic {
		t.Errorf("GET: %v", got)
	}
	s = wire.Splitter{Limit: wire.LimitHello, Magic: true}
	for _, err := range s.Message([]byte("KM")) {
		got = err
	}
	if got != wire.ErrShort {
		t.Errorf("a message of half a magic: %v", got)
	}
}

func TestWhoAppendsToABodyLeavesTheNextFrameAlone(t *testing.T) {
	t.Parallel()
	stream := wire.AppendFrame(wire.AppendFrame(nil, wire.CmdSay, []byte("a")), wire.CmdSay, []byte("b"))
	f, rest, _, err := wire.Cut(stream, wire.LimitHello)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(f.Body, 9) // were it in place, the next frame would be one of nine bytes
	if next, _, _, err := wire.Cut(rest, wire.LimitHello); err != nil || string(next.Body) != "b" {
		t.Errorf("the next frame is %q, %v", next.Body, err)
	}
}

func TestTheLimitCanGrowBetweenFrames(t *testing.T) {
	t.Parallel()
	s := wire.Splitter{Limit: 16}
	stream := wire.AppendFrame(nil, wire.CmdHello, nil)
	stream = wire.AppendFrame(stream, wire.CmdSay, make([]byte, 100))
	n := 0
	for _, err := range s.Frames(stream) {
		if err != nil {
			t.Fatal(err)
		}
		s.Limit = wire.LimitClient
		n++
	}
	if n != 2 {
		t.Errorf("%d frames", n)
	}
}

func TestAnUnfinishedFrameTakesMemoryAsItComes(t *testing.T) {
	t.Parallel()
	s := wire.Splitter{Limit: wire.LimitServer}
	head := wire.AppendHead(nil, wire.CmdSay, wire.LimitServer-1)
	for range s.Frames(head) {
		t.Error("a frame of a head alone")
	}
	if s.RestCap() > 1024 {
		t.Errorf("a head of %d bytes takes %d", len(head), s.RestCap())
	}
	s = wire.Splitter{Limit: wire.LimitServer}
	if _, err := split(&s, wire.AppendFrame(nil, wire.CmdSay, make([]byte, 100_000)), 1000); err != nil {
		t.Fatal(err)
	}
	if s.RestCap() > 1024 {
		t.Errorf("after a long frame %d bytes are kept", s.RestCap())
	}
}

func TestSequenceNumbers(t *testing.T) {
	t.Parallel()
	for _, seq := range []uint64{1, 127, 128, 1 << 40, 1<<64 - 1} {
		f, _, size, err := wire.Cut(wire.AppendReliable(nil, wire.CmdSay, seq, []byte("x")), 64)
		if err != nil || size != wire.FrameBytes(wire.CmdSay, seq, 1) {
			t.Fatal(size, err)
		}
		if got, body, err := wire.SplitSeq(f.Body); got != seq || string(body) != "x" || err != nil {
			t.Errorf("%d: %d %q %v", seq, got, body, err)
		}
	}
	for _, bad := range []string{"", "\x00", "\x80", "\x81\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"} {
		if seq, _, err := wire.SplitSeq([]byte(bad)); err == nil {
			t.Errorf("%x: %d", bad, seq)
		}
	}
}

func TestTheNumberOfACommandTellsWhetherItIsReliable(t *testing.T) {
	t.Parallel()
	for i, c := range wire.Commands() {
		if c.Command.Reliable() != c.Reliable {
			t.Errorf("%s: by number %v, in the table %v", c.Name, c.Command.Reliable(), c.Reliable)
		}
		if i > 0 && c.Command <= wire.Commands()[i-1].Command {
			t.Errorf("%s stands out of order", c.Name)
		}
		if got, ok := wire.Lookup(c.Command); !ok || got != c {
			t.Errorf("Lookup(%d) = %v", c.Command, got)
		}
	}
	for _, c := range []wire.Command{0, 13, 82, 1024, game.CommandMax, 1 << 31} {
		if got, ok := wire.Lookup(c); ok {
			t.Errorf("Lookup(%d) = %v", c, got)
		}
	}
	for _, c := range []wire.Command{7, 15, 68, 500, 511} {
		if !c.Reliable() {
			t.Errorf("command %d has no sequence number", c)
		}
	}
	for _, c := range []wire.Command{0, 6, 16, 63, 67, 512, 599, 1023, 1024, 1 << 20} {
		if c.Reliable() {
			t.Errorf("command %d has a sequence number", c)
		}
	}
	if wire.CmdApp.Reliable() || wire.Command(game.CommandMax).Reliable() {
		t.Error("commands of the application have no sequence number")
	}
}

func TestTheHotPathAllocatesNothing(t *testing.T) {
	move := wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: 1, Y: 2}, Step: 3})
	var rows []byte
	for i := range game.AvatarID(30) {
		rows = wire.AppendMoved(rows, wire.Moved{Avatar: i})
	}
	b := make([]byte, 0, 4096)
	list := make([]wire.Moved, 0, 30)
	s := wire.Splitter{Limit: wire.LimitServer}
	stream := wire.AppendFrame(wire.AppendReliable(wire.AppendFrame(nil, wire.CmdMove, move), wire.CmdSay, 5, move), wire.CmdMoves, rows)
	half := len(stream) / 2
	s.Grow(512)
	for name, f := range map[string]func(){
		"append": func() {
			b = wire.AppendFrame(b[:0], wire.CmdMoves, rows)
			b = wire.AppendReliable(b, wire.CmdSay, 1, move)
			b = wire.AppendMoved(b, wire.Moved{})
			b = wire.AppendEmoted(b, wire.Emoted{})
			b = wire.AppendFar(wire.AppendPing(wire.AppendAck(wire.AppendFace(b, wire.Face{}), 9), 1), 2)
		},
		"split whole": func() {
			for f, err := range s.Message(stream) {
				if err != nil {
					t.Fatal(err)
				}
				if f.Command == wire.CmdMoves {
					list, _ = wire.ParseMoves(list[:0], f.Body)
				}
			}
		},
		"split halves": func() {
			for _, piece := range [][]byte{stream[:half], stream[half:]} {
				for _, err := range s.Frames(piece) {
					if err != nil {
						t.Fatal(err)
					}
				}
			}
		},
		"look up": func() {
			if _, ok := wire.Lookup(wire.CmdMoves); !ok {
				t.Fatal("no moves")
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// The bytes of a few frames, by hand. docs/protocol/game.md has more of them.
func TestBytesOfFrames(t *testing.T) {
	t.Parallel()
	message := func(cmd wire.Command, seq uint64, m proto.Message) []byte {
		b, err := wire.AppendMessage(nil, cmd, seq, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"move", wire.AppendFrame(nil, wire.CmdMove, wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: 300, Y: 200, Facing: 64, Gait: 1}, Step: 1})), "09 10 2c01 c800 40 01 0100"},
		{"leave", message(wire.CmdLeave, 300, &wire.Leave{}), "03 09 ac02"},
		{"say", message(wire.CmdSay, 2, &wire.Say{Text: "hi"}), "06 0a 02 0a02 6869"},
		{"renew", message(wire.CmdRenew, 0, &wire.Renew{Token: "t"}), "04 03 0a01 74"},
		{"ack", wire.AppendFrame(nil, wire.CmdAck, wire.AppendAck(nil, 300)), "03 06 ac02"},
		{"a command of the application", wire.AppendFrame(nil, wire.CmdApp, []byte{7}), "03 8008 07"},
		{"a frame of 200 bytes", wire.AppendFrame(nil, wire.CmdEmote, make([]byte, 199))[:3], "c801 12"},
	} {
		if want := strings.ReplaceAll(c.want, " ", ""); hex.EncodeToString(c.got) != want {
			t.Errorf("%s: %x, want %s", c.name, c.got, want)
		}
	}
	if b, err := wire.AppendMessage([]byte("kept"), wire.CmdSay, 1, &wire.Say{Text: "\xff"}); err == nil || string(b) != "kept" {
		t.Errorf("a text that is not UTF-8: %q, %v", b, err)
	}
	if _, err := wire.Body(&wire.Say{Text: "\xff"}); err == nil {
		t.Error("a body with a text that is not UTF-8")
	}
}
