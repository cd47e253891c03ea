package netns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/dhcp"
	"github.com/kamado/kamado/compute/network"
)

// The bounds of the metadata service, so that guests cannot wear the host out.
const (
	metadataConns   = 256              // at once, in one network
	metadataEach    = 16               // of these from one address; further ones are closed
	metadataBody    = 64 << 10         // bytes of a request
	metadataHeader  = 16 << 10         // bytes of its header
	metadataTimeout = 30 * time.Second // for a request and for its answer
)

// services are what this engine serves inside the networks while it runs.
type services struct {
	e    *Engine
	http *http.Server
	wg   sync.WaitGroup
	// By namespace; guarded by Engine.mu.
	on      map[string]*service
	adverts map[string]*advertiser
}

// service is DHCP and metadata in one network.
type service struct {
	table    atomic.Pointer[dhcp.Table]
	dhcp     *os.File // packet socket on the bridge
	metadata net.Listener
	bridge   int // its index: another says that the network was made anew
}

func newServices(e *Engine) *services {
	sv := &services{e: e, on: map[string]*service{}, adverts: map[string]*advertiser{}}
	handler := e.cfg.Metadata
	if handler == nil {
		handler = http.NotFoundHandler()
	}
	sv.http = &http.Server{
		Handler:           http.MaxBytesHandler(counted(handler, e.cfg.Metrics), metadataBody),
		ReadHeaderTimeout: metadataTimeout / 3,
		ReadTimeout:       metadataTimeout,
		WriteTimeout:      metadataTimeout,
		IdleTimeout:       metadataTimeout,
		MaxHeaderBytes:    metadataHeader,
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug), // what guests do wrong is their affair
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if mc, ok := c.(*metadataConn); ok {
				return network.WithSource(ctx, mc.source)
			}
			return ctx
		},
	}
	return sv
}

// sync makes the services those of the plan; seen are the namespaces that may
// have been made anew. Preconditions: Engine.mu is held.
func (sv *services) sync(p *plan, seen map[string]bool) error {
	var errs []error
	wanted := map[string]bool{}
	for _, s := range p.segments {
		serves := false
		for _, sub := range s.network.Subnets {
			serves = serves || sub.Prefix.Addr().Is4() && (sub.DHCP || sub.Metadata)
		}
		if !serves {
			continue
		}
		name := sv.e.namespace(kindNetwork, s.network.ID)
		wanted[name] = true
		table := dhcp.Leases(s.network, s.ports, func(gw netip.Addr) bool { return p.routed[s.network.ID][gw.String()] })
		if svc := sv.on[name]; svc != nil && !seen[name] {
			svc.table.Store(&table)
			continue
		}
		if err := sv.serve(name, s, &table); err != nil {
			errs = append(errs, fmt.Errorf("services of network %s: %w", s.network.ID, err))
		}
	}
	for name := range sv.on {
		if !wanted[name] {
			sv.stop(name)
		}
	}
	errs = append(errs, sv.advertise(p))
	return errors.Join(errs...)
}

