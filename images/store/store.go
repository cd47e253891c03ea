package store

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/images/store/parts"
	"github.com/kamado/kamado/images/store/s3api"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/images/store/sigv4"
	"github.com/kamado/kamado/images/store/upload"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/lifecycle"
)

// Names of what lies under the staging directory's place in the data directory.
const (
	stagingDir = "uploads"
	partsDir   = "parts" // below it
)

// Options say what to build.
type Options struct {
	Config   Config
	Data     string // directory in which uploads are staged when Config names none; it exists
	MaxBytes int64  // limits.max_bytes, for Config.MaxBytes = 0
}

// Deps are what the package uses of the room. Origins and Log are needed; Validate
// with Config.PicturesOnly.
type Deps struct {
	// Origins are the stores that may be written, by the origin's name.
	Origins map[string]blob.Store
	// Validate judges what comes in, from its header: shelf.Deps.
	Validate func(ctx context.Context, data []byte) (shelf.Facts, error)
	// Changed is called after each change and before its answer, to purge caches; it
	// may take until its context ends. nil: nobody.
	Changed func(ctx context.Context, c shelf.Change)
	// Events hears of each change; must not wait. nil: nobody.
	Events func(shelf.Change)
	// TakenDown says whether an original is hidden; see shelf.Deps. nil: none is.
	TakenDown func(shelf.Ref) bool
	// Guard lets the operator through to /originals/; nil: signed URLs only.
	Guard upload.Guard
	// Keys sign upload URLs; nil: there are none.
	Keys *signature.Keys
	Log  *slog.Logger
}

// Store is the way in, built.
type Store struct {
	shelf   *shelf.Shelf
	parts   *parts.Store   // nil: no S3
	s3      *s3api.Handler // nil: no S3
	uploads http.Handler   // nil: no uploads
}

// New builds the handlers. It starts nothing; call Run.
func New(opts Options, deps Deps) (*Store, error) {
	cfg := opts.Config
	if err := cfg.Validate(func(name string) bool { return deps.Origins[name] != nil }); err != nil {
		return nil, fmt.Errorf("configure the store of originals: %w", err)
	}
	dir := cmp.Or(cfg.Dir, filepath.Join(opts.Data, stagingDir))
	s := &Store{}
	var err error
	s.shelf, err = shelf.New(shelf.Config{
		Dir: dir, BytesMax: cmp.Or(int64(cfg.MaxBytes), opts.MaxBytes), PicturesOnly: cfg.PicturesOnly,
		Places: cfg.Concurrency, Waiting: cfg.Queue, Stall: cfg.Stall,
	}, shelf.Deps{Origins: deps.Origins, Validate: deps.Validate, Changed: deps.Changed, Events: deps.Events, TakenDown: deps.TakenDown, Log: deps.Log})
	if err != nil {
		return nil, err
	}
	if cfg.Uploads && deps.Origins[cfg.Origin] != nil {
		s.uploads = upload.New(upload.Config{Origin: cfg.Origin, AllowedOrigins: cfg.AllowedOrigins},
			upload.Deps{Shelf: s.shelf, Guard: deps.Guard, Keys: deps.Keys})
	}
	if cfg.S3.KeyFile != "" {
		err = s.openS3(cfg, filepath.Join(dir, partsDir), deps.Log)
	}
	return s, err
}

func (s *Store) openS3(cfg Config, dir string, log *slog.Logger) (err error) {
	keys, err := sigv4.Load(cfg.S3.KeyFile)
	if err != nil {
		return err
	}
	s.parts, err = parts.Open(parts.Config{
		Dir: dir, PartMin: int64(cfg.S3.MinPart), UploadsMax: cfg.S3.MaxUploads, BytesMax: int64(cfg.S3.MaxPartBytes), Age: cfg.S3.UploadAge,
	}, s.shelf, log)
	if err != nil {
		return err
	}
	buckets := map[string]s3api.Bucket{}
	for name, b := range cfg.S3.AllBuckets() {
		buckets[name] = s3api.Bucket{Origin: b.Origin, Prefix: b.Prefix}
	}
	s.s3 = s3api.New(
		s3api.Config{Domain: cfg.S3.Domain, Region: cfg.S3.Region, Buckets: buckets, AllowedOrigins: cfg.AllowedOrigins},
		s3api.Deps{Shelf: s.shelf, Parts: s.parts, Verifier: &sigv4.Verifier{Keys: keys, Region: cfg.S3.Region}, Log: log},
	)
	return nil
}

// Uploads answers paths that begin with upload.Prefix; nil: uploads are off.
func (s *Store) Uploads() http.Handler { return s.uploads }

// S3 answers S3 clients on a listener of its own; nil: S3 is off.
func (s *Store) S3() http.Handler {
	if s.s3 == nil {
		return nil
	}
	return s.s3
}

// OwnsHost says whether requests for a host name are S3's on the listener of
// pictures: it is S3.Domain, or a bucket's name below it.
func (s *Store) OwnsHost(host string) bool { return s.s3 != nil && s.s3.Owns(host) }

// Run removes what crashes and forgotten uploads left, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	g := lifecycle.Group{}
	g.Add("staging of uploads", s.shelf.Run)
	if s.parts != nil {
		g.Add("multipart uploads", s.parts.Run)
	}
	return g.Run(ctx)
}

// Stats is the state.
type Stats struct {
	Uploads   queue.Stats  `json:"uploads"`
	Multipart *parts.Stats `json:"multipart,omitempty"`
}

// Stats reads the state.
func (s *Store) Stats() Stats {
	st := Stats{Uploads: s.shelf.Queue()}
	if s.parts != nil {
		p := s.parts.Stats()
		st.Multipart = &p
	}
	return st
}

// Describe implements prometheus.Collector.
func (s *Store) Describe(ch chan<- *prometheus.Desc) {
	s.shelf.Describe(ch)
	if s.s3 != nil {
		s.s3.Describe(ch)
		s.parts.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *Store) Collect(ch chan<- prometheus.Metric) {
	s.shelf.Collect(ch)
	if s.s3 != nil {
		s.s3.Collect(ch)
		s.parts.Collect(ch)
	}
}

var _ prometheus.Collector = (*Store)(nil)
