package tofu

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kamado/kamado/images"
)

// Generation is a generation of TOFU URLs, or Auto.
type Generation string

// The generations. Auto tells them apart by their form: a size without a mode
// or without a quality, or a last part of 32 hex digits, is generation 1.
const (
	Auto   Generation = "auto"
	First  Generation = "1"
	Second Generation = "2"
)

// ParseGeneration reads a configuration value or a flag.
func ParseGeneration(s string) (Generation, error) {
	switch g := Generation(s); g {
	case Auto, First, Second:
		return g, nil
	}
	return "", fmt.Errorf("%q is not a generation of TOFU: 1, 2 or auto", s)
}

// Names of grammars in images.Request.
const (
	Name1 = "tofu1"
	Name2 = "tofu2"
)

// SignatureLength is the number of hex digits of a signature.
const SignatureLength = 32

// unsigned stands in the place of a signature where only its form is wanted.
const unsigned = "00000000000000000000000000000000"

// maxName bounds the any-name of generation 2 and the last part of generation
// 1, in bytes after decoding.
const maxName = 255

// Grammar reads URLs of one generation or of both. The zero Generation is Auto.
type Grammar struct {
	Generation Generation
	Names      images.Catalogue

	anyPreset bool
}

// Parse reads a URL. It checks everything about its form and nothing else: not
// the signature, not whether the original exists.
func (g Grammar) Parse(u *url.URL) (images.Request, error) {
	parts, err := images.Segments(u)
	if err != nil {
		return images.Request{}, err
	}
	if len(parts) != 4 {
		return images.Request{}, images.Invalidf("path", "it has %d parts where /{kind}/{id}/{size}/{name} has 4", len(parts))
	}
	p := parser{names: g.Names, anyPreset: g.anyPreset}
	p.req.Kind, p.req.ID = parts[0], parts[1]
	if err := images.CheckSegment("kind", p.req.Kind, images.MaxKind); err != nil {
		return p.req, err
	}
	if err := images.CheckSegment("id", p.req.ID, images.MaxID); err != nil {
		return p.req, err
	}
	if p.size, err = ParseSize(parts[2]); err != nil {
		return p.req, err
	}
	if err := p.last(g.Generation, parts[3]); err != nil {
		return p.req, err
	}
	if err := p.query(u); err != nil {
		return p.req, err
	}
	return p.finish()
}

// parser holds a URL half read.
type parser struct {
	names     images.Catalogue
	anyPreset bool // presets need not be known; the request then has no rendition
	req       images.Request
	size      Size
	format    images.Format // FormatUnknown: no extension
}

// last reads the last part of the path, which tells the generations apart.
func (p *parser) last(generation Generation, part string) error {
	if part == "" {
		return images.Invalidf("name", "the last part of the path is empty")
	}
	if len(part) > maxName {
		return images.Invalidf("name", "the last part of the path is longer than %d bytes", maxName)
	}
	stem, ext, dotted := cutExtension(part)
	switch generation {
	case First, Second:
	default:
		generation = Second
		if !p.size.complete() || isSignature(stem) {
			generation = First
		}
	}
	if generation == First {
		p.req.Grammar = Name1
		return p.first(stem, ext, dotted)
	}
	p.req.Grammar = Name2
	return p.second(stem, ext, dotted)
}

// first reads {signature}[.ext]. Where URLs need no signature the last part is
// anything; what looks like an extension and is none we know is then part of
// the name.
func (p *parser) first(stem, ext string, dotted bool) error {
	signed := isSignature(stem)
	if signed {
		p.req.Signature = stem
	}
	if !dotted {
		return nil
	}
	lower := strings.ToLower(ext)
	f, known := images.ParseFormat(lower)
	switch {
	case !known && !signed:
		return nil
	case !known:
		return images.Invalidf("extension", "%q is not a format; one of %s is", clip(ext), writable())
	case !f.Writable():
		return images.Invalidf("extension", "%s can be read but not written; one of %s can", f, writable())
	case signed && ext != f.Extension():
		return images.Invalidf("extension", "%s is written %s", clip(ext), f.Extension())
	}
	p.format = f
	return nil
}

