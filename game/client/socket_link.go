package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/gobwas/ws"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// link is one connection of a Socket.
type link struct {
	conn  net.Conn
	r     *bufio.Reader
	ws    bool
	split wire.Splitter
}

// linkReadBytes is the buffer for what comes; longer frames take more while they come.
const linkReadBytes = 4 << 10

// dial opens a connection to ws://…, wss://…, tcp://host:port or tls://host:port.
func dial(ctx context.Context, address string, cfg *tls.Config) (*link, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, game.Errorf(game.Invalid, "%.80q is no address of the world: want ws://HOST:PORT/v1/socket, or tcp://HOST:PORT", address)
	}
	l := &link{split: wire.Splitter{Limit: wire.LimitServer}}
	switch u.Scheme {
	case "ws", "wss":
		l.ws = true
		d := ws.Dialer{TLSConfig: cfg}
		var early *bufio.Reader
		if l.conn, early, _, err = d.Dial(ctx, address); err == nil && early != nil {
			l.r = early
		}
	case "tcp":
		l.conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	case "tls":
		l.conn, err = (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", u.Host)
	default:
		return nil, game.Errorf(game.Invalid, "%.80q is no address of the world: want ws://HOST:PORT/v1/socket, or tcp://HOST:PORT", address)
	}
	if err != nil {
		return nil, &game.Error{Op: "connect", Kind: game.Unavailable, Detail: "no server answers at " + u.Host, Err: err}
	}
	if l.r == nil {
		l.r = bufio.NewReaderSize(l.conn, linkReadBytes)
	}
	return l, nil
}

// writeTimeout is how long a server may take to take what is sent.
const writeTimeout = 10 * time.Second

// write sends whole frames. It changes the bytes of b.
func (l *link) write(b []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if !l.ws {
		_, err := l.conn.Write(b)
		return err
	}
	for len(b) > 0 {
		n := whole(b)
		if err := l.message(ws.OpBinary, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// whole is the length of the frames at the head of b that fit into one message.
func whole(b []byte) (n int) {
	for len(b) > wire.MessageBytesMax {
		_, _, size, err := wire.Cut(b[n:], wire.LimitServer)
		if err != nil || n+size > wire.MessageBytesMax {
			return n
		}
		n += size
	}
	return len(b)
}

// message sends a masked frame of WebSocket.
func (l *link) message(op ws.OpCode, b []byte) error {
	head := append(make([]byte, 0, ws.MaxHeaderSize), 0x80|byte(op))
	switch n := len(b); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n <= 0xffff:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	var mask [4]byte
	binary.LittleEndian.PutUint32(mask[:], rand.Uint32())
	ws.Cipher(b, mask, 0)
	buffers := net.Buffers{append(head, mask[:]...), b}
	_, err := buffers.WriteTo(l.conn)
	return err
}

// errNoFrames: the server sent what this protocol has not.
var errNoFrames = errors.New("the server sent what is no frame")

// read gives each frame that comes to handle, until that or the connection ends with an error. Before it waits it asks
// wake until when; at that time wake is asked again.
func (l *link) read(handle func(wire.Frame) error, wake func() (time.Time, error)) error {
	for {
		if l.r.Buffered() == 0 {
			until, err := wake()
			if err != nil {
				return err
			}
			if err := l.conn.SetReadDeadline(until); err != nil {
				return err
			}
			if _, err := l.r.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			} else if err != nil {
				return err
			}
		}
		if err := l.conn.SetReadDeadline(time.Now().Add(writeTimeout)); err != nil { // for the rest of a head
			return err
		}
		if err := l.piece(handle); err != nil {
			return err
		}
	}
}

// piece takes what is there.
func (l *link) piece(handle func(wire.Frame) error) error {
	if !l.ws {
		return l.pass(l.r.Buffered(), handle)
	}
	h, err := ws.ReadHeader(l.r)
	switch {
	case err != nil:
		return err
	case h.Masked, h.Length > wire.MessageBytesMax, h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize, h.OpCode == ws.OpText:
		return errNoFrames
	case h.OpCode.IsControl():
		return l.control(h)
	}
	for left := int(h.Length); left > 0; {
		if err := l.conn.SetReadDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if _, err := l.r.Peek(1); err != nil {
			return err
		}
		n := min(left, l.r.Buffered())
		if err := l.pass(n, handle); err != nil {
			return err
		}
		left -= n
	}
	if h.Fin && !l.split.Whole() {
		return errNoFrames
	}
	return nil
}

// pass hands on the frames within the next n bytes, which are in the buffer.
func (l *link) pass(n int, handle func(wire.Frame) error) error {
	b, err := l.r.Peek(n)
	if err != nil {
		return err
	}
	for f, err := range l.split.Frames(b) {
		if err == nil {
			err = handle(f)
		} else {
			err = errors.Join(errNoFrames, err)
		}
		if err != nil {
			return err
		}
	}
	_, err = l.r.Discard(n)
	return err
}

// control answers what belongs to WebSocket itself.
func (l *link) control(h ws.Header) error {
	var body [ws.MaxControlFramePayloadSize]byte
	b := body[:h.Length]
	if _, err := io.ReadFull(l.r, b); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpClose:
		return io.EOF
	case ws.OpPing:
		return errors.Join(l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)), l.message(ws.OpPong, b))
	}
	return nil
}

// leave says that the client does not come back, as far as the transport can say it, and closes.
func (l *link) leave() {
	if l.ws {
		if l.conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_ = l.message(ws.OpClose, binary.BigEndian.AppendUint16(nil, uint16(ws.StatusNormalClosure))) // the server notices the end without it
		}
	}
	_ = l.conn.Close() // there is nothing left to lose
}
