// Package native reads and writes the URLs that can say everything a rendition
// can be:
//
//	/i/{signature}/{options}/{key}
//
// The signature is 32 hex digits, or "-" where URLs need none. The options are
// those of images.ParseRendition, in their canonical order and only where they
// differ from what holds without them, as "w:480,h:360,fit:crop,q:70"; "whole"
// when there are none. Before them may stand "preset:NAME", which they then
// change; after them "version:TEXT", which changes when the original does, and
// "expires:SECONDS", the Unix time from which the URL is refused. The key is
// the original's, slashes and all.
//
// There is no query. A request has one spelling; others are refused with the
// right one named. What is signed is the path without its signature,
// /i/{options}/{key}, the key's segments escaped by images.Escape.
package native

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
)

// Name is the grammar's name in images.Request.
const Name = "native"

// Prefix begins every URL of the grammar.
const Prefix = "/i/"

// Unsigned stands in the place of the signature where there is none.
const Unsigned = "-"

// Grammar reads and writes native URLs.
type Grammar struct {
	Names images.Catalogue
}

// Parse reads a URL. It checks everything about its form and nothing else.
func (g Grammar) Parse(u *url.URL) (images.Request, error) {
	req := images.Request{Grammar: Name}
	parts, err := images.Segments(u)
	if err != nil {
		return req, err
	}
	if len(parts) < 4 || parts[0] != "i" {
		return req, images.Invalidf("path", "it is not /i/{signature}/{options}/{key}")
	}
	if u.RawQuery != "" {
		return req, images.Invalidf("query", "native URLs have none")
	}
	if parts[1] != Unsigned {
		req.Signature = parts[1]
	}
	req.Key = strings.Join(parts[3:], "/")
	// Each part is checked by itself: an escaped slash must not become one.
	for _, part := range parts[3:] {
		if err := images.CheckSegment("key", part, images.MaxID); err != nil {
			return req, err
		}
	}
	if err := images.CheckKey(req.Key); err != nil {
		return req, err
	}
	rendition, err := g.options(&req, parts[2])
	if err != nil {
		return req, err
	}
	if right := g.spell(&req, rendition); right != parts[2] {
		return req, images.Invalidf("options", "%q is written %q", clip(parts[2]), right)
	}
	req.Canonical = canonical(parts[2], req.Key)
	req.Rendition, err = g.Names.Complete(rendition)
	return req, err
}

// options reads the options. What it gives is not normalised if it starts from
// a preset: an option may be there to undo another.
func (g Grammar) options(req *images.Request, text string) (r images.Rendition, err error) {
	if text == images.Whole {
		return r, nil
	}
	if after, ok := strings.CutPrefix(text, "preset:"); ok {
		req.Preset, text, _ = strings.Cut(after, ",")
		if r, err = g.Names.Preset(req.Preset); err != nil {
			return r, err
		}
	}
	items := strings.Split(text, ",")
	if last, ok := strings.CutPrefix(items[len(items)-1], "expires:"); ok {
		if req.Expires, err = images.ParseExpiry("expires", last); err != nil {
			return r, err
		}
		items = items[:len(items)-1]
	}
	if len(items) > 0 {
		if last, ok := strings.CutPrefix(items[len(items)-1], "version:"); ok {
			if !validVersion(last) {
				return r, images.Invalidf("version", "%q is not 1 to %d letters, digits, - . or _", clip(last), images.MaxVersion)
			}
			req.Version, items = last, items[:len(items)-1]
		}
	}
	if r, err = r.With(strings.Join(items, ",")); err != nil {
		return r, err
	}
	if req.Preset == "" {
		r = r.Normal()
	}
	return r, nil
}

// spell is the one spelling of a request's options. r is what options gave.
func (g Grammar) spell(req *images.Request, r images.Rendition) string {
	var base images.Rendition
	var items []string
	if req.Preset != "" {
		base = g.Names.Presets[req.Preset]
		items = append(items, "preset:"+req.Preset)
	}
	if s := r.Spell(base); s != "" {
		items = append(items, s)
	}
	if req.Version != "" {
		items = append(items, "version:"+req.Version)
	}
	if !req.Expires.IsZero() {
		items = append(items, "expires:"+strconv.FormatInt(req.Expires.Unix(), 10))
	}
	if len(items) == 0 {
		return images.Whole
	}
	return strings.Join(items, ",")
}

func canonical(options, key string) string { return Prefix + options + "/" + images.EscapeKey(key) }

// URL writes a request, whose rendition may be as the caller built it. With a
// preset the rendition is the whole of what is wanted, and only what differs
// from the preset is written. sign gives the signature of a canonical form;
// nil writes an unsigned URL.
func (g Grammar) URL(req images.Request, sign func(canonical string) string) (string, error) {
	if err := images.CheckKey(req.Key); err != nil {
		return "", err
	}
	if err := req.Rendition.Validate(); err != nil {
		return "", err
	}
	if req.Version != "" && !validVersion(req.Version) {
		return "", images.Invalidf("version", "%q is not 1 to %d letters, digits, - . or _", clip(req.Version), images.MaxVersion)
	}
	if req.Preset != "" {
		if _, err := g.Names.Preset(req.Preset); err != nil {
			return "", err
		}
	} else {
		req.Rendition = req.Rendition.Normal()
	}
	options := g.spell(&req, req.Rendition)
	signature := Unsigned
	if sign != nil {
		signature = sign(canonical(options, req.Key))
	}
	return Prefix + signature + "/" + options + "/" + images.EscapeKey(req.Key), nil
}

// Sign writes a URL with its signature in the place of the one it has, which
// may be anything. The options may be in any spelling that means something;
// the result has the right one. expires replaces the URL's own expiry unless
// it is zero.
func (g Grammar) Sign(u *url.URL, expires time.Time, sign func(canonical string) string) (string, error) {
	parts, err := images.Segments(u)
	if err != nil {
		return "", err
	}
	if len(parts) < 4 || parts[0] != "i" {
		return "", images.Invalidf("path", "it is not /i/{signature}/{options}/{key}")
	}
	if u.RawQuery != "" {
		return "", images.Invalidf("query", "native URLs have none")
	}
	for _, part := range parts[3:] {
		if err := images.CheckSegment("key", part, images.MaxID); err != nil {
			return "", err
		}
	}
	req := images.Request{Key: strings.Join(parts[3:], "/")}
	if req.Rendition, err = g.options(&req, parts[2]); err != nil {
		return "", err
	}
	if !expires.IsZero() {
		req.Expires = expires
	}
	return g.URL(req, sign)
}

// validVersion: what can stand between commas in a path without an escape.
func validVersion(s string) bool {
	return s != "" && len(s) <= images.MaxVersion && images.Escape(s) == s
}

// clip bounds what an error message repeats of a URL.
func clip(s string) string {
	const most = 200 // bytes
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
