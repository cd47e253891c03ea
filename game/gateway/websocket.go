package gateway

import (
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"

	"github.com/kamado/kamado/game/wire"
)

// What a WebSocket client did wrong (RFC 6455).
var (
	errText     = errors.New("a text message: frames travel in binary messages")
	errUnmasked = errors.New("a WebSocket frame of a client without mask")
	errReserved = errors.New("a WebSocket frame with reserved bits or of a reserved kind")
	errControl  = errors.New("a WebSocket control frame that is too long or in pieces")
	errFragment = errors.New("a WebSocket frame out of its turn")
	errMessage  = errors.New("a WebSocket message of too many bytes")
)

// wsInput takes WebSocket frames of a client apart, however they come in pieces. It holds a head, and the payload of a control frame
// at most; payloads of data are handed on as they come.
type wsInput struct {
	head    [ws.MaxHeaderSize]byte
	headN   uint8
	open    bool // a message is open: a frame with FIN has not come yet
	fin     bool
	op      ws.OpCode
	mask    [4]byte
	pos     uint8 // of the next byte in the mask
	inside  bool  // in a payload
	left    int   // bytes of the payload that are still to come
	message int   // bytes of the open message so far
	control []byte
}

// wsHead is the length of the frame head of which b is the beginning; 0: not known yet.
func wsHead(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	n := 2
	if b[1]&0x80 != 0 {
		n += 4
	}
	switch b[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	return n
}

// next takes from b. Three things may happen: a part of a message's payload, unmasked in place, where end says that the message
// ends with it; a control frame, whose op is not 0; or neither, when b is used up.
func (w *wsInput) next(b []byte) (rest, data []byte, end bool, op ws.OpCode, err error) {
	for !w.inside {
		if len(b) == 0 {
			return nil, nil, false, 0, nil
		}
		w.head[w.headN] = b[0]
		w.headN++
		b = b[1:]
		if w.headN == 2 {
			if err := w.judge(); err != nil {
				return nil, nil, false, 0, err
			}
		}
		if n := wsHead(w.head[:w.headN]); n == int(w.headN) {
			if err := w.begin(); err != nil {
				return nil, nil, false, 0, err
			}
		}
	}
	part := b[:min(w.left, len(b))]
	b = b[len(part):]
	ws.Cipher(part, w.mask, int(w.pos))
	w.pos = uint8((int(w.pos) + len(part)) % 4)
	w.left -= len(part)
	done := w.left == 0
	if done {
		w.inside, w.headN = false, 0
	}
	if !w.op.IsControl() {
		if done && w.fin {
			w.open, w.message = false, 0
		}
		return b, part, done && w.fin, 0, nil
	}
	w.control = append(w.control, part...)
	if !done {
		return b, nil, false, 0, nil
	}
	data, w.control = w.control, nil
	return b, data, false, w.op, nil
}

// judge looks at the first two bytes of a frame.
func (w *wsInput) judge() error {
	op, fin, length := ws.OpCode(w.head[0]&0x0f), w.head[0]&0x80 != 0, w.head[1]&0x7f
	switch {
	case w.head[0]&0x70 != 0 || op.IsReserved():
		return errReserved
	case w.head[1]&0x80 == 0:
		return errUnmasked
	case op.IsControl() && (!fin || length > ws.MaxControlFramePayloadSize):
		return errControl
	case op == ws.OpText:
		return errText
	case op == ws.OpContinuation && !w.open, op == ws.OpBinary && w.open:
		return errFragment
	}
	w.op, w.fin = op, fin
	return nil
}

// begin starts a payload, whose head is whole.
func (w *wsInput) begin() error {
	h := w.head[:w.headN]
	length := uint64(h[1] & 0x7f)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		length = binary.BigEndian.Uint64(h[2:])
	}
	copy(w.mask[:], h[len(h)-4:])
	if !w.op.IsControl() {
		if length > wire.MessageBytesMax || w.message+int(length) > wire.MessageBytesMax {
			return errMessage
		}
		w.message += int(length)
		w.open = true
	}
	w.left, w.pos, w.inside = int(length), 0, true
	return nil
}

// appendWSHead appends the head of a frame of the server, which has no mask.
func appendWSHead(b []byte, op ws.OpCode, n int) []byte {
	b = append(b, 0x80|byte(op))
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
}

// appendWSClose appends a close frame. The code is 4000 and the reason of Closing, so that a page can tell it without reading frames.
func appendWSClose(b []byte, reason wire.Reason) []byte {
	return binary.BigEndian.AppendUint16(appendWSHead(b, ws.OpClose, 2), 4000+uint16(reason))
}
