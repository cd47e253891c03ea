// Package mezzanine keeps smaller JPEGs beside large originals and renders
// from them what they are large enough for.
//
// Vocabulary: a mezzanine is the whole upright original shrunk into a box, at a
// quality at which a rendition made from it shows no loss; it is disposable,
// because the original is still there. An original deserves one when it is a
// JPEG whose longer side is at least twice the box. A rendition may be made
// from a mezzanine when at least Reduction of its pixels become one, when it
// would get exactly the size it gets from the original, and when it needs
// nothing that only the original has.
//
// Mezzanines are made in the background, one at a time and only while a place
// is free, so they take nothing from requests but spare time. They are named by
// the identity of the original: a replaced original has none.
package mezzanine

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
)

// Defaults of Config.
const (
	DefaultBox       = 1000
	DefaultQuality   = 95
	DefaultReduction = 2.0
	DefaultPending   = 64
)

const (
	// largeFactor is how many times the box an original's longer side must be.
	largeFactor = 2
	// offersRemembered is how many originals are remembered as decided, so
	// that each is looked at once. Unit: originals.
	offersRemembered = 65536
	// idlePoll is how often a free place is looked for.
	idlePoll = 20 * time.Millisecond
	// version enters every key: a change of how mezzanines are made makes
	// older ones unfindable.
	version = "mezzanine/1"
)

// Config bounds a Store.
type Config struct {
	Box       int           // sides of the box in pixels; default 1000
	Quality   int           // of the JPEG; default 95
	Reduction float64       // least pixels of the mezzanine per pixel of a rendition, along each axis; default 2
	Pending   int           // originals waiting for their mezzanine; more are left out. Default 64
	Time      time.Duration // for making one; default 20 s
}

// Deps are what a Store uses. All are needed.
type Deps struct {
	Disk      *cache.Disk
	Originals *origin.Finder
	Places    *queue.Queue
	// Render makes a JPEG of an original.
	Render func(ctx context.Context, src []byte, want images.Rendition) (Picture, error)
	// Size reads the size of an upright original from its header.
	Size func(data []byte) (width, height int, err error)
	Log  *slog.Logger
}

// Picture is a rendered mezzanine.
type Picture struct {
	Data          []byte
	Width, Height int
	Truncated     bool // of a truncated original: not kept
}

// Store finds mezzanines and makes them. Safe for concurrent use.
type Store struct {
	cfg     Config
	deps    Deps
	pending chan origin.Original
	decided *cache.Memory[cache.Key, struct{}]

	found, made, failed, dropped atomic.Uint64
}

// New makes a Store. Call Run for it to make mezzanines.
func New(cfg Config, deps Deps) *Store {
	if cfg.Box <= 0 {
		cfg.Box = DefaultBox
	}
	if cfg.Quality <= 0 {
		cfg.Quality = DefaultQuality
	}
	if cfg.Reduction <= 0 {
		cfg.Reduction = DefaultReduction
	}
	if cfg.Pending <= 0 {
		cfg.Pending = DefaultPending
	}
	if cfg.Time <= 0 {
		cfg.Time = time.Duration(images.DefaultLimits().Time)
	}
	return &Store{
		cfg: cfg, deps: deps,
		pending: make(chan origin.Original, cfg.Pending),
		decided: cache.NewMemory[cache.Key, struct{}](offersRemembered),
	}
}

func keyOf(o *origin.Original) cache.Key { return cache.Sum(version, o.Identity()) }

// Find gives the mezzanine of an original if it is there and large enough for
// the rendition, and what to ask of it.
func (s *Store) Find(o *origin.Original, want images.Rendition) (data []byte, of images.Rendition, ok bool) {
	if !s.mayServe(want) {
		return nil, of, false
	}
	e, ok := s.deps.Disk.Get(keyOf(o))
	if !ok || !s.serves(e, want) {
		return nil, of, false
	}
	s.found.Add(1)
	return e.Data, want, true
}

// mayServe says no where no mezzanine can serve, before a file is opened: its
// pixels are larger than those that a region, a cut and trimming count in, and
// metadata and profile stay in the original.
func (s *Store) mayServe(want images.Rendition) bool {
	if !want.Region.Empty() || want.Cut != (images.Cut{}) || want.Trim != 0 || want.Metadata != images.MetadataStrip ||
		want.Profile != images.ProfileConvert || want.Width == 0 && want.Height == 0 {
		return false
	}
	dpr := want.DPR
	if dpr == 0 {
		dpr = 1
	}
	return float64(max(want.Width, want.Height))*dpr*s.cfg.Reduction <= float64(s.cfg.Box)
}

