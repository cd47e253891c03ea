package tofu

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images"
)

// Size is the part of a TOFU path that says how large a picture is: a preset,
// or numbers.
type Size struct {
	Preset string // or the following

	Width   int
	Height  int // 0: follows from the width
	Fit     images.Fit
	Quality int // 0: the service's default
}

var modes = map[images.Fit]string{images.FitInside: "", images.FitCrop: "c", images.FitShrink: "s"}

// String is the one spelling of the size.
func (s Size) String() string {
	if s.Preset != "" {
		return s.Preset
	}
	text := strconv.Itoa(s.Width)
	if s.Height != 0 {
		text += "x" + strconv.Itoa(s.Height)
	}
	text += modes[s.Fit]
	if s.Quality != 0 {
		text += "q" + strconv.Itoa(s.Quality)
	}
	return text
}

// complete says whether a generation 2 URL can have the size: both sides, a
// mode and a quality.
func (s Size) complete() bool {
	return s.Preset == "" && s.Height != 0 && s.Fit != images.FitInside && s.Quality != 0
}

// Rendition is the picture that the size asks for, without a format. It is not
// normalised.
func (s Size) Rendition(names images.Catalogue) (images.Rendition, error) {
	if s.Preset != "" {
		r, err := names.Preset(s.Preset)
		if err != nil {
			return r, images.Invalidf("size", "%q is neither a size such as 480x360cq70 nor a preset", clip(s.Preset))
		}
		return r, nil
	}
	return images.Rendition{Width: s.Width, Height: s.Height, Fit: s.Fit, Quality: s.Quality}, nil
}

// sizeOf is the size that says all of a rendition except its format.
func sizeOf(r images.Rendition, preset string) (Size, error) {
	if preset != "" {
		return Size{Preset: preset}, nil
	}
	s := Size{Width: r.Width, Height: r.Height, Fit: r.Fit, Quality: r.Quality}
	rest := r
	rest.Format = images.FormatUnknown
	said := images.Rendition{Width: s.Width, Height: s.Height, Fit: s.Fit, Quality: s.Quality}
	if _, ok := modes[s.Fit]; !ok || s.Width == 0 || rest != said {
		return s, images.Invalidf("size", "TOFU URLs cannot say %s", r)
	}
	return s, nil
}

// ParseSize reads a size. Errors name the part of it that is wrong and how it
// would be right.
func ParseSize(text string) (Size, error) {
	if images.ValidName(text) {
		return Size{Preset: text}, nil
	}
	var s Size
	rest, err := number(text, "width", &s.Width)
	if err != nil {
		return s, err
	}
	if after, ok := strings.CutPrefix(rest, "x"); ok {
		if rest, err = number(after, "height", &s.Height); err != nil {
			return s, err
		}
	}
	if after, ok := strings.CutPrefix(rest, "c"); ok {
		s.Fit, rest = images.FitCrop, after
	} else if after, ok := strings.CutPrefix(rest, "s"); ok {
		s.Fit, rest = images.FitShrink, after
	}
	if after, ok := strings.CutPrefix(rest, "q"); ok {
		if rest, err = number(after, "quality", &s.Quality); err != nil {
			return s, err
		}
	}
	if rest != "" {
		return s, images.Invalidf("size", "%q follows what could be a size; a size is such as 280, 280x487s or 480x360cq70", clip(rest))
	}
	if s.Fit == images.FitCrop && s.Height == 0 {
		return s, images.Invalidf("size", "a crop (c) needs a width and a height, such as 180x180c")
	}
	return s, nil
}

// number reads digits at the beginning of text and gives what follows them.
func number(text, part string, to *int) (rest string, err error) {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	digits, rest := text[:end], text[end:]
	most := images.MaxSide
	if part == "quality" {
		most = 100
	}
	if digits == "" {
		return rest, images.Invalidf(part, "a number is missing at %q", clip(text))
	}
	if trimmed := strings.TrimLeft(digits, "0"); trimmed != "" && trimmed != digits {
		return rest, images.Invalidf(part, "%s is written %s", clip(digits), clip(trimmed))
	}
	v, ok := images.ParseInt(digits, most)
	if !ok || v == 0 {
		return rest, images.Invalidf(part, "%s is not between 1 and %d", clip(digits), most)
	}
	*to = v
	return rest, nil
}

// clip bounds what an error message repeats of a URL.
func clip(s string) string {
	const most = 40 // bytes
	if len(s) > most {
		return fmt.Sprintf("%.*s...", most, s)
	}
	return s
}
