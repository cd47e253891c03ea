// Package plazatest makes and plays recorded sessions, so that each half of the world is tested without the other: a
// page plays the server's side of a recording (game/client/recorded.ts), and Play the client's side against a server.
//
// Vocabulary. A recording is what travelled over one connection: messages of whole frames with their time and direction, as
// JSON. A script makes one without anybody having been there. A part of the server's answers are milestones (welcome, entered, refused,
// answer): what the client sent after one is played after the same one.
//
// Invariant. What is played is bounded by its context, and a message by wire.MessageBytesMax; a recording is bytes from outside, and no bytes
// make Parse panic.
package plazatest

import (
	"encoding/json"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game/wire"
)

// framesMax bounds a recording, as recordedMax does in game/client.
const framesMax = 100_000

// Recording is a recorded session.
type Recording struct {
	Version int       `json:"version"` // 1
	Frames  []Message `json:"frames"`
}

// Message is one message of it.
type Message struct {
	At   int    `json:"at"`   // milliseconds from the beginning
	From string `json:"from"` // client or server
	Data []byte `json:"data"` // whole frames; the client's first one with the magic
}

// The sides of a recording.
const (
	FromClient = "client"
	FromServer = "server"
)

// Parse reads a recording, and judges its frames.
func Parse(b []byte) (*Recording, error) {
	r := &Recording{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("the recording is no JSON: %w", err)
	}
	if r.Version != 1 || len(r.Frames) > framesMax {
		return nil, fmt.Errorf("a recording of version %d with %d messages: want version 1 and at most %d", r.Version, len(r.Frames), framesMax)
	}
	for i := range r.Frames {
		if _, err := r.Frames[i].split(); err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
	}
	return r, nil
}

// split gives the frames of a message.
func (m *Message) split() (list []wire.Frame, err error) {
	data := m.Data
	switch m.From {
	case FromClient:
		if len(data) >= len(wire.Magic) && string(data[:len(wire.Magic)]) == wire.Magic {
			data = data[len(wire.Magic):]
		}
	case FromServer:
	default:
		return nil, fmt.Errorf("from %.20q: want client or server", m.From)
	}
	for len(data) > 0 {
		f, rest, _, err := wire.Cut(data, wire.LimitServer)
		if err != nil {
			return nil, err
		}
		list, data = append(list, f), rest
	}
	return list, nil
}

// Script makes a recording of what never happened. Times are milliseconds from its beginning.
type Script struct {
	t          testing.TB
	rec        Recording
	seqs       map[string]uint64
	haveClient bool
}

// NewScript begins one.
func NewScript(t testing.TB) *Script {
	return &Script{t: t, rec: Recording{Version: 1}, seqs: map[string]uint64{}}
}

// Client adds a frame of the client with a message of wire.proto.
func (s *Script) Client(at int, cmd wire.Command, m proto.Message) {
	s.t.Helper()
	s.message(at, FromClient, cmd, m)
}

// Server adds a frame of the server with a message of wire.proto.
func (s *Script) Server(at int, cmd wire.Command, m proto.Message) {
	s.t.Helper()
	s.message(at, FromServer, cmd, m)
}

// Moves adds the server's moves.
func (s *Script) Moves(at int, rows ...wire.Moved) {
	var body []byte
	for _, r := range rows {
		body = wire.AppendMoved(body, r)
	}
	s.add(at, FromServer, wire.AppendFrame(nil, wire.CmdMoves, body))
}

func (s *Script) message(at int, from string, cmd wire.Command, m proto.Message) {
	s.t.Helper()
	body, err := wire.Body(m)
	if err != nil {
		s.t.Fatal(err)
	}
	if !cmd.Reliable() {
		s.add(at, from, wire.AppendFrame(nil, cmd, body))
		return
	}
	s.seqs[from]++
	s.add(at, from, wire.AppendReliable(nil, cmd, s.seqs[from], body))
}

func (s *Script) add(at int, from string, data []byte) {
	if from == FromClient && !s.haveClient {
		s.haveClient = true
		data = append([]byte(wire.Magic), data...)
	}
	s.rec.Frames = append(s.rec.Frames, Message{At: at, From: from, Data: data})
}

// Recording is what was made.
func (s *Script) Recording() *Recording { return &s.rec }
