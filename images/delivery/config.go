package delivery

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
)

// Keeper keeps answers that may be given again, in front of the handler;
// front.Front is one. Its methods must not wait.
type Keeper interface {
	// Wants says whether Keep is worth calling for a request.
	Wants(r *http.Request) bool
	// Keep offers the answer that the request got.
	Keep(r *http.Request, a *Answer)
}

// Config is how answers look.
type Config struct {
	Caching images.Caching
	// Negotiable are the formats that Accept may choose, the best first.
	Negotiable []images.Format
	// NegotiateAll negotiates every URL that names no format.
	NegotiateAll bool
	// Background are those of Negotiable that are made when a processor is free,
	// for the next request; the client gets another format meanwhile.
	Background []images.Format
	// BackgroundShare is how much of one processor that may take, more than 0
	// up to 1. Default: that of images.Default.
	BackgroundShare float64
	// Hints lets client hints and Save-Data change what is negotiated.
	Hints bool
	// SaveDataQuality is the most quality for clients that save data; 0: as for
	// all others.
	SaveDataQuality int
	// Time bounds the work for one rendition. Default 20 s.
	Time time.Duration
	// Salt is whatever changes the bytes of a rendition and is neither in the
	// rendition nor in the original: default qualities, configured fonts, the
	// version of the renderer. It enters every key.
	Salt string
	// Fallback is shown instead of an error to clients that want a picture;
	// nil: one with the error written on it.
	Fallback *Fallback
}

// Fallback is an encoded picture.
type Fallback struct {
	Data   []byte
	Format images.Format
}

// Deps are what the handler uses. Parse, Originals, Renderer, Places and Log
// are needed.
type Deps struct {
	// Parse reads a URL in whichever grammar it is, checks that the rendition
	// may be asked for, and checks the signature. Its errors are *images.Error.
	Parse     func(r *http.Request) (images.Request, error)
	Originals *origin.Finder
	Renderer  Renderer
	Places    *queue.Queue

	Memory     *cache.Memory[cache.Key, *Result] // nil: off
	Disk       *cache.Disk                       // nil: off
	Mezzanines Mezzanines                        // nil: off

	Keeper Keeper // of answers that may be given again; nil: none
	// Tags are the tokens of Surrogate-Key, by which a CDN purges; nil: none.
	Tags func(source, key, kind, owner string) []string

	Metrics *Metrics    // nil: none
	Events  func(Event) // nil: nobody listens. Must not wait
	Log     *slog.Logger
}

// Rendering is what a Renderer gives.
type Rendering struct {
	Data          []byte // not touched by the renderer any more
	Format        images.Format
	Width, Height int
	Truncated     bool // the original was cut short
	Shared        bool // its bytes may differ from those that it would have if it were made alone
	Stages        []Stage
}

// Stage is how long one part of the work took.
type Stage struct {
	Name     string // "decode", "resize", "encode", ...: a fixed list, it becomes a label
	Duration time.Duration
}

// Made is what a Renderer gives for one rendition.
type Made struct {
	Rendering
	Err error
}

// Renderer makes renditions; server puts render.Renderer here.
type Renderer interface {
	// RenderSet makes renditions of one original, from one decode where it can,
	// in the order of wants. An error of one is not one of the others.
	RenderSet(ctx context.Context, src []byte, wants []images.Rendition) []Made
}

// Mezzanines keeps smaller JPEGs beside large originals.
type Mezzanines interface {
	// Find gives a mezzanine of the original that is large enough for the
	// rendition, and the rendition to ask of it.
	Find(o *origin.Original, want images.Rendition) (data []byte, of images.Rendition, ok bool)
	// Offer says that an original was rendered and may deserve a mezzanine.
	// data is valid during the call only.
	Offer(o *origin.Original, data []byte)
}