// second reads {any-name}.{ext}.
func (p *parser) second(stem, ext string, dotted bool) error {
	if !p.size.complete() {
		return images.Invalidf("size", "%s lacks a part: generation 2 has a width, a height, c or s, and a quality, such as 480x360cq70", p.size)
	}
	if !dotted || stem == "" {
		return images.Invalidf("name", "the last part is a name and an extension, such as any.jpg")
	}
	f, known := images.ParseFormat(ext)
	if !known {
		if lower, ok := images.ParseFormat(strings.ToLower(ext)); ok {
			return images.Invalidf("extension", "%s is written %s", clip(ext), lower.Extension())
		}
		return images.Invalidf("extension", "%q is not a format; one of %s is", clip(ext), writable())
	}
	if !f.Writable() {
		return images.Invalidf("extension", "%s can be read but not written; one of %s can", f, writable())
	}
	p.format = f
	return nil
}

// query reads the parameters of the generation.
func (p *parser) query(u *url.URL) error {
	known := []string{"u", "p", "e"}
	if p.req.Grammar == Name2 {
		known = append(known, "s")
	}
	values, err := images.Query(u, known...)
	if err != nil {
		return err
	}
	p.req.Owner, p.req.Version = values["u"], values["p"]
	if len(p.req.Owner) > images.MaxOwner {
		return images.Invalidf("u", "it is longer than %d bytes", images.MaxOwner)
	}
	if len(p.req.Version) > images.MaxVersion {
		return images.Invalidf("p", "it is longer than %d bytes", images.MaxVersion)
	}
	if s := values["s"]; s != "" {
		p.req.Signature = s
	}
	p.req.Expires, err = images.ParseExpiry("e", values["e"])
	return err
}

// finish makes the rendition and the canonical form.
func (p *parser) finish() (images.Request, error) {
	if p.anyPreset && p.size.Preset != "" {
		p.req.Preset = p.size.Preset
		p.req.Canonical = canonical(&p.req, p.size, p.format)
		return p.req, nil
	}
	r, err := p.size.Rendition(p.names)
	if err != nil {
		return p.req, err
	}
	if p.format != images.FormatUnknown {
		r.Format, r.AutoFormat = p.format, false
	}
	p.req.Preset = p.size.Preset
	if p.req.Rendition, err = p.names.Complete(r); err != nil {
		return p.req, err
	}
	p.req.Canonical = canonical(&p.req, p.size, p.format)
	return p.req, nil
}

// canonical is what is signed.
func canonical(req *images.Request, size Size, format images.Format) string {
	path := "/" + images.Escape(req.Kind) + "/" + images.Escape(req.ID) + "/" + size.String() + "/"
	if format != images.FormatUnknown {
		path += "." + format.Extension()
	}
	return path + query(req)
}

// query writes the parameters in their order, without the signature.
func query(req *images.Request) string {
	var items []string
	if req.Owner != "" {
		items = append(items, "u="+images.Escape(req.Owner))
	}
	if req.Version != "" {
		items = append(items, "p="+images.Escape(req.Version))
	}
	if !req.Expires.IsZero() {
		items = append(items, "e="+strconv.FormatInt(req.Expires.Unix(), 10))
	}
	if len(items) == 0 {
		return ""
	}
	return "?" + strings.Join(items, "&")
}

// cutExtension splits at the last dot.
func cutExtension(part string) (stem, ext string, dotted bool) {
	if i := strings.LastIndexByte(part, '.'); i >= 0 {
		return part[:i], part[i+1:], true
	}
	return part, "", false
}

