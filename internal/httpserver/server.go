// Package httpserver is the way HTTP enters a process: one listener with a time limit on every phase of a request, a bound
// on every amount, a request id, an access log, problems as RFC 9457 shapes them, TLS, health, and an orderly end.
//
// A Server wraps one handler. Before the handler it answers /healthz and /readyz itself, refuses what is over a bound (503
// with Retry-After) and limits the body; after it, it measures and logs; around it, it turns a panic into a 500. When its
// context ends it first answers /readyz with 503 for DrainDelay, then closes the listener and lets requests in work
// finish for DrainTimeout. It knows no room and no route.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Deps are what a Server uses of its process. Log and Health are needed, the others may be left out.
type Deps struct {
	// Name tells the servers of a process apart in logs and metrics: "images", "admin".
	Name       string
	Log        *slog.Logger
	Health     *Health
	Registerer prometheus.Registerer
	Tracer     trace.Tracer // nil: no spans
	Front      Front        // nil: net/http answers everything
}

// Server serves one handler on one address.
type Server struct {
	cfg     Config
	log     *slog.Logger
	health  *Health
	metrics *metrics
	http    *http.Server
	// requests is what each request passes.
	requests *front
	acme     *acme // nil without ACME

	front Front // nil: none, or TLS or spans leave it nothing to do
	gate  *Gate

	listener  net.Listener
	accepting net.Listener  // what net/http accepts from: listener, or what the front gives
	stopping  atomic.Bool   // connections are closed behind their next answer
	draining  chan struct{} // closed when the server begins to stop
	drain     func()        // closes draining, once
	open      atomic.Int64  // connections
}

// New makes a server; it does not listen yet. The error is about the configuration or the certificate's files.
func New(cfg Config, handler http.Handler, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure %s listener: %w", deps.Name, err)
	}
	m, err := newMetrics(deps.Name, deps.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics of %s listener: %w", deps.Name, err)
	}
	s := &Server{cfg: cfg, log: deps.Log.With("server", deps.Name), health: deps.Health, metrics: m, draining: make(chan struct{})}
	s.drain = sync.OnceFunc(func() { close(s.draining) })
	s.requests = &front{
		next: handler, log: s.log, health: s.health, metrics: m, tracer: deps.Tracer,
		accessLog: cfg.AccessLog, bodyMax: int64(cfg.BodyBytesMax), inFlightMax: int64(cfg.InFlightMax),
	}
	s.http = &http.Server{
		Handler:           s.requests,
		ReadHeaderTimeout: cfg.ReadHeaderTimeout,
		ReadTimeout:       cfg.ReadTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    max(0, int(cfg.HeaderBytesMax)-headerSlack),
		ConnState:         s.connState,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), drainingKey{}, s.draining)
		},
		// What net/http has to say is about clients: bad handshakes, probes that are no HTTP.
		ErrorLog:  slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Protocols: new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(cfg.H2C)
	s.gate = &Gate{s: s}
	if deps.Tracer == nil && !cfg.TLS.Enabled() {
		s.front = deps.Front
	}
	if cfg.TLS.Enabled() {
		s.http.Protocols.SetHTTP2(true)
		if err := s.setTLS(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// headerSlack is what net/http reads beyond http.Server.MaxHeaderBytes before it refuses (bufio's size).
const headerSlack = 4096

func (s *Server) setTLS() error {
	if len(s.cfg.TLS.ACME.Domains) > 0 {
		a, err := newACME(s.cfg, s.log)
		if err != nil {
			return err
		}
		s.acme, s.http.TLSConfig = a, a.manager.TLSConfig()
	} else {
		files, err := newCertFiles(s.cfg.TLS, s.log)
		if err != nil {
			return err
		}
		s.http.TLSConfig = &tls.Config{GetCertificate: files.get}
	}
	s.http.TLSConfig.MinVersion = tls.VersionTLS12
	return nil
}

// Listen opens the address, so that Addr is known and connections wait for Run. Run does it when nobody did.
func (s *Server) Listen(ctx context.Context) error {
	if s.listener != nil {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.cfg.Addr, err)
	}
	if s.acme != nil {
		if err := s.acme.listen(ctx); err != nil {
			l.Close()
			return err
		}
	}
	s.listener, s.accepting = l, l
	return nil
}

// Addr is the address the server listens on. Preconditions: Listen succeeded.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is where a client on this machine reaches the server. Preconditions: Listen succeeded.
func (s *Server) URL() string {
	scheme := "http"
	if s.cfg.TLS.Enabled() {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(s.Addr().String()) // a listener's address is well formed
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Run serves until ctx ends, then drains as the package comment says, and returns when no request is in work any more. It
// returns nil after an orderly end, and an error when the listener failed or requests had to be cut off.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(ctx); err != nil {
		return err
	}
	failed := make(chan error, 3)
	var wg sync.WaitGroup
	defer wg.Wait()
	stopFront := s.startFront(&wg, failed)
	defer stopFront()
	wg.Go(func() { failed <- s.serve() })
	if s.acme != nil {
		wg.Go(func() { failed <- s.acme.serve() })
		defer s.acme.close()
	}
	s.log.Info("listening", "address", s.Addr().String(), "tls", s.cfg.TLS.Enabled())
	select {
	case err := <-failed:
		s.drain()
		s.http.Close()
		return fmt.Errorf("serve on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	return s.stop(failed, stopFront)
}

// serve accepts connections until the server is shut down.
func (s *Server) serve() error {
	if s.cfg.TLS.Enabled() {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.accepting)
}

// stop drains: not ready, then no new connections, then no requests.
func (s *Server) stop(failed <-chan error, stopFront func()) error {
	// The load balancer needs its time once, not once for each listener of the process: they stop one after the other.
	delay := s.cfg.DrainDelay - s.health.Drain()
	s.stopping.Store(true)
	s.http.SetKeepAlivesEnabled(false)
	if delay > 0 {
		s.log.Info("draining", "delay", delay)
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-failed:
		}
	}
	s.drain()
	stopFront()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("drain %s: requests were still in work after %v and were cut off", s.Addr(), s.cfg.DrainTimeout)
		}
		return fmt.Errorf("drain %s: %w", s.Addr(), err)
	}
	s.log.Info("stopped listening", "address", s.Addr().String())
	return nil
}

// connState counts connections and closes those over the bound before they are read from. It works here, and not around the
// listener, because a wrapped connection would lose sendfile.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	if f, ok := c.(Fronted); ok { // the front counts it
		if state == http.StateIdle {
			f.Idle()
		}
		return
	}
	switch state {
	case http.StateNew:
		s.metrics.connections.Inc()
		if s.open.Add(1) > int64(s.cfg.ConnectionsMax) {
			s.metrics.refusedConnections.Inc()
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		s.metrics.connections.Dec()
		s.open.Add(-1)
	}
}
