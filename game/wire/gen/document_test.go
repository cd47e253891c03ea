package gen_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/calls"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/wire"
)

const document = root + "/docs/protocol/game.md"

// What a reader that was written from the page finds in its examples. Texts of fields are in hex: 706c617a61 is plaza.
var readExamples = []string{
	`hello magic=true 1 0 [[1 1] [2 1050627] [3 544f4b454e] [6 64656d6f] [7 656e]]`,
	`welcome magic=false 64 0 [[1 1] [2 1001] [3 01020304] [6 1795868100000] [7 30000] [8 30000] [9 50] [10 1795867200000] [11 6e31]]`,
	`join magic=false 8 1 [[1 706c617a61] [3 6d6f6d6f]]`,
	`entered magic=false 70 1 [[1 706c617a61] [2 1] [3 7] [4 1600] [5 1200] [6 50] [7 080710e9071a046d6f6d6f28a00630d804]]`,
	`move magic=false 16 0 [map[facing:64 gait:1 step:1 x:300 y:200]]`,
	`moves magic=false 32 0 [map[avatar:7 facing:64 gait:1 step:1 x:300 y:200] map[avatar:9 facing:0 gait:0 step:65535 x:1599 y:0]]`,
	`face magic=false 17 0 [map[facing:128 gait:3 step:2 zero:0]]`,
	`emote magic=false 18 0 [map[argument:0 emote:1 step:3]]`,
	`say magic=false 10 2 [[1 6869]]`,
	`said magic=false 76 2 [[1 7] [2 1001] [3 6d6f6d6f] [4 6869] [5 1795867200000]]`,
	`call magic=false 7 3 [[1 1] [2 706f696e74732e6163636f756e74]]`,
	`answer magic=false 68 3 [[1 1] [2 08e90710ac0220ac02]]`,
	`ack magic=false 6 0 3`,
	`ping magic=false 4 0 [map[mark:5]]`,
}

func TestAReaderMadeFromThePageUnderstandsItsExamples(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here to run a reader that is not ours")
	}
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/client.py", document)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("client.py: %v\n%s", err, complaint.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(readExamples) {
		t.Fatalf("%d examples, want %d", len(lines), len(readExamples))
	}
	for i, line := range lines {
		var got struct {
			Name         string
			Magic        bool
			Command, Seq int
			Value        any
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%s magic=%v %d %d %v", got.Name, got.Magic, got.Command, got.Seq, got.Value); text != readExamples[i] {
			t.Errorf("read\n%s, want\n%s", text, readExamples[i])
		}
	}
}

// section is the text of the page below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(source(t, document), "\n"+heading+"\n")
	if !found {
		t.Fatalf("the page has no %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

func TestThePageNamesEverything(t *testing.T) {
	t.Parallel()
	faults, closing, commands := section(t, "## Faults"), section(t, "## Closing"), section(t, "## Commands")
	for _, k := range game.Kinds() {
		_, row, found := strings.Cut(faults, "| `"+k.String()+"` | ")
		if meaning, _, _ := strings.Cut(row, " |"); !found || len(meaning) < 20 {
			t.Errorf("kind %s: %q", k, meaning)
		}
	}
	for n, name := range wire.Reason_name {
		if want := fmt.Sprintf("| %d | %s | %s |", n, name, wire.ReasonText(wire.Reason(n))); !strings.Contains(closing, want) {
			t.Errorf("no row %q", want)
		}
		if n > 0 && wire.ReasonText(wire.Reason(n)) == wire.ReasonText(0) {
			t.Errorf("%s has no text", name)
		}
	}
	for _, c := range wire.Commands() {
		if want := fmt.Sprintf("| %d | %s | ", c.Command, c.Name); !strings.Contains(commands, want) {
			t.Errorf("no row %q", want)
		}
		if c.Layout == wire.LayoutProto && wire.File_wire_proto.Messages().ByName(protoName(c.Message)) == nil {
			t.Errorf("%s: the schema has no message %s", c.Name, c.Message)
		}
	}
	if wire.ReasonText(1000) != wire.ReasonText(0) || wire.ReasonAdvice(1000) != wire.ReasonAdvice(0) {
		t.Error("a reason of the future has no text")
	}
}

func TestMethodsOfThePageAreThoseOfTheWorld(t *testing.T) {
	t.Parallel()
	want := append(calls.New(core.Core{}, calls.Default()).Methods(), "friends.add", "friends.remove", "friends.list", "areas.list")
	var named []string
	for line := range strings.SplitSeq(section(t, "## Calls"), "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 5 || !strings.HasPrefix(cells[0], "| `") {
			continue
		}
		named = append(named, strings.Trim(cells[0], "|` "))
		for _, m := range cells[1:3] {
			if m != "empty" && wire.File_wire_proto.Messages().ByName(protoName(m)) == nil {
				t.Errorf("%s: no message %s", cells[0], m)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(named)
	if !slices.Equal(named, want) {
		t.Errorf("the page has %q, want %q", named, want)
	}
}
