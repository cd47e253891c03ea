package mesh

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Times and sizes of a link.
const (
	dialMax    = game.NodeTerm // to open it, with Welcome
	takeMax    = game.NodeTerm // for the other side to take what is written, and to give a sign of life
	writeBytes = 64 << 10      // what is gathered for one message of WebSocket, about
	readBytes  = 4 << 10
)

// newest is the version of a client that no bound refuses.
const newest = 1023<<20 | 1023<<10 | 1023

// link is a connection to another node, on which this one tells what is here.
type link struct {
	m      *Mesh
	id     uint64
	node   game.Node
	cancel context.CancelFunc
	wake   chan struct{} // one place

	mu    sync.Mutex
	pongs []byte // frames that answer pings; at most one of each kind
}

// open begins to open a link.
// Preconditions: m.mu is held.
func (m *Mesh) open(d dial) {
	if !m.running {
		return
	}
	ctx, cancel := m.within()
	l := &link{m: m, id: d.link, node: d.node, cancel: cancel, wake: make(chan struct{}, 1)}
	m.links[d.link] = l
	m.wg.Go(func() {
		defer cancel()
		err := l.run(ctx)
		if ctx.Err() == nil {
			l.failed(err)
		}
		refused := errors.Is(err, syscall.ECONNREFUSED)
		m.do(func(k *core, now time.Duration) {
			k.unlinked(now, l.id, refused)
			delete(m.links, l.id)
		})
	})
}

// failed counts how a link ended by itself.
func (l *link) failed(err error) {
	why := "ended"
	var denied *deniedError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "refused"
	case errors.As(err, &denied) && denied.reason != wire.Reason_REASON_DRAIN:
		why = "denied"
		if l.m.complains(l.node.Name) {
			l.m.log.Warn("node does not welcome this one", "node", l.node.Name, "err", err)
		}
	}
	l.m.metrics.linkEnds.WithLabelValues("out", why).Inc()
	l.m.log.Debug("link ended", "node", l.node.Name, "why", why, "err", err)
}

// deniedError is what another node says when it does not welcome this one, or ends the link.
type deniedError struct {
	reason wire.Reason
	text   string
}

func (e *deniedError) Error() string { return fmt.Sprintf("%v: %.200s", e.reason, e.text) }

// run opens the link and keeps it until it breaks or ctx ends.
func (l *link) run(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, dialMax)
	defer cancel()
	credential, err := l.m.deps.Credential(dialing)
	if err != nil {
		return fmt.Errorf("credential for other nodes: %w", err)
	}
	dialer := ws.Dialer{Timeout: dialMax, TLSConfig: l.m.deps.TLS, ReadBufferSize: readBytes}
	conn, early, _, err := dialer.Dial(dialing, l.node.WebSocket)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // it ends what is under way
	defer stop()
	defer conn.Close()
	in := early // what came with the answer of the upgrade is in it
	if in == nil {
		in = bufio.NewReaderSize(conn, readBytes)
	}
	if err := l.hello(conn, credential); err != nil {
		return err
	}
	frames := wire.Splitter{Limit: wire.LimitServer}
	if err := l.welcome(conn, in, &frames); err != nil {
		return err
	}
	l.m.do(func(k *core, now time.Duration) { k.linked(now, l.id) })
	return l.talk(ctx, conn, in, &frames)
}

// talk tells what is here, and reads signs of life, until one of both fails.
func (l *link) talk(ctx context.Context, conn net.Conn, in *bufio.Reader, frames *wire.Splitter) error {
	failed := make(chan error, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		failed <- l.read(conn, in, frames)
	}()
	err := l.write(ctx, conn, failed)
	conn.Close() //nolint:errcheck // it ends read
	<-read
	return err
}

// hello is the first message.
func (l *link) hello(conn net.Conn, credential string) error {
	b, err := wire.AppendMessage([]byte(wire.Magic), wire.CmdHello, 0, &wire.Hello{
		Protocol: 1, Client: newest, Token: credential, Agent: "kamado node", Node: l.m.deps.Node.Name,
	})
	if err != nil {
		return err
	}
	return send(conn, ws.OpBinary, b)
}

