// Package gossiptest is a network inside the process, for tests with many members:
// it loses, delays and stalls what they send, and cuts them off from each other. It
// carries memberlist's packets and streams in real time, and is no simulator: what
// is lost follows from a seed, the order of things does not.
package gossiptest

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Bounds that a kernel would have.
const (
	packetsMax    = 4096 // that wait for one member
	streamsMax    = 128
	retransmit    = time.Second // of TCP's first packet (RFC 6298 2.1)
	chunkBytesMax = 256 << 10
)

// Network carries what members say to each other. Its methods may be called while they do.
type Network struct {
	mu      sync.Mutex
	rand    *rand.Rand
	members map[string]*Transport
	loss    float64
	delay   time.Duration // one way, the least
	jitter  time.Duration // and what may be added
	side    func(netip.AddrPort) int
	changed chan struct{} // closed and replaced when a link may have come back
}

// New is a network without loss, delay and members.
func New(seed uint64) *Network {
	return &Network{rand: rand.New(rand.NewPCG(seed, 1)), members: map[string]*Transport{}, changed: make(chan struct{})}
}

// SetLoss loses a part of the packets, 0 to 1. Streams lose nothing, but take TCP's time to send again.
func (n *Network) SetLoss(part float64) { n.change(func() { n.loss = part }) }

// SetDelay delays each packet by at least d, and at random by up to jitter more.
func (n *Network) SetDelay(d, jitter time.Duration) {
	n.change(func() { n.delay, n.jitter = d, jitter })
}

// Cut lets only members of the same side hear each other.
func (n *Network) Cut(side func(netip.AddrPort) int) { n.change(func() { n.side = side }) }

// Heal ends a cut.
func (n *Network) Heal() { n.change(func() { n.side = nil }) }

func (n *Network) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

// Transport is a member's end of the network.
type Transport struct {
	n       *Network
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn

	// Under n.mu.
	stalled bool
	held    []func() // deliveries that wait for the end of a stall
	dead    bool
	record  bool
	tape    []*memberlist.Packet

	Packets, Bytes atomic.Int64 // sent, streams included; bytes without heads of IP, UDP and TCP
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// Join gives a new member's end at an address. A dead one's address may be taken again.
func (n *Network) Join(addr netip.AddrPort) *Transport {
	t := &Transport{n: n, addr: addr, packets: make(chan *memberlist.Packet, packetsMax), streams: make(chan net.Conn, streamsMax)}
	n.change(func() { n.members[addr.String()] = t })
	return t
}

// Kill takes the member from the network at once, without a word.
func (t *Transport) Kill() { t.n.change(func() { t.dead, t.held = true, nil }) }

// Stall holds everything that goes to the member and comes from it; at the end all
// of it arrives at once. The member's own clocks go on: it is worse than a process
// that the system stopped.
func (t *Transport) Stall(on bool) {
	var held []func()
	t.n.change(func() {
		t.stalled = on
		if !on {
			held, t.held = t.held, nil
		}
	})
	for _, deliver := range held {
		deliver()
	}
}

// Record notes the packets to the member, for Replay.
func (t *Transport) Record(on bool) { t.n.change(func() { t.record = on }) }

// Replay delivers the recorded packets again.
func (t *Transport) Replay() {
	t.n.mu.Lock()
	tape := t.tape
	t.n.mu.Unlock()
	for _, p := range tape {
		t.packets <- &memberlist.Packet{Buf: append([]byte(nil), p.Buf...), From: p.From, Timestamp: time.Now()}
	}
}

// open says whether a link carries, and whether it stalls. Preconditions: mu is held.
func (n *Network) open(a, b *Transport) (carries, stalls bool) {
	if b == nil || a.dead || b.dead || n.side != nil && n.side(a.addr) != n.side(b.addr) {
		return false, false
	}
	return true, a.stalled || b.stalled
}

func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.addr.Addr().AsSlice(), int(t.addr.Port()), nil
}

func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *Transport) StreamCh() <-chan net.Conn           { return t.streams }

func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	t.Packets.Add(1)
	t.Bytes.Add(int64(len(b)))
	buf := append([]byte(nil), b...)
	n := t.n
	n.mu.Lock()
	defer n.mu.Unlock()
	to := n.members[a.Addr]
	carries, _ := n.open(t, to)
	if !carries || n.rand.Float64() < n.loss {
		return time.Now(), nil
	}
	if to.record {
		to.tape = append(to.tape, &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(t.addr)})
	}
	deliver := func() {
		select {
		case to.packets <- &memberlist.Packet{Buf: buf, From: net.UDPAddrFromAddrPort(t.addr), Timestamp: time.Now()}:
		default: // the receiver's buffer is full
		}
	}
	for _, end := range []*Transport{t, to} {
		if end.stalled {
			if len(end.held) < packetsMax {
				end.held = append(end.held, deliver)
			}
			return time.Now(), nil
		}
	}
	d := n.delay
	if n.jitter > 0 {
		d += time.Duration(n.rand.Int64N(int64(n.jitter)))
	}
	if d == 0 {
		deliver()
		return time.Now(), nil
	}
	time.AfterFunc(d, func() {
		n.mu.Lock()
		if to.stalled {
			if len(to.held) < packetsMax {
				to.held = append(to.held, deliver)
			}
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		deliver()
	})
	return time.Now(), nil
}

func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

var errTimeout = &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}

func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	deadline := time.Now().Add(timeout)
	n := t.n
	n.mu.Lock()
	to, took := n.members[a.Addr], 2*n.delay
	for n.rand.Float64() < 1-(1-n.loss)*(1-n.loss) { // SYN and its answer
		took += retransmit
	}
	refused := to != nil && to.dead && n.side == nil
	n.mu.Unlock()
	if to == nil || refused {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	if took >= timeout {
		time.Sleep(timeout)
		return nil, errTimeout
	}
	time.Sleep(took)
	if !n.passable(t, to, deadline) {
		return nil, errTimeout
	}
	ours, theirs := net.Pipe()
	from, dest := &conn{Conn: ours, a: t, b: to}, &conn{Conn: theirs, a: to, b: t}
	from.SetDeadline(deadline)
	select {
	case to.streams <- dest:
		return from, nil
	default:
		ours.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
}

// passable waits until a link carries and does not stall; false at the deadline.
func (n *Network) passable(a, b *Transport, deadline time.Time) bool {
	for {
		n.mu.Lock()
		carries, stalls := n.open(a, b)
		changed := n.changed
		n.mu.Unlock()
		if carries && !stalls {
			return true
		}
		left := time.Until(deadline)
		if left <= 0 || deadline.IsZero() && a.gone() {
			return false
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (t *Transport) gone() bool {
	t.n.mu.Lock()
	defer t.n.mu.Unlock()
	return t.dead
}

// conn is one end of a stream.
type conn struct {
	net.Conn
	a, b     *Transport
	mu       sync.Mutex
	deadline time.Time
}

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	c.a.Packets.Add(1)
	c.a.Bytes.Add(int64(len(p)))
	done := 0
	for done < len(p) {
		if !c.a.n.passable(c.a, c.b, deadline) {
			return done, errTimeout
		}
		n, err := c.Conn.Write(p[done:min(len(p), done+chunkBytesMax)])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.b.addr) }
func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.a.addr) }

// Shutdown ends the member's part as Kill does.
func (t *Transport) Shutdown() error {
	t.Kill()
	return nil
}