// isSignature says whether s has the form of a signature: 32 lower-case hex
// digits.
func isSignature(s string) bool {
	if len(s) != SignatureLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// writable lists the extensions that choose a format.
func writable() string {
	var names []string
	for _, f := range images.Formats(true) {
		names = append(names, f.Extension())
	}
	return strings.Join(names, ", ")
}

// URL writes a request as a URL's path and query. sign gives the signature of
// a canonical form; nil writes an unsigned URL. The name is generation 2's
// any-name, and what stands in the signature's place in an unsigned URL of
// generation 1.
//
// Auto writes generation 2 where that can say the request, else 1. An error
// says what TOFU URLs cannot say.
func (g Grammar) URL(req images.Request, name string, sign func(canonical string) string) (string, error) {
	size, err := sizeOf(req.Rendition, req.Preset)
	if err != nil {
		return "", err
	}
	format := req.Rendition.Format
	if req.Preset != "" {
		// The preset brings its format; only another one has to be written.
		preset, err := g.Names.Preset(req.Preset)
		if err != nil {
			return "", err
		}
		if preset.Format == format && preset.AutoFormat == req.Rendition.AutoFormat {
			format = images.FormatUnknown
		}
		changed := req.Rendition
		changed.Format, changed.AutoFormat = preset.Format, preset.AutoFormat
		if changed != preset {
			return "", images.Invalidf("size", "TOFU URLs cannot change a preset in anything but its format")
		}
	}
	generation := g.Generation
	second := size.complete() && format != images.FormatUnknown
	if generation != First && generation != Second {
		generation = First
		if second {
			generation = Second
		}
	}
	if generation == Second && !second {
		return "", images.Invalidf("size", "a generation 2 URL needs a width, a height, c or s, a quality and a format")
	}
	return write(&req, size, format, generation, name, sign), nil
}

func write(req *images.Request, size Size, format images.Format, generation Generation, name string, sign func(string) string) string {
	path := "/" + images.Escape(req.Kind) + "/" + images.Escape(req.ID) + "/" + size.String() + "/"
	params := query(req)
	signed := ""
	if sign != nil {
		signed = sign(canonical(req, size, format))
	}
	stem := images.Escape(name)
	switch {
	case generation == First && signed != "":
		stem = signed
	case generation == First && size.complete():
		// Only what has the form of a signature is generation 1 here.
		stem = unsigned
	case stem == "":
		stem = "any"
	}
	if format != images.FormatUnknown {
		stem += "." + format.Extension()
	}
	if generation == Second && signed != "" {
		if params == "" {
			params = "?s=" + signed
		} else {
			params += "&s=" + signed
		}
	}
	return path + stem + params
}

// Sign writes a URL with its signature. The last part of a generation 1 path
// may be missing, a placeholder or an old signature: all of it but an
// extension is replaced. A preset need not be known here. expires replaces the
// URL's own expiry unless it is zero.
func (g Grammar) Sign(u *url.URL, expires time.Time, sign func(canonical string) string) (string, error) {
	g.anyPreset = true
	complete := *u
	if parts, err := images.Segments(u); err == nil && (len(parts) == 3 || len(parts) == 4 && parts[3] == "") {
		// Without a last part it is generation 1 whatever the size says: only
		// there is the last part no more than the signature.
		if g.Generation == Second {
			return "", images.Invalidf("name", "a generation 2 path ends in a name and an extension, such as any.jpg")
		}
		g.Generation = First
		complete.Path = strings.TrimSuffix(u.Path, "/") + "/-"
		complete.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + "/-"
	}
	req, err := g.Parse(&complete)
	if err != nil {
		return "", err
	}
	if !expires.IsZero() {
		req.Expires = expires
	}
	parts, err := images.Segments(&complete)
	if err != nil {
		return "", err
	}
	size, err := ParseSize(parts[2])
	if err != nil {
		return "", err
	}
	generation, name, format := First, "", images.FormatUnknown
	stem, ext, dotted := cutExtension(parts[3])
	if dotted {
		format, _ = images.ParseFormat(strings.ToLower(ext))
	}
	if req.Grammar == Name2 {
		generation, name = Second, stem
	}
	if !utf8.ValidString(name) {
		return "", images.Invalidf("name", "it is not UTF-8")
	}
	return write(&req, size, format, generation, name, sign), nil
}
