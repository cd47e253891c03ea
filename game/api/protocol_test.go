package api

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

func TestFramesAreSaidInWords(t *testing.T) {
	t.Parallel()
	b := []byte(wire.Magic)
	b, err := wire.AppendMessage(b, wire.CmdHello, 0, &wire.Hello{Protocol: 1, Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if b, err = wire.AppendMessage(b, wire.CmdSay, 7, &wire.Say{Text: "こんにちは"}); err != nil {
		t.Fatal(err)
	}
	b = wire.AppendFrame(b, wire.CmdMove, wire.AppendMove(nil, wire.Move{Pose: game.Pose{X: 300, Y: 20, Facing: 64, Gait: 1}, Step: 9}))
	b = wire.AppendFrame(b, wire.CmdMove, []byte{1})
	b = wire.AppendFrame(b, wire.Command(2000), []byte("of the application"))
	out := decodeBytes(append(b, 5, 1)) // and the beginning of a further frame
	if !out.Magic || len(out.Frames) != 5 || out.Rest != 2 || out.Error != "" {
		t.Fatalf("decoded %+v", out)
	}
	if f := out.Frames[1]; f.Name != "say" || f.Seq != 7 || !strings.Contains(string(f.Body), "こんにちは") {
		t.Errorf("say is %+v, %s", f, f.Body)
	}
	if f := out.Frames[2]; f.Name != "move" || !strings.Contains(string(f.Body), `"X":300`) {
		t.Errorf("move is %+v, %s", f, f.Body)
	}
	if f := out.Frames[3]; f.Error == "" || string(f.Body) != "null" {
		t.Errorf("a move of one byte is %+v", f)
	}
	if f := out.Frames[4]; f.Name != "" || f.Command != 2000 {
		t.Errorf("a command of the application is %+v", f)
	}
}

// FuzzDecodeFrames: whatever the bytes are, they are said in JSON.
func FuzzDecodeFrames(f *testing.F) {
	for _, seed := range []string{"4b4d443102" + "0100", "08100102030405060708", "0a0a07" + "0a05" + "68656c6c6f", "ffffffffff"} {
		b, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := json.Marshal(decodeBytes(b)); err != nil {
			t.Error(err)
		}
	})
}

// TestEachFixedBodyIsKnown: a command with a table of offsets is decoded.
func TestEachFixedBodyIsKnown(t *testing.T) {
	t.Parallel()
	for _, info := range wire.Commands() {
		if info.Layout != wire.LayoutFixed {
			continue
		}
		known := false
		for n := range 17 {
			if _, ok := fixedBody(info.Command, make([]byte, n)); ok {
				known = true
			}
		}
		if !known {
			t.Errorf("no body of %s is known", info.Name)
		}
	}
}
