package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/internal/blob"
)

// Config bounds what images may be.
type Config struct {
	// BytesMax bounds the bytes of one image.
	BytesMax int64
	// UploadsMax bounds the uploads that run at once on this server, ProjectUploadsMax those of one project among them, so
	// that nobody takes all places with bytes that never come.
	UploadsMax, ProjectUploadsMax int
	// PropertiesMax, TagsMax and MembersMax bound what hangs on one image: Glance's own defaults.
	PropertiesMax, TagsMax, MembersMax int
	// SweepEvery is how often bytes that nobody needs are looked for.
	SweepEvery time.Duration
}

// Default gives the bounds that hold when nothing else is said.
func Default() Config {
	return Config{BytesMax: 256 << 30, UploadsMax: 32, ProjectUploadsMax: 8, PropertiesMax: 128, TagsMax: 128, MembersMax: 128, SweepEvery: 10 * time.Minute}
}

// Validate names every bound that cannot be.
func (c Config) Validate() error {
	var errs []error
	for name, v := range map[string]int64{"bytes": c.BytesMax, "uploads": int64(c.UploadsMax), "uploads of a project": int64(c.ProjectUploadsMax), "properties": int64(c.PropertiesMax),
		"tags": int64(c.TagsMax), "members": int64(c.MembersMax), "sweep": int64(c.SweepEvery)} {
		if v <= 0 {
			errs = append(errs, fmt.Errorf("machine images: the bound of %s must be positive", name))
		}
	}
	return errors.Join(errs...)
}

// Service is the images of one store. Its methods may be called concurrently.
type Service struct {
	store compute.Store
	blobs blob.Store
	dir   string
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	metrics
	wake chan struct{} // tells Run that bytes may have become nobody's

	makers [makerCount]sync.Mutex // one maker of a base at a time for each id; see maker

	mu   sync.Mutex
	live map[string]int // guarded by mu: keys of uploads and names of files, by how many calls work on them
	busy map[string]int // guarded by mu: uploads that run, by project; never more than UploadsMax in all
}

// makerCount is how many bases can be made at once.
const makerCount = 64

// New gives the images of store, with their bytes in blobs. dir is a directory of
// this server alone, for files that are staged and for bases: hard links join
// it with blobs when both lie in one file system.
func New(store compute.Store, blobs blob.Store, dir string, cfg Config, log *slog.Logger) *Service {
	return &Service{store: store, blobs: blobs, dir: dir, cfg: cfg, log: log, now: time.Now,
		metrics: newMetrics(), wake: make(chan struct{}, 1), live: map[string]int{}, busy: map[string]int{}}
}

// The directories below dir.
const (
	stagingDir = "staging"
	baseDir    = "base"
	keyPrefix  = "machine-images/" // of the bytes in the blob.Store: prefix, image's id, upload's id

	dirPerm = 0o750
)

func (s *Service) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// ensure makes a directory below dir.
func (s *Service) ensure(name string) error { return os.MkdirAll(s.path(name), dirPerm) }

// hold marks a name as worked on by this process until release is called.
func (s *Service) hold(name string) (release func()) {
	s.mu.Lock()
	s.live[name]++
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.live[name]--; s.live[name] == 0 {
			delete(s.live, name)
		}
	}
}

func (s *Service) held(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[name] > 0
}

// Run recovers what an earlier process left, then removes bytes that nobody
// needs any more, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.SweepEvery)
	defer ticker.Stop()
	for failing := false; ; {
		err := s.Recover(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			s.log.Warn("machine images not swept", "error", err)
		case err == nil && failing:
			s.log.Info("machine images swept again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// poke asks Run for a sweep soon.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Get gives an image that the caller may see.
func (s *Service) Get(ctx context.Context, who compute.Caller, id string) (*compute.MachineImage, error) {
	var m *compute.MachineImage
	err := s.store.Read(ctx, func(tx *compute.Tx) (err error) {
		m, err = visible(tx, who, id)
		return err
	})
	return m, err
}

// visible gives an image that a caller may see; one that is not there and one
// that is somebody else's are one answer.
func visible(tx *compute.Tx, who compute.Caller, id string) (*compute.MachineImage, error) {
	m, err := tx.MachineImages.Get(id)
	if compute.IsKind(err, compute.NotFound) || err == nil && !m.Visible(who) {
		return nil, absent(id)
	}
	return m, err
}

// owned gives an image that a caller may change.
func owned(tx *compute.Tx, who compute.Caller, id string) (*compute.MachineImage, error) {
	m, err := visible(tx, who, id)
	if err == nil && !who.Owns(m.ProjectID) {
		return nil, compute.Errorf(compute.Denied, "You are not authorized to complete this action: image %s belongs to another project.", id)
	}
	return m, err
}

func absent(id string) error {
	return compute.Errorf(compute.NotFound, "No image found with ID %s", id)
}
