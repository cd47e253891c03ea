package mesh

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Commands of links. The gateway takes them from nodes alone. Numbers never change, and what a node does not know it passes
// over, so that nodes of two versions work together while the world is updated.
const (
	CmdBegin  wire.Command = 512 // first of a link: who tells; all that is here follows
	CmdUsers  wire.Command = 513 // where users are, or that they went
	CmdCopies wire.Command = 514 // how full copies are, or that they ended
	CmdEnd    wire.Command = 515 // all that is here was told; from now on what changes
	CmdBeat   wire.Command = 516 // a sign of life
	CmdWord   wire.Command = 517 // a frame for a user

	CommandMin = wire.CmdNodes
	CommandMax = wire.CmdApp - 1
)

// Bounds of messages.
const (
	RowsMax        = 256       // users or copies of one message
	WordBytesMax   = 32 << 10  // body of a frame for a user
	nodeBytesMax   = 255       // name and addresses of a node
	messageBytes   = 64 << 10  // no message is longer
	populationMax  = 1_000_000 // avatars or places of a copy; more than any copy has
	messageTagsMax = 4096      // fields of one message, known or not
)

// message is what travels on a link. Which fields count depends on the command:
//
//	all     1 seq       from 1, one more each
//	begin   2 run  3 link (number of the link within the run)  4 name  5 websocket  6 tcp  7 draining
//	users   2 rows: 1 uid  2 stamp  3 area  4 copy  5 gone
//	copies  2 rows: 1 area  2 copy  3 avatars  4 capacity  5 gone
//	end     -
//	beat    7 draining
//	word    2 uid  3 command  4 body
//
// They are encoded as Protocol Buffers: numbers are varints, the rest is of known length, and what is zero is left out.
type message struct {
	cmd      wire.Command
	seq      uint64
	run      runID
	link     uint64
	node     game.Node
	draining bool
	users    []userRow
	copies   []copyRow
	word     word
}

// runID names a run of a node: random, and never 0.
type runID uint64

// userRow is a user as its node tells of it.
type userRow struct {
	uid   game.UID
	stamp uint64
	copy  game.Copy // zero: in no area
	gone  bool
}

// copyRow is a copy as its node tells of it.
type copyRow struct {
	copy game.Copy
	fill
	gone bool
}

// fill is how full a copy is. Capacity 0: not told yet.
type fill struct{ avatars, capacity int }

// word is a frame for a user.
type word struct {
	uid  game.UID
	cmd  wire.Command
	body []byte
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendBytes[T string | []byte](b []byte, field protowire.Number, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(len(v)))
	return append(b, v...)
}

func appendFlag(b []byte, field protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendNumber(b, field, 1)
}

// body encodes a message.
func (m *message) body() []byte {
	b := appendNumber(nil, 1, m.seq)
	switch m.cmd {
	case CmdBegin:
		b = appendNumber(appendNumber(b, 2, uint64(m.run)), 3, m.link)
		b = appendBytes(appendBytes(appendBytes(b, 4, m.node.Name), 5, m.node.WebSocket), 6, m.node.TCP)
		b = appendFlag(b, 7, m.draining)
	case CmdUsers:
		var row []byte
		for _, u := range m.users {
			row = appendNumber(appendNumber(row[:0], 1, uint64(u.uid)), 2, u.stamp)
			row = appendNumber(appendBytes(row, 3, u.copy.Area), 4, uint64(u.copy.Number))
			b = appendBytes(b, 2, appendFlag(row, 5, u.gone))
		}
	case CmdCopies:
		var row []byte
		for _, c := range m.copies {
			row = appendNumber(appendBytes(row[:0], 1, c.copy.Area), 2, uint64(c.copy.Number))
			row = appendNumber(appendNumber(row, 3, uint64(c.avatars)), 4, uint64(c.capacity))
			b = appendBytes(b, 2, appendFlag(row, 5, c.gone))
		}
	case CmdBeat:
		b = appendFlag(b, 7, m.draining)
	case CmdWord:
		b = appendNumber(appendNumber(b, 2, uint64(m.word.uid)), 3, uint64(m.word.cmd))
		b = appendBytes(b, 4, m.word.body)
	}
	return b
}

// The faults of what another node sends. It gets a new link then.
var (
	errMessage = errors.New("no message of a link")
	errUnknown = errors.New("a message that came with a later version")
)

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMessage, fmt.Sprintf(format, args...))
}

// field is one of a message: a number, or bytes that lie in what was read.
type field struct {
	id     protowire.Number
	number uint64
	bytes  []byte
}

