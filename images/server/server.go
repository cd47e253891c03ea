// Package server builds the images room from its configuration and runs it. It
// is the only place that picks engines: which store an origin is, which codecs
// there are, which caches are on.
//
// A Server is a handler for pictures and the JSON interface, and background
// work (counting and writing disk caches, making mezzanines) that Run does. It
// opens no listener; that is the caller's. Under its data directory lie
// results, originals and mezzanines, which may be deleted at any time.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/front"
	"github.com/kamado/kamado/images/grammar"
	"github.com/kamado/kamado/images/imgproxy"
	"github.com/kamado/kamado/images/mezzanine"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/fleet"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/images/render"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/images/store"
	"github.com/kamado/kamado/images/traffic"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/httpserver"
	"github.com/kamado/kamado/internal/lifecycle"
	"github.com/kamado/kamado/internal/unit"
)

// Names of what lies under the data directory.
const (
	resultsDir   = "results"
	originalsDir = "originals"
	mezzanineDir = "mezzanines"
)

// KeysFile is the name of the file of keys that is made where none is
// configured.
const KeysFile = "signing.keys"

// renderVersion enters every key of a result. It is raised whenever a change
// of the program makes other bytes of the same rendition and original.
const renderVersion = "3"

// Options say what to build.
type Options struct {
	Config images.Config
	Data   string // directory for caches; it exists
	Keys   string // file of signing keys to make where none is configured; default Data/signing.keys
}

// Event is one answered request for a picture; see delivery.Event.
type Event = delivery.Event

// Deps are what the room uses of its process. Log is needed.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Guard      api.Guard             // nil: no JSON interface
	Events     func(Event)           // nil: nobody listens; must not wait
	Changes    func(Change)          // of originals; nil: nobody listens; must not wait
	Orders     func(fleet.Event)     // of purges and takedowns; nil: nobody listens; must not wait
	Getenv     func(string) string   // default os.Getenv; for credentials of S3
}

// Server is the room, built.
type Server struct {
	opts Options
	deps Deps

	keys    *signature.Keys // nil: unsigned
	keyFile string

	proxyKeys *imgproxy.Keys // of the imgproxy dialect; nil: every signature is taken
	keyMade   bool           // the file was made by this start

	grammar    *grammar.Grammar
	originals  *origin.Finder
	dirs       map[string]string // local origins by name
	dirStores  map[string]*fs.Store
	intake     *store.Store // nil: originals come by other ways only
	places     *queue.Queue
	pool       *codec.Pool // nil: no kamado-codec
	codecs     []render.Codec
	renderer   *render.Renderer
	fonts      string // hash of the configured fonts' files; "": the built-in one draws
	memory     *cache.Memory[cache.Key, *delivery.Result]
	disk       *cache.Disk // of results; nil: off
	bodies     *cache.Disk // of originals; nil: off
	mezzDisk   *cache.Disk
	mezzanines *mezzanine.Store // nil: off
	handler    http.Handler
	front      *front.Front // nil: results are not kept in memory
	pictures   *delivery.Handler
	traffic    *traffic.Recorder
	orders     *purge.Table
	fleet      *fleet.Node

	closers []func() error
}

