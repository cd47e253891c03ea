package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game/wire"
)

// client is one end of a connection, for tests. It counts reliable frames as a client must.
type client struct {
	t      testing.TB
	nc     net.Conn
	r      *bufio.Reader
	ws     bool
	split  wire.Splitter
	frames []frame
	magic  bool // was sent
	seq    uint64
	got    uint64 // last reliable frame
	bytes  []byte // all that came, without what belongs to WebSocket
	code   ws.StatusCode
}

type frame struct {
	cmd  wire.Command
	seq  uint64
	body []byte
}

func newClient(t testing.TB, nc net.Conn) *client {
	return &client{t: t, nc: nc, r: bufio.NewReader(nc), split: wire.Splitter{Limit: wire.LimitServer}}
}

func (w *world) dial(transport string) *client {
	w.t.Helper()
	c, err := w.tryDial(transport)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) tryDial(transport string) (*client, error) {
	var nc net.Conn
	var err error
	d := net.Dialer{Timeout: 10 * time.Second}
	switch transport {
	case "tcp":
		nc, err = d.Dial("tcp", w.tcp)
	case "tls":
		nc, err = tls.DialWithDialer(&d, "tcp", w.tls, &tls.Config{InsecureSkipVerify: true})
	default:
		nc, err = d.Dial("tcp", w.http)
	}
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { nc.Close() })
	c := newClient(w.t, nc)
	if transport == "websocket" {
		c.ws = true
		if _, err := io.WriteString(nc, upgradeRequest("")); err != nil {
			return nil, err
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			return nil, fmt.Errorf("upgrade: %v %v", resp.Status, resp.Header)
		}
	}
	return c, nil
}

// upgradeRequest is that of RFC 6455, 1.3.
func upgradeRequest(more string) string {
	return "GET /v1/socket HTTP/1.1\r\nHost: game\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + more + "\r\n"
}

// raw sends bytes of the protocol.
func (c *client) raw(b []byte) {
	c.t.Helper()
	if c.ws {
		b = mask(ws.OpBinary, true, b)
	}
	c.put(b)
}

func (c *client) put(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil && !errors.Is(err, net.ErrClosed) {
		c.t.Logf("write: %v", err)
	}
}

// mask makes a frame of a WebSocket client.
func mask(op ws.OpCode, fin bool, b []byte) []byte {
	var out bytes.Buffer
	h := ws.Header{Fin: fin, OpCode: op, Masked: true, Mask: [4]byte{1, 2, 3, 4}, Length: int64(len(b))}
	ws.WriteHeader(&out, h) //nolint:errcheck // to memory
	b = bytes.Clone(b)
	ws.Cipher(b, h.Mask, 0)
	return append(out.Bytes(), b...)
}

// encode makes a frame, with the next sequence number if it needs one.
func (c *client) encode(cmd wire.Command, body []byte) []byte {
	var b []byte
	if !c.magic {
		c.magic = true
		b = append(b, wire.Magic...)
	}
	if cmd.Reliable() {
		c.seq++
		return wire.AppendReliable(b, cmd, c.seq, body)
	}
	return wire.AppendFrame(b, cmd, body)
}

func (c *client) send(cmd wire.Command, body []byte) {
	c.t.Helper()
	c.raw(c.encode(cmd, body))
}

func (c *client) sendMessage(cmd wire.Command, m proto.Message) {
	c.t.Helper()
	c.send(cmd, encode(c.t, m))
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := wire.Body(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read gives the next frame; an error at the end.
func (c *client) read() (frame, error) {
	for len(c.frames) == 0 {
		b, err := c.piece()
		if err != nil {
			return frame{}, err
		}
		c.bytes = append(c.bytes, b...)
		for f, err := range c.split.Frames(b) {
			if err != nil {
				return frame{}, err
			}
			v := frame{cmd: f.Command, body: bytes.Clone(f.Body)}
			if f.Command.Reliable() {
				if v.seq, v.body, err = wire.SplitSeq(v.body); err != nil {
					return frame{}, err
				}
				if v.seq != c.got+1 {
					return frame{}, fmt.Errorf("frame %d after %d", v.seq, c.got)
				}
				c.got = v.seq
			}
			c.frames = append(c.frames, v)
		}
		if c.ws && !c.split.Whole() {
			return frame{}, errors.New("a message that ends within a frame")
		}
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f, nil
}

// piece reads a piece of the stream.
func (c *client) piece() ([]byte, error) {
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // a read that hangs fails the test some other way
	if !c.ws {
		b := make([]byte, 4096)
		n, err := c.r.Read(b)
		return b[:n], err
	}
	for {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			return nil, err
		}
		b := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		switch {
		case h.Masked || !h.Fin:
			return nil, fmt.Errorf("a server's frame with header %+v", h)
		case h.OpCode == ws.OpBinary:
			return b, nil
		case h.OpCode == ws.OpClose:
			c.code, _ = ws.ParseCloseFrameData(b)
			return nil, io.EOF
		case h.OpCode == ws.OpPong:
			c.frames = append(c.frames, frame{cmd: 0, body: b})
			return nil, nil
		}
	}
}

// want reads the next frame that is no ping or ack, which must be of that command.
func (c *client) want(cmd wire.Command, m proto.Message) frame {
	c.t.Helper()
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("wait for command %d: %v", cmd, err)
		}
		if f.cmd != cmd && (f.cmd == wire.CmdPing || f.cmd == wire.CmdAck) {
			continue
		}
		if f.cmd != cmd {
			c.t.Fatalf("command %d (%x), want %d", f.cmd, f.body, cmd)
		}
		if m != nil {
			if err := wire.Parse(f.body, m); err != nil {
				c.t.Fatal(err)
			}
		}
		return f
	}
}

// wantClosing reads until the connection ends, and says why it did.
func (c *client) wantClosing(reason wire.Reason) *wire.Closing {
	c.t.Helper()
	var m wire.Closing
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("the connection ended without closing: %v", err)
		}
		if f.cmd == wire.CmdClosing {
			if err := wire.Parse(f.body, &m); err != nil {
				c.t.Fatal(err)
			}
			break
		}
	}
	if m.Reason != reason {
		c.t.Fatalf("closing %v (%s), want %v", m.Reason, m.Text, reason)
	}
	for {
		if _, err := c.read(); err != nil {
			if !errors.Is(err, io.EOF) {
				c.t.Errorf("after closing the connection ended with %v", err)
			}
			break
		}
	}
	if c.ws && c.code != 4000+ws.StatusCode(reason) {
		c.t.Errorf("close code %d, want %d", c.code, 4000+int(reason))
	}
	c.nc.Close()
	return &m
}

// hello logs in with a token.
func (c *client) hello(token string, change func(*wire.Hello)) *wire.Welcome {
	c.t.Helper()
	h := &wire.Hello{Protocol: 1, Client: 1 << 20, Token: token, Agent: "test"}
	if change != nil {
		change(h)
	}
	c.sendMessage(wire.CmdHello, h)
	var w wire.Welcome
	c.want(wire.CmdWelcome, &w)
	return &w
}
