package wire

import (
	"encoding/binary"
	"errors"
	"iter"

	"github.com/kamado/kamado/game"
)

// Magic stands once at the head of what a client sends, in front of its Hello; in WebSocket at the head of the first
// message. The digit counts incompatible forms of the frame, of which there is one.
const Magic = "KMD1"

// Most bytes of a frame behind its length: command, sequence number and body.
const (
	LimitHello  = 8 << 10   // from a client that has not logged in
	LimitClient = 512 << 10 // from a client that has
	LimitServer = 1 << 20   // from a server
)

// HeadBytesMax is what stands in front of a body at most: length (3), command (2), sequence number (10).
const HeadBytesMax = 15

// MessageBytesMax bounds a WebSocket message of either side: the longest frame fits, with its length and the magic.
const MessageBytesMax = LimitServer + 16

// restKeep is the greatest buffer of an unfinished frame that a Splitter keeps for the next one, so that an idle
// connection costs little.
const restKeep = 512

// The conditions under which bytes are no frames. After any of them but ErrShort nothing more of the stream makes sense:
// a server says Closing with REASON_INVALID.
var (
	// ErrMagic: the stream does not begin with Magic.
	ErrMagic = errors.New("the stream does not begin with " + Magic)
	// ErrVarint: a number has more bytes than it needs, or than 64 bits need.
	ErrVarint = errors.New("a varint that is too long")
	// ErrLength: a frame of no bytes, or of more than the limit.
	ErrLength = errors.New("a frame of no bytes, or of too many")
	// ErrCommand: a command below 1 or above game.CommandMax, or a frame that ends within it.
	ErrCommand = errors.New("no command")
	// ErrShort: the bytes end within a frame. In a stream the rest follows; at the end of a message it is a fault.
	ErrShort = errors.New("the frame is not whole")
	// ErrSeq: a reliable frame without sequence number.
	ErrSeq = errors.New("no sequence number")
)

// Frame is a command with its body. For a reliable command the body begins with the sequence number: SplitSeq.
type Frame struct {
	Command Command
	Body    []byte // lies in what was split: valid until the next call
}

// AppendFrame appends a frame that is not reliable.
// Preconditions: 1 <= cmd <= game.CommandMax; the body keeps to the limit of this side.
func AppendFrame(b []byte, cmd Command, body []byte) []byte {
	return append(AppendHead(b, cmd, len(body)), body...)
}

// AppendReliable appends a reliable frame: the sequence number, counted from 1, stands in front of the body.
// Preconditions: as AppendFrame.
func AppendReliable(b []byte, cmd Command, seq uint64, body []byte) []byte {
	b = AppendHead(b, cmd, VarintBytes(seq)+len(body))
	return append(binary.AppendUvarint(b, seq), body...)
}

// AppendHead appends the length and the command of a frame, of which n further bytes follow. So a body can be
// built in place when its size is known.
func AppendHead(b []byte, cmd Command, n int) []byte {
	b = binary.AppendUvarint(b, uint64(VarintBytes(uint64(cmd))+n))
	return binary.AppendUvarint(b, uint64(cmd))
}

