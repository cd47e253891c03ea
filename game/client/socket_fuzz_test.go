package client

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/kamado/kamado/game/wire"
)

// deaf is a connection on which a fuzzed server speaks.
type deaf struct {
	net.Conn
	io.Reader
}

func (d deaf) Read(b []byte) (int, error)     { return d.Reader.Read(b) }
func (deaf) Write(b []byte) (int, error)      { return len(b), nil }
func (deaf) SetReadDeadline(time.Time) error  { return nil }
func (deaf) SetWriteDeadline(time.Time) error { return nil }
func (deaf) Close() error                     { return nil }

// message is a WebSocket frame of a server.
func serverMessage(op byte, b []byte) []byte {
	head := []byte{0x80 | op, byte(len(b))}
	if len(b) > 125 {
		head = binary.BigEndian.AppendUint16([]byte{0x80 | op, 126}, uint16(len(b)))
	}
	return append(head, b...)
}

// FuzzSocket: no bytes of a server make a socket panic, wait for ever, or hear a reliable frame that it has not counted.
func FuzzSocket(f *testing.F) {
	welcome, err := wire.AppendMessage(nil, wire.CmdWelcome, 0, &wire.Welcome{Protocol: 1, Uid: 1001, Resume: []byte("r"), KeepAliveMs: 1000})
	if err != nil {
		f.Fatal(err)
	}
	frames := wire.AppendReliable(bytes.Clone(welcome), wire.CmdAnswer, 1, []byte{8, 1, 0x12, 1, 'x'})
	frames = wire.AppendFrame(wire.AppendReliable(frames, wire.CmdEntered, 2, nil), wire.CmdPing, make([]byte, wire.PingBytes))
	f.Add(frames, false)
	f.Add(append(bytes.Clone(welcome), 0xff, 0xff), false)
	f.Add(serverMessage(2, frames), true)
	f.Add(append(serverMessage(9, []byte("ping")), serverMessage(2, frames)...), true)
	f.Add(append(serverMessage(2, welcome), serverMessage(8, []byte{0x0f, 0xa9})...), true)
	f.Add(serverMessage(1, frames), true)
	f.Fuzz(func(t *testing.T, b []byte, ws bool) {
		s := &Socket{opts: Options{Token: "x", Follow: true, KeptBytesMax: 1000, CallsMax: 10}, url: "tcp://127.0.0.1:1", calls: map[uint64]chan<- answered{1: make(chan answered, 1)}}
		s.opts.Frame = func(cmd wire.Command, _ []byte) {
			if cmd.Reliable() && s.got == 0 {
				t.Error("a reliable frame was heard and not counted")
			}
		}
		c := deaf{Reader: bytes.NewReader(b)}
		l := &link{conn: c, r: bufio.NewReader(c), ws: ws, split: wire.Splitter{Limit: wire.LimitServer}}
		err := l.read(func(f wire.Frame) error {
			if s.in {
				return s.handle(f)
			}
			return s.enter(l, f, func() {})
		}, func() (time.Time, error) {
			s.heard = time.Now()
			return s.wake()
		})
		if err == nil {
			t.Error("the end of the bytes was no end")
		}
	})
}
