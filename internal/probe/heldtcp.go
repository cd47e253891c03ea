package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// settleMin is how long a connection must have held before it counts: who
// accepts and closes at once does not live.
const settleMin = 50 * time.Millisecond

// heldTCP keeps a connection. The peer's FIN or RST is its death. A machine that
// died says neither: keep-alives and TCP_USER_TIMEOUT tell that within a few seconds.
type heldTCP struct {
	address
	// reopen says that a peer which closed the connection and accepts another one at
	// once lives: one that closes what is idle.
	reopen bool
	settle time.Duration // settleMin, but in tests
}

func (c heldTCP) hold(ctx context.Context, t timing, say func(Result)) {
	s := &sayer{say: say}
	var pause backoff
	for ctx.Err() == nil {
		conn, err := c.connect(ctx, t)
		if err == nil {
			var held bool
			held, err = c.keep(ctx, conn, func() {
				pause.next = 0
				s.result("connection holds", nil)
			})
			if held && c.reopen && closed(err) && ctx.Err() == nil {
				continue // the next connection, or its failure, decides
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.result("", err)
		if !pause.wait(ctx, t.interval) {
			return
		}
	}
}

// keep reads until the connection is over, and says whether it had settled and
// why it ended. What the peer says is thrown away.
func (c heldTCP) keep(ctx context.Context, conn net.Conn, settled func()) (held bool, err error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // it ends the read
	defer stop()
	conn.SetReadDeadline(time.Now().Add(c.settle)) //nolint:errcheck // the read fails then
	buf := make([]byte, 512)
	for {
		_, err := conn.Read(buf)
		switch {
		case err == nil: // it speaks
		case !held && errors.Is(err, os.ErrDeadlineExceeded):
			held = true
			conn.SetReadDeadline(time.Time{}) //nolint:errcheck // the read fails then
			settled()
		case errors.Is(err, io.EOF):
			return held, errPeerClosed
		default:
			return held, err
		}
	}
}

var errPeerClosed = errors.New("peer closed the connection")

// closed says whether a connection ended by the peer's will, not by silence.
func closed(err error) bool {
	return errors.Is(err, errPeerClosed) || errors.Is(err, unix.ECONNRESET)
}

// connect makes a connection that notices a silent death: after a second without
// a word it asks each second, and gives up after the timeout, at least 2 s.
func (c heldTCP) connect(ctx context.Context, t timing) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3}}
	conn, err := d.DialContext(ctx, c.network, c.text)
	if err != nil {
		return nil, err
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(max(t.timeout, 2*time.Second).Milliseconds()))
	})
	if err := errors.Join(err, set); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