// VarintBytes is how many bytes a number takes as a varint: 1 to 10.
func VarintBytes(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// FrameBytes is how long a reliable frame is with everything; seq 0: one that is not reliable.
func FrameBytes(cmd Command, seq uint64, body int) int {
	n := VarintBytes(uint64(cmd)) + body
	if seq > 0 {
		n += VarintBytes(seq)
	}
	return VarintBytes(uint64(n)) + n
}

// varint reads a number at the head of b of at most sizeMax bytes. n is how many it took; 0: b ends within it.
func varint(b []byte, sizeMax int) (v uint64, n int, err error) {
	for i, c := range b {
		if i == sizeMax || i == 9 && c > 1 || i > 0 && c == 0 {
			return 0, 0, ErrVarint
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1, nil
		}
	}
	if len(b) >= sizeMax {
		return 0, 0, ErrVarint
	}
	return 0, 0, nil
}

// Cut cuts the first frame off b; rest is what follows it. limit bounds the frame (LimitHello and so on). ErrShort: b ends
// within the frame, and size is how many bytes it has as a whole, as far as they are known (else 0). Any other error: b
// begins with no frame.
func Cut(b []byte, limit int) (f Frame, rest []byte, size int, err error) {
	length, n, err := varint(b, 4)
	switch {
	case err != nil:
		return f, nil, 0, err
	case n == 0:
		return f, nil, 0, ErrShort
	case length == 0 || length > uint64(limit):
		return f, nil, 0, ErrLength
	}
	size = n + int(length)
	inside := b[n:min(size, len(b))]
	cmd, m, err := varint(inside, 2)
	switch {
	case err != nil:
		return f, nil, 0, err
	case m == 0 && len(inside) == int(length), m > 0 && (cmd == 0 || cmd > game.CommandMax):
		return f, nil, 0, ErrCommand
	case len(b) < size:
		return f, nil, size, ErrShort
	}
	return Frame{Command(cmd), inside[m:len(inside):len(inside)]}, b[size:], size, nil
}

// SplitSeq parts the body of a reliable frame into its sequence number and the body itself.
func SplitSeq(b []byte) (seq uint64, body []byte, err error) {
	seq, n, err := varint(b, 10)
	switch {
	case err != nil:
		return 0, nil, err
	case n == 0 || seq == 0:
		return 0, nil, ErrSeq
	}
	return seq, b[n:], nil
}

// Splitter cuts frames out of a stream that comes in pieces. A frame that lies within a piece is not copied. It holds no more than
// one unfinished frame, and takes memory for it as its bytes come, not as its length promises. The zero value with a Limit is
// ready; it is used by one goroutine at a time.
type Splitter struct {
	// Limit bounds each frame. It may be changed while frames are read, and counts for the next one.
	Limit int
	// Magic: the stream begins with it. Set before the first piece by who reads from a client.
	Magic bool

	magic int    // bytes of Magic that were seen
	rest  []byte // beginning of an unfinished frame
}

// Frames gives the frames that the piece completes, in order. It ends with an error when the bytes are no frames: the
// stream is of no use then. Who breaks off early must not feed further pieces.
func (s *Splitter) Frames(piece []byte) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		piece, err := s.pastMagic(piece)
		if err != nil {
			yield(Frame{}, err)
			return
		}
		for len(piece) > 0 {
			var f Frame
			if len(s.rest) > 0 {
				f, piece, err = s.complete(piece)
			} else {
				var after []byte
				f, after, _, err = Cut(piece, s.Limit)
				if err == ErrShort {
					s.rest = append(s.rest, piece...)
				}
				piece = after
			}
			if err == ErrShort {
				return
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// Message gives the frames of a whole WebSocket message. Unlike the pieces of a stream it must end where a frame ends, else
// the last thing that comes is ErrShort.
func (s *Splitter) Message(message []byte) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		for f, err := range s.Frames(message) {
			if !yield(f, err) || err != nil {
				return
			}
		}
		if !s.Whole() {
			yield(Frame{}, ErrShort)
		}
	}
}

// Whole says whether the stream so far ends where a frame ends: what a WebSocket message must do.
func (s *Splitter) Whole() bool { return len(s.rest) == 0 && (!s.Magic || s.magic == len(Magic)) }

// pastMagic takes what is still missing of the magic off the piece.
func (s *Splitter) pastMagic(piece []byte) ([]byte, error) {
	for s.Magic && s.magic < len(Magic) && len(piece) > 0 {
		if piece[0] != Magic[s.magic] {
			return nil, ErrMagic
		}
		s.magic++
		piece = piece[1:]
	}
	return piece, nil
}

// complete goes on with the unfinished frame in rest. ErrShort: all of the piece belongs to it, and more.
func (s *Splitter) complete(piece []byte) (Frame, []byte, error) {
	for {
		f, _, size, err := Cut(s.rest, s.Limit)
		if err == nil {
			if cap(s.rest) > restKeep {
				s.rest = nil
			}
			s.rest = s.rest[:0] // f keeps its bytes until the next call appends here
			return f, piece, nil
		}
		if err != ErrShort || len(piece) == 0 {
			return Frame{}, piece, err
		}
		take := 1 // the head comes byte by byte, since only with it is it known where the frame ends
		if size > 0 {
			take = min(size-len(s.rest), len(piece))
		}
		s.rest = append(s.rest, piece[:take]...)
		piece = piece[take:]
	}
}
