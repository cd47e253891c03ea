package imgproxy

import (
	"math"

	"github.com/kamado/kamado/images"
)

// directions are the places by their names in the dialect.
var directions = map[string]images.Gravity{
	"no": images.North, "so": images.South, "ea": images.East, "we": images.West, "noea": images.NorthEast, "nowe": images.NorthWest,
	"soea": images.SouthEast, "sowe": images.SouthWest, "ce": images.Center, "sm": images.Smart, "fp": images.Focal,
}

func readGravity(name string, a []string) (placed, error) {
	if len(a) == 0 || len(a) > 3 {
		return placed{}, images.Invalidf(name, "a gravity is a place and at most two numbers")
	}
	g, ok := directions[a[0]]
	if !ok {
		return placed{}, images.Invalidf(name, "%q is no place that is known here", clip(a[0]))
	}
	w := placed{given: true, gravity: g}
	for i, to := range [...]*float64{&w.x, &w.y} {
		if i+1 >= len(a) || a[i+1] == "" {
			continue
		}
		f, err := decimal(a[i+1])
		if err != nil {
			return placed{}, images.Invalidf(name, "%q is not a number", clip(a[i+1]))
		}
		*to = f
	}
	switch {
	case g == images.Focal:
		w.focalX, w.focalY, w.x, w.y = w.x, w.y, 0, 0
		if w.focalX < 0 || w.focalX > 1 || w.focalY < 0 || w.focalY > 1 {
			return placed{}, images.Invalidf(name, "a focal point lies between 0 and 1")
		}
	case w.x != math.Trunc(w.x) || w.y != math.Trunc(w.y):
		return placed{}, images.Invalidf(name, "offsets are whole pixels here, not shares of the picture")
	case g == images.Smart && (w.x != 0 || w.y != 0):
		return placed{}, images.Invalidf(name, "sm takes no offsets")
	}
	return w, nil
}

func (p *parser) readCrop(a []string) error {
	p.r.Cut, p.crop = images.Cut{}, placed{}
	for i, to := range [...]*float64{&p.r.Cut.Width, &p.r.Cut.Height} {
		if i < len(a) {
			if err := p.number("crop", a[i:i+1], to); err != nil {
				return err
			}
			if *to >= 1 {
				*to = math.Floor(*to + 0.5)
			}
		}
	}
	if len(a) <= 2 {
		return nil
	}
	var err error
	if p.crop, err = readGravity("crop", a[2:]); err == nil && (p.crop.x != 0 || p.crop.y != 0) {
		err = images.Invalidf("crop", "offsets are not known here")
	}
	return err
}

// trimThreshold is what the dialect takes where no threshold is given.
const trimThreshold = 10

func (p *parser) trim(a []string) error {
	if len(a) > 4 {
		return images.Invalidf("trim", "it has %d arguments and takes four", len(a))
	}
	for _, more := range a[min(len(a), 1):] {
		if v, err := boolean("trim", []string{more}); err != nil || v {
			return images.Invalidf("trim", "a color and equal borders are not known here")
		}
	}
	threshold := float64(trimThreshold)
	if len(a) > 0 && a[0] != "" {
		if err := p.number("trim", a[:1], &threshold); err != nil {
			return err
		}
	}
	p.r.Trim = int(math.Ceil(threshold))
	return nil
}

func (p *parser) padding(a []string) error {
	if len(a) > 4 {
		return images.Invalidf("padding", "it has %d arguments and takes four", len(a))
	}
	var v [4]int
	for i := range v {
		if i < len(a) && a[i] != "" {
			if err := p.whole("padding", a[i:i+1], &v[i], images.MaxPadding); err != nil {
				return err
			}
		} else if i > 0 {
			v[i] = v[max(i-2, 0)] // right as top, bottom as top, left as right
		}
	}
	p.r.Padding = images.Padding{Top: v[0], Right: v[1], Bottom: v[2], Left: v[3]}
	return nil
}
