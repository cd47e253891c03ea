package mesh

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

func samples() []message {
	return []message{
		{cmd: CmdBegin, seq: 1, run: 1<<63 + 5, link: 3, node: game.Node{Name: "n.1_a-B", WebSocket: "ws://h:1/v1/socket", TCP: "h:2", Draining: true}, draining: true},
		{cmd: CmdUsers, seq: 2, users: []userRow{{uid: 7, stamp: 1 << 40, copy: plaza1}, {uid: game.UIDMax, gone: true}, {uid: 8, stamp: 1}}},
		{cmd: CmdCopies, seq: 3, copies: []copyRow{{copy: plaza1, fill: fill{3, 50}}, {copy: game.Copy{Area: "a", Number: game.CopiesMax}, gone: true}}},
		{cmd: CmdEnd, seq: 4},
		{cmd: CmdBeat, seq: 5, draining: true},
		{cmd: CmdBeat, seq: 6},
		{cmd: CmdWord, seq: 7, word: word{uid: 7, cmd: wire.CmdWhispered, body: []byte("hello")}},
		{cmd: CmdWord, seq: 8, word: word{uid: 7, cmd: wire.CmdNotice}},
	}
}

func TestMessagesComeBack(t *testing.T) {
	t.Parallel()
	for _, m := range samples() {
		got, err := parse(m.cmd, m.body())
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("parse(%d) = %+v, %v, want %+v", m.cmd, got, err, m)
		}
		if _, err := parse(m.cmd, append(m.body(), 0xf8, 0x07, 0x01, 0xfd, 0x07, 1, 2, 3, 4)); err != nil {
			t.Errorf("fields that came later: %v", err)
		}
	}
}

// TestBytesOfMessages writes the bytes down: they do not change.
func TestBytesOfMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m    message
		want string
	}{
		{message{cmd: CmdUsers, seq: 2, users: []userRow{{uid: 300, stamp: 9, copy: plaza1}}}, "\x08\x02" + // seq 2
			"\x12\x0e" + "\x08\xac\x02" + "\x10\x09" + "\x1a\x05plaza" + "\x20\x01"}, // a row: uid 300, stamp 9, plaza, 1
		{message{cmd: CmdWord, seq: 1, word: word{uid: 7, cmd: 77, body: []byte("x")}}, "\x08\x01" + "\x10\x07" + "\x18\x4d" + "\x22\x01x"},
		{message{cmd: CmdBeat, seq: 1, draining: true}, "\x08\x01" + "\x38\x01"},
	} {
		if got := c.m.body(); string(got) != c.want {
			t.Errorf("body(%d) = %q, want %q", c.m.cmd, got, c.want)
		}
	}
}

