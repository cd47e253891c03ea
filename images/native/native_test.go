package native_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/native"
)

const hex32 = "0123456789abcdef0123456789abcdef"

func grammar(t testing.TB) native.Grammar {
	t.Helper()
	cfg := images.Default()
	cfg.Presets = map[string]string{"thumb": "w:180,h:180,fit:crop,gravity:north,q:60", "plain": "whole"}
	cfg.Watermarks = map[string]images.WatermarkSource{"logo": {File: "logo.png", Gravity: "southeast", X: 8, Opacity: 0.5}}
	names, err := cfg.Catalogue(map[string]string{"logo": "abc"})
	if err != nil {
		t.Fatal(err)
	}
	return native.Grammar{Names: names}
}

func parse(t testing.TB, s string) (images.Request, error) {
	t.Helper()
	u, err := url.ParseRequestURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return grammar(t).Parse(u)
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, url, key, rendition, canonical string }{
		{"an unsigned URL has a hyphen", "/i/-/w:480/recipes/1.jpg", "recipes/1.jpg", "w:480", "/i/w:480/recipes/1.jpg"},
		{"a signed one has the signature", "/i/" + hex32 + "/w:480/recipes/1.jpg", "recipes/1.jpg", "w:480", "/i/w:480/recipes/1.jpg"},
		{"the whole picture has no options", "/i/-/whole/a", "a", "whole", "/i/whole/a"},
		{"a key is as deep as it likes", "/i/-/q:5/a/b/c/d.png", "a/b/c/d.png", "q:5", "/i/q:5/a/b/c/d.png"},
		{"a key is escaped by segment", "/i/-/q:5/a%20b/%E8%82%89.png", "a b/肉.png", "q:5", "/i/q:5/a%20b/%E8%82%89.png"},
		{"a preset", "/i/-/preset:thumb/a", "a", "w:180,h:180,fit:crop,gravity:north,q:60", "/i/preset:thumb/a"},
		{"a preset that is the whole picture", "/i/-/preset:plain/a", "a", "whole", "/i/preset:plain/a"},
		{"options change a preset", "/i/-/preset:thumb,w:90,fit:inside/a", "a", "w:90,h:180,q:60", "/i/preset:thumb,w:90,fit:inside/a"},
		{"options undo a preset's", "/i/-/preset:thumb,gravity:center/a", "a", "w:180,h:180,fit:crop,q:60", "/i/preset:thumb,gravity:center/a"},
		{"a watermark lies where it is configured", "/i/-/watermark:logo/a", "a", "watermark:logo:0.5:southeast:8:0:0:abc", "/i/watermark:logo/a"},
		{"a watermark lies where the URL says", "/i/-/watermark:logo:1:north:0:0:0.5/a", "a", "watermark:logo:1:north:0:0:0.5:abc", "/i/watermark:logo:1:north:0:0:0.5/a"},
		{"version and expiry come last", "/i/-/w:480,version:v1.2,expires:1800000000/a", "a", "w:480", "/i/w:480,version:v1.2,expires:1800000000/a"},
		{"version alone", "/i/-/version:3/a", "a", "whole", "/i/version:3/a"},
		{"everything at once, in order", "/i/-/w:1,h:2,dpr:3,fit:crop,enlarge:0,gravity:focal:0.1:0.2,region:1:2:3:4,rotate:90,flip:h,background:012345,blur:1,sharpen:2,still:1,metadata:copyright,q:3,format:webp/a", "a",
			"w:1,h:2,dpr:3,fit:crop,enlarge:0,gravity:focal:0.1:0.2,region:1:2:3:4,rotate:90,flip:h,background:012345,blur:1,sharpen:2,still:1,metadata:copyright,q:3,format:webp",
			"/i/w:1,h:2,dpr:3,fit:crop,enlarge:0,gravity:focal:0.1:0.2,region:1:2:3:4,rotate:90,flip:h,background:012345,blur:1,sharpen:2,still:1,metadata:copyright,q:3,format:webp/a"},
	} {
		req, err := parse(t, c.url)
		if err != nil || req.Key != c.key || req.Rendition.String() != c.rendition || req.Canonical != c.canonical {
			t.Errorf("%s: Parse(%q) = %q, %s, %q, %v\nwant %q, %s, %q", c.name, c.url, req.Key, req.Rendition, req.Canonical, err, c.key, c.rendition, c.canonical)
		}
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, url, part, right string }{
		{"no key", "/i/-/w:480", "path", "{key}"},
		{"an empty key", "/i/-/w:480/", "key", "empty"},
		{"an empty segment", "/i/-/w:480/a//b", "key", "empty"},
		{"a way out", "/i/-/w:480/a/../../etc/passwd", "key", "dot"},
		{"an escaped slash", "/i/-/w:480/a%2Fb", "key", "character"},
		{"a query", "/i/-/w:480/a?x=1", "query", "none"},
		{"a wrong order", "/i/-/h:360,w:480/a", "options", `"w:480,h:360"`},
		{"an option that changes nothing", "/i/-/w:480,fit:crop/a", "options", `"w:480"`},
		{"a default", "/i/-/w:480,dpr:1/a", "options", `"w:480"`},
		{"a preset's own value", "/i/-/preset:thumb,w:180/a", "options", `"preset:thumb"`},
		{"a comma at the end", "/i/-/w:480,/a", "options", `"w:480"`},
		{"two spellings of nothing", "/i/-/fit:inside/a", "options", `"whole"`},
		{"no options", "/i/-//a", "options", `"whole"`},
		{"an unknown option", "/i/-/width:480/a", "options", "not an option"},
		{"an unknown preset", "/i/-/preset:nope/a", "preset", "no preset"},
		{"an unknown watermark", "/i/-/watermark:nope/a", "watermark", "no watermark"},
		{"a preset in the wrong place", "/i/-/w:480,preset:thumb/a", "options", "not an option"},
		{"an expiry before the rest", "/i/-/expires:1800000000,w:480/a", "options", "not an option"},
		{"an expiry that is no time", "/i/-/w:480,expires:soon/a", "expires", "seconds"},
		{"a version with a space", "/i/-/version:a%20b/a", "version", "letters"},
		{"a number out of range", "/i/-/q:101/a", "q", "100"},
	} {
		_, err := parse(t, c.url)
		var e *images.Error
		if !errors.As(err, &e) || e.Kind != images.Invalid || e.Part != c.part || !strings.Contains(e.Detail, c.right) {
			t.Errorf("%s: Parse(%q): %v, want an error about %q that says %q", c.name, c.url, err, c.part, c.right)
		}
	}
}

