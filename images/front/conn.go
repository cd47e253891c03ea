package front

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/internal/httpserver"
)

// conn is a connection between a loop and net/http. It belongs to the loop that
// waits for it, or to the lent that net/http has.
type conn struct {
	loop *loop
	fd   int
	from netip.AddrPort

	in    []byte  // begun head, or what came behind a request that is not answered yet; nil: nothing
	out   []piece // what the client has still to take; nil: nothing
	last  bool    // close when out is written
	used  bool    // a request was read
	since int64   // when the state began that has a time limit. Unit: ns of now
}

func newConn(p *loop, fd int, from unix.Sockaddr) *conn {
	c := &conn{loop: p, fd: fd}
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		c.from = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(a.ZoneId), 10))
		}
		c.from = netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return c
}

// remote is the client's address as net has it.
func (c *conn) remote() net.Addr { return net.TCPAddrFromAddrPort(c.from) }

// discard closes the connection for good.
func (c *conn) discard() {
	_ = unix.Close(c.fd) // nobody to tell
	release(c.out)
	c.keep(nil)
	c.in = nil
	c.loop.service.gate.Leave()
}

// keep sets what the client has still to take. It counts as a request in work, as
// an answer of net/http does that waits for its client: pictures are held for it.
func (c *conn) keep(out []piece) {
	switch {
	case c.out == nil && out != nil:
		c.loop.service.gate.Hold(1)
	case c.out != nil && out == nil:
		c.loop.service.gate.Hold(-1)
	}
	c.out = out
}

// ready goes on where the connection stands: writing or reading.
func (p *loop) ready(c *conn) {
	defer p.rescue(c)
	if c.out != nil {
		p.flush(c)
		return
	}
	n, err := unix.Read(c.fd, p.input)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil || n == 0:
		p.drop(c)
		return
	}
	data := p.input[:n]
	if c.in != nil {
		c.in = append(c.in, data...)
		data = c.in
	} else {
		c.since = p.clock()
	}
	p.process(c, data)
}

