package front

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/internal/httpserver"
)

// Front answers what is ready, in front of one or more servers. It is an
// httpserver.Front, the delivery.Keeper of their handler, and a
// prometheus.Collector. Safe for concurrent use.
type Front struct {
	cfg     Config
	table   *table
	metrics metrics

	// slowUntil is until when nothing is answered here, because looking at an
	// original took too long for a loop. Unit: ns of the monotonic clock.
	slowUntil atomic.Int64
}

var (
	_ httpserver.Front     = (*Front)(nil)
	_ delivery.Keeper      = (*Front)(nil)
	_ prometheus.Collector = (*Front)(nil)
)

// New makes a Front.
func New(cfg Config) *Front {
	cfg = cfg.withDefaults()
	return &Front{cfg: cfg, table: newTable(cfg.TableBytes, cfg.SheetBytes), metrics: newMetrics()}
}

// Wants implements delivery.Keeper: answers to requests that were lent are worth
// keeping.
func (f *Front) Wants(r *http.Request) bool {
	_, ok := r.Context().Value(http.LocalAddrContextKey).(lentAddr)
	return ok
}

// Keep implements delivery.Keeper.
func (f *Front) Keep(r *http.Request, a *delivery.Answer) { f.table.keep(r, a) }

// RemoveIf forgets the answers about originals whose label match says yes to, and
// their sheets, and says how many that was; for takedowns.
func (f *Front) RemoveIf(match func(cache.Label) bool) (removed int) {
	return f.table.removeIf(func(a *delivery.Answer) bool { return match(a.Label()) })
}

// Serve implements httpserver.Front.
func (f *Front) Serve(ctx context.Context, l *net.TCPListener, g *httpserver.Gate) error {
	s := &service{front: f, gate: g, local: lentAddr{l.Addr()}}
	if err := s.open(l); err != nil {
		s.close()
		return err
	}
	stop := context.AfterFunc(ctx, s.drain)
	defer stop()
	var wg sync.WaitGroup
	for _, p := range s.loops {
		wg.Go(p.run)
	}
	wg.Wait()
	s.close()
	return nil
}

// service is a Front at work on one listener.
type service struct {
	front *Front
	gate  *httpserver.Gate
	local lentAddr
	loops []*loop
	next  int // loop that gets the next connection; of the accepting loop alone

	draining atomic.Bool
	giveUp   atomic.Int64 // when connections that are still written to are cut. Unit: ns of the monotonic clock
}

// open makes the loops; the first one accepts.
func (s *service) open(l *net.TCPListener) error {
	for range s.front.cfg.Loops {
		p, err := newLoop(s)
		if err != nil {
			return fmt.Errorf("front: %w", err)
		}
		s.loops = append(s.loops, p)
	}
	fd, err := duplicate(l)
	if err != nil {
		return fmt.Errorf("front: take the listener: %w", err)
	}
	if err := s.loops[0].listen(fd); err != nil {
		return fmt.Errorf("front: wait for connections: %w", err)
	}
	return nil
}

func (s *service) close() {
	for _, p := range s.loops {
		p.close()
	}
}

// drain asks the loops to end.
func (s *service) drain() {
	s.giveUp.Store(now() + int64(s.gate.Config().DrainTimeout))
	s.draining.Store(true)
	for _, p := range s.loops {
		p.wake()
	}
}

// duplicate gives a descriptor of its own of a connection or a listener.
func duplicate(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	e := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if e != nil {
		return -1, e
	}
	return fd, os.NewSyscallError("fcntl", err)
}

var started = time.Now()

// now is the monotonic clock. Unit: ns since the program began.
func now() int64 { return int64(time.Since(started)) }
