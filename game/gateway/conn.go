package gateway

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/kamado/kamado/game/wire"
)

// Bounds of a connection.
const (
	// readBytes is the buffer of one read. Only a connection that has something to read has one.
	readBytes = 4 << 10
	// waitBytes is the buffer that a connection keeps which can only be read by waiting (TLS).
	waitBytes = 512
	// sendBuffer is what the kernel keeps of what a client has not read (SO_SNDBUF): enough for 300 KiB/s to the other side of the earth, and
	// so little that moves in it are not old.
	sendBuffer = 64 << 10
	// lingerTerm is how long a connection stays that was told why it ends, so that the client reads it: to close a socket with
	// unread input would throw the last frame away.
	lingerTerm = 2 * time.Second
	// rareTerm is the time between two reads, in milliseconds, from which on a fresh stack for each costs nothing.
	rareTerm = 1000
	// lingerBytes is how much is read and dropped meanwhile.
	lingerBytes = 1 << 20
)

// transport is what a connection runs over.
type transport uint8

const (
	overTCP transport = iota
	overTLS
	overWebSocket
	transports
)

var transportNames = [transports]string{"tcp", "tls", "websocket"}

func (t transport) String() string { return transportNames[t] }

// conn is one socket. A goroutine of its own reads it, runs the session's host, and closes it; nobody else does.
type conn struct {
	g       *Gateway
	nc      net.Conn
	raw     syscall.RawConn // nil: only calls that wait
	readFn  func(fd uintptr) bool
	ws      *wsInput // nil: no WebSocket
	split   wire.Splitter
	address uint64      // by which it is counted: addressKey
	hello   *wire.Hello // of a client that has still to sign in
	session atomic.Pointer[Session]

	// Of the reading goroutine.
	got *buffer // of the read that was just done
	// deep: the stack has grown, for a frame of the host or one that came after a long time; busy: it was for one since the last look. left: the client said that it does not come back.
	deep, busy, left bool
	rare             bool // what was just read came a second after what came before
	whole            bool // a frame was completed by what is being read
	partial          int  // bytes of the frame that is not whole, at most
	transport        transport

	shard  uint8
	turned bool          // there was no room for it
	place  uint32        // in the shard; guarded by the shard
	since  int64         // when it came
	heard  atomic.Int64  // when something was read last; milliseconds of Gateway.now
	rtt    atomic.Int32  // microseconds; 0: not known
	flags  atomic.Uint32 // flagLogin, flagOver

	// Of the sweep.
	asked   int64 // when a ping was sent
	acked   int64 // when an ack was sent
	checked int64 // when the token was looked at

	mu      sync.Mutex
	out     *queue   // nil: nothing waits
	writing *writing // nil: no goroutine writes
	// Invariant: queued is the bytes of out, and of the writing goroutine.
	queued  int
	counted int  // of queued, what the gateway knows of
	closing bool // the last frame is queued
	dead    bool // nothing is written any more
	reason  wire.Reason
}

// Flags of a connection.
const (
	flagLogin = 1 << iota // a login is in work
	flagOver              // nothing further of the client is done
)

// writing is what a connection has whose client does not read as fast as it is written to. It is guarded by conn.mu.
type writing struct {
	pending  []byte        // the rest of a message of which a part is out
	inflight int           // bytes that the goroutine has taken
	progress int64         // when it last got on
	drained  chan struct{} // closed when it ends; nil: nobody waits for it
}

