package netns

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/dhcp"
	"github.com/kamado/kamado/compute/network"
)

// vnetHeader is the size of what stands before each frame of a tap, in bytes
// (struct virtio_net_hdr).
const vnetHeader = 10

// wait is how long a test waits for what must come, and never for what must not.
const wait = 5 * time.Second

// silence is how long nothing must come where nothing may: a frame takes far
// less through bridges of one machine.
const silence = 150 * time.Millisecond

// lab is an engine with its state, and guests on it.
type lab struct {
	t      *testing.T
	e      *Engine
	state  network.State
	guests map[string]*machine
	count  *counts
	stop   func()
	cfg    network.Config // of engines that start; its Metadata may be nil
}

// counts keeps what an engine counted.
type counts struct {
	mu      sync.Mutex
	changes int
	dhcp    map[string]int
	status  map[int]int
	refused int
}

func (c *counts) Applied(_ time.Duration, changes int, _ error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes = changes
}
func (c *counts) DHCP(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dhcp[outcome]++
}
func (c *counts) Metadata(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status[status]++
}

func (c *counts) Refused(packets int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused += packets
}

// are says whether n offers, acknowledgements and pages were counted.
func (c *counts) are(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dhcp["offer"] == n && c.dhcp["ack"] == n && c.status[200] == n
}

// newLab makes an engine that runs, and applies a state.
func newLab(t *testing.T, s network.State) *lab {
	t.Helper()
	needsRoot(t)
	l := &lab{t: t, state: s, guests: map[string]*machine{}}
	dir := t.TempDir()
	l.start(dir)
	l.apply()
	t.Cleanup(func() {
		if err := l.e.Purge(context.Background()); err != nil {
			t.Error(err)
		}
		names, err := listNamespaces(l.e.prefix())
		if err != nil || len(names) != 0 {
			t.Errorf("after Purge: namespaces %v, %v, want none", names, err)
		}
		host, err := openHost()
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close()
		if links, err := host.LinkList(); err != nil || len(links) != 1 { // its loopback
			t.Errorf("after Purge: %d links of the host, %v, want 1", len(links), err)
		}
	})
	return l
}

// start makes an engine on a directory, and lets it run until the test ends.
func (l *lab) start(dir string) {
	l.t.Helper()
	l.count = &counts{dhcp: map[string]int{}, status: map[int]int{}}
	cfg := l.cfg
	cfg.Dir, cfg.Metrics = dir, l.count
	if cfg.Metadata == nil {
		cfg.Metadata = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, _ := network.SourceOf(r.Context())
			_, _ = fmt.Fprintf(w, "%s %s %s", s.NetworkID, s.Address, r.URL.Path)
		})
	}
	e, err := New(cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	l.e = e
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			l.t.Error(err)
		}
	}()
	l.until("the engine runs", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.services != nil })
	var once sync.Once
	l.stop = func() { once.Do(func() { cancel(); <-done }) }
	l.t.Cleanup(l.stop)
}

// restart puts another engine in the place of this one, which leaves what it made.
func (l *lab) restart() {
	l.t.Helper()
	l.stop()
	l.start(l.e.cfg.Dir)
}

// until waits for a condition.
func (l *lab) until(what string, f func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(wait); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: not within %s", what, wait)
		}
	}
}

func (l *lab) apply() {
	l.t.Helper()
	if err := l.e.Apply(context.Background(), copied(l.t, l.state)); err != nil {
		l.t.Fatal(err)
	}
}

// copied gives a state of its own: what was applied is the engine's, and tests
// go on changing theirs.
func copied(t *testing.T, s network.State) network.State {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var own network.State
	if err := json.Unmarshal(b, &own); err != nil {
		t.Fatal(err)
	}
	return own
}

// port gives a port of the state.
func (l *lab) port(id string) *network.Port {
	for i := range l.state.Ports {
		if l.state.Ports[i].ID == id {
			return &l.state.Ports[i]
		}
	}
	l.t.Fatalf("no port %s", id)
	return nil
}

// machine is a guest on a port: a namespace with a card, whose frames go
// through the port's tap.
type machine struct {
	t    *testing.T
	ns   *namespace
	tap  *os.File // the engine's, as a hypervisor has it
	port network.Port
	mac  net.HardwareAddr
}

