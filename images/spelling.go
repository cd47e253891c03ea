package images

import (
	"encoding/base64"
	"fmt"
	"image"
	"strconv"
	"strings"
)

// option is one thing that can be said about a rendition: its name, how its
// value is written and how it is read. get writes the default, too; an option
// is left out of a spelling when its value is that of the base it starts from.
type option struct {
	name string
	get  func(r *Rendition) string
	set  func(r *Rendition, value string) bool // false: not a value of this option
	want string                                // what a value looks like, for the person
}

// options in their canonical order.
var options = []option{
	{"w", func(r *Rendition) string { return strconv.Itoa(r.Width) },
		func(r *Rendition, v string) bool { return setInt(&r.Width, v, MaxSide) }, "a whole number of pixels, 0 to 16383"},
	{"h", func(r *Rendition) string { return strconv.Itoa(r.Height) },
		func(r *Rendition, v string) bool { return setInt(&r.Height, v, MaxSide) }, "a whole number of pixels, 0 to 16383"},
	{"dpr", func(r *Rendition) string { return oneIfZero(r.DPR) },
		func(r *Rendition, v string) bool { return setDecimal(&r.DPR, v) && r.DPR >= 0.1 && r.DPR <= MaxDPR }, "a number from 0.1 to 5"},
	{"zoom", func(r *Rendition) string { return oneIfZero(r.Zoom) },
		func(r *Rendition, v string) bool { return setDecimal(&r.Zoom, v) && r.Zoom >= 0.1 && r.Zoom <= MaxZoom }, "a number from 0.1 to 10"},
	{"fit", func(r *Rendition) string { return r.Fit.String() },
		func(r *Rendition, v string) (ok bool) { r.Fit, ok = ParseFit(v); return }, "inside, shrink, crop, pad, stretch, clip or auto"},
	{"enlarge", func(r *Rendition) string { return flag(!r.NoEnlarge) },
		func(r *Rendition, v string) bool { r.NoEnlarge = v == "0"; return v == "0" || v == "1" }, "0 or 1"},
	{"gravity", getGravity, setGravity,
		"a direction such as north or southeast, or center, with :X:Y pixels away from its edges where wanted; focal:X:Y with X and Y from 0 to 1; or smart"},
	{"region", getRegion, setRegion, "X:Y:WIDTH:HEIGHT in pixels of the upright original, or none"},
	{"trim", func(r *Rendition) string { return strconv.Itoa(r.Trim) },
		func(r *Rendition, v string) bool { return setInt(&r.Trim, v, MaxTrim) }, "a whole number of levels, 0 to 255"},
	{"cut", getCut, setCut, "WIDTH:HEIGHT or WIDTH:HEIGHT:GRAVITY with pixels or shares below 1, 0 for a whole side, or none"},
	{"rotate", func(r *Rendition) string { return strconv.Itoa(r.Rotate) },
		func(r *Rendition, v string) bool { return setInt(&r.Rotate, v, 270) && r.Rotate%90 == 0 }, "0, 90, 180 or 270"},
	{"flip", getFlip, setFlip, "h, v, hv or none"},
	{"background", getBackground, setBackground, "six lower-case hex digits, or none"},
	{"blur", func(r *Rendition) string { return decimal(r.Blur) },
		func(r *Rendition, v string) bool { return setDecimal(&r.Blur, v) && r.Blur <= MaxBlur }, "a number from 0 to 100"},
	{"sharpen", func(r *Rendition) string { return decimal(r.Sharpen) },
		func(r *Rendition, v string) bool { return setDecimal(&r.Sharpen, v) && r.Sharpen <= MaxSharpen }, "a number from 0 to 10"},
	{"pixelate", func(r *Rendition) string { return strconv.Itoa(r.Pixelate) },
		func(r *Rendition, v string) bool { return setInt(&r.Pixelate, v, MaxPixelate) }, "a whole number of pixels, 0 to 1000"},
	{"brightness", func(r *Rendition) string { return strconv.Itoa(r.Colours.Brightness) },
		func(r *Rendition, v string) bool { return setSigned(&r.Colours.Brightness, v, 100) }, "a whole number from -100 to 100"},
	{"contrast", func(r *Rendition) string { return strconv.Itoa(r.Colours.Contrast) },
		func(r *Rendition, v string) bool { return setSigned(&r.Colours.Contrast, v, 100) }, "a whole number from -100 to 100"},
	{"saturation", func(r *Rendition) string { return strconv.Itoa(r.Colours.Saturation) },
		func(r *Rendition, v string) bool { return setSigned(&r.Colours.Saturation, v, 100) }, "a whole number from -100 to 100"},
	{"hue", func(r *Rendition) string { return strconv.Itoa(r.Colours.Hue) },
		func(r *Rendition, v string) bool { return setInt(&r.Colours.Hue, v, 359) }, "whole degrees from 0 to 359"},
	{"padding", getPadding, setPadding, "TOP:RIGHT:BOTTOM:LEFT in pixels, or none"},
	{"watermark", func(r *Rendition) string { return r.Watermark.String() }, setWatermark,
		"NAME, NAME:OPACITY:GRAVITY:X:Y:SCALE, or none"},
	{"text", func(r *Rendition) string { return r.Text.String() }, setText,
		"WORDS or WORDS:SIZE:COLOR:OPACITY:GRAVITY:X:Y with the words in base64url, or none"},
	{"still", func(r *Rendition) string { return flag(r.Still) },
		func(r *Rendition, v string) bool { r.Still = v == "1"; return v == "0" || v == "1" }, "0 or 1"},
	{"metadata", func(r *Rendition) string { return r.Metadata.String() }, setMetadata, "strip or copyright"},
	{"profile", func(r *Rendition) string { return r.Profile.String() }, setProfile, "srgb or keep"},
	{"q", func(r *Rendition) string { return strconv.Itoa(r.Quality) },
		func(r *Rendition, v string) bool { return setInt(&r.Quality, v, 100) && r.Quality >= 1 }, "a whole number from 1 to 100"},
	{"max_bytes", func(r *Rendition) string { return strconv.Itoa(r.MaxBytes) },
		func(r *Rendition, v string) bool {
			return setInt(&r.MaxBytes, v, MaxMaxBytes) && (r.MaxBytes == 0 || r.MaxBytes >= MinMaxBytes)
		}, "a whole number of bytes, 0 or from 256"},
	{"format", getFormat, setFormat, "jpeg, png, webp, avif, gif, auto or original"},
}

