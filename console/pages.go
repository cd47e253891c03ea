package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// How many originals a page of the gallery and the strip under the playground
// show.
const (
	galleryPage = 48
	stripLength = 18
)

func asStatus(err error) (*errStatus, bool) {
	var refused *errStatus
	return refused, errors.As(err, &refused)
}

// overviewData is the front page's.
type overviewData struct {
	Services []serviceState
	Sample   []original   // a few originals to begin with
	Cloud    *summaryData // nil: there is none
}

func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	data := overviewData{Services: c.serviceStates(r.Context())}
	if list, err := c.images.originals(r.Context(), "", "", 4); err == nil {
		data.Sample = list.Originals
	}
	if c.admin != nil {
		data.Cloud = c.summaryOf(r.Context())
	}
	c.show(w, r, "overview.html", "", page{Title: "overview.title", Section: "overview", Texts: c.texts.under("chart"), Data: data})
}

// galleryData is a page of originals.
type galleryData struct {
	Prefix string
	originals
	More string // address of the next page, may be empty
}

func (c *Console) gallery(w http.ResponseWriter, r *http.Request) {
	data := galleryData{Prefix: strings.TrimLeft(r.FormValue("prefix"), "/")}
	var err error
	data.originals, err = c.images.originals(r.Context(), data.Prefix, r.FormValue("after"), galleryPage)
	if refused, ok := asStatus(err); ok && refused.status == http.StatusBadRequest && data.Prefix != "" {
		err = nil // no name begins so, and none can
	}
	if err != nil {
		c.fail(w, r, "gallery", err)
		return
	}
	if data.Next != "" {
		data.More = "/images?" + url.Values{"prefix": {data.Prefix}, "after": {data.Next}}.Encode()
	}
	fragment := "originals"
	if r.FormValue("after") != "" {
		fragment = "cards"
	}
	c.show(w, r, "gallery.html", fragment, page{Title: "gallery.title", Section: "gallery", Data: data})
}

// playgroundData is one original to play with.
type playgroundData struct {
	Info    info
	Strip   []original
	Signing bool // URLs have to be signed
	Problem string
}

func (c *Console) playground(w http.ResponseWriter, r *http.Request) {
	list, err := c.images.originals(r.Context(), "", "", stripLength)
	if err != nil {
		c.fail(w, r, "playground", err)
		return
	}
	key := r.FormValue("key")
	if key == "" {
		if len(list.Originals) == 0 {
			c.show(w, r, "gallery.html", "", page{Title: "gallery.title", Section: "playground", Data: galleryData{}})
			return
		}
		http.Redirect(w, r, "/images/playground?key="+url.QueryEscape(list.Originals[0].Key), http.StatusFound)
		return
	}
	data := playgroundData{Strip: list.Originals}
	if data.Info, err = c.images.info(r.Context(), key); err != nil {
		c.fail(w, r, "playground", err)
		return
	}
	if data.Signing, err = c.images.mustSign(r.Context()); err != nil {
		c.fail(w, r, "playground", err)
		return
	}
	c.show(w, r, "playground.html", "", page{Title: "playground.title", Section: "playground", Texts: c.texts.under("play"), Data: data})
}

// presetsData shows every preset on one original.
type presetsData struct {
	Presets []Preset
	Key     string // of the original they are shown on; empty: there is none
}

func (c *Console) presets(w http.ResponseWriter, r *http.Request) {
	data := presetsData{Presets: c.cfg.Presets, Key: r.FormValue("key")}
	if data.Key == "" {
		list, err := c.images.originals(r.Context(), "", "", 1)
		if err != nil {
			c.fail(w, r, "presets", err)
			return
		}
		if len(list.Originals) > 0 {
			data.Key = list.Originals[0].Key
		}
	}
	c.show(w, r, "presets.html", "", page{Title: "presets.title", Section: "presets", Data: data})
}

// Picture is the address of the preset shown on an original.
func (p Preset) Picture(key string) string {
	return fmt.Sprintf("/pictures/preset:%s/%s", p.Name, escapeKey(key))
}

func (c *Console) statistics(w http.ResponseWriter, r *http.Request) {
	s, err := c.images.stats(r.Context())
	if err != nil {
		c.fail(w, r, "stats", err)
		return
	}
	c.show(w, r, "stats.html", "statistics", page{Title: "stats.title", Section: "stats", Data: s})
}

// serviceState is one line of the overview's table.
type serviceState struct {
	Service
	Up   bool
	Took time.Duration
}

// Milliseconds is how long the service took to say that it is ready.
func (s serviceState) Milliseconds() string {
	return fmt.Sprintf("%.1f", float64(s.Took)/float64(time.Millisecond))
}