// boot makes the guest of a port with its first address, and a route to via.
func (l *lab) boot(portID string, via string) *machine {
	l.t.Helper()
	p := *l.port(portID)
	tap, err := l.e.Open(context.Background(), portID)
	if err != nil {
		l.t.Fatal(err)
	}
	ns, _, err := makeNamespace("guest-" + p.ID)
	if err != nil {
		l.t.Fatal(err)
	}
	mac, _ := net.ParseMAC(p.MAC)
	g := &machine{t: l.t, ns: ns, tap: tap, port: p, mac: mac}
	l.guests[portID] = g
	own, err := openTap(ns, "eth0")
	if err != nil {
		l.t.Fatal(err)
	}
	b := &build{}
	b.settings(ns, []setting{{"ipv6/conf/default/accept_dad", "0"}}, true)
	card := ns.linkByName("eth0")
	b.mac(ns, card, mac)
	b.up(ns, ns.linkByName("lo"), true)
	b.up(ns, card, true)
	// The first address by hand; an IPv6 one the guest makes itself.
	b.addresses(ns, card, []netip.Prefix{netip.PrefixFrom(p.Addresses[0], 24)})
	if via != "" {
		b.routes(ns, []netlink.Route{{Dst: netOf(netip.MustParsePrefix("0.0.0.0/0")), Gw: net.ParseIP(via).To4()}})
	}
	if err := b.err(); err != nil {
		l.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { relay(own, tap) })
	wg.Go(func() { relay(tap, own) })
	l.t.Cleanup(func() {
		_ = own.Close()
		_ = tap.Close()
		wg.Wait()
		ns.Close()
		if err := removeNamespace("guest-" + p.ID); err != nil {
			l.t.Error(err)
		}
	})
	g.ready(l)
	return g
}

// ready waits until the bridge lets frames of a guest through: the kernel looks
// at a card that was plugged in within a second.
func (g *machine) ready(l *lab) {
	l.t.Helper()
	if !g.port.AdminUp || !g.port.Addresses[0].Is4() {
		return
	}
	seen := g.watch(func(f []byte) bool {
		return len(f) >= 42 && binary.BigEndian.Uint16(f[12:]) == etherARP && f[21] == 2 && [4]byte(f[28:32]) == dhcp.MetadataAddress.As4()
	})
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
		g.send(arp(g.mac, broadcastMAC, g.mac, 1, g.port.Addresses[0], dhcp.MetadataAddress))
		if seen(20 * time.Millisecond) {
			return
		}
	}
	l.t.Fatalf("the network does not answer to %s", g.port.ID)
}

// relay carries frames from one tap to another until one is closed.
func relay(from, to *os.File) {
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, unix.EBADFD) {
			return
		}
		if err != nil {
			continue // the link is down
		}
		_, _ = to.Write(buf[:n])
	}
}

// send puts a frame onto the guest's card as it is.
func (g *machine) send(frame []byte) {
	g.t.Helper()
	if _, err := g.tap.Write(append(make([]byte, vnetHeader), frame...)); err != nil {
		g.t.Fatal(err)
	}
}

// listen serves TCP in the guest: each connection is told who it is, and then echoed.
func (g *machine) listen(port int) {
	g.t.Helper()
	var l net.Listener
	if err := g.ns.do(func() error {
		var err error
		l, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		g.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				_, _ = fmt.Fprintf(c, "%s\n", c.RemoteAddr().(*net.TCPAddr).IP)
				_, _ = io.Copy(c, c)
			})
		}
	})
	g.t.Cleanup(func() { _ = l.Close() })
}

// dial connects from the guest. A nil guest is the host.
func (g *machine) dial(timeout time.Duration, address string) (net.Conn, error) {
	var c net.Conn
	d := net.Dialer{Timeout: timeout}
	f := func() error {
		// Not net.Dialer: it may use another thread. A single address needs none.
		var err error
		c, err = d.Dial("tcp4", address)
		return err
	}
	if g == nil {
		err := f()
		return c, err
	}
	err := g.ns.do(f)
	return c, err
}

// ping asks an address for an echo, and says whether it came.
func (g *machine) ping(to string, timeout time.Duration) bool {
	ok := false
	err := g.ns.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		dst := unix.SockaddrInet4{Addr: netip.MustParseAddr(to).As4()}
		for deadline := time.Now().Add(timeout); time.Now().Before(deadline) && !ok; {
			echo := []byte{8, 0, 0, 0, 0x4b, 0x4d, 0, 1}
			binary.BigEndian.PutUint16(echo[2:], ^(uint16(0x0800) + 0x4b4d + 1))
			_ = unix.Sendto(fd, echo, 0, &dst)
			tv := unix.NsecToTimeval(int64(50 * time.Millisecond))
			_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
			buf := make([]byte, 1500)
			for {
				n, _, err := unix.Recvfrom(fd, buf, 0)
				if err != nil {
					break
				}
				if n >= 28 && buf[20] == 0 && buf[24] == 0x4b && buf[25] == 0x4d {
					ok = true
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return ok
}

// reaches says whether TCP to an address is answered, and whom the other end saw.
func (g *machine) reaches(address string, timeout time.Duration) (string, bool) {
	c, err := g.dial(timeout, address)
	if err != nil {
		return "", false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(wait))
	var who string
	_, err = fmt.Fscanln(c, &who)
	return who, err == nil
}

// captured watches a guest's card, from outside, for frames that match.
func (g *machine) watch(match func(frame []byte) bool) (seen func(time.Duration) bool) {
	g.t.Helper()
	fd, err := packetSocket(g.ns, g.ns.linkByName("eth0"), unix.ETH_P_ALL)
	if err != nil {
		g.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "watch")
	g.t.Cleanup(func() { _ = f.Close() })
	return func(d time.Duration) bool {
		_ = f.SetReadDeadline(time.Now().Add(d))
		buf := make([]byte, 2048)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return false
			}
			if match(buf[:n]) {
				return true
			}
		}
	}
}