// fields calls f for each field that is a number or bytes; others are passed over.
func fields(b []byte, f func(field) error) error {
	for n := 0; len(b) > 0; n++ {
		if n == messageTagsMax {
			return broken("more than %d fields", messageTagsMax)
		}
		id, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return broken("a tag: %v", protowire.ParseError(size))
		}
		b = b[size:]
		x := field{id: id}
		switch kind {
		case protowire.VarintType:
			x.number, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			x.bytes, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(id, kind, b)
		}
		if size < 0 {
			return broken("field %d: %v", id, protowire.ParseError(size))
		}
		b = b[size:]
		if kind != protowire.VarintType && kind != protowire.BytesType {
			continue
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// parse reads a message. Its texts are copied, and so is the body of a word. errUnknown: it is none that this version knows.
func parse(cmd wire.Command, body []byte) (m message, err error) {
	m.cmd = cmd
	if len(body) > messageBytes {
		return m, broken("%d bytes: at most %d", len(body), messageBytes)
	}
	err = fields(body, func(f field) error {
		if f.id == 1 {
			m.seq = f.number
			return nil
		}
		return m.field(f)
	})
	if err != nil {
		return m, err
	}
	if m.seq == 0 {
		return m, broken("it has no number")
	}
	switch cmd {
	case CmdBegin:
		return m, m.checkBegin()
	case CmdWord:
		if m.word.uid == 0 || m.word.uid > game.UIDMax || m.word.cmd == 0 || m.word.cmd > game.CommandMax || len(m.word.body) > WordBytesMax {
			return m, broken("a word for user %d of command %d, %d bytes", m.word.uid, m.word.cmd, len(m.word.body))
		}
	case CmdUsers, CmdCopies, CmdEnd, CmdBeat:
	default:
		return m, errUnknown
	}
	return m, nil
}

func (m *message) field(f field) error {
	switch m.cmd {
	case CmdBegin:
		switch f.id {
		case 2:
			m.run = runID(f.number)
		case 3:
			m.link = f.number
		case 4:
			m.node.Name = string(f.bytes)
		case 5:
			m.node.WebSocket = string(f.bytes)
		case 6:
			m.node.TCP = string(f.bytes)
		case 7:
			m.draining = f.number != 0
		}
	case CmdUsers:
		if f.id == 2 {
			if len(m.users) == RowsMax {
				return broken("more than %d users", RowsMax)
			}
			u, err := parseUser(f.bytes)
			m.users = append(m.users, u)
			return err
		}
	case CmdCopies:
		if f.id == 2 {
			if len(m.copies) == RowsMax {
				return broken("more than %d copies", RowsMax)
			}
			c, err := parseCopy(f.bytes)
			m.copies = append(m.copies, c)
			return err
		}
	case CmdBeat:
		if f.id == 7 {
			m.draining = f.number != 0
		}
	case CmdWord:
		switch f.id {
		case 2:
			m.word.uid = game.UID(f.number)
		case 3:
			m.word.cmd = wire.Command(min(f.number, game.CommandMax+1))
		case 4:
			m.word.body = append([]byte(nil), f.bytes...)
		}
	}
	return nil
}

func (m *message) checkBegin() error {
	if err := checkName(m.node.Name); err != nil {
		return broken("%v", err)
	}
	if len(m.node.WebSocket)+len(m.node.TCP) > nodeBytesMax || !utf8.ValidString(m.node.WebSocket) || !utf8.ValidString(m.node.TCP) {
		return broken("addresses of %d bytes: want UTF-8, at most %d bytes", len(m.node.WebSocket)+len(m.node.TCP), nodeBytesMax)
	}
	if m.run == 0 || m.link == 0 {
		return broken("a run or a link without number")
	}
	m.node.Draining = m.draining
	return nil
}

func parseUser(b []byte) (u userRow, err error) {
	var area string
	var number uint64
	err = fields(b, func(f field) error {
		switch f.id {
		case 1:
			u.uid = game.UID(f.number)
		case 2:
			u.stamp = f.number
		case 3:
			if len(f.bytes) <= game.AreaNameBytesMax {
				area = string(f.bytes)
			} else {
				area = "?"
			}
		case 4:
			number = f.number
		case 5:
			u.gone = f.number != 0
		}
		return nil
	})
	if err != nil {
		return u, err
	}
	if u.uid == 0 || u.uid > game.UIDMax {
		return u, broken("no user id: %d", uint64(u.uid))
	}
	if area == "" && number == 0 {
		return u, nil
	}
	u.copy, err = copyOf(area, number)
	return u, err
}

func parseCopy(b []byte) (c copyRow, err error) {
	var area string
	var number, avatars, capacity uint64
	err = fields(b, func(f field) error {
		switch f.id {
		case 1:
			if len(f.bytes) <= game.AreaNameBytesMax {
				area = string(f.bytes)
			}
		case 2:
			number = f.number
		case 3:
			avatars = f.number
		case 4:
			capacity = f.number
		case 5:
			c.gone = f.number != 0
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	if avatars > populationMax || capacity > populationMax {
		return c, broken("%d avatars of %d: at most %d", avatars, capacity, populationMax)
	}
	c.fill = fill{int(avatars), int(capacity)}
	c.copy, err = copyOf(area, number)
	return c, err
}

func copyOf(area string, number uint64) (game.Copy, error) {
	if game.CheckAreaName(area) != nil || number == 0 || number > game.CopiesMax {
		return game.Copy{}, broken("no copy of an area: %.40q.%d", area, number)
	}
	return game.Copy{Area: area, Number: uint32(number)}, nil
}
