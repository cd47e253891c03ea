package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/kamado/kamado/dns"
)

// What strangers can make us hold. Reading goes on until a stream proves to be
// sealed with our key, so what it may cost is bounded before.
const (
	streamsMax        = 64 // at once
	streamsSourceMax  = 16 // of them from one address
	streamBytesMax    = MessageBytesMax + 64<<10
	datagramBytesMax  = 2048
	receiveBufferSize = 1 << 20 // asked of the kernel
)

// network is memberlist's way to the outside: one UDP socket, and a TCP connection
// for each stream.
type network struct {
	udp     *net.UDPConn
	tcp     *net.TCPListener
	adv     netip.AddrPort
	log     *slog.Logger
	metrics *metrics
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
	ctx     context.Context // ends with Shutdown, for what is being dialled
	cancel  context.CancelFunc
	wait    sync.WaitGroup

	mu     sync.Mutex
	open   map[*inbound]bool
	source map[netip.Addr]int // of open
}

var _ memberlist.NodeAwareTransport = (*network)(nil)

// listen opens the sockets.
func listen(cfg *Config, m *metrics) (*network, error) {
	adv, err := advertised(cfg.Advertise)
	if err != nil {
		return nil, err
	}
	t := &network{
		log: cfg.Log, metrics: m, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		done: make(chan struct{}), open: map[*inbound]bool{}, source: map[netip.Addr]int{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	// Port 0 is found by TCP, and may be taken for UDP: then another is tried.
	for try := 0; ; try++ {
		err = t.bind(cfg.Bind)
		if err == nil || try == 10 || !errors.Is(err, syscall.EADDRINUSE) || portOf(cfg.Bind) != "0" {
			break
		}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &dns.Error{Op: "start gossip", Kind: dns.Conflict, Detail: fmt.Sprintf("the gossip address %s is taken by another program", cfg.Bind), Err: err}
	}
	if err != nil {
		return nil, &dns.Error{Op: "start gossip", Kind: dns.Invalid, Detail: fmt.Sprintf("gossip cannot listen at %s", cfg.Bind), Err: err}
	}
	if t.adv = adv; !adv.IsValid() {
		if t.adv, err = reachable(t.tcp.Addr().(*net.TCPAddr).AddrPort()); err != nil {
			t.udp.Close()
			t.tcp.Close()
			return nil, err
		}
	}
	t.wait.Go(t.receive)
	t.wait.Go(t.accept)
	return t, nil
}

func portOf(hostport string) string {
	_, port, _ := net.SplitHostPort(hostport)
	return port
}

func (t *network) bind(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	t.tcp = l.(*net.TCPListener)
	at := t.tcp.Addr().(*net.TCPAddr)
	t.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone})
	if err != nil {
		t.tcp.Close()
		return err
	}
	t.udp.SetReadBuffer(receiveBufferSize) // less is no error
	return nil
}

// advertised reads Config.Advertise; the zero value for an empty one.
func advertised(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	a, err := net.ResolveTCPAddr("tcp", text)
	if err != nil || a.IP == nil || a.IP.IsUnspecified() || a.Port == 0 {
		return netip.AddrPort{}, &dns.Error{Op: "start gossip", Kind: dns.Invalid, Detail: fmt.Sprintf("advertised address %q: want host:port at which peers reach this member", text), Err: err}
	}
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}

// reachable is the address under which peers reach what listens at one; for all
// addresses it is the first private one of this machine, or the first at all.
func reachable(at netip.AddrPort) (netip.AddrPort, error) {
	if ip := at.Addr().Unmap(); !ip.IsUnspecified() {
		return netip.AddrPortFrom(ip, at.Port()), nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var best netip.Addr
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().IsGlobalUnicast() {
			continue
		}
		if ip := p.Addr().Unmap(); !best.IsValid() || ip.IsPrivate() && !best.IsPrivate() {
			best = ip
		}
	}
	if !best.IsValid() {
		return netip.AddrPort{}, &dns.Error{Op: "start gossip", Kind: dns.Invalid, Detail: "this machine has no address that peers could reach: say which one to advertise"}
	}
	return netip.AddrPortFrom(best, at.Port()), nil
}

func (t *network) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.adv.Addr().AsSlice(), int(t.adv.Port()), nil
}

func (t *network) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *network) StreamCh() <-chan net.Conn           { return t.streams }

func (t *network) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *network) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = t.udp.WriteToUDPAddrPort(b, to)
	if err == nil {
		t.metrics.wire("out", "udp", len(b))
	}
	return time.Now(), err
}

func (t *network) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout gives a connection that ends with the timeout, whatever is done
// with it: memberlist writes messages without a deadline of its own.
func (t *network) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		conn.Close()
		return nil, err
	}
	return &outbound{conn, t.metrics}, nil
}

func (t *network) Shutdown() error {
	close(t.done)
	t.cancel()
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	t.mu.Lock()
	for c := range t.open {
		c.Conn.Close()
	}
	t.mu.Unlock()
	t.wait.Wait()
	return err
}

// receive takes datagrams until the socket is closed.
func (t *network) receive() {
	buf := make([]byte, datagramBytesMax+1)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buf)
		now := time.Now()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // an ICMP message about something we sent
			continue
		case n == 0 || n > datagramBytesMax:
			t.metrics.drop("datagram")
			continue
		}
		t.metrics.wire("in", "udp", n)
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: net.UDPAddrFromAddrPort(from), Timestamp: now}
		select {
		case t.packets <- p:
		case <-t.done:
			return
		}
	}
}

// accept takes streams until the socket is closed.
func (t *network) accept() {
	for {
		conn, err := t.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors: the next one may find some
			t.log.Debug("gossip cannot take a stream", "error", err)
			select {
			case <-time.After(10 * time.Millisecond):
			case <-t.done:
				return
			}
			continue
		}
		in := &inbound{Conn: conn, t: t, left: streamBytesMax}
		if !t.admit(in) {
			t.metrics.drop("stream")
			conn.Close()
			continue
		}
		select {
		case t.streams <- in:
		case <-t.done:
			in.Close()
			return
		}
	}
}

func (t *network) admit(c *inbound) bool {
	c.from = c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) >= streamsMax || t.source[c.from] >= streamsSourceMax {
		return false
	}
	t.open[c] = true
	t.source[c.from]++
	return true
}

// inbound is a stream from outside, with an end to what it may send. memberlist
// gives it a deadline.
type inbound struct {
	net.Conn
	t    *network
	from netip.Addr
	left int
}

func (c *inbound) Read(b []byte) (int, error) {
	if c.left <= 0 {
		c.t.metrics.drop("stream")
		return 0, fmt.Errorf("a stream of more than %d bytes", streamBytesMax)
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	c.t.metrics.wire("in", "tcp", n)
	return n, err
}

func (c *inbound) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.t.metrics.wire("out", "tcp", n)
	return n, err
}

func (c *inbound) Close() error {
	c.t.mu.Lock()
	if c.t.open[c] {
		delete(c.t.open, c)
		if c.t.source[c.from]--; c.t.source[c.from] == 0 {
			delete(c.t.source, c.from)
		}
	}
	c.t.mu.Unlock()
	return c.Conn.Close()
}

// outbound counts what a stream of ours carries.
type outbound struct {
	net.Conn
	metrics *metrics
}

func (c *outbound) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.metrics.wire("in", "tcp", n)
	return n, err
}

func (c *outbound) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.metrics.wire("out", "tcp", n)
	return n, err
}