// rescue is deferred around what is done for one connection: a panic costs that
// connection and no other.
func (p *loop) rescue(c *conn) {
	panicked := recover()
	if panicked == nil {
		return
	}
	p.service.gate.Log().Error("front panicked", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
	release(p.pieces)
	p.pieces = p.pieces[:0]
	if c.fd < len(p.conns) && p.conns[c.fd] == c {
		p.drop(c)
	}
}

// clock is the start of the turn as now has it.
func (p *loop) clock() int64 { return int64(p.start.Sub(started)) }

// process answers the requests in data, which is c.in or the loop's input, and
// keeps what is left of it.
func (p *loop) process(c *conn, data []byte) {
	for {
		p.heads, p.pieces = p.heads[:0], p.pieces[:0]
		var h head
		rest, v := p.batch(c, data, &h)
		if len(p.pieces) > 0 {
			if !p.write(c, rest) {
				return
			}
			data, c.since = rest, p.clock()
			if len(data) == 0 {
				c.in = nil
				return
			}
			continue
		}
		switch v {
		case verdictMore:
			c.remember(rest)
		case verdictPlain:
			p.lend(c, rest[:h.length], rest[h.length:])
		case verdictStrange:
			p.give(c, rest)
		}
		return
	}
}

// remember keeps input for later, in memory of its own.
func (c *conn) remember(rest []byte) {
	switch {
	case len(rest) == 0:
		c.in = nil
	case len(c.in) >= len(rest) && &rest[0] == &c.in[len(c.in)-len(rest)]:
		c.in = append(c.in[:0], rest...) // moved to the front; append copies like memmove
	default:
		c.in = append([]byte(nil), rest...)
	}
}

// batch answers requests from ready answers into pieces, until there is one
// without, or enough. It gives what it did not answer; v and h are of the
// request that rest begins with.
func (p *loop) batch(c *conn, data []byte, h *head) (rest []byte, v verdict) {
	bytes := 0
	for len(p.pieces) < 2*batchAnswers && bytes < batchBytes && !c.last {
		if len(data) == 0 {
			return nil, verdictMore
		}
		if v := parse(data, h); v != verdictPlain {
			return data, v
		}
		c.used = true
		n, ok := p.answer(c, h)
		if !ok {
			return data, verdictPlain
		}
		bytes += n
		data = data[h.length:]
	}
	if c.last {
		data = nil // what comes behind "Connection: close" is not read
	}
	return data, verdictMore
}

// answer appends a ready answer of the request to pieces.
func (p *loop) answer(c *conn, h *head) (bytes int, ok bool) {
	f := p.service.front
	if h.conditional || h.since && h.match == nil || f.slowUntil.Load() > p.clock() {
		return 0, false
	}
	var e *entry
	e, p.key = f.table.find(h, p.key)
	if e == nil || e.answer == nil {
		return 0, false
	}
	gate := p.service.gate
	if gate.Full() {
		return 0, false // net/http says so
	}
	p.id = gate.AppendRequestID(p.id[:0], h.id)
	again := delivery.Again{Start: p.start, ID: p.id, Head: h.isHead}
	from := len(p.heads)
	b := append(p.heads, statusLine(h.minor, e.answer.Status)...)
	b, body, ok := e.answer.Give(b, &again)
	took := again.Took()
	if took > slowLook {
		f.slowUntil.Store(p.clock() + int64(took+slowPause))
		f.metrics.slow.Inc()
	}
	p.start = p.start.Add(took)
	if !ok {
		f.table.drop(e)
		return 0, false
	}
	c.last = h.close || h.minor == 0 && !h.keep || !gate.KeepAlive()
	b = append(b, p.date...)
	b = append(b, connectionLine(c.last, h.minor)...)
	b = append(b, crlf...)
	p.heads = b
	p.pieces = append(p.pieces, piece{data: b[from:len(b):len(b)], ours: true})
	if len(body) > 0 {
		sheet := e.take()
		if sheet == nil {
			f.table.sheets.serve(e, body)
		}
		p.pieces = append(p.pieces, piece{data: body, sheet: sheet})
	}
	f.metrics.answered.Inc()
	e.answer.Tell(&again)
	p.report(c, h, e.answer.Status, int64(len(body)), took)
	return len(body), true
}

const (
	// slowLook is how long looking at an original may take: a stat of a file that
	// was looked at before takes microseconds, and a loop has other clients.
	slowLook = 250 * time.Millisecond
	// slowPause is how long net/http does it all then.
	slowPause = time.Second
)

func statusLine(minor byte, status int) string {
	switch {
	case status == 200 && minor == 1:
		return "HTTP/1.1 200 OK\r\n"
	case status == 200:
		return "HTTP/1.0 200 OK\r\n"
	case minor == 1:
		return "HTTP/1.1 304 Not Modified\r\n"
	}
	return "HTTP/1.0 304 Not Modified\r\n"
}

// connectionLine is what net/http says of the connection.
func connectionLine(last bool, minor byte) string {
	switch {
	case minor == 1 && last:
		return "Connection: close\r\n"
	case minor == 0 && !last:
		return "Connection: keep-alive\r\n"
	}
	return ""
}

// report counts an answer for the server and logs it where it logs such ones.
func (p *loop) report(c *conn, h *head, status int, bytes int64, took time.Duration) {
	gate := p.service.gate
	a := httpserver.Answered{Status: status, Bytes: bytes, Took: took}
	if gate.Logs(status) {
		a.ID, a.Method, a.Remote = string(p.id), "GET", c.from.String()
		if h.isHead {
			a.Method = "HEAD"
		}
		if u, err := url.ParseRequestURI(string(h.target)); err == nil {
			a.Path = u.Path
		}
	}
	gate.Answered(a)
}

// write sends the pieces. False: the connection waits, or is closed; rest of the
// input is kept for when it is written.
func (p *loop) write(c *conn, rest []byte) bool {
	left, err := p.send(c.fd, p.pieces)
	if err != nil {
		release(left)
		p.drop(c)
		return false
	}
	if len(left) == 0 {
		clear(p.pieces) // the loop must not hold pictures
		if c.last {
			p.drop(c)
			return false
		}
		return true
	}
	c.keep(slices.Clone(left))
	for i := range c.out {
		if c.out[i].ours {
			c.out[i].data = append([]byte(nil), c.out[i].data...)
		}
	}
	clear(p.pieces)
	c.remember(rest)
	c.since = p.clock()
	if p.control(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLOUT) != nil {
		p.drop(c)
	}
	return false
}

// flush writes what is left, and goes on with the input when all is.
func (p *loop) flush(c *conn) {
	left, err := p.send(c.fd, c.out)
	if c.keep(left); err != nil {
		p.drop(c)
		return
	}
	if len(left) > 0 {
		return
	}
	if c.last || p.control(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN) != nil {
		p.drop(c)
		return
	}
	c.since = p.clock()
	if c.in != nil {
		p.process(c, c.in)
	}
}
