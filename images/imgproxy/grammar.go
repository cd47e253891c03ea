package imgproxy

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/kamado/kamado/images"
)

// Name is the grammar's name in images.Request.
const Name = "imgproxy"

// unsafe is the signature that clients write where none is wanted.
const unsafe = "unsafe"

// Grammar reads the dialect's URLs.
type Grammar struct {
	Names images.Catalogue
	// Prefix is what all paths begin with, without a slash at its end; may be empty.
	Prefix string
	// Buckets maps the bucket of s3://bucket/key to the origin that it is.
	Buckets map[string]string
	// Web is the origin of http and https sources; empty: they are refused.
	Web string
	// Watermark is what the option watermark lays over; empty: it is refused.
	Watermark string
}

// Parse reads a URL. It checks everything about its form and nothing else: not
// the signature, not whether the original exists.
func (g Grammar) Parse(u *url.URL) (images.Request, error) {
	req := images.Request{Grammar: Name}
	path := u.EscapedPath()
	if len(path) > images.MaxPath {
		return req, images.Invalidf("path", "it is longer than %d bytes", images.MaxPath)
	}
	rest, ok := strings.CutPrefix(path, g.Prefix+"/")
	if !ok {
		return req, images.Invalidf("path", "it does not begin with %s/", g.Prefix)
	}
	// A query is not signed, and says nothing: clients and CDNs add to it.
	signature, signed, ok := strings.Cut(rest, "/")
	if !ok || signed == "" {
		return req, images.Invalidf("path", "it is not /{signature}/{options}/{source}")
	}
	req.Canonical = "/" + signed
	if signature != unsafe {
		req.Signature = signature
	}
	p := parser{Grammar: g, req: &req}
	source, err := p.options(signed)
	if err != nil {
		return req, err
	}
	if err := p.source(source); err != nil {
		return req, err
	}
	if req.Rendition, err = p.finish(); err != nil {
		return req, err
	}
	return req, req.Rendition.Validate()
}

// parser is one URL being read.
type parser struct {
	Grammar
	req *images.Request
	state
}

// options reads the options in front of the source and gives the source.
func (p *parser) options(path string) (source string, err error) {
	if source, ok, err := p.basic(path); ok {
		return source, err
	}
	for n := 0; ; n++ {
		segment, rest, more := strings.Cut(path, "/")
		name, args, isOption := cutOption(segment)
		if !isOption || !more {
			return path, nil
		}
		if n == optionsMax {
			return "", images.Invalidf("options", "there are more than %d", optionsMax)
		}
		if err := p.option(name, args); err != nil {
			return "", err
		}
		path = rest
	}
}

// optionsMax bounds the options of one URL.
const optionsMax = 64

// cutOption tells an option from the beginning of a source. The escape of a
// colon is a colon: some clients write it.
func cutOption(segment string) (name string, args []string, ok bool) {
	if strings.Contains(segment, "%") {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "", nil, false
		}
		segment = plain
	}
	name, rest, ok := strings.Cut(segment, ":")
	if !ok || name == "" || strings.Contains(rest, "//") {
		return "", nil, false
	}
	return name, strings.Split(rest, ":"), true
}

// source reads what names the original, and the extension.
func (p *parser) source(text string) error {
	var extension string
	plain, isPlain := strings.CutPrefix(text, "plain/")
	switch {
	case isPlain:
		at := strings.LastIndexByte(plain, '@')
		if at >= 0 {
			plain, extension = plain[:at], plain[at+1:]
		}
		decoded, err := url.PathUnescape(plain)
		if err != nil {
			return images.Invalidf("source", "it has an escape that is none")
		}
		text = decoded
	case strings.HasPrefix(text, "enc/"):
		return images.Invalidf("source", "encrypted sources are not known here")
	default:
		encoded, ext, _ := strings.Cut(strings.ReplaceAll(text, "/", ""), ".")
		extension = ext
		decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil || len(decoded) == 0 {
			return images.Invalidf("source", "%q is neither plain/... nor base64url", clip(text))
		}
		text = string(decoded)
	}
	if extension != "" {
		if err := p.format([]string{extension}); err != nil {
			return err
		}
	}
	return p.original(text)
}

// original says where the original of a source lies.
func (p *parser) original(source string) error {
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok {
		return p.key("", strings.TrimPrefix(source, "/"))
	}
	switch strings.ToLower(scheme) {
	case "local":
		return p.key("", strings.TrimPrefix(rest, "/"))
	case "s3":
		bucket, key, _ := strings.Cut(rest, "/")
		origin, ok := p.Buckets[bucket]
		if !ok {
			return images.Invalidf("source", "no origin here is the bucket %q", clip(bucket))
		}
		return p.key(origin, key)
	case "http", "https":
		if p.Web == "" {
			return images.Invalidf("source", "sources on the web are not taken here: no origin is for them")
		}
		if len(source) > images.MaxPath {
			return images.Invalidf("source", "it is longer than %d bytes", images.MaxPath)
		}
		p.req.Origin, p.req.Key = p.Web, source
		return nil
	}
	return images.Invalidf("source", "%q is not a scheme that is known here", clip(scheme))
}

func (p *parser) key(origin, key string) error {
	if err := images.CheckKey(key); err != nil {
		return err
	}
	p.req.Origin, p.req.Key = origin, key
	return nil
}

// clip bounds what an error message repeats of a URL.
func clip(s string) string {
	const most = 100 // bytes
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