func TestBadMessages(t *testing.T) {
	t.Parallel()
	many := message{cmd: CmdUsers, seq: 1}
	for i := range RowsMax + 1 {
		many.users = append(many.users, userRow{uid: game.UID(i + 1)})
	}
	crowd := message{cmd: CmdCopies, seq: 1}
	for i := range RowsMax + 1 {
		crowd.copies = append(crowd.copies, copyRow{copy: game.Copy{Area: "a", Number: uint32(i + 1)}})
	}
	fields := message{seq: 1}
	long := bytes.Repeat(protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1), messageTagsMax)
	for name, m := range map[string]message{
		"no number":              {cmd: CmdEnd},
		"no name":                {cmd: CmdBegin, seq: 1, run: 1, link: 1},
		"a name with a blank":    {cmd: CmdBegin, seq: 1, run: 1, link: 1, node: game.Node{Name: "a b"}},
		"no run":                 {cmd: CmdBegin, seq: 1, link: 1, node: game.Node{Name: "b"}},
		"no link":                {cmd: CmdBegin, seq: 1, run: 1, node: game.Node{Name: "b"}},
		"a long address":         {cmd: CmdBegin, seq: 1, run: 1, link: 1, node: game.Node{Name: "b", WebSocket: strings.Repeat("x", 256)}},
		"an address of no UTF-8": {cmd: CmdBegin, seq: 1, run: 1, link: 1, node: game.Node{Name: "b", TCP: "\xff"}},
		"no user":                {cmd: CmdUsers, seq: 1, users: []userRow{{stamp: 1}}},
		"a user above the last":  {cmd: CmdUsers, seq: 1, users: []userRow{{uid: game.UIDMax + 1}}},
		"no area":                {cmd: CmdUsers, seq: 1, users: []userRow{{uid: 1, copy: game.Copy{Number: 1}}}},
		"a bad area":             {cmd: CmdUsers, seq: 1, users: []userRow{{uid: 1, copy: game.Copy{Area: "A", Number: 1}}}},
		"a long area":            {cmd: CmdUsers, seq: 1, users: []userRow{{uid: 1, copy: game.Copy{Area: strings.Repeat("a", 33), Number: 1}}}},
		"no copy":                {cmd: CmdCopies, seq: 1, copies: []copyRow{{fill: fill{1, 1}}}},
		"a copy above the last":  {cmd: CmdCopies, seq: 1, copies: []copyRow{{copy: game.Copy{Area: "a", Number: game.CopiesMax + 1}}}},
		"too many avatars":       {cmd: CmdCopies, seq: 1, copies: []copyRow{{copy: plaza1, fill: fill{populationMax + 1, 0}}}},
		"a word for nobody":      {cmd: CmdWord, seq: 1, word: word{cmd: 1}},
		"a word of no command":   {cmd: CmdWord, seq: 1, word: word{uid: 1, cmd: game.CommandMax + 1}},
		"a long word":            {cmd: CmdWord, seq: 1, word: word{uid: 1, cmd: 1, body: make([]byte, WordBytesMax+1)}},
		"too many users":         many,
		"too many copies":        crowd,
	} {
		if _, err := parse(m.cmd, m.body()); !errors.Is(err, errMessage) {
			t.Errorf("%s = %v, want errMessage", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"half a tag": {0x80}, "half a row": {8, 1, 0x12, 9, 1}, "too many fields": append(fields.body(), long...), "too long": make([]byte, messageBytes+1),
	} {
		if _, err := parse(CmdUsers, b); !errors.Is(err, errMessage) {
			t.Errorf("%s = %v, want errMessage", name, err)
		}
	}
}

// FuzzMessage: no bytes make parse panic, and what it takes comes back the same.
func FuzzMessage(f *testing.F) {
	for _, m := range samples() {
		f.Add(uint16(m.cmd), m.body())
	}
	f.Add(uint16(600), []byte{8, 1})
	f.Fuzz(func(t *testing.T, cmd uint16, body []byte) {
		m, err := parse(wire.Command(cmd), body)
		if err != nil {
			return
		}
		again, err := parse(m.cmd, m.body())
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v comes back as %+v, %v", m, again, err)
		}
	})
}

// FuzzLink: no row of messages makes a core panic, or keep more than its bounds.
func FuzzLink(f *testing.F) {
	var story []byte
	for _, m := range samples() {
		b := m.body()
		story = append(append(story, byte(m.cmd-CommandMin), byte(len(b))), b...)
	}
	f.Add(story)
	f.Add([]byte{0, 0, 3, 2, 8, 1})
	f.Fuzz(func(t *testing.T, story []byte) {
		c := testCore(func(cfg *Config) { cfg.UsersMax, cfg.CopiesMax, cfg.NodesMax = 4, 3, 3 })
		c.here(5, 7, true, game.Copy{})
		arrival := c.accept()
		for now := game.NodeTerm; len(story) > 2; now += beatEvery {
			cmd, n := CommandMin+wire.Command(story[0]%8), int(story[1])
			body := story[2:min(2+n, len(story))]
			story = story[2+len(body):]
			m, err := parse(cmd, body)
			switch {
			case errors.Is(err, errUnknown):
				err = c.unknown(now, arrival, m)
			case err == nil:
				err = c.receive(now, arrival, m)
			}
			if err != nil {
				c.departed(now, arrival)
				arrival = c.accept()
			}
			c.tick(now)
			if len(c.peers) > 2 || len(c.arrivals) > 1 {
				t.Fatalf("%d nodes, %d arrivals", len(c.peers), len(c.arrivals))
			}
			for _, p := range c.peers {
				if len(p.users) > 8 || p.count > 3 || p.newCount > 3 || p.count < 0 || len(p.past) > runsKept {
					t.Fatalf("%d users, %d copies", len(p.users), p.count)
				}
			}
		}
	})
}