// serves compares the geometry of the rendition from the original and from the
// mezzanine.
func (s *Store) serves(e *cache.Entry, want images.Rendition) bool {
	full, err := want.Plan(e.SourceWidth, e.SourceHeight)
	if err != nil {
		return false
	}
	small, err := want.Plan(e.Width, e.Height)
	if err != nil {
		return false
	}
	return full.Width == small.Width && full.Height == small.Height &&
		full.CanvasWidth == small.CanvasWidth && full.CanvasHeight == small.CanvasHeight &&
		full.OffsetX == small.OffsetX && full.OffsetY == small.OffsetY &&
		small.Reduction() >= s.cfg.Reduction
}

// Offer notes an original that was rendered, if it deserves a mezzanine and
// has not been looked at before. It does not wait; data is not kept.
func (s *Store) Offer(o *origin.Original, data []byte) {
	// Other formats would need their transparency, or a worker to be asked.
	if images.Sniff(data[:min(len(data), images.SniffLength)]) != images.JPEG {
		return
	}
	key := keyOf(o)
	if _, ok := s.decided.Get(key); ok {
		return
	}
	s.decided.Add(key, struct{}{}, 1)
	width, height, err := s.deps.Size(data)
	if err != nil || max(width, height) < largeFactor*s.cfg.Box {
		return
	}
	select {
	case s.pending <- *o:
	default:
		s.decided.Remove(key) // another time
		s.dropped.Add(1)
	}
}

// Run makes mezzanines until ctx ends. Call it once.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-s.pending:
			// A panic is an error of this one original: else it would end the service.
			if err := cache.Recovered(func() error { return s.make(ctx, &o) }); err != nil && ctx.Err() == nil {
				s.failed.Add(1)
				s.report(&o, err)
			}
		}
	}
}

// report says why an original has no mezzanine, which nobody but an operator who
// looks for it wants to know, unless it is a fault of the program.
func (s *Store) report(o *origin.Original, err error) {
	var panicked *cache.PanicError
	if errors.As(err, &panicked) {
		s.deps.Log.Error("mezzanine panicked", "original", o.Key, "err", err, "stack", string(panicked.Stack))
		return
	}
	s.deps.Log.Debug("mezzanine not made", "original", o.Key, "err", err)
}

// idle waits until a place is free and takes it; false when ctx ended.
func (s *Store) idle(ctx context.Context) bool {
	if s.deps.Places.TryAcquire() {
		return true
	}
	poll := time.NewTicker(idlePoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-poll.C:
			if s.deps.Places.TryAcquire() {
				return true
			}
		}
	}
}

// make makes one mezzanine when a place is free.
func (s *Store) make(ctx context.Context, o *origin.Original) error {
	if !s.idle(ctx) {
		return context.Cause(ctx)
	}
	placed := true
	defer func() {
		if placed {
			s.deps.Places.Release()
		}
	}()
	if _, ok := s.deps.Disk.Get(keyOf(o)); ok {
		return nil // made by an earlier run
	}
	if err := s.deps.Originals.Served(o); err != nil {
		return err // taken down since it was offered
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Time)
	defer cancel()
	if o.Remote() { // a slow origin must keep no processor idle
		s.deps.Places.Release()
		placed = false
	}
	body, err := s.deps.Originals.Read(ctx, o)
	if err != nil {
		return err
	}
	defer body.Release()
	if placed = placed || s.idle(ctx); !placed {
		return context.Cause(ctx)
	}
	width, height, err := s.deps.Size(body.Data)
	if err != nil {
		return err
	}
	pic, err := s.deps.Render(ctx, body.Data, images.Rendition{
		Width: s.cfg.Box, Height: s.cfg.Box, Fit: images.FitShrink, Quality: s.cfg.Quality, Format: images.JPEG,
	})
	if err != nil || pic.Truncated {
		return err
	}
	s.deps.Disk.Put(keyOf(&body.Original), &cache.Entry{
		Data: pic.Data, Format: uint8(images.JPEG), Width: pic.Width, Height: pic.Height, SourceWidth: width, SourceHeight: height,
		Label: cache.Label{Source: body.Original.Source, Key: body.Original.Key},
	})
	s.made.Add(1)
	return nil
}

// Stats are the counters of a Store since it was made.
type Stats struct {
	Found   uint64          `json:"found"` // renditions made from a mezzanine
	Made    uint64          `json:"made"`
	Failed  uint64          `json:"failed"`
	Dropped uint64          `json:"dropped"` // too many waited
	Pending int             `json:"pending"`
	Disk    cache.DiskStats `json:"disk"`
}

// Stats reads the state. A nil Store has none.
func (s *Store) Stats() Stats {
	if s == nil {
		return Stats{}
	}
	return Stats{Found: s.found.Load(), Made: s.made.Load(), Failed: s.failed.Load(), Dropped: s.dropped.Load(),
		Pending: len(s.pending), Disk: s.deps.Disk.Stats()}
}
