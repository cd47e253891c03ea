// Package api is the JSON interface for those who look after pictures: which
// originals there are, what one of them is, how the service is doing, and
// signatures for URLs. It lies under /-/api/v1/ on the listener of the
// pictures; the console and scripts use it.
//
// Reads pass a guard that lets the operator and this machine's own programs
// through; signing needs the operator's credential, because who can sign can
// have any size of any original made. Nothing here is on the way of a picture.
package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/exif"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/traffic"
)

// Prefix begins every path of the interface.
const Prefix = "/-/api/v1/"

// Bounds of a page of originals.
const (
	pageDefault = 100
	pageMax     = 1000
)

// infoTime bounds reading and probing one original.
const infoTime = 15 * time.Second

// signBytesMax bounds the body of a request to sign.
const signBytesMax = 64 << 10

// Guard decides who may; operator.Guard is the real one.
type Guard interface {
	Require(http.Handler) http.Handler
	Reads(http.Handler) http.Handler
}

// Deps are what the interface uses. All but Sign are needed.
type Deps struct {
	Guard     Guard
	Originals *origin.Finder
	// Facts tells what an original is.
	Facts func(ctx context.Context, data []byte, ask Ask) (Facts, error)
	// Stats gives the state of the service: something that becomes JSON.
	Stats func() any
	// Traffic tells what was asked lately, with so many of the originals.
	Traffic func(top int) traffic.Report
	// Many makes pictures as if each had been requested.
	Many func(r *http.Request, urls []*url.URL) []delivery.One
	// Grant gives the path and query with which an original may be sent or read
	// without a credential; nil: there are none.
	Grant func(GrantRequest) (string, error)
	// Sign gives a path with its signature; nil: URLs are not signed here.
	Sign func(u *url.URL, expires time.Time) (string, error)
}

// Ask says which facts are wanted that need the original's pixels.
type Ask struct {
	Palette              int // colours at most
	BlurHashX, BlurHashY int // components
	ThumbHash            bool
	Dominant             bool
	Attention            bool
}

// Facts are what the header of an original says, and what was asked for beside.
type Facts struct {
	Format      string     `json:"format"`
	Width       int        `json:"width"` // upright
	Height      int        `json:"height"`
	Orientation int        `json:"orientation"` // EXIF, 1 to 8
	Frames      int        `json:"frames"`
	Alpha       bool       `json:"alpha"`
	Gray        bool       `json:"gray,omitempty"`
	Profile     bool       `json:"icc"`
	Bits        int        `json:"bits"`
	Progressive bool       `json:"progressive,omitempty"`
	Exif        exif.Facts `json:"exif,omitzero"` // of a JPEG

	Palette   []Share     `json:"palette,omitempty"` // the largest share first
	Dominant  string      `json:"dominant,omitempty"`
	BlurHash  string      `json:"blurhash,omitempty"`
	ThumbHash []byte      `json:"thumbhash,omitempty"` // base64
	Attention *[2]float64 `json:"attention,omitempty"` // the point that draws the eye, as shares of width and height
}

// Share is one colour of a palette.
type Share struct {
	Color string  `json:"color"` // six hex digits
	Share float64 `json:"share"` // of the opaque pixels
}

// Original is one original in a list.
type Original struct {
	Key      string    `json:"key"`
	Bytes    int64     `json:"bytes"`
	ETag     string    `json:"etag"`
	Modified time.Time `json:"modified"`
}

// Page is a page of originals in the order of their keys.
type Page struct {
	Originals []Original `json:"originals"`
	Next      string     `json:"next,omitempty"` // give it as after=; empty: there are no more
}

// Info is an original with what its header says.
type Info struct {
	Original
	Origin string `json:"origin"`
	Facts
}

// New makes the handler; mount it at Prefix.
func New(deps Deps) http.Handler {
	a := &api{Deps: deps, many: make(chan struct{}, multiMax)}
	mux := http.NewServeMux()
	read := func(path string, do func(r *http.Request) (any, error)) {
		mux.Handle("GET "+Prefix+path, deps.Guard.Reads(delivery.JSON(do)))
	}
	read("originals", a.originals)
	read("info/{key...}", a.info)
	read("stats", func(*http.Request) (any, error) { return deps.Stats(), nil })
	read("traffic", a.traffic)
	mux.Handle("POST "+Prefix+"multi", http.HandlerFunc(a.multi))
	mux.Handle("POST "+Prefix+"grant", deps.Guard.Require(delivery.JSON(a.grant)))
	mux.Handle("POST "+Prefix+"sign", deps.Guard.Require(delivery.JSON(a.sign)))
	return mux
}

type api struct {
	Deps
	many chan struct{} // places of multi
}