// send writes a message, masked as those of clients are.
func send(conn net.Conn, op ws.OpCode, b []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(takeMax)); err != nil {
		return err
	}
	b, err := ws.CompileFrame(ws.MaskFrameInPlace(ws.NewFrame(op, true, b)))
	if err != nil {
		return err
	}
	_, err = conn.Write(b)
	return err
}

// welcome reads until the other node welcomes this one.
func (l *link) welcome(conn net.Conn, in *bufio.Reader, frames *wire.Splitter) error {
	for welcomed := false; !welcomed; {
		err := l.frames(conn, in, frames, func(f wire.Frame) error {
			welcomed = welcomed || f.Command == wire.CmdWelcome
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads signs of life until they stop.
func (l *link) read(conn net.Conn, in *bufio.Reader, frames *wire.Splitter) error {
	for {
		if err := l.frames(conn, in, frames, func(wire.Frame) error { return nil }); err != nil {
			return err
		}
	}
}

// frames reads a message and gives its frames to f, but for those that are answered here.
func (l *link) frames(conn net.Conn, in *bufio.Reader, split *wire.Splitter, f func(wire.Frame) error) error {
	if err := conn.SetReadDeadline(time.Now().Add(takeMax)); err != nil {
		return err
	}
	h, err := ws.ReadHeader(in)
	if err != nil {
		return err
	}
	if h.Length > wire.MessageBytesMax || h.Masked {
		return fmt.Errorf("a message of %d bytes", h.Length)
	}
	b := make([]byte, h.Length)
	if _, err := io.ReadFull(in, b); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		return l.answer(ws.OpPong, b)
	case ws.OpClose:
		return io.EOF
	case ws.OpBinary, ws.OpContinuation:
	default:
		return nil
	}
	for frame, err := range split.Frames(b) {
		switch {
		case err != nil:
			return err
		case frame.Command == wire.CmdPing:
			err = l.answer(ws.OpBinary, wire.AppendFrame(nil, wire.CmdPong, frame.Body))
		case frame.Command == wire.CmdClosing:
			var c wire.Closing
			if err = proto.Unmarshal(frame.Body, &c); err == nil {
				err = &deniedError{c.Reason, c.Text}
			}
		default:
			err = f(frame)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answer has the writer answer a ping. One answer waits at most: the next ping asks again.
func (l *link) answer(op ws.OpCode, b []byte) error {
	if len(b) > ws.MaxControlFramePayloadSize {
		return fmt.Errorf("a ping of %d bytes", len(b))
	}
	b, err := ws.CompileFrame(ws.MaskFrameInPlace(ws.NewFrame(op, true, b)))
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.pongs = b
	l.mu.Unlock()
	l.m.poke(l.wake)
	return nil
}

// write tells what the core has to tell, until it fails or ctx ends. Each sign of life of the core takes a ping with it, whose answer the reader waits for.
func (l *link) write(ctx context.Context, conn net.Conn, failed <-chan error) error {
	var b []byte
	var list []message
	for pings := uint64(0); ; {
		list = l.pull(list[:0])
		b = b[:0]
		for i := range list {
			b = wire.AppendFrame(b, list[i].cmd, list[i].body())
			if list[i].cmd == CmdBeat {
				pings++
				b = wire.AppendFrame(b, wire.CmdPing, binary.LittleEndian.AppendUint64(nil, pings))
			}
			if len(b) >= writeBytes {
				if err := send(conn, ws.OpBinary, b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
		if len(b) > 0 {
			if err := send(conn, ws.OpBinary, b); err != nil {
				return err
			}
		}
		l.m.metrics.messages.WithLabelValues("out").Add(float64(len(list)))
		if err := l.pong(conn); err != nil {
			return err
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case <-l.wake:
		}
	}
}

func (l *link) pull(list []message) []message {
	l.m.do(func(k *core, _ time.Duration) { list = k.pull(l.id, list) })
	return list
}

// pong writes the answer that waits.
func (l *link) pong(conn net.Conn) error {
	l.mu.Lock()
	b := l.pongs
	l.pongs = nil
	l.mu.Unlock()
	if b == nil {
		return nil
	}
	if err := conn.SetWriteDeadline(time.Now().Add(takeMax)); err != nil {
		return err
	}
	_, err := conn.Write(b)
	return err
}
