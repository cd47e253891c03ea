package imgproxy

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
)

// state is what the options have said so far.
type state struct {
	r       images.Rendition
	fit     string // resizing type
	enlarge bool
	extend  bool
	place   placed // of extend

	crop    placed // what is cropped before, with its own gravity
	gravity placed
	quality map[images.Format]int // of format_quality
}

// placed is a gravity with its offsets.
type placed struct {
	given          bool
	gravity        images.Gravity
	x, y           float64
	focalX, focalY float64
}

// names are the long forms of the short names of options.
var names = map[string]string{
	"rs": "resize", "s": "size", "rt": "resizing_type", "w": "width", "h": "height", "z": "zoom", "el": "enlarge", "ex": "extend",
	"g": "gravity", "c": "crop", "t": "trim", "pd": "padding", "ar": "auto_rotate", "rot": "rotate", "fl": "flip", "bg": "background", "bl": "blur",
	"sh": "sharpen", "pix": "pixelate", "wm": "watermark",
	"sm": "strip_metadata", "kcr": "keep_copyright", "scp": "strip_color_profile", "eth": "enforce_thumbnail", "q": "quality", "fq": "format_quality",
	"mb": "max_bytes", "f": "format", "ext": "format", "cb": "cachebuster", "exp": "expires", "fn": "filename", "att": "return_attachment",
	"pr": "preset", "da": "disable_animation", "pg": "page", "ph": "preserve_hdr",
}

func (p *parser) option(name string, args []string) error {
	if long, ok := names[name]; ok {
		name = long
	}
	read, ok := readers[name]
	if !ok {
		return images.Invalidf(clip(name), "this option is not known here")
	}
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	return read(p, args)
}

// readers are the options by their long names.
var readers = map[string]func(*parser, []string) error{
	"resize": func(p *parser, a []string) error {
		return each(p, a, (*parser).resizingType, (*parser).width, (*parser).height, (*parser).setEnlarge, (*parser).setExtend)
	},
	"size": func(p *parser, a []string) error {
		return each(p, a, (*parser).width, (*parser).height, (*parser).setEnlarge, (*parser).setExtend)
	},
	"resizing_type":       func(p *parser, a []string) error { return p.resizingType(a) },
	"width":               func(p *parser, a []string) error { return p.width(a) },
	"height":              func(p *parser, a []string) error { return p.height(a) },
	"enlarge":             func(p *parser, a []string) error { return p.setEnlarge(a) },
	"extend":              func(p *parser, a []string) error { return p.setExtend(a) },
	"zoom":                (*parser).zoom,
	"dpr":                 (*parser).dpr,
	"gravity":             func(p *parser, a []string) (err error) { p.gravity, err = readGravity("gravity", a); return err },
	"crop":                (*parser).readCrop,
	"trim":                (*parser).trim,
	"padding":             (*parser).padding,
	"auto_rotate":         needed("auto_rotate", true, "originals are always put upright here"),
	"rotate":              (*parser).rotate,
	"flip":                (*parser).flip,
	"background":          (*parser).background,
	"blur":                func(p *parser, a []string) error { return p.number("blur", a, &p.r.Blur) },
	"sharpen":             func(p *parser, a []string) error { return p.number("sharpen", a, &p.r.Sharpen) },
	"pixelate":            func(p *parser, a []string) error { return p.whole("pixelate", a, &p.r.Pixelate, images.MaxPixelate) },
	"watermark":           (*parser).watermark,
	"strip_metadata":      needed("strip_metadata", true, "metadata is always stripped here; keep_copyright keeps the rights"),
	"keep_copyright":      (*parser).keepCopyright,
	"strip_color_profile": (*parser).stripProfile,
	"enforce_thumbnail":   needed("enforce_thumbnail", false, "thumbnails inside originals are not used here"),
	"quality":             func(p *parser, a []string) error { return p.whole("quality", a, &p.r.Quality, 100) },
	"format_quality":      (*parser).formatQuality,
	"max_bytes":           func(p *parser, a []string) error { return p.whole("max_bytes", a, &p.r.MaxBytes, images.MaxMaxBytes) },
	"preset":              (*parser).preset,
	"format":              func(p *parser, a []string) error { return p.format(a) },
	"disable_animation":   func(p *parser, a []string) (err error) { p.r.Still, err = boolean("disable_animation", a); return err },
	"raw":                 needed("raw", false, "originals are not delivered as they are here"),
	"preserve_hdr":        needed("preserve_hdr", false, "pictures have 8 bits a channel here"),
	"page":                needed("page", false, "only the first page is shown here"),
	"cachebuster":         (*parser).cacheBuster,
	"expires":             (*parser).expires,
	"filename":            (*parser).fileName,
	"return_attachment": func(p *parser, a []string) (err error) {
		p.req.Attachment, err = boolean("return_attachment", a)
		return err
	},
}