// New builds the room. It starts nothing; call Run, and Close at the end, also
// when Run was never called.
func New(opts Options, deps Deps) (_ *Server, err error) {
	if err := opts.Config.Validate(); err != nil {
		return nil, fmt.Errorf("configure images: %w", err)
	}
	if deps.Getenv == nil {
		deps.Getenv = os.Getenv
	}
	s := &Server{opts: opts, deps: deps, dirs: map[string]string{}, dirStores: map[string]*fs.Store{}, traffic: traffic.New(nil)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, step := range []func() error{s.openKeys, s.openOrders, s.openCaches, s.openOriginals, s.openCodecs, s.openRenderer, s.openFleet, s.openIntake, s.openHandler, s.register} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Handler answers pictures and the JSON interface.
func (s *Server) Handler() http.Handler { return s.handler }

// Front answers what is ready before net/http does; nil where results are not
// kept in memory.
func (s *Server) Front() httpserver.Front {
	if s.front == nil {
		return nil
	}
	return s.front
}

// Keys says which file signs URLs and whether this start made it; the name is
// empty when URLs are not signed.
func (s *Server) Keys() (file string, made bool) { return s.keyFile, s.keyMade }

// CodecMissing says why other formats than JPEG are decoded without the
// sandboxed workers; nil when they are there.
func (s *Server) CodecMissing() error {
	if s.pool != nil {
		return nil
	}
	_, err := s.codecPath()
	if err == nil {
		err = codec.ErrNoWorker
	}
	return err
}

// AddChecks adds the room's conditions of readiness: each local origin's
// directory is there. A remote origin that is down does not make the service
// unready, because cached pictures and other origins are served on.
func (s *Server) AddChecks(health *httpserver.Health) {
	for name, dir := range s.dirs {
		health.AddCheck("images origin "+name, func(context.Context) error {
			_, err := os.Stat(dir)
			return err
		})
	}
}

// Run does the background work until ctx ends, and writes what disk caches
// have still to write.
func (s *Server) Run(ctx context.Context) error {
	g := lifecycle.Group{Log: s.deps.Log}
	for _, d := range []*cache.Disk{s.disk, s.bodies, s.mezzDisk} {
		if d != nil {
			g.Add("disk cache", d.Run)
		}
	}
	if s.mezzanines != nil {
		g.Add("mezzanines", s.mezzanines.Run)
	}
	g.Add("images upgrades", s.pictures.Run)
	g.Add("images fleet", s.fleet.Run)
	if s.intake != nil {
		g.Add("images intake", s.intake.Run)
	}
	return g.Run(ctx)
}

// Close ends the workers and gives files and connections back.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// memoryOverhead is what a process holds beside caches and scratch memory:
// originals being read, filters, stacks, and garbage in between.
const memoryOverhead = 16 * unit.MiB

// frontMemory is what the front's table of answers takes at most.
const frontMemory = 16 * unit.MiB

// Memory is how much the room's process is expected to hold when all its caches
// are full: a soft limit for the garbage collector.
func (s *Server) Memory() unit.Bytes {
	cfg := s.opts.Config
	return unit.Bytes(s.cores())*render.DefaultScratch + frontMemory + cfg.ResultCache.Memory + cfg.OriginalCache.Memory + memoryOverhead
}

// cores is how many renditions are made at once.
func (s *Server) cores() int {
	if n := s.opts.Config.Limits.Concurrency; n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// openRenderer builds what makes renditions: the queue in front, the renderer
// and the mezzanines.
func (s *Server) openRenderer() error {
	cfg := s.opts.Config
	s.places = queue.New(queue.Config{Places: s.cores(), Waiting: cfg.Limits.Queue})
	marks, err := s.watermarks()
	if err != nil {
		return err
	}
	names, err := cfg.Catalogue(marks.versions)
	if err != nil {
		return fmt.Errorf("configure images: %w", err)
	}
	if s.grammar, err = grammar.New(cfg, names); err != nil {
		return fmt.Errorf("configure images: %w", err)
	}
	fonts, version, err := readFonts(cfg.Fonts)
	if err != nil {
		return err
	}
	s.fonts = version
	s.renderer = render.New(render.Config{
		Fonts:  fonts,
		Limits: cfg.Limits, Qualities: cfg.Quality, Codecs: s.codecs, Watermarks: marks.pictures, Workspaces: s.cores(),
	})
	if s.mezzDisk != nil {
		s.mezzanines = mezzanine.New(mezzanine.Config{Time: time.Duration(cfg.Limits.Time)}, mezzanine.Deps{
			Disk: s.mezzDisk, Originals: s.originals, Places: s.places, Render: s.renderMezzanine, Size: uprightSize, Log: s.deps.Log,
		})
	}
	return nil
}

// openHandler builds the HTTP side.
func (s *Server) openHandler() error {
	cfg := s.opts.Config
	fallback, err := readFallback(cfg.Caching.Fallback)
	if err != nil {
		return err
	}
	deps := delivery.Deps{
		Parse: s.parse, Originals: s.originals, Renderer: renderer{s.renderer}, Places: s.places,
		Memory: s.memory, Disk: s.disk, Tags: s.tags(), Metrics: delivery.NewMetrics(), Events: s.observe, Log: s.deps.Log,
	}
	if s.mezzanines != nil {
		deps.Mezzanines = s.mezzanines
	}
	if s.memory != nil && cfg.Front { // ready answers are of results in memory
		s.front = front.New(front.Config{TableBytes: int64(frontMemory)})
		deps.Keeper = s.front
		if s.deps.Registerer != nil {
			if err := s.deps.Registerer.Register(s.front); err != nil {
				return fmt.Errorf("register metrics of images: %w", err)
			}
		}
	}
	if s.deps.Registerer != nil {
		if err := s.deps.Registerer.Register(deps.Metrics); err != nil {
			return fmt.Errorf("register metrics of images: %w", err)
		}
	}
	pictures := delivery.New(delivery.Config{
		Caching: cfg.Caching, Negotiable: s.negotiable(), NegotiateAll: cfg.Negotiation.All,
		Background: cfg.Negotiation.Background, BackgroundShare: cfg.Negotiation.BackgroundShare,
		Hints: cfg.Negotiation.Hints, SaveDataQuality: cfg.Negotiation.SaveDataQuality,
		Time: time.Duration(cfg.Limits.Time), Fallback: fallback,
		Salt: fmt.Sprint(renderVersion, cfg.Quality, cfg.Limits.MaxFrames) + s.fonts,
	}, deps)
	s.handler, s.pictures = pictures, pictures
	if s.deps.Guard == nil {
		return nil
	}
	apiDeps := api.Deps{Guard: s.deps.Guard, Originals: s.originals, Facts: s.facts, Stats: func() any { return s.Stats() }, Many: pictures.Many, Traffic: s.traffic.Report}
	if s.keys != nil && s.intake != nil && s.intake.Uploads() != nil {
		apiDeps.Grant = s.grant
	}
	if s.keys != nil {
		apiDeps.Sign = func(u *url.URL, expires time.Time) (string, error) { return s.grammar.Sign(u, expires, s.keys.Sign) }
	}
	s.handler = &split{intake: s.intakeFor, pictures: pictures, api: api.New(apiDeps), orders: s.fleet.Handler(s.deps.Guard)}
	return nil
}

// observe tells all who listen of an answered request.
func (s *Server) observe(e Event) {
	s.traffic.Observe(e)
	if s.deps.Events != nil {
		s.deps.Events(e)
	}
}

// split sends the JSON interface's paths to it. A mux would cost every picture
// a match.
type split struct {
	intake                func(*http.Request) http.Handler
	pictures, api, orders http.Handler
}

func (s *split) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	intake := s.intake(r)
	switch {
	case intake != nil:
		intake.ServeHTTP(w, r)
	case !strings.HasPrefix(r.URL.Path, api.Prefix):
		s.pictures.ServeHTTP(w, r)
	case fleet.Serves(r.URL.Path):
		s.orders.ServeHTTP(w, r)
	default:
		s.api.ServeHTTP(w, r)
	}
}

// parse reads a URL: first its form, then its signature.
func (s *Server) parse(r *http.Request) (images.Request, error) {
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	req, err := s.grammar.Parse(r.URL, host)
	switch {
	case err != nil:
		return req, err
	case req.Grammar == imgproxy.Name:
		return req, s.proxyKeys.Verify(&req, time.Now())
	case s.keys == nil:
		return req, nil
	}
	return req, s.keys.Verify(&req, time.Now())
}
