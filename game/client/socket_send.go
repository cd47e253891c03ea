package client

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Tell sends a frame of a reliable command, which is sent again after a cut. The body is copied. Errors are ErrLeft and such when the socket
// has ended, Unavailable when too much is not acknowledged, and TooLarge.
func (s *Socket) Tell(cmd wire.Command, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tellLocked(cmd, body)
}

// TellMessage is Tell with a message.
func (s *Socket) TellMessage(cmd wire.Command, m proto.Message) error {
	body, err := wire.Body(m)
	if err != nil {
		return &game.Error{Kind: game.Invalid, Err: err}
	}
	return s.Tell(cmd, body)
}

// Show sends a frame of a command that is not reliable. Without a connection it is lost, and that is no error.
func (s *Socket) Show(cmd wire.Command, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.showLocked(cmd, body)
}

// usable says why nothing can be sent.
// Preconditions: mu is held.
func (s *Socket) usable(cmd wire.Command, reliable bool, body []byte) error {
	switch {
	case s.over:
		return s.err
	case cmd < 1 || cmd > game.CommandMax || cmd.Reliable() != reliable:
		return game.Errorf(game.Invalid, "command %d is not sent in this way", cmd)
	case len(body) > wire.LimitClient-wire.HeadBytesMax:
		return game.Errorf(game.TooLarge, "a body of %d bytes: at most %d", len(body), wire.LimitClient-wire.HeadBytesMax)
	case len(s.out) > wire.LimitClient: // so what is written at once is one message of WebSocket
		return game.Errorf(game.Unavailable, "%d bytes wait for the server", len(s.out))
	}
	return nil
}

func (s *Socket) tellLocked(cmd wire.Command, body []byte) error {
	if err := s.usable(cmd, true, body); err != nil {
		return err
	}
	if len(s.kept) > 0 && s.keptLen+len(body) > s.opts.KeptBytesMax {
		return game.Errorf(game.Unavailable, "the server has not acknowledged %d bytes", s.keptLen)
	}
	frame := s.keep(cmd, body)
	if s.now == nil { // the next connection sends it
		return nil
	}
	s.out = append(s.out, frame...)
	s.flush()
	return nil
}

// keep gives a reliable frame its number.
// Preconditions: mu is held.
func (s *Socket) keep(cmd wire.Command, body []byte) []byte {
	s.seq++
	frame := wire.AppendReliable(make([]byte, 0, wire.FrameBytes(cmd, s.seq, len(body))), cmd, s.seq, body)
	s.kept = append(s.kept, kept{s.seq, frame})
	s.keptLen += len(frame)
	return frame
}

func (s *Socket) showLocked(cmd wire.Command, body []byte) error {
	if err := s.usable(cmd, false, body); err != nil {
		return err
	}
	if s.now == nil {
		return nil
	}
	s.out = wire.AppendFrame(s.out, cmd, body)
	s.flush()
	return nil
}

// spareMax is the greatest buffer that is kept for what is written next.
const spareMax = 64 << 10

// flush writes what waits, unless somebody does already: then that one goes on, and what was sent meanwhile goes together.
// Preconditions: mu is held; it is given up while the connection is written to.
func (s *Socket) flush() {
	if s.writing {
		return
	}
	s.writing = true
	for len(s.out) > 0 && s.now != nil {
		b, l := s.out, s.now
		s.out, s.spare = s.spare[:0], nil
		s.mu.Unlock()
		err := l.write(b)
		s.mu.Lock()
		if cap(b) <= spareMax {
			s.spare = b[:0]
		}
		if err != nil && s.now == l {
			_ = l.conn.Close() // the reader notices, and connects again
			s.now, s.out = nil, s.out[:0]
		}
	}
	s.writing = false
}

// acknowledged forgets the reliable frames up to a number.
// Preconditions: mu is held.
func (s *Socket) acknowledged(seq uint64) {
	n := 0
	for n < len(s.kept) && s.kept[n].seq <= seq {
		s.keptLen -= len(s.kept[n].frame)
		n++
	}
	s.kept = slices.Delete(s.kept, 0, n)
}
