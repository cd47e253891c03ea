package listen

import (
	"bufio"
	"container/list"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/dns/answer"
)

// Bounds of one connection.
const (
	// pipelined is how many slow packets of one connection are served at once; more wait.
	pipelined   = 16
	readBytes   = 2048
	gatherBytes = 16 << 10 // of responses that are sent with one write
)

// stream is a connection over TCP or TLS.
type stream struct {
	s         *Server
	conn      net.Conn
	client    netip.AddrPort
	server    netip.AddrPort
	transport Transport
	counts    *counts
	place     *list.Element
	slow      sync.WaitGroup
	free      chan struct{} // places for slow packets

	mu  sync.Mutex // of writing
	out []byte     // responses that were not sent yet
}

// streams are the connections, the one that was silent longest first.
type streams struct {
	max, clientMax int
	evicted        atomic.Uint64

	mu     sync.Mutex
	order  *list.List
	client map[netip.Addr]int // connections of each
}

func newStreams(most, clientMost int) *streams {
	return &streams{max: most, clientMax: clientMost, order: list.New(), client: map[netip.Addr]int{}}
}

func (l *streams) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}

// add makes room for a connection and takes it in.
func (l *streams) add(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	addr := s.client.Addr()
	switch {
	case l.client[addr] >= l.clientMax:
		l.evict(func(o *stream) bool { return o.client.Addr() == addr })
	case l.order.Len() >= l.max:
		l.evict(func(*stream) bool { return true })
	}
	s.place = l.order.PushBack(s)
	l.client[addr]++
}

// evict closes the longest silent connection that fits. Preconditions: mu is held.
func (l *streams) evict(fits func(*stream) bool) {
	for e := l.order.Front(); e != nil; e = e.Next() {
		if o := e.Value.(*stream); fits(o) {
			l.evicted.Add(1)
			l.drop(o)
			_ = o.conn.Close() // its reader sees it
			return
		}
	}
}

// drop takes a connection out, once. Preconditions: mu is held.
func (l *streams) drop(s *stream) {
	if s.place == nil {
		return
	}
	l.order.Remove(s.place)
	s.place = nil
	addr := s.client.Addr()
	if l.client[addr]--; l.client[addr] == 0 {
		delete(l.client, addr)
	}
}

func (l *streams) remove(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(s)
}

// spoke moves a connection to the end of the order.
func (l *streams) spoke(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.place != nil {
		l.order.MoveToBack(s.place)
	}
}

// accept takes connections until the listener is closed.
func (s *Server) accept(l net.Listener, transport Transport) error {
	at, _ := netip.ParseAddrPort(l.Addr().String())
	pause := time.Millisecond
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil { // no more files, for a moment: those who left free some
			s.streamCounts[transport].errors.Add(1)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = time.Millisecond
		client, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		server := at
		if local, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
			server = local
		}
		c := &stream{s: s, conn: conn, client: netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), server: server, transport: transport,
			counts: s.streamCounts[transport], free: make(chan struct{}, pipelined)}
		s.streams.add(c)
		s.wg.Go(func() {
			c.run(s.slow.ctx)
			s.streams.remove(c)
		})
	}
}

// run answers the messages of a connection until it ends.
func (c *stream) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })() // its reader sees it
	defer func() {
		cancel()
		c.slow.Wait()
		_ = c.conn.Close() // it is over
	}()
	if t, ok := c.conn.(*tls.Conn); ok {
		_ = c.conn.SetDeadline(time.Now().Add(c.s.config.Patience)) // a closed one fails at the handshake
		if t.HandshakeContext(ctx) != nil {
			c.counts.errors.Add(1)
			return
		}
		_ = c.conn.SetDeadline(time.Time{}) // it gets others
	}
	in := bufio.NewReaderSize(c.conn, readBytes)
	for {
		packet, err := c.read(in)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, errIdle) {
				c.counts.errors.Add(1)
			}
			return
		}
		c.s.streams.spoke(c)
		if !c.take(ctx, packet) {
			return
		}
		if c.flush(!whole(in)) != nil {
			return
		}
	}
}

// errIdle is a connection that said nothing for too long.
var errIdle = errors.New("idle")

// read reads one message: two bytes of length, and that many (RFC 1035 4.2.2).
func (c *stream) read(in *bufio.Reader) ([]byte, error) {
	if in.Buffered() == 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.s.config.Idle)) // a closed one fails at the read
	}
	if _, err := in.Peek(1); err != nil {
		var slow net.Error
		if errors.As(err, &slow) && slow.Timeout() {
			return nil, errIdle
		}
		return nil, err
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(c.s.config.Patience)) // a closed one fails at the read
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n < headerBytes {
		return nil, errors.New("a message without a header")
	}
	packet := make([]byte, n)
	_, err := io.ReadFull(in, packet)
	return packet, err
}

// take answers one message, or lets a handler do it. False: the connection is to end.
func (c *stream) take(ctx context.Context, packet []byte) bool {
	now := time.Now()
	c.mu.Lock()
	from := len(c.out)
	out, v := c.s.table.Answer(answer.Query{Packet: packet, Client: c.client, Stream: true, Random: rand.Uint64(), Now: uint32(now.Unix())}, append(c.out, 0, 0))
	c.counts.verdicts[v].Add(1)
	r := Request{Packet: packet, Client: c.client, Server: c.server, Transport: c.transport}
	if !c.s.isSlow(v) && v != answer.Dropped {
		response := out[from+2:]
		binary.BigEndian.PutUint16(out[from:], uint16(len(response)))
		c.counts.rcodes[response[3]&15].Add(1)
		if tap := c.s.config.Tap; tap != nil {
			tap.Tap(r, response, now, time.Now())
		}
		c.out = out
		c.mu.Unlock()
		return true
	}
	r.begun = append([]byte(nil), out[from+2:]...)
	c.mu.Unlock()
	if v == answer.Dropped {
		return false
	}
	return c.serve(ctx, r, v)
}

// serve lets a handler answer, beside the messages that come after it (RFC 7766 7).
func (c *stream) serve(ctx context.Context, r Request, v answer.Verdict) bool {
	for _, places := range []chan struct{}{c.free, c.s.slow.places} {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return false // the places taken so far end with the connection or the server
		}
	}
	c.slow.Go(func() {
		defer func() {
			c.s.slow.done()
			<-c.free
		}()
		c.s.serve(ctx, r, v, func(response []byte) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.counts.rcodes[response[3]&15].Add(1)
			c.out = binary.BigEndian.AppendUint16(c.out, uint16(len(response)))
			c.out = append(c.out, response...)
			return c.write()
		})
	})
	return true
}

// whole says whether the next message is there already.
func whole(in *bufio.Reader) bool {
	if in.Buffered() < 2 {
		return false
	}
	head, err := in.Peek(2)
	return err == nil && in.Buffered() >= 2+int(binary.BigEndian.Uint16(head))
}

// flush sends what waits: now, or when it is much.
func (c *stream) flush(now bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now && len(c.out) < gatherBytes {
		return nil
	}
	return c.write()
}

// write sends what waits. A client that does not take it in time is cut off. Preconditions: mu is held.
func (c *stream) write() error {
	if len(c.out) == 0 {
		return nil
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.s.config.Patience)) // a closed one fails at the write
	_, err := c.conn.Write(c.out)
	if cap(c.out) > 2*gatherBytes {
		c.out = nil
	}
	c.out = c.out[:0]
	if err != nil {
		_ = c.conn.Close() // half a message was sent, perhaps
	}
	return err
}