func (a *api) originals(r *http.Request) (any, error) {
	q := r.URL.Query()
	limit := pageDefault
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > pageMax {
			return nil, images.Invalidf("limit", "%q is not a number from 1 to %d", s, pageMax)
		}
		limit = n
	}
	list, err := a.Originals.List(r.Context(), sourceOf(q), q.Get("prefix"), q.Get("after"), limit)
	if err != nil {
		return nil, err
	}
	page := Page{Originals: make([]Original, len(list))}
	for i, o := range list {
		page.Originals[i] = Original{Key: o.Key, Bytes: o.Size, ETag: o.ETag, Modified: o.ModTime.UTC()}
	}
	if len(list) == limit {
		page.Next = list[len(list)-1].Key
	}
	return page, nil
}

// trafficTop is how many originals traffic tells of where nothing is said.
const trafficTop = 20

func (a *api) traffic(r *http.Request) (any, error) {
	top := trafficTop
	if s := r.URL.Query().Get("top"); s != "" {
		var ok bool
		if top, ok = images.ParseInt(s, pageMax); !ok || top == 0 {
			return nil, images.Invalidf("top", "%q is not a number from 1 to %d", s, pageMax)
		}
	}
	return a.Traffic(top), nil
}

func sourceOf(q url.Values) string {
	if name := q.Get("origin"); name != "" {
		return name
	}
	return images.DefaultOrigin
}

func (a *api) info(r *http.Request) (any, error) {
	ask, err := askOf(r.URL.Query())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), infoTime)
	defer cancel()
	var o origin.Original
	o, err = a.Originals.Find(ctx, origin.Ref{Host: r.Host, Key: r.PathValue("key")})
	if images.KindOf(err) == images.NotFound {
		if kind, id, ok := strings.Cut(r.PathValue("key"), "/"); ok {
			o, err = a.Originals.Find(ctx, origin.Ref{Host: r.Host, Kind: kind, ID: id})
		}
	}
	if err != nil {
		return nil, err
	}
	body, err := a.Originals.Read(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer body.Release()
	facts, err := a.Facts(ctx, body.Data, ask)
	if err != nil {
		return nil, err
	}
	o = body.Original
	return Info{Original{o.Key, o.Size, o.ETag, o.Modified.UTC()}, o.Source, facts}, nil
}

// askOf reads which facts are wanted: palette=5, blurhash=4x3, thumbhash=1,
// dominant=1, attention=1.
func askOf(q url.Values) (ask Ask, err error) {
	if s := q.Get("palette"); s != "" {
		n, ok := images.ParseInt(s, paletteMax)
		if !ok || n == 0 {
			return ask, images.Invalidf("palette", "%q is not a number from 1 to %d", s, paletteMax)
		}
		ask.Palette = n
	}
	if s := q.Get("blurhash"); s != "" {
		x, y, _ := strings.Cut(s, "x")
		var okX, okY bool
		ask.BlurHashX, okX = images.ParseInt(x, blurHashMax)
		ask.BlurHashY, okY = images.ParseInt(y, blurHashMax)
		if !okX || !okY || ask.BlurHashX == 0 || ask.BlurHashY == 0 {
			return ask, images.Invalidf("blurhash", "%q is not as 4x3, each from 1 to %d", s, blurHashMax)
		}
	}
	for name, to := range map[string]*bool{"thumbhash": &ask.ThumbHash, "dominant": &ask.Dominant, "attention": &ask.Attention} {
		switch q.Get(name) {
		case "", "0":
		case "1":
			*to = true
		default:
			return ask, images.Invalidf(name, "it is neither 0 nor 1")
		}
	}
	return ask, nil
}

// Bounds of what may be asked for.
const (
	paletteMax  = 16
	blurHashMax = 9
)

// SignRequest is the body of POST sign.
type SignRequest struct {
	Path    string     `json:"path"`              // path and query as images sign takes them
	Expires *time.Time `json:"expires,omitempty"` // absent: never
}

// SignAnswer is what POST sign gives.
type SignAnswer struct {
	Path string `json:"path"`
}

func (a *api) sign(r *http.Request) (any, error) {
	if a.Sign == nil {
		return nil, images.Invalidf("path", "URLs are not signed here: the service runs with --insecure-unsigned")
	}
	var req SignRequest
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, signBytesMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return nil, images.Invalidf("body", "it is not {\"path\": \"/...\"}")
	}
	u, err := url.Parse(req.Path)
	if err != nil || !strings.HasPrefix(req.Path, "/") || u.Host != "" {
		return nil, images.Invalidf("path", "it does not begin with one slash")
	}
	var expires time.Time
	if req.Expires != nil {
		expires = *req.Expires
	}
	path, err := a.Sign(u, expires)
	return SignAnswer{path}, err
}