// Whole is the spelling of the zero rendition, which has no option to name.
const Whole = "whole"

// String is the one canonical spelling: the options that differ from the zero
// rendition, in their order, as "w:480,h:360,fit:crop,q:70". Of a normalised
// rendition it is the cache key.
func (r Rendition) String() string {
	s := r.Spell(Rendition{})
	if s == "" {
		return Whole
	}
	return s
}

// Spell writes the options in which r differs from base. It is empty where
// they do not differ.
func (r Rendition) Spell(base Rendition) string {
	var b strings.Builder
	for i := range options {
		value := options[i].get(&r)
		if value == options[i].get(&base) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(options[i].name)
		b.WriteByte(':')
		b.WriteString(value)
	}
	return b.String()
}

// ParseRendition reads options in any order and starts from the zero
// rendition. The result is normalised; its String is the canonical spelling,
// which a URL must have and a configuration need not.
func ParseRendition(s string) (Rendition, error) {
	if s == Whole {
		return Rendition{}, nil
	}
	r, err := Rendition{}.With(s)
	return r.Normal(), err
}

// With reads options, in any order, on top of r. An option may come once. The
// result is not normalised.
func (r Rendition) With(s string) (Rendition, error) {
	seen := make(map[string]bool, 8)
	for s != "" {
		var item string
		item, s, _ = strings.Cut(s, ",")
		name, value, _ := strings.Cut(item, ":")
		opt := findOption(name)
		if opt == nil {
			return r, Invalidf("options", "%q is not an option", clip(name))
		}
		if seen[name] {
			return r, Invalidf(name, "the option is given twice")
		}
		seen[name] = true
		if !opt.set(&r, value) {
			return r, Invalidf(name, "%q is not %s", clip(value), opt.want)
		}
	}
	return r, r.Validate()
}

