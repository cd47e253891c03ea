package gateway

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/kamado/kamado/game/wire"
)

// Bounds of taking connections.
const (
	// refusalsMax is how many connections at once are told why they are not taken; further ones are closed without a word.
	refusalsMax = 512
	// acceptPause is how long accepting pauses when it fails, as for want of file descriptors.
	acceptPause = 50 * time.Millisecond
	connShards  = 16
)

// connShard is a part of all connections, so that they are counted and swept without one lock for all.
type connShard struct {
	mu   sync.Mutex
	list []*conn
}

// ServeTCP takes connections from l, with TLS when the configuration has a certificate, until ctx ends. It closes l.
func (g *Gateway) ServeTCP(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	failing := false
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			if !failing {
				g.log.Warn("connections cannot be taken", "address", l.Addr().String(), "error", err)
			}
			failing = true
			g.metrics.acceptFails.Add(1)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		case failing:
			failing = false
			g.log.Info("connections are taken again", "address", l.Addr().String())
		}
		g.ServeConn(nc)
	}
}

// ServeConn takes one connection that speaks as over TCP. It returns at once.
func (g *Gateway) ServeConn(nc net.Conn) {
	if g.tls != nil {
		prepare(nc)
		g.enter(&conn{nc: tls.Server(nc, g.tls), transport: overTLS}, nil, nil)
		return
	}
	g.enter(&conn{nc: nc, transport: overTCP}, nil, nil)
}

// addressOf is the IP of an address; the invalid one when it has none.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// addressKey is what connections are counted by: an IPv4 address, or the first half of an IPv6 one, which is what one household has. ::/64 is
// nobody's, so the two kinds do not meet.
func addressKey(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:])
}

// prepare sets what the kernel keeps for a connection.
func prepare(nc net.Conn) {
	if c, ok := nc.(*net.TCPConn); ok {
		c.SetWriteBuffer(sendBuffer) //nolint:errcheck // only a bound of memory that the kernel has too
		c.SetKeepAlive(false)        //nolint:errcheck // pings of the protocol do that
	}
}

// enter takes a connection whose nc and transport are set. It is greeted with bytes of another protocol, if any, and what was read of it
// already comes in before.
func (g *Gateway) enter(c *conn, greeting, before []byte) {
	c.g = g
	prepare(c.nc)
	if c.raw = rawOf(c.nc); c.raw != nil {
		c.readFn = c.tryRead
	}
	if c.transport == overWebSocket {
		c.ws = new(wsInput)
	}
	c.split.Limit, c.split.Magic = wire.LimitHello, true
	now := g.now()
	c.heard.Store(now)
	c.acked, c.checked, c.since = now, now, now
	why := g.arrive(c)
	if why != "" && g.refusals.Add(1) > refusalsMax || !g.work.join() {
		c.nc.Close()
		g.forget(c)
		g.leave(c)
		return
	}
	if greeting != nil {
		c.mu.Lock()
		c.push(item{seq: control, body: greeting}, len(greeting))
		c.flush()
		c.mu.Unlock()
	}
	if why != "" {
		c.refuse(wire.Reason_REASON_FULL, why, spread(retryFull), nil) //nolint:errcheck // it says that it is over
	}
	if g.stopped.Load() { // it came too late to be seen by stop
		c.stop()
	}
	if len(before) == 0 {
		c.run()
		return
	}
	go func() {
		if c.take(before) != nil {
			c.over()
			return
		}
		c.run()
	}()
}

// run has a goroutine of its own read the connection.
func (c *conn) run() {
	if c.raw != nil {
		go c.serve()
	} else {
		go c.serveWaiting()
	}
}

// arrive counts a connection, and says why there is no room for it; empty: there is.
func (g *Gateway) arrive(c *conn) (why string) {
	c.address = addressKey(addressOf(c.nc.RemoteAddr()))
	key := c.address
	g.mu.Lock()
	g.addresses[key]++
	here := g.addresses[key]
	g.seq++
	c.shard = uint8(g.seq % connShards)
	g.mu.Unlock()
	total := int64(0)
	g.open[c.transport].Add(1)
	for i := range g.open {
		total += g.open[i].Load()
	}
	switch {
	case total > int64(g.cfg.Connections):
		why = "there is no room for another connection"
	case int(here) > g.cfg.ConnectionsAddress:
		why = "there are too many connections from your address"
	case g.over():
		why = "the server is overloaded"
	}
	c.turned = why != ""
	if c.turned {
		g.metrics.turned.Add(1)
	}
	sh := &g.conns[c.shard]
	sh.mu.Lock()
	c.place = uint32(len(sh.list))
	sh.list = append(sh.list, c)
	sh.mu.Unlock()
	return why
}

// forget takes a connection out of what is swept.
func (g *Gateway) forget(c *conn) {
	sh := &g.conns[c.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	last := len(sh.list) - 1
	sh.list[c.place] = sh.list[last]
	sh.list[c.place].place = c.place
	sh.list[last] = nil
	sh.list = sh.list[:last]
	if cap(sh.list) > 256 && len(sh.list) < cap(sh.list)/4 {
		sh.list = append(make([]*conn, 0, cap(sh.list)/2), sh.list...)
	}
}

// leave counts a connection off, whose socket is closed.
func (g *Gateway) leave(c *conn) {
	if c.turned {
		g.refusals.Add(-1)
	}
	g.open[c.transport].Add(-1)
	key := c.address
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.addresses[key]--; g.addresses[key] <= 0 {
		delete(g.addresses, key)
	}
}

// eachConn calls f for all connections.
func (g *Gateway) eachConn(f func(*conn)) {
	var list []*conn
	for i := range g.conns {
		sh := &g.conns[i]
		sh.mu.Lock()
		list = append(list[:0], sh.list...)
		sh.mu.Unlock()
		for _, c := range list {
			f(c)
		}
	}
}
