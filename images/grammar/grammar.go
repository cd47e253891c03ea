// Package grammar reads and writes picture URLs of every grammar that a
// configuration allows: it decides by the path which grammar a URL is of, and
// holds the rules that are the same for all of them.
//
// Reading a URL has three steps, in this order: its form (Parse, 400), its
// signature (signature.Keys.Verify, 403), and only then the original (404). So
// a wrong URL is called wrong before anything is known about keys, and nobody
// without a signature learns which originals exist.
package grammar

import (
	"net/url"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/imgproxy"
	"github.com/kamado/kamado/images/native"
	"github.com/kamado/kamado/images/tofu"
)

// Grammar reads and writes picture URLs. Safe for concurrent use.
type Grammar struct {
	cfg    images.Config
	names  images.Catalogue
	tofu   tofu.Grammar
	native native.Grammar
	proxy  imgproxy.Grammar
}

// New makes the grammar of a configuration that is valid.
func New(cfg images.Config, names images.Catalogue) (*Grammar, error) {
	generation, err := tofu.ParseGeneration(cfg.TOFU.Generation)
	if err != nil {
		return nil, err
	}
	return &Grammar{
		cfg: cfg, names: names,
		tofu:   tofu.Grammar{Generation: generation, Names: names},
		native: native.Grammar{Names: names},
		proxy: imgproxy.Grammar{
			Names: names, Prefix: cfg.ImgProxy.Prefix, Buckets: buckets(cfg), Web: cfg.ImgProxy.Web, Watermark: cfg.ImgProxy.Watermark,
		},
	}, nil
}

// buckets are the origins that are buckets, by the bucket's name.
func buckets(cfg images.Config) map[string]string {
	names := map[string]string{}
	for origin, o := range cfg.AllOrigins() {
		if o.S3.Bucket != "" {
			names[o.S3.Bucket] = origin
		}
	}
	return names
}

// isNative says whether a path is of the native grammar. While that is on, no
// kind can be called "i".
func (g *Grammar) isNative(path string) bool {
	return g.cfg.Native && (strings.HasPrefix(path, native.Prefix) || path == "/i")
}

// Parse reads a URL that was asked for under a host name (without its port;
// empty when there is none). Errors are of kind images.Invalid, or TooLarge
// when the box alone is over the limits.
func (g *Grammar) Parse(u *url.URL, host string) (images.Request, error) {
	req, err := g.parse(u)
	if err != nil {
		return req, err
	}
	if err := g.cfg.Source(req.Kind, host).Allows(req.Preset, g.cfg.OnlyPresets); err != nil {
		return req, err
	}
	if g.cfg.OnlyPresets && (req.Grammar == native.Name || req.Grammar == imgproxy.Name) && !g.plainPreset(&req) {
		return req, images.Invalidf("options", "nothing can be added to a preset here")
	}
	return req, req.Rendition.Check(g.cfg.Limits)
}

func (g *Grammar) parse(u *url.URL) (images.Request, error) {
	if g.isNative(u.Path) {
		return g.native.Parse(u)
	}
	if g.cfg.ImgProxy.Enabled && strings.HasPrefix(u.Path, g.cfg.ImgProxy.Prefix+"/") {
		return g.proxy.Parse(u)
	}
	return g.tofu.Parse(u)
}

// plainPreset says whether a request is a preset and no more, but for format.
func (g *Grammar) plainPreset(req *images.Request) bool {
	preset, err := g.names.Complete(g.names.Presets[req.Preset])
	if err != nil {
		return false
	}
	return preset == req.Rendition
}

// Sign gives the URL's path and query with its signature; see the Sign of each
// grammar for what may stand in the signature's place before.
func (g *Grammar) Sign(u *url.URL, expires time.Time, sign func(canonical string) string) (string, error) {
	if g.isNative(u.Path) {
		return g.native.Sign(u, expires, sign)
	}
	return g.tofu.Sign(u, expires, sign)
}

// Style names a grammar to write a URL in.
type Style string

// The styles. Shortest is the TOFU grammar where the request names a kind and
// that grammar can say it, the native one otherwise.
const (
	Shortest Style = "auto"
	TOFU     Style = "tofu"
	Native   Style = "native"
)

// URL writes a request; sign nil writes an unsigned URL. name is generation
// 2's any-name and may be empty.
func (g *Grammar) URL(style Style, req images.Request, name string, sign func(canonical string) string) (string, error) {
	if style != Native && req.Kind != "" {
		url, err := g.tofu.URL(req, name, sign)
		if err == nil || style == TOFU {
			return url, err
		}
	}
	if style == TOFU {
		return "", images.Invalidf("kind", "TOFU URLs name a kind and an id")
	}
	if req.Key == "" {
		req.Key = req.Kind + "/" + req.ID
	}
	return g.native.URL(req, sign)
}

// Names is what names in URLs can mean.
func (g *Grammar) Names() images.Catalogue { return g.names }