// each reads arguments by their place. What is left out, or empty, says nothing;
// the last reader gets all that is left.
func each(p *parser, args []string, read ...func(*parser, []string) error) error {
	for i, fn := range read {
		if i >= len(args) {
			return nil
		}
		mine := args[i : i+1]
		if i == len(read)-1 {
			mine = args[i:]
		}
		if mine[0] == "" {
			continue
		}
		if err := fn(p, mine); err != nil {
			return err
		}
	}
	if len(args) > len(read) && len(read) < 4 {
		return images.Invalidf("options", "%q has too many arguments", clip(strings.Join(args, ":")))
	}
	return nil
}

// needed reads a switch that can only stand one way here.
func needed(name string, only bool, why string) func(*parser, []string) error {
	return func(_ *parser, a []string) error {
		v, err := boolean(name, a)
		if err == nil && v != only {
			return images.Invalidf(name, "%s", why)
		}
		return err
	}
}

// single is the one argument of an option; empty when there is none.
func single(name string, a []string) (string, error) {
	switch len(a) {
	case 0:
		return "", nil
	case 1:
		return a[0], nil
	}
	return "", images.Invalidf(name, "it has %d arguments and takes one", len(a))
}

func boolean(name string, a []string) (bool, error) {
	v, err := single(name, a)
	switch strings.ToLower(v) {
	case "1", "t", "true":
		return true, err
	case "0", "f", "false", "":
		return false, err
	}
	return false, images.Invalidf(name, "%q is neither true nor false", clip(v))
}

// whole reads a whole number from 0 to most; none is 0.
func (p *parser) whole(name string, a []string, to *int, most int) error {
	v, err := single(name, a)
	if err != nil {
		return err
	}
	n := 0
	if v != "" {
		if n, err = strconv.Atoi(v); err != nil || n < 0 || n > most {
			return images.Invalidf(name, "%q is not a whole number from 0 to %d", clip(v), most)
		}
	}
	*to = n
	return nil
}

// number reads a number that is not negative, to four digits behind the point.
func (p *parser) number(name string, a []string, to *float64) error {
	v, err := single(name, a)
	if err != nil {
		return err
	}
	if v == "" {
		v = "0"
	}
	f, err := decimal(v)
	if err != nil || f < 0 {
		return images.Invalidf(name, "%q is not a number from 0", clip(v))
	}
	*to = f
	return nil
}

func decimal(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1<<20 {
		return 0, strconv.ErrSyntax
	}
	return math.Floor(f*1e4+0.5) / 1e4, nil
}

var resizingTypes = map[string]bool{"fit": true, "fill": true, "fill-down": true, "force": true, "auto": true}

func (p *parser) resizingType(a []string) error {
	v, err := single("resizing_type", a)
	if resizingTypes[v] {
		p.fit = v
		return err
	}
	return images.Invalidf("resizing_type", "%q is not fit, fill, fill-down, force or auto", clip(v))
}

func (p *parser) width(a []string) error  { return p.whole("width", a, &p.r.Width, images.MaxSide) }
func (p *parser) height(a []string) error { return p.whole("height", a, &p.r.Height, images.MaxSide) }

func (p *parser) setEnlarge(a []string) (err error) {
	p.enlarge, err = boolean("enlarge", a)
	return err
}

func (p *parser) setExtend(a []string) (err error) {
	if p.extend, err = boolean("extend", a[:min(len(a), 1)]); err != nil || len(a) < 2 {
		return err
	}
	p.place, err = readGravity("extend", a[1:])
	if p.place.gravity >= images.Focal {
		return images.Invalidf("extend", "the gravity %s cannot be of canvas", p.place.gravity)
	}
	return err
}

func (p *parser) zoom(a []string) error {
	if len(a) == 2 {
		if a[0] != a[1] {
			return images.Invalidf("zoom", "the two sides can only be zoomed alike here")
		}
		a = a[:1]
	}
	return p.factor("zoom", a, &p.r.Zoom)
}

func (p *parser) dpr(a []string) error { return p.factor("dpr", a, &p.r.DPR) }

// factor reads a number above 0.
func (p *parser) factor(name string, a []string, to *float64) error {
	if err := p.number(name, a, to); err != nil || *to == 0 {
		return images.Invalidf(name, "it is not a number above 0")
	}
	return nil
}

func (p *parser) rotate(a []string) error {
	v, err := single("rotate", a)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(v)
	if v == "" {
		n, err = 0, nil
	}
	if err != nil || n%90 != 0 {
		return images.Invalidf("rotate", "%q is not a multiple of 90", clip(v))
	}
	p.r.Rotate = (n%360 + 360) % 360
	return nil
}

func (p *parser) flip(a []string) (err error) {
	if len(a) > 2 {
		return images.Invalidf("flip", "it has %d arguments and takes two", len(a))
	}
	p.r.FlipH, p.r.FlipV = false, false
	for i, to := range [...]*bool{&p.r.FlipH, &p.r.FlipV} {
		if i < len(a) && err == nil {
			*to, err = boolean("flip", a[i:i+1])
		}
	}
	return err
}

