package httpserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	acmeclient "golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// certCheckInterval is how often, at most, a handshake looks whether the certificate's files changed.
const certCheckInterval = time.Second

// certFiles gives the certificate in two files, and the next one when they change. A pair that cannot be read (half
// written, key and certificate of different days) leaves the last good one in use.
type certFiles struct {
	cfg TLSConfig
	log *slog.Logger

	current atomic.Pointer[tls.Certificate]
	checked atomic.Int64 // Unix nanoseconds of the last look

	mu      sync.Mutex // held while looking
	seen    [2]fileState
	failing bool
}

// fileState tells one content of a file from the next without reading it.
type fileState struct {
	modified time.Time
	size     int64
}

func newCertFiles(cfg TLSConfig, log *slog.Logger) (*certFiles, error) {
	c := &certFiles{cfg: cfg, log: log}
	seen, err := c.look()
	if err != nil {
		return nil, fmt.Errorf("read TLS certificate: %w", err)
	}
	if err := c.load(seen); err != nil {
		return nil, fmt.Errorf("read TLS certificate: %w", err)
	}
	return c, nil
}

// Certificate gives the certificate of two files for another protocol, and reads them again when they change.
func Certificate(cfg TLSConfig, log *slog.Logger) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	c, err := newCertFiles(cfg, log)
	if err != nil {
		return nil, err
	}
	return c.get, nil
}

// get implements tls.Config.GetCertificate.
func (c *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := time.Now().UnixNano()
	if now-c.checked.Load() >= int64(certCheckInterval) && c.mu.TryLock() {
		c.refresh()
		c.checked.Store(now)
		c.mu.Unlock()
	}
	return c.current.Load(), nil
}

// refresh loads the pair again if a file changed. Preconditions: mu is held.
func (c *certFiles) refresh() {
	seen, err := c.look()
	if err == nil && seen == c.seen {
		return
	}
	if err == nil {
		err = c.load(seen)
	}
	switch {
	case err == nil:
		c.failing = false
		c.log.Info("TLS certificate was read again", "file", c.cfg.CertFile, "until", c.current.Load().Leaf.NotAfter)
	case !c.failing:
		c.failing = true
		c.log.Warn("changed TLS certificate cannot be read, the last one stays in use", "file", c.cfg.CertFile, "error", err)
	}
}

func (c *certFiles) look() (seen [2]fileState, err error) {
	for i, name := range []string{c.cfg.CertFile, c.cfg.KeyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return seen, err
		}
		seen[i] = fileState{info.ModTime(), info.Size()}
	}
	return seen, nil
}

func (c *certFiles) load(seen [2]fileState) error {
	cert, err := tls.LoadX509KeyPair(c.cfg.CertFile, c.cfg.KeyFile)
	if err != nil {
		return fmt.Errorf("%s with key %s: %w", c.cfg.CertFile, c.cfg.KeyFile, err)
	}
	c.current.Store(&cert)
	c.seen = seen
	return nil
}

// acme gets certificates from an authority, and answers its HTTP-01 challenges if there is an address for that.
type acme struct {
	manager  *autocert.Manager
	addr     string       // of HTTP-01; empty: none
	http     *http.Server // nil: nobody asks here
	listener net.Listener
	stopped  chan struct{}
}

// acmeClientTimeout bounds one exchange with the authority.
const acmeClientTimeout = 30 * time.Second

func newACME(cfg Config, log *slog.Logger) (*acme, error) {
	c := cfg.TLS.ACME
	if c.CacheDir == "" {
		return nil, errors.New("configure ACME: tls.acme.cache_dir is empty, certificates would be lost at each start")
	}
	client := &acmeclient.Client{DirectoryURL: c.DirectoryURL, UserAgent: "kamado", HTTPClient: &http.Client{Timeout: acmeClientTimeout}}
	if c.DirectoryURL == "" {
		client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("configure ACME: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("configure ACME: %s holds no certificate in PEM", c.CAFile)
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		client.HTTPClient.Transport = transport
	}
	a := &acme{addr: c.HTTPAddr, stopped: make(chan struct{}), manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(c.CacheDir), HostPolicy: autocert.HostWhitelist(c.Domains...),
		Email: c.Email, Client: client,
	}}
	if a.addr != "" {
		challenges := a.manager.HTTPHandler(nil) // also tells the manager that the authority may ask there
		if c.HTTPElsewhere {
			return a, nil // the listener that answers finds the tokens in the cache
		}
		a.http = &http.Server{
			Handler: withoutPort(challenges), ReadHeaderTimeout: cfg.ReadHeaderTimeout, ReadTimeout: cfg.ReadTimeout,
			WriteTimeout: cfg.WriteTimeout, IdleTimeout: cfg.IdleTimeout, MaxHeaderBytes: int(cfg.HeaderBytesMax),
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
	}
	return a, nil
}

// withoutPort takes the port off the Host header, which autocert compares with the names as it stands: an authority that asks on
// another port than 80 sends one.
func withoutPort(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host
		}
		h.ServeHTTP(w, r)
	})
}

func (a *acme) listen(ctx context.Context) error {
	if a.http == nil {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.addr)
	if err != nil {
		return fmt.Errorf("listen for ACME challenges on %s: %w", a.addr, err)
	}
	a.listener = l
	return nil
}

// serve answers challenges until close; without an address it only waits.
func (a *acme) serve() error {
	if a.http == nil {
		<-a.stopped
		return nil
	}
	return a.http.Serve(a.listener)
}

func (a *acme) close() {
	close(a.stopped)
	if a.http != nil {
		a.http.Close()
	}
}
