package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
)

// Server answers on the sockets of its configuration.
type Server struct {
	config Config
	table  *answer.Table
	mux    Mux

	workers   []*worker
	listeners []listener
	addresses []netip.AddrPort
	tls       []netip.AddrPort

	limits       *limiter // nil: none
	slow         *pool
	streams      *streams
	streamCounts [transportCount]*counts
	counts       []*counts // all, for metrics
	wg           sync.WaitGroup
}

type listener struct {
	net.Listener
	transport Transport
}

// New opens the sockets; packets wait there until Run. A taken address is an error that names its holder.
func New(config Config, table *answer.Table, mux Mux) (*Server, error) {
	config = config.withDefaults()
	if config.Threads <= 0 {
		config.Threads = runtime.NumCPU()
	}
	s := &Server{config: config, table: table, mux: mux, limits: newLimiter(config.RateLimit), slow: newPool(config.SlowMax),
		streams: newStreams(config.ConnectionsMax, config.ClientConnectionsMax)}
	for t := range s.streamCounts {
		s.streamCounts[t] = &counts{transport: Transport(t)}
		s.counts = append(s.counts, s.streamCounts[t])
	}
	if err := s.open(); err != nil {
		s.close()
		return nil, err
	}
	if config.Registerer != nil {
		if err := config.Registerer.Register(newCollector(s)); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) open() error {
	ctx := context.Background() // binding does not wait
	for _, text := range s.config.DNS {
		list, err := parse(text)
		if err != nil {
			return err
		}
		for i, addr := range list {
			if i > 0 && addr.Port() == 0 { // both families have one port
				addr = netip.AddrPortFrom(addr.Addr(), s.addresses[len(s.addresses)-1].Port())
			}
			err := s.openAddress(ctx, addr)
			if i > 0 && errors.Is(err, unix.EAFNOSUPPORT) {
				continue // a machine without IPv6
			}
			if err != nil {
				return err
			}
		}
	}
	for _, text := range s.config.TLS {
		list, err := parse(text)
		if err != nil {
			return err
		}
		for _, addr := range list {
			l, err := openTCP(ctx, addr)
			if err != nil {
				return err
			}
			at, _ := netip.ParseAddrPort(l.Addr().String())
			s.tls = append(s.tls, at)
			s.listeners = append(s.listeners, listener{tls.NewListener(l, s.config.TLSConfig), TLS})
		}
	}
	return nil
}

func (s *Server) openAddress(ctx context.Context, addr netip.AddrPort) error {
	fds, l, at, err := open(ctx, addr, s.config.Threads)
	if err != nil {
		return err
	}
	s.addresses = append(s.addresses, at)
	s.listeners = append(s.listeners, listener{l, TCP})
	for _, fd := range fds {
		w := &worker{s: s, fd: fd, at: at, wake: -1, rnd: rand.Uint64(), tap: s.config.Tap, counts: &counts{transport: UDP}}
		s.workers = append(s.workers, w)
		s.counts = append(s.counts, w.counts)
		if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return os.NewSyscallError("eventfd", err)
		}
		w.ring = newRing(at.Addr().IsUnspecified())
		w.out = newOutbox(fd, w.ring, &w.counts.errors)
	}
	return nil
}

// Addresses are those that answer over UDP and TCP, with the ports that were chosen.
func (s *Server) Addresses() []netip.AddrPort { return s.addresses }

// TLSAddresses are those that answer over TLS.
func (s *Server) TLSAddresses() []netip.AddrPort { return s.tls }

// Run answers until ctx ends. When it returns, all sockets are closed and all handlers have returned.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.workers)+len(s.listeners))
	var workers sync.WaitGroup
	for _, w := range s.workers {
		workers.Go(func() { failed <- w.run() })
	}
	for _, l := range s.listeners {
		s.wg.Go(func() { failed <- s.accept(l, l.transport) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, w := range s.workers {
		w.stop.Store(true)
		if _, e := unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); e != nil {
			err = errors.Join(err, fmt.Errorf("wake a worker: %w", e))
		}
	}
	workers.Wait()
	s.slow.cancel()
	for _, l := range s.listeners {
		_ = l.Close() // accept sees it
	}
	s.wg.Wait()
	s.slow.wg.Wait()
	s.close()
	return err
}

// close gives back what New took.
func (s *Server) close() {
	s.slow.cancel()
	for _, l := range s.listeners {
		_ = l.Close() // twice does no harm
	}
	for _, w := range s.workers {
		_ = unix.Close(w.fd) // nobody uses it
		if w.wake >= 0 {
			_ = unix.Close(w.wake) // nobody uses it
		}
	}
	s.workers = nil
}

// isSlow says whether a verdict is for a handler.
func (s *Server) isSlow(v answer.Verdict) bool {
	if v == answer.Alias {
		return s.mux.Forward != nil // else the alias is the answer
	}
	return v > answer.Dropped
}

// errNoAnswer is what Exchange gives for a packet that deserves none.
var errNoAnswer = &dns.Error{Op: "answer", Kind: dns.Invalid, Detail: "no query that gets an answer"}

// Exchange answers one packet that came by other ways than the sockets: DNS over
// HTTPS. It may be called from many goroutines.
func (s *Server) Exchange(ctx context.Context, packet []byte, client netip.AddrPort, transport Transport) ([]byte, error) {
	now := time.Now()
	client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
	out, v := s.table.Answer(answer.Query{Packet: packet, Client: client, Stream: true, Random: rand.Uint64(), Now: uint32(now.Unix())}, nil)
	c := s.streamCounts[transport]
	c.verdicts[v].Add(1)
	r := Request{Packet: packet, Client: client, Transport: transport}
	switch {
	case v == answer.Dropped:
		return nil, errNoAnswer
	case !s.isSlow(v):
		if s.config.Tap != nil {
			s.config.Tap.Tap(r, out, now, time.Now())
		}
	default:
		select {
		case s.slow.places <- struct{}{}:
		case <-ctx.Done():
			c.refused.Add(1)
			return nil, ctx.Err()
		}
		defer s.slow.done()
		r.begun, out = out, nil
		s.serve(ctx, r, v, func(response []byte) error {
			if out != nil {
				return errors.New("one response only over HTTPS")
			}
			out = append([]byte(nil), response...)
			return nil
		})
	}
	if len(out) < headerBytes {
		return nil, errNoAnswer
	}
	c.rcodes[out[3]&15].Add(1)
	return out, nil
}