func TestSignPutsOptionsRight(t *testing.T) {
	for in, want := range map[string]string{
		"/i/x/h:360,w:480,fit:inside/a/b.jpg": "/i/" + hex32 + "/w:480,h:360/a/b.jpg",
		"/i/-/whole/a":                        "/i/" + hex32 + "/whole/a",
		"/i/-/preset:thumb/a%20b":             "/i/" + hex32 + "/preset:thumb/a%20b",
	} {
		u, err := url.ParseRequestURI(in)
		if err != nil {
			t.Fatal(err)
		}
		var canonical string
		got, err := grammar(t).Sign(u, time.Time{}, func(c string) string { canonical = c; return hex32 })
		if err != nil || got != want {
			t.Errorf("Sign(%q) = %q, %v, want %q", in, got, err, want)
			continue
		}
		if req, err := parse(t, got); err != nil || req.Canonical != canonical || req.Signature != hex32 {
			t.Errorf("Sign(%q) = %q over %q, which reads as %q, %v", in, got, canonical, req.Canonical, err)
		}
	}
}

// FuzzParse: what parses is in its one spelling, so printing gives the URL
// back, and with it the same request.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/i/-/w:480,h:360,fit:crop,q:70/recipes/1.jpg", "/i/" + hex32 + "/preset:thumb,w:90,fit:inside,version:1,expires:5/a%20b/c",
		"/i/-/watermark:logo:1:north:0:-3:0.5,format:auto/%E8%82%89", "/i/-/whole/a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.ParseRequestURI(s)
		if err != nil {
			return
		}
		g := grammar(t)
		req, err := g.Parse(u)
		if err != nil {
			if images.KindOf(err) != images.Invalid {
				t.Fatalf("Parse(%q): %v is of kind %v", s, err, images.KindOf(err))
			}
			return
		}
		var canonical string
		signed, err := g.Sign(u, time.Time{}, func(c string) string { canonical = c; return hex32 })
		if err != nil {
			t.Fatalf("%q parses and cannot be signed: %v", s, err)
		}
		if canonical != req.Canonical {
			t.Fatalf("%q is signed over %q and verified over %q", s, canonical, req.Canonical)
		}
		again, err := parse(t, signed)
		if err != nil || again.Rendition != req.Rendition || again.Key != req.Key {
			t.Fatalf("%q signed is %q, another request (%v)", s, signed, err)
		}
	})
}