func (p *parser) background(a []string) error {
	p.r.Background, p.r.HasBackground = images.Color{}, false
	switch len(a) {
	case 0:
		return nil
	case 1:
		hex := strings.ToLower(a[0])
		if len(hex) == 3 {
			hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
		}
		if p.r.Background, p.r.HasBackground = images.ParseColor(hex); p.r.HasBackground {
			return nil
		}
	case 3:
		var rgb [3]int
		for i := range rgb {
			if err := p.whole("background", a[i:i+1], &rgb[i], 255); err != nil {
				return err
			}
		}
		p.r.Background, p.r.HasBackground = images.Color{R: uint8(rgb[0]), G: uint8(rgb[1]), B: uint8(rgb[2])}, true
		return nil
	}
	return images.Invalidf("background", "%q is neither R:G:B nor a hex colour", clip(strings.Join(a, ":")))
}

func (p *parser) watermark(a []string) error {
	if p.Watermark == "" {
		return images.Invalidf("watermark", "no watermark is configured for this dialect")
	}
	if len(a) > 5 {
		return images.Invalidf("watermark", "it has %d arguments and takes five", len(a))
	}
	w := images.Watermark{Name: p.Watermark}
	if len(a) > 0 {
		if err := p.number("watermark", a[:1], &w.Opacity); err != nil {
			return err
		}
	}
	if len(a) > 1 && a[1] != "" {
		at, err := readGravity("watermark", append([]string{a[1]}, a[2:min(len(a), 4)]...))
		if err != nil || at.gravity >= images.Focal {
			return images.Invalidf("watermark", "%q is no place for a watermark here", clip(a[1]))
		}
		w.Gravity, w.X, w.Y = at.gravity, int(at.x), int(at.y)
	}
	if len(a) > 4 {
		if err := p.number("watermark", a[4:], &w.Scale); err != nil {
			return err
		}
	}
	if w.Opacity == 0 {
		w = images.Watermark{}
	}
	p.r.Watermark = w
	return nil
}

func (p *parser) keepCopyright(a []string) error {
	v, err := boolean("keep_copyright", a)
	p.r.Metadata = images.MetadataStrip
	if v {
		p.r.Metadata = images.MetadataCopyright
	}
	return err
}

func (p *parser) stripProfile(a []string) error {
	v, err := boolean("strip_color_profile", a)
	p.r.Profile = images.ProfileKeep
	if v {
		p.r.Profile = images.ProfileConvert
	}
	return err
}

func (p *parser) formatQuality(a []string) error {
	if len(a)%2 != 0 {
		return images.Invalidf("format_quality", "it is pairs of a format and a quality")
	}
	for i := 0; i < len(a); i += 2 {
		f, err := writable(a[i])
		if err != nil {
			return err
		}
		var q int
		if err := p.whole("format_quality", a[i+1:i+2], &q, 100); err != nil {
			return err
		}
		if p.quality == nil {
			p.quality = map[images.Format]int{}
		}
		p.quality[f] = q
	}
	return nil
}

func writable(name string) (images.Format, error) {
	f, ok := images.ParseFormat(strings.ToLower(name))
	if !ok || !f.Writable() {
		return f, images.Invalidf("format", "%q is no format that is written here", clip(name))
	}
	return f, nil
}

func (p *parser) format(a []string) error {
	v, err := single("format", a)
	if err != nil {
		return err
	}
	p.r.Format, p.r.AutoFormat = images.FormatUnknown, false
	if v == "" {
		return nil
	}
	p.r.Format, err = writable(v)
	return err
}

func (p *parser) cacheBuster(a []string) error {
	v, err := single("cachebuster", a)
	if len(v) > images.MaxVersion {
		return images.Invalidf("cachebuster", "it is longer than %d bytes", images.MaxVersion)
	}
	p.req.Version = v
	return err
}

func (p *parser) expires(a []string) error {
	v, err := single("expires", a)
	if err != nil {
		return err
	}
	p.req.Expires = time.Time{}
	if v == "0" {
		return nil
	}
	p.req.Expires, err = images.ParseExpiry("expires", v)
	return err
}

func (p *parser) fileName(a []string) error {
	if len(a) == 0 || len(a) > 2 {
		return images.Invalidf("filename", "it is a name, and whether that is in base64url")
	}
	encoded, err := boolean("filename", a[1:])
	if err != nil {
		return err
	}
	name := a[0]
	if encoded {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(name, "="))
		if err != nil {
			return images.Invalidf("filename", "it is not base64url")
		}
		name = string(b)
	}
	if err := images.CheckSegment("filename", name, images.MaxID); err != nil {
		return err
	}
	p.req.FileName = name
	return nil
}

// preset lays presets of the configuration over what was said before.
func (p *parser) preset(a []string) error {
	if len(a) == 0 {
		return images.Invalidf("preset", "it names none")
	}
	for _, name := range a {
		preset, err := p.Names.Preset(name)
		if err != nil {
			return err
		}
		p.req.Preset = name
		if spelled := preset.Spell(images.Rendition{}); spelled != "" {
			if p.r, err = p.r.With(spelled); err != nil {
				return err
			}
		}
		if preset.Fit != images.FitInside || preset.NoEnlarge {
			p.fit = "preset"
		}
	}
	return nil
}