// buffer is for one read, and has its result.
type buffer struct {
	b   [readBytes]byte
	n   int
	err error
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// errOver ends the reading goroutine: the connection is closing, or the client is gone.
var errOver = errors.New("the connection is over")

// tryRead reads if there is something. RawConn calls it, and again when the socket is readable.
func (c *conn) tryRead(fd uintptr) bool {
	b := buffers.Get().(*buffer)
	n, again, err := readNow(fd, b.b[:])
	if again {
		buffers.Put(b)
		return false
	}
	b.n, b.err = n, err
	c.got = b
	return true
}

// serve reads until the connection is over. It keeps its stack small: a goroutine that has run the host hands over to a fresh one when
// the client is quiet, since the runtime gives back no stack that is only twice the least.
func (c *conn) serve() {
	for {
		if err := c.step(); err != nil {
			c.over()
			return
		}
		if c.deep && c.quiet() {
			c.deep = false
			go c.serve() // counted as this one is
			return
		}
	}
}

// quiet says that only signs of life came since the last look, or that the client says something from time to time only.
func (c *conn) quiet() bool {
	busy := c.busy
	c.busy = false
	return !busy || c.rare
}

// step waits until something can be read, and does it.
func (c *conn) step() error {
	if err := c.raw.Read(c.readFn); err != nil {
		return err
	}
	b := c.got
	c.got = nil
	err := b.err
	if err == nil {
		err = c.take(b.b[:b.n])
	}
	buffers.Put(b)
	return err
}

// serveWaiting is serve for a connection that is read by waiting.
func (c *conn) serveWaiting() {
	b := make([]byte, waitBytes)
	for {
		n, err := c.nc.Read(b)
		if n > 0 {
			err = errors.Join(c.take(b[:n]), err)
		}
		if err != nil {
			c.over()
			return
		}
	}
}

// take does what was read.
func (c *conn) take(b []byte) error {
	now := c.g.now()
	c.rare = now-c.heard.Swap(now) >= rareTerm
	c.deep = c.deep || c.rare // a sign of life grows the stack, too: of 9,000 idle connections all had 4 KB after the first one
	c.g.metrics.shard(c).bytesIn.Add(uint64(len(b)))
	c.whole = false
	err := c.feed(b)
	if err == nil {
		err = c.hold(len(b))
	}
	c.mu.Lock()
	if c.out != nil {
		c.flush()
	}
	if c.closing || c.dead {
		err = errOver
	}
	c.mu.Unlock()
	return err
}

// hold counts what is kept of a frame that has not come as a whole, now that n more bytes were read. While too much is held for all, a client may
// not send what is long.
func (c *conn) hold(n int) error {
	switch {
	case c.split.Whole():
		n = 0
	case !c.whole:
		n += c.partial
	}
	if n != c.partial {
		c.g.unfinished.Add(int64(n - c.partial))
		c.partial = n
	}
	if n > wire.LimitHello && c.g.over() {
		return c.refuse(wire.Reason_REASON_FULL, "the server is overloaded", spread(retryFull), nil)
	}
	return nil
}

func (c *conn) feed(b []byte) error {
	if c.ws == nil {
		return c.frames(b)
	}
	for len(b) > 0 {
		rest, data, end, op, err := c.ws.next(b)
		switch {
		case err != nil:
			return c.refuse(wire.Reason_REASON_INVALID, err.Error(), 0, nil)
		case op == ws.OpClose:
			code, _ := ws.ParseCloseFrameData(data)
			c.left = code == ws.StatusNormalClosure
			c.farewell()
			return errOver
		case op == ws.OpPing:
			err = c.wsPing(data)
		case len(data) > 0:
			err = c.frames(data)
		}
		if err == nil && end && !c.split.Whole() {
			err = c.refuse(wire.Reason_REASON_INVALID, "a message that ends within a frame", 0, nil)
		}
		if err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// frames does the frames of a piece of the stream.
func (c *conn) frames(b []byte) error {
	for f, err := range c.split.Frames(b) {
		if c.flags.Load()&flagOver != 0 {
			return errOver
		}
		if err == nil {
			err = c.frame(f)
		} else {
			err = c.refuse(wire.Reason_REASON_INVALID, err.Error(), 0, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// frame does one frame: of a session, or of a client that has still to log in.
func (c *conn) frame(f wire.Frame) error {
	c.g.metrics.shard(c).in(f.Command)
	c.whole = true
	if s := c.session.Load(); s != nil {
		return s.frame(c, f)
	}
	switch {
	case f.Command == wire.CmdHello && c.hello == nil:
		return c.greet(f.Body)
	case f.Command == wire.CmdSignIn && c.hello != nil:
		return c.signIn(f.Body)
	case f.Command == wire.CmdPing && len(f.Body) == wire.PingBytes:
		return c.say(wire.CmdPong, append([]byte(nil), f.Body...))
	case f.Command == wire.CmdPong:
		return nil
	}
	return c.refuse(wire.Reason_REASON_INVALID, "the first frame is hello", 0, nil)
}

// say queues a frame that is not reliable. The body is not changed afterwards.
func (c *conn) say(cmd wire.Command, body []byte) error {
	c.mu.Lock()
	ok := c.push(item{cmd: cmd, body: body}, c.g.limit())
	over := c.closing || c.dead
	c.mu.Unlock()
	switch {
	case ok:
		c.g.metrics.shard(c).out(cmd)
		return nil
	case over:
		return errOver
	}
	return c.refuse(wire.Reason_REASON_SLOW, "", retrySlow, nil)
}

// refuse ends the connection with a reason, and its session if it has one. It gives errOver.
func (c *conn) refuse(reason wire.Reason, text string, retry time.Duration, place *wire.Place) error {
	if s := c.session.Load(); s != nil {
		s.end(reason, text, retry, place)
	} else {
		c.shut(reason, text, retry, place)
	}
	return errOver
}

// shut ends the connection with a reason, but not its session: it is cut.
func (c *conn) shut(reason wire.Reason, text string, retry time.Duration, place *wire.Place) {
	c.g.metrics.closed(reason)
	c.close(reason, closing(reason, text, retry, place))
}

// close tells the client why, and has the reading goroutine end. What waits is dropped but for the rest of a message.
func (c *conn) close(reason wire.Reason, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return
	}
	if reason == wire.Reason_REASON_SLOW {
		c.drop()
	}
	c.push(item{cmd: wire.CmdClosing, body: body}, c.queued+wire.LimitServer)
	c.closing, c.reason = true, reason
	c.flags.Or(flagOver)
	c.g.metrics.shard(c).out(wire.CmdClosing)
	c.flush()
	c.nc.SetReadDeadline(past) //nolint:errcheck // a connection without deadlines is closed by over
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// farewell answers the close frame of a WebSocket client, if the socket takes it at once.
func (c *conn) farewell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return
	}
	c.drop()
	if c.raw != nil && c.writing == nil {
		c.raw.Write(func(fd uintptr) bool { //nolint:errcheck // the client is gone
			writeNow(fd, [][]byte{appendWSHead(nil, ws.OpClose, 0)}, nil) //nolint:errcheck // as above
			return true
		})
	}
	c.kill()
}

// kill has both goroutines end without another word. Preconditions: c.mu is held.
func (c *conn) kill() {
	if c.dead {
		return
	}
	c.dead = true
	c.flags.Or(flagOver)
	c.drop()
	c.nc.SetDeadline(past) //nolint:errcheck // as in close
}

// wsPing answers a ping of WebSocket. It counts as a command of whom is logged in.
func (c *conn) wsPing(data []byte) error {
	if s := c.session.Load(); s != nil && !s.mayGoOn(wire.CmdPing, c.g.now()) {
		return c.refuse(wire.Reason_REASON_FLOOD, "", spread(retryFlood), nil)
	}
	frame := append(appendWSHead(make([]byte, 0, len(data)+2), ws.OpPong, len(data)), data...)
	c.mu.Lock()
	ok := c.push(item{seq: control, body: frame}, c.g.limit())
	over := c.closing || c.dead
	c.mu.Unlock()
	if !ok && !over {
		return c.refuse(wire.Reason_REASON_SLOW, "", retrySlow, nil)
	}
	return nil
}

// over ends the connection: its session is cut or closed, the last frame is given time, and the socket is closed.
func (c *conn) over() {
	c.g.forget(c)
	c.g.unfinished.Add(-int64(c.partial))
	if s := c.session.Load(); s != nil {
		s.lost(c)
	}
	c.linger()
	c.mu.Lock()
	c.kill()
	c.mu.Unlock()
	c.nc.Close()
	c.g.leave(c)
	c.g.work.leave()
}

// linger lets the client read the last frame.
func (c *conn) linger() {
	c.mu.Lock()
	if !c.closing || c.dead {
		c.mu.Unlock()
		return
	}
	end := time.Now().Add(lingerTerm)
	c.nc.SetDeadline(end) //nolint:errcheck // as in close
	var drained chan struct{}
	if c.writing != nil {
		drained = make(chan struct{})
		c.writing.drained = drained
	}
	c.mu.Unlock()
	if drained != nil {
		<-drained
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	for n := 0; n < lingerBytes; {
		k, err := c.nc.Read(b.b[:])
		if err != nil {
			return
		}
		n += k
	}
}

// closing encodes the last frame.
func closing(reason wire.Reason, text string, retry time.Duration, place *wire.Place) []byte {
	if text == "" {
		text = wire.ReasonText(reason)
	}
	b, err := wire.Body(&wire.Closing{Reason: reason, Text: text, RetryMs: uint32(retry.Milliseconds()), Place: place})
	if err != nil { // a text that is no UTF-8
		b, _ = wire.Body(&wire.Closing{Reason: reason, RetryMs: uint32(retry.Milliseconds())})
	}
	return b
}
