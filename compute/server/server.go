// Package server builds the compute room from its configuration and runs it. It
// is the only place that picks engines: which database, which hypervisor, how
// networks are made.
//
// Under the data directory it keeps compute/db (accounts, instances, networks),
// compute/images (the bytes of machine images), compute/base (those that guests
// start from), compute/instances (a directory each), compute/net, and for
// clients clouds.yaml and openrc. A Server opens no listener; that is the
// caller's.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/metadata"
	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/openstack/audit"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/compute/vnc"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/lifecycle"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/sqldb/postgres"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// Options say what to build.
type Options struct {
	Config compute.Config
	Data   string // the data directory, absolute; it exists
	Guest  string // directory with what the machine image "tiny" is made of
}

// Deps are what the room uses of its process. Log and Audit are needed.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Getenv     func(string) string   // default os.Getenv
	Audit      func(compute.AuditEvent)
	Names      compute.NameRegistrar // nil: instances have no names that resolve
	// Trail gives back what Audit was told, newest first; nil: it is not shown.
	Trail func(context.Context, audit.Query) ([]compute.AuditEvent, error)
}

// AuditQuery says which part of the audit trail is asked for.
type AuditQuery = audit.Query

// Server is the room, built.
type Server struct {
	opts Options
	deps Deps
	cfg  compute.Config
	dir  string // Data/compute
	host string

	accounts accounts
	db       sqldb.DB
	store    *store.Store
	identity *identity.Service
	images   *registry.Service
	fabric   *fabric.Service
	metadata *metadata.Service
	engine   hypervisor.Engine
	network  network.Engine
	userMode bool // network is the one for hosts without root
	control  *control.Controller
	gate     *vnc.Gate
	handler  http.Handler
	first    first // what the first start makes
	notes    []string

	closers []func() error
}

// New builds the room: it opens the database, makes what the first start must
// make there, and looks at what this machine can do. It starts nothing; call
// Run, and Close at the end, also when Run was never called.
func New(ctx context.Context, opts Options, deps Deps) (_ *Server, err error) {
	if err := opts.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configure compute: %w", err)
	}
	if deps.Getenv == nil {
		deps.Getenv = os.Getenv
	}
	s := &Server{opts: opts, deps: deps, cfg: opts.Config, dir: filepath.Join(opts.Data, "compute"), host: opts.Config.Host}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, step := range []func(context.Context) error{
		s.openDirs, s.openStore, s.openIdentity, s.openImages, s.openNetwork, s.openHypervisor, s.openControl, s.openHandler,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close gives back what New took. Guests go on.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Handler serves the dialects, each under its own path.
func (s *Server) Handler() http.Handler { return s.handler }

// Notes say for people what this machine cannot do.
func (s *Server) Notes() []string { return s.notes }

// WriteClients writes clouds.yaml and openrc for the address at which the
// handler is served.
func (s *Server) WriteClients(base string) error {
	if s.cfg.PublicURL != "" {
		base = s.cfg.PublicURL
	}
	return writeClients(s.opts.Data, base, s.cfg.Region, s.accounts)
}

// Run works until ctx ends: it makes the first machine image, adopts guests,
// serves DHCP and metadata, and does what was asked of instances.
func (s *Server) Run(ctx context.Context) error {
	g := lifecycle.Group{Log: s.deps.Log}
	g.Add("compute identity", s.identity.Run)
	g.Add("compute machine images", s.images.Run)
	g.Add("compute networks", s.network.Run)
	g.Add("compute instances", s.control.Run)
	g.Add("compute first start", s.first.Run)
	return g.Run(ctx)
}

// AddChecks adds what must be true before clients come.
func (s *Server) AddChecks(h *httpserver.Health) {
	h.AddCheck("compute-database", func(ctx context.Context) error {
		return s.store.Read(ctx, func(*compute.Tx) error { return nil })
	})
	h.AddCheck("compute-host", starting(s.control.Ready))
	h.AddCheck("compute-first-start", s.first.Ready)
}

// startMax is how long it is no trouble that the host is not driven yet: guests
// are adopted, and networks are made.
const startMax = time.Minute

// starting says of a check that has not passed yet that it will.
func starting(check func(context.Context) error) func(context.Context) error {
	var passed atomic.Bool
	begun := time.Now()
	return func(ctx context.Context) error {
		err := check(ctx)
		switch {
		case err == nil:
			passed.Store(true)
		case !passed.Load() && time.Since(begun) < startMax:
			return fmt.Errorf("%w: %w", httpserver.ErrStarting, err)
		}
		return err
	}
}

func (s *Server) openDirs(context.Context) error {
	for _, name := range []string{"", "db", "images", "base", "instances", "net", "scratch"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o700); err != nil {
			return err
		}
	}
	if err := s.lock(); err != nil {
		return err
	}
	if s.host == "" {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		s.host = name
	}
	return nil
}

func (s *Server) openStore(ctx context.Context) (err error) {
	if s.cfg.Database == "" {
		s.db, err = sqlite.Open(ctx, filepath.Join(s.dir, "db", "compute.db"))
	} else {
		s.db, err = postgres.Open(ctx, s.cfg.Database)
	}
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	s.closers = append(s.closers, s.db.Close)
	s.store, err = store.Open(ctx, s.db)
	return err
}

func (s *Server) openIdentity(ctx context.Context) (err error) {
	if s.accounts, err = loadAccounts(s.dir); err != nil {
		return err
	}
	cfg := identity.Default()
	cfg.TokenLifetime = s.cfg.TokenLife
	cfg.FirstPasswords = map[string]string{identity.AdminUser: s.accounts.Admin, identity.MemberUser: s.accounts.Member}
	s.identity = identity.New(s.store, cfg, s.deps.Log, time.Now)
	s.identity.OnAudit(func(_ context.Context, e compute.AuditEvent) { s.deps.Audit(e) })
	made, err := s.identity.Bootstrap(ctx)
	if err != nil {
		return err
	}
	s.first.adminProject, s.first.memberProject = made.AdminProjectID, made.MemberProjectID
	return nil
}

func (s *Server) openImages(context.Context) error {
	blobs, err := fs.Open(filepath.Join(s.dir, "images"))
	if err != nil {
		return fmt.Errorf("open machine images: %w", err)
	}
	s.closers = append(s.closers, blobs.Close)
	cfg := registry.Default()
	cfg.BytesMax = int64(s.cfg.ImageBytesMax)
	s.images = registry.New(s.store, blobs, filepath.Join(s.dir, "base"), cfg, s.deps.Log)
	if s.deps.Registerer != nil {
		if err := s.deps.Registerer.Register(s.images); err != nil {
			return fmt.Errorf("register metrics of machine images: %w", err)
		}
	}
	s.first.store, s.first.images, s.first.log = s.store, s.images, s.deps.Log
	s.first.parts, s.first.scratch = s.opts.Guest, filepath.Join(s.dir, "scratch")
	return nil
}
