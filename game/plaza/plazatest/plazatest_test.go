package plazatest

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/game/wire"
)

func visit(t testing.TB) *Recording {
	s := NewScript(t)
	s.Client(0, wire.CmdHello, &wire.Hello{Protocol: 1})
	s.Server(5, wire.CmdWelcome, &wire.Welcome{Protocol: 1, Uid: 1001})
	s.Client(6, wire.CmdJoin, &wire.Join{Area: "plaza"})
	s.Server(9, wire.CmdEntered, &wire.Entered{Area: "plaza"})
	s.Moves(12, wire.Moved{Avatar: 1})
	s.Client(15, wire.CmdSay, &wire.Say{Text: "hello"})
	return s.Recording()
}

func TestScriptIsWhatItSays(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(visit(t))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	list, milestones, err := steps(r)
	if err != nil || milestones != 2 || len(list) != 2 {
		t.Fatalf("%d steps after %d milestones: %v", len(list), milestones, err)
	}
	if list[0].after != 1 || list[1].after != 2 || list[1].frames[0].Command != wire.CmdSay {
		t.Errorf("the steps are %+v", list)
	}
	if seq, _, err := wire.SplitSeq(list[1].frames[0].Body); err != nil || seq != 2 {
		t.Errorf("the second reliable frame has the number %d: %v", seq, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `{}`, `{"version":2}`, `{"version":1,"frames":[{"from":"nobody"}]}`, `{"version":1,"frames":[{"from":"server","data":"AQ=="}]}`, `{"version":1,"frames":[{"from":"client","data":"!"}]}`} {
		if r, err := Parse([]byte(text)); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := json.Marshal(visit(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"frames":[{"at":-1,"from":"client","data":"S01EMQ=="}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		if _, _, err := steps(r); err != nil {
			t.Errorf("%q is a recording without steps: %v", strings.ToValidUTF8(string(b), "?"), err)
		}
	})
}

// TestCorpusIsThere keeps the seeds of the fuzz test from being lost.
func TestCorpusIsThere(t *testing.T) {
	t.Parallel()
	if list, err := filepath.Glob("testdata/fuzz/FuzzParse/*"); err != nil || len(list) == 0 {
		t.Errorf("no seeds: %v", err)
	}
}
