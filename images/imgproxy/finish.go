package imgproxy

import "github.com/kamado/kamado/images"

// finish puts together what several options say.
func (p *parser) finish() (images.Rendition, error) {
	r := p.r
	if err := p.fitting(&r); err != nil {
		return r, err
	}
	if p.extend {
		if err := p.extending(&r); err != nil {
			return r, err
		}
	}
	if r.Width == 0 && r.Height == 0 && r.Zoom > 1 && !p.enlarge {
		r.Zoom = 0 // it would enlarge
	}
	g := p.gravity
	if r.Fit == images.FitPad {
		g = p.place
	}
	if g.given {
		r.Gravity, r.FocalX, r.FocalY, r.GravityX, r.GravityY = g.gravity, g.focalX, g.focalY, int(g.x), int(g.y)
	}
	at := p.crop
	if !at.given {
		at = p.gravity
	}
	r.Cut.Gravity, r.Cut.FocalX, r.Cut.FocalY = at.gravity, at.focalX, at.focalY
	r.Cut = turnedBack(r.Cut, r.Turn())
	if q := p.quality[r.Format]; q != 0 && r.Quality == 0 {
		r.Quality = q
	}
	if err := r.Validate(); err != nil {
		return r, err
	}
	return p.Names.Complete(r)
}

// fitting is what the resizing type and enlarge say together.
func (p *parser) fitting(r *images.Rendition) error {
	switch p.fit {
	case "", "fit":
		r.Fit, r.NoEnlarge = images.FitShrink, false
		if p.enlarge {
			r.Fit = images.FitInside
		}
	case "fill":
		r.Fit = images.FitClip
		if p.enlarge {
			r.Fit = images.FitCrop
		}
	case "fill-down":
		r.Fit, r.NoEnlarge = images.FitCrop, !p.enlarge
	case "force":
		r.Fit, r.NoEnlarge = images.FitStretch, !p.enlarge
	case "auto":
		r.Fit = images.FitAuto
		if p.enlarge {
			return images.Invalidf("enlarge", "with the resizing type auto nothing is enlarged here")
		}
	}
	return nil
}

// extending puts canvas around a picture that is smaller than its box. Where the
// picture always fills its box there is nothing to do.
func (p *parser) extending(r *images.Rendition) error {
	always := r.Fit == images.FitInside || r.Fit == images.FitCrop && !r.NoEnlarge || r.Fit == images.FitStretch && !r.NoEnlarge
	if r.Width == 0 || r.Height == 0 {
		if always || r.Width == r.Height {
			return nil
		}
		return images.Invalidf("extend", "it needs a width and a height here")
	}
	switch {
	case r.Fit == images.FitShrink || r.Fit == images.FitInside:
		r.NoEnlarge, r.Fit = r.Fit == images.FitShrink, images.FitPad
	case !always:
		return images.Invalidf("extend", "it goes with the resizing type fit only, where nothing may be enlarged")
	}
	return nil
}

// compass has the directions by where they lie: x from west, y from north.
var compass = [3][3]images.Gravity{
	{images.NorthWest, images.North, images.NorthEast},
	{images.West, images.Center, images.East},
	{images.SouthWest, images.South, images.SouthEast},
}

// turnedBack makes a part of the turned picture, which the dialect means, one of the
// upright original.
func turnedBack(c images.Cut, turn images.Orientation) images.Cut {
	if turn == images.Upright {
		return c
	}
	back := func(x, y float64) (float64, float64) { // from -1 to 1
		switch turn {
		case images.MirrorH:
			x = -x
		case images.Turn180:
			x, y = -x, -y
		case images.MirrorV:
			y = -y
		case images.Transpose:
			x, y = y, x
		case images.Turn90:
			x, y = y, -x
		case images.Transverse:
			x, y = -y, -x
		case images.Turn270:
			x, y = -y, x
		}
		return x, y
	}
	if w, _ := turn.Size(1, 2); w == 2 {
		c.Width, c.Height = c.Height, c.Width
	}
	if c.Gravity == images.Focal {
		x, y := back(2*c.FocalX-1, 2*c.FocalY-1)
		c.FocalX, c.FocalY = (x+1)/2, (y+1)/2
		return c
	}
	for i, row := range compass {
		for j, g := range row {
			if g == c.Gravity {
				x, y := back(float64(j-1), float64(i-1))
				c.Gravity = compass[int(y)+1][int(x)+1]
				return c
			}
		}
	}
	return c
}