// OptionNames lists the options in canonical order, with what each takes.
func OptionNames() (names, wants []string) {
	for _, o := range options {
		names, wants = append(names, o.name), append(wants, o.want)
	}
	return names, wants
}

func findOption(name string) *option {
	for i := range options {
		if options[i].name == name {
			return &options[i]
		}
	}
	return nil
}

// clip bounds what an error message repeats of a URL.
func clip(s string) string {
	const most = 64 // bytes
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

func flag(v bool) string {
	if v {
		return "1"
	}
	return "0"
}

func oneIfZero(v float64) string {
	if v == 0 {
		return "1"
	}
	return decimal(v)
}

// setInt reads a whole number in its one spelling: digits, no sign, no leading
// zero.
func setInt(to *int, s string, most int) bool {
	v, ok := ParseInt(s, most)
	if ok {
		*to = v
	}
	return ok
}

// ParseInt reads a whole number from 0 to most in its one spelling: digits, no
// sign, no leading zero.
func ParseInt(s string, most int) (int, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	v := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, v <= most
}

// decimals is how many digits after the point a number in a URL may have.
const decimals = 4

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// setDecimal reads a number in its one spelling: digits, at most four of them
// after a point, no zero that could be left out.
func setDecimal(to *float64, s string) bool {
	whole, part, point := strings.Cut(s, ".")
	if _, ok := ParseInt(whole, 1<<20); !ok || point && (part == "" || len(part) > decimals || part[len(part)-1] == '0') {
		return false
	}
	for i := range len(part) {
		if part[i] < '0' || part[i] > '9' {
			return false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	*to = v
	return err == nil
}

func getGravity(r *Rendition) string {
	s := spellGravity(r.Gravity, r.FocalX, r.FocalY)
	if r.GravityX != 0 || r.GravityY != 0 {
		s += ":" + strconv.Itoa(r.GravityX) + ":" + strconv.Itoa(r.GravityY)
	}
	return s
}

func setGravity(r *Rendition, v string) bool {
	r.GravityX, r.GravityY = 0, 0
	name, rest, more := strings.Cut(v, ":")
	if !more || name == focalName || name == smartName {
		return parseGravity(v, &r.Gravity, &r.FocalX, &r.FocalY)
	}
	x, y, ok := strings.Cut(rest, ":")
	return ok && parseGravity(name, &r.Gravity, &r.FocalX, &r.FocalY) &&
		setSigned(&r.GravityX, x, MaxSide) && setSigned(&r.GravityY, y, MaxSide) && (r.GravityX != 0 || r.GravityY != 0)
}

// Names of gravities that a value may go on after.
const (
	focalName = "focal"
	smartName = "smart"
)

func spellGravity(g Gravity, focalX, focalY float64) string {
	if g == Focal {
		return focalName + ":" + decimal(focalX) + ":" + decimal(focalY)
	}
	return g.String()
}

// parseGravity reads a gravity without distances.
func parseGravity(v string, g *Gravity, focalX, focalY *float64) (ok bool) {
	*focalX, *focalY = 0, 0
	name, rest, focal := strings.Cut(v, ":")
	if *g, ok = ParseGravity(name); !ok || focal != (*g == Focal) {
		return false
	}
	if !focal {
		return true
	}
	x, y, ok := strings.Cut(rest, ":")
	return ok && setDecimal(focalX, x) && setDecimal(focalY, y) && *focalX <= 1 && *focalY <= 1
}

func getCut(r *Rendition) string {
	c := r.Cut
	if c.Width == 0 && c.Height == 0 {
		return none
	}
	s := decimal(c.Width) + ":" + decimal(c.Height)
	if c.Gravity != Center {
		s += ":" + spellGravity(c.Gravity, c.FocalX, c.FocalY)
	}
	return s
}

func setCut(r *Rendition, v string) bool {
	r.Cut = Cut{}
	if v == none {
		return true
	}
	width, rest, _ := strings.Cut(v, ":")
	height, gravity, placed := strings.Cut(rest, ":")
	var c Cut
	if !setDecimal(&c.Width, width) || !setDecimal(&c.Height, height) || c.Width == 0 && c.Height == 0 {
		return false
	}
	if placed && (!parseGravity(gravity, &c.Gravity, &c.FocalX, &c.FocalY) || c.Gravity == Center) {
		return false
	}
	r.Cut = c
	return c.validate() == nil
}

const none = "none"

func getRegion(r *Rendition) string {
	if r.Region.Empty() {
		return none
	}
	return fmt.Sprintf("%d:%d:%d:%d", r.Region.Min.X, r.Region.Min.Y, r.Region.Dx(), r.Region.Dy())
}

func setRegion(r *Rendition, v string) bool {
	r.Region = image.Rectangle{}
	if v == none {
		return true
	}
	parts := strings.Split(v, ":")
	if len(parts) != 4 {
		return false
	}
	var n [4]int
	for i := range n {
		if !setInt(&n[i], parts[i], maxRegion) {
			return false
		}
	}
	r.Region = image.Rect(n[0], n[1], n[0]+n[2], n[1]+n[3])
	return !r.Region.Empty() && r.Region.Max.X <= maxRegion && r.Region.Max.Y <= maxRegion
}

func getFlip(r *Rendition) string {
	switch {
	case r.FlipH && r.FlipV:
		return "hv"
	case r.FlipH:
		return "h"
	case r.FlipV:
		return "v"
	}
	return none
}

func setFlip(r *Rendition, v string) bool {
	r.FlipH, r.FlipV = v == "h" || v == "hv", v == "v" || v == "hv"
	return r.FlipH || r.FlipV || v == none
}

func getBackground(r *Rendition) string {
	if !r.HasBackground {
		return none
	}
	return r.Background.String()
}

func setBackground(r *Rendition, v string) bool {
	r.Background, r.HasBackground = Color{}, false
	if v == none {
		return true
	}
	r.Background, r.HasBackground = ParseColor(v)
	return r.HasBackground
}

// String writes the watermark as an option's value: its name, and the rest
// where the configuration or the URL has given it.
func (w Watermark) String() string {
	if w.Name == "" {
		return none
	}
	bare := Watermark{Name: w.Name}
	if w == bare {
		return w.Name
	}
	s := fmt.Sprintf("%s:%s:%s:%d:%d:%s", w.Name, decimal(w.Opacity), w.Gravity, w.X, w.Y, decimal(w.Scale))
	if w.Version != "" {
		s += ":" + w.Version
	}
	return s
}

func setWatermark(r *Rendition, v string) bool {
	r.Watermark = Watermark{}
	if v == none {
		return true
	}
	parts := strings.Split(v, ":")
	w := Watermark{Name: parts[0]}
	if !ValidName(w.Name) || w.Name == none || len(parts) != 1 && len(parts) != 6 {
		return false
	}
	if len(parts) == 6 {
		g, ok := ParseGravity(parts[2])
		w.Gravity = g
		if !ok || !setDecimal(&w.Opacity, parts[1]) || !setSigned(&w.X, parts[3], MaxSide) || !setSigned(&w.Y, parts[4], MaxSide) || !setDecimal(&w.Scale, parts[5]) {
			return false
		}
		// Nothing would be seen of it, and "NAME" alone means the configured one.
		if w.Opacity == 0 {
			return false
		}
	}
	r.Watermark = w
	return w.validate() == nil
}

// setSigned reads a whole number from -most to most in its one spelling.
func setSigned(to *int, s string, most int) bool {
	digits, negative := strings.CutPrefix(s, "-")
	if !setInt(to, digits, most) || negative && *to == 0 {
		return false
	}
	if negative {
		*to = -*to
	}
	return true
}

// String is the value of the option.
func (m Metadata) String() string {
	if m == MetadataCopyright {
		return "copyright"
	}
	return "strip"
}

func setMetadata(r *Rendition, v string) bool {
	r.Metadata = MetadataStrip
	if v == "copyright" {
		r.Metadata = MetadataCopyright
	}
	return v == "copyright" || v == "strip"
}

// String is the value of the option.
func (p Profile) String() string {
	if p == ProfileKeep {
		return "keep"
	}
	return "srgb"
}

func setProfile(r *Rendition, v string) bool {
	r.Profile = ProfileConvert
	if v == "keep" {
		r.Profile = ProfileKeep
	}
	return v == "keep" || v == "srgb"
}

func getPadding(r *Rendition) string {
	p := r.Padding
	if p == (Padding{}) {
		return none
	}
	return fmt.Sprintf("%d:%d:%d:%d", p.Top, p.Right, p.Bottom, p.Left)
}

func setPadding(r *Rendition, v string) bool {
	r.Padding = Padding{}
	if v == none {
		return true
	}
	parts := strings.Split(v, ":")
	if len(parts) != 4 {
		return false
	}
	for i, to := range [...]*int{&r.Padding.Top, &r.Padding.Right, &r.Padding.Bottom, &r.Padding.Left} {
		if !setInt(to, parts[i], MaxPadding) {
			return false
		}
	}
	return r.Padding != Padding{}
}

// String writes the text as an option's value: its words in base64url, and the
// rest where it is not what holds without it.
func (t Text) String() string {
	if t.Words == "" {
		return none
	}
	words := base64.RawURLEncoding.EncodeToString([]byte(t.Words))
	if t = t.normal(); t == (Text{Words: t.Words}).normal() {
		return words
	}
	return fmt.Sprintf("%s:%d:%s:%s:%s:%d:%d", words, t.Size, t.Color, decimal(t.Opacity), t.Gravity, t.X, t.Y)
}

func setText(r *Rendition, v string) bool {
	r.Text = Text{}
	if v == none {
		return true
	}
	parts := strings.Split(v, ":")
	words, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil || len(words) == 0 || len(parts) != 1 && len(parts) != 7 {
		return false
	}
	t := Text{Words: string(words)}
	if len(parts) == 7 {
		g, known := ParseGravity(parts[4])
		c, color := ParseColor(parts[2])
		t.Gravity, t.Color = g, c
		if !known || !color || !setInt(&t.Size, parts[1], MaxTextSize) || t.Size == 0 || !setDecimal(&t.Opacity, parts[3]) || t.Opacity == 0 ||
			!setSigned(&t.X, parts[5], MaxSide) || !setSigned(&t.Y, parts[6], MaxSide) {
			return false
		}
	}
	r.Text = t
	return t.validate() == nil
}

func getFormat(r *Rendition) string {
	switch {
	case r.AutoFormat:
		return "auto"
	case r.Format == FormatUnknown:
		return "original"
	}
	return r.Format.String()
}

func setFormat(r *Rendition, v string) bool {
	r.Format, r.AutoFormat = FormatUnknown, v == "auto"
	if v == "auto" || v == "original" {
		return true
	}
	f, ok := ParseFormat(v)
	if !ok || v != f.String() || !f.Writable() {
		return false
	}
	r.Format = f
	return true
}
