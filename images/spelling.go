package images

import (
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
	{"dpr", getDPR,
		func(r *Rendition, v string) bool { return setDecimal(&r.DPR, v) && r.DPR >= 0.1 && r.DPR <= MaxDPR }, "a number from 0.1 to 5"},
	{"fit", func(r *Rendition) string { return r.Fit.String() },
		func(r *Rendition, v string) (ok bool) { r.Fit, ok = ParseFit(v); return }, "inside, shrink, crop, pad or stretch"},
	{"enlarge", func(r *Rendition) string { return flag(!r.NoEnlarge) },
		func(r *Rendition, v string) bool { r.NoEnlarge = v == "0"; return v == "0" || v == "1" }, "0 or 1"},
	{"gravity", getGravity, setGravity, "a direction such as north or southeast, center, or focal:X:Y with X and Y from 0 to 1"},
	{"region", getRegion, setRegion, "X:Y:WIDTH:HEIGHT in pixels of the upright original, or none"},
	{"rotate", func(r *Rendition) string { return strconv.Itoa(r.Rotate) },
		func(r *Rendition, v string) bool { return setInt(&r.Rotate, v, 270) && r.Rotate%90 == 0 }, "0, 90, 180 or 270"},
	{"flip", getFlip, setFlip, "h, v, hv or none"},
	{"background", getBackground, setBackground, "six lower-case hex digits, or none"},
	{"blur", func(r *Rendition) string { return decimal(r.Blur) },
		func(r *Rendition, v string) bool { return setDecimal(&r.Blur, v) && r.Blur <= MaxBlur }, "a number from 0 to 100"},
	{"sharpen", func(r *Rendition) string { return decimal(r.Sharpen) },
		func(r *Rendition, v string) bool { return setDecimal(&r.Sharpen, v) && r.Sharpen <= MaxSharpen }, "a number from 0 to 10"},
	{"watermark", func(r *Rendition) string { return r.Watermark.String() }, setWatermark,
		"NAME, NAME:OPACITY:GRAVITY:X:Y:SCALE, or none"},
	{"still", func(r *Rendition) string { return flag(r.Still) },
		func(r *Rendition, v string) bool { r.Still = v == "1"; return v == "0" || v == "1" }, "0 or 1"},
	{"metadata", func(r *Rendition) string { return r.Metadata.String() }, setMetadata, "strip or copyright"},
	{"q", func(r *Rendition) string { return strconv.Itoa(r.Quality) },
		func(r *Rendition, v string) bool { return setInt(&r.Quality, v, 100) && r.Quality >= 1 }, "a whole number from 1 to 100"},
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

func getDPR(r *Rendition) string {
	if r.DPR == 0 {
		return "1"
	}
	return decimal(r.DPR)
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
	if r.Gravity == Focal {
		return "focal:" + decimal(r.FocalX) + ":" + decimal(r.FocalY)
	}
	return r.Gravity.String()
}

func setGravity(r *Rendition, v string) bool {
	r.FocalX, r.FocalY = 0, 0
	name, rest, focal := strings.Cut(v, ":")
	g, ok := ParseGravity(name)
	r.Gravity = g
	if !ok || focal != (g == Focal) {
		return false
	}
	if !focal {
		return true
	}
	x, y, ok := strings.Cut(rest, ":")
	return ok && setDecimal(&r.FocalX, x) && setDecimal(&r.FocalY, y) && r.FocalX <= 1 && r.FocalY <= 1
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
		if !ok || !setDecimal(&w.Opacity, parts[1]) || !setSigned(&w.X, parts[3]) || !setSigned(&w.Y, parts[4]) || !setDecimal(&w.Scale, parts[5]) {
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

func setSigned(to *int, s string) bool {
	digits, negative := strings.CutPrefix(s, "-")
	if !setInt(to, digits, MaxSide) || negative && *to == 0 {
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