// serve makes the services of one network run with a table of leases.
func (sv *services) serve(name string, s segment, table *dhcp.Table) error {
	ns, err := openNamespace(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	bridge := ns.linkByName(bridgeName)
	if bridge == nil {
		return errors.New("it has no bridge")
	}
	if old := sv.on[name]; old != nil {
		if old.bridge == bridge.Attrs().Index {
			old.table.Store(table)
			return nil
		}
		sv.stop(name)
	}
	svc := &service{bridge: bridge.Attrs().Index}
	svc.table.Store(table)
	fd, err := packetSocket(ns, bridge, etherIPv4)
	if err != nil {
		return err
	}
	if err := onlyDHCP(fd); err != nil {
		_ = unix.Close(fd)
		return err
	}
	svc.dhcp = os.NewFile(uintptr(fd), "dhcp")
	err = ns.do(func() error {
		l, err := net.Listen("tcp4", net.JoinHostPort(dhcp.MetadataAddress.String(), "80"))
		if err == nil {
			svc.metadata = &metadataListener{Listener: netutil.LimitListener(l, metadataConns), networkID: s.network.ID, from: map[netip.Addr]int{}}
		}
		return err
	})
	if err != nil {
		_ = svc.dhcp.Close()
		return err
	}
	sv.on[name] = svc
	sv.wg.Go(func() { sv.answer(svc, s.mac) })
	sv.wg.Go(func() { _ = sv.http.Serve(svc.metadata) }) // ends when the listener is closed
	return nil
}

// stop ends the services of a network or router. Preconditions: Engine.mu is held.
func (sv *services) stop(name string) {
	if a := sv.adverts[name]; a != nil {
		delete(sv.adverts, name)
		a.close()
	}
	svc := sv.on[name]
	if svc == nil {
		return
	}
	delete(sv.on, name)
	_ = svc.dhcp.Close()
	_ = svc.metadata.Close()
}

// close ends all services and waits until they are quiet.
func (sv *services) close() {
	for name := range sv.on {
		sv.stop(name)
	}
	for name := range sv.adverts {
		sv.stop(name)
	}
	_ = sv.http.Close()
	sv.wg.Wait()
}

// answer answers DHCP on a bridge until the socket is closed.
func (sv *services) answer(svc *service, mac net.HardwareAddr) {
	buf := make([]byte, dhcp.MessageMax+1)
	for {
		n, err := svc.dhcp.Read(buf)
		if err != nil {
			if errors.Is(err, os.ErrClosed) {
				return
			}
			if errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.EINTR) {
				continue // the bridge went down and comes up again, or it is removed and the socket is closed next
			}
			return
		}
		reply, lease, outcome := svc.table.Load().Answer(buf[:n], mac)
		if reply != nil {
			if _, err := svc.dhcp.Write(reply); err != nil {
				sv.e.log.Debug("dhcp answer lost", "port", lease.PortID, "err", err)
				continue
			}
		}
		if outcome == dhcp.Acked && sv.e.cfg.Leased != nil {
			sv.e.cfg.Leased(lease.PortID)
		}
		if sv.e.cfg.Metrics != nil {
			sv.e.cfg.Metrics.DHCP(string(outcome))
		}
	}
}

// onlyDHCP lets only datagrams for the server's port through to a packet
// socket: IPv4, UDP, no later fragment, port 67.
func onlyDHCP(fd int) error {
	prog, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: etherIPv4, SkipTrue: 8},
		bpf.LoadAbsolute{Off: 23, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoUDP, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 20, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 4},
		bpf.LoadMemShift{Off: 14},
		bpf.LoadIndirect{Off: 16, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 67, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return fmt.Errorf("filter of the DHCP socket: %w", err)
	}
	list := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		list[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]}); err != nil {
		return fmt.Errorf("filter of the DHCP socket: %w", err)
	}
	return nil
}

// metadataListener remembers in each connection whose it is, and keeps one
// guest from taking every place.
type metadataListener struct {
	net.Listener
	networkID string

	mu   sync.Mutex
	from map[netip.Addr]int // open connections by sender; guarded by mu
}

type metadataConn struct {
	net.Conn
	source network.Source
	once   sync.Once
	done   func()
}

// Accept gives the next connection.
func (l *metadataListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a, err := netip.ParseAddrPort(c.RemoteAddr().String())
		who := a.Addr().Unmap()
		if err != nil || !l.enter(who) {
			_ = c.Close()
			continue
		}
		return &metadataConn{Conn: c, source: network.Source{NetworkID: l.networkID, Address: who}, done: func() { l.leave(who) }}, nil
	}
}

func (l *metadataListener) enter(who netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from[who] >= metadataEach {
		return false
	}
	l.from[who]++
	return true
}

func (l *metadataListener) leave(who netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from[who]--; l.from[who] == 0 {
		delete(l.from, who)
	}
}

// Close gives the connection's place back.
func (c *metadataConn) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

// counted counts the answers of a handler.
func counted(h http.Handler, m network.Metrics) http.Handler {
	if m == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(sw, r)
		m.Metadata(sw.status)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader keeps the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
