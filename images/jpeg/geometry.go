package jpeg

import (
	"image"

	"github.com/kamado/kamado/images/plane"
)

// view is the part of the picture that is decoded, in the orientation of the file.
type view struct {
	mx0, my0, mx1, my1 int // MCUs of an interleaved scan
	width, height      int // pixels of the file that they show
	origin             image.Point
}

// target is where the samples of one component go.
type target struct {
	plane  *plane.Plane
	x0, y0 int // first sample of the component that is kept, in the file's orientation
	w, h   int // how many are
}

// prepare computes the geometry and gives dst its planes. Nothing that fails
// comes after the first change to dst.
func (d *Decoder) prepare(dst *plane.Picture) error {
	f := &d.frame
	model := f.model()
	for i := range f.n {
		if f.hMax%f.comps[i].h != 0 || f.vMax%f.comps[i].v != 0 {
			return UnsupportedError("fractional sampling ratio")
		}
	}
	d.setView()
	v := &d.view
	width, height := ceilDiv(v.width*d.n, blockSide), ceilDiv(v.height*d.n, blockSide)
	subX, subY := 1, 1
	d.expanding = !f.regular(model)
	if f.n == 3 && !d.expanding {
		subX, subY = f.hMax/f.comps[1].h, f.vMax/f.comps[1].v
	}
	exactW, exactH := float64(v.width*d.n)/blockSide, float64(v.height*d.n)/blockSide
	if d.orient.transpose {
		width, height, subX, subY, exactW, exactH = height, width, subY, subX, exactH, exactW
	}
	dst.Reset(model, false, width, height, subX, subY)
	dst.ExactWidth, dst.ExactHeight = exactW, exactH
	for i := range f.n {
		c, t := &f.comps[i], &d.targets[i]
		t.plane = &dst.Planes[i]
		if d.expanding {
			t.plane = d.nativePlane(i, width, height)
		}
		t.x0, t.y0 = v.mx0*c.h*d.n, v.my0*c.v*d.n
		t.w, t.h = t.plane.Width, t.plane.Height
		if d.orient.transpose {
			t.w, t.h = t.h, t.w
		}
	}
	d.reserve()
	return nil
}

// nativePlane is a plane of the decoder's own for component i of a picture
// whose sampling no model can hold.
func (d *Decoder) nativePlane(i, width, height int) *plane.Plane {
	f := &d.frame
	sx, sy := f.hMax/f.comps[i].h, f.vMax/f.comps[i].v
	if d.orient.transpose {
		sx, sy = sy, sx
	}
	d.native[i].Reset(ceilDiv(width, sx), ceilDiv(height, sy), sx, sy)
	return &d.native[i]
}

// reserve makes the batch buffers large enough. Their content is zero.
func (d *Decoder) reserve() {
	const side = samplingMax
	blocks := (d.batch*side + 15) &^ 15 // of one row of a component; 15: the largest group
	rows := mcuBlocksMax
	if d.n == 1 || len(d.line) == 0 {
		if len(d.line) < rows*blocks {
			d.line = make([]byte, rows*blocks)
		}
	}
	if d.n == 1 {
		return
	}
	if need := d.lay.row(blocks) * rows; len(d.coefs) < need {
		d.coefs = make([]int16, need)
	}
}

// model decides the colour model as libjpeg-turbo does from JFIF and Adobe
// segments and the names of the components.
func (f *frame) model() plane.Model {
	switch f.n {
	case 1:
		return plane.Gray
	case 3:
		ids := [3]uint8{f.comps[0].id, f.comps[1].id, f.comps[2].id}
		switch {
		case f.jfif:
			return plane.YCbCr
		case f.adobe && f.adobeTransform == 0:
			return plane.RGB
		case !f.adobe && ids == [3]uint8{'R', 'G', 'B'}:
			return plane.RGB
		}
		return plane.YCbCr
	}
	return plane.CMYK
}

// regular says whether the components can be planes of a Picture as they are:
// both chroma equal, subsampled by 1, 2 or 4; all else full.
func (f *frame) regular(m plane.Model) bool {
	for i := range f.n {
		c := &f.comps[i]
		if i > 0 && m == plane.YCbCr {
			if c.h != f.comps[1].h || c.v != f.comps[1].v || f.hMax/c.h == 3 || f.vMax/c.v == 3 {
				return false
			}
		} else if c.h != f.hMax || c.v != f.vMax {
			return false
		}
	}
	return true
}

// setView turns the region into MCUs of the file and pixels they show.
func (d *Decoder) setView() {
	f := &d.frame
	mw, mh := f.hMax*blockSide, f.vMax*blockSide
	r := image.Rect(0, 0, f.width, f.height)
	if !d.opt.Region.Empty() {
		r = d.orient.toFile(d.opt.Region, f.width, f.height).Intersect(r)
		if r.Empty() {
			r = image.Rect(0, 0, f.width, f.height)
		}
	}
	v := &d.view
	v.mx0, v.my0 = r.Min.X/mw, r.Min.Y/mh
	v.mx1, v.my1 = ceilDiv(r.Max.X, mw), ceilDiv(r.Max.Y, mh)
	x1, y1 := min(v.mx1*mw, f.width), min(v.my1*mh, f.height)
	if d.orient.flipX {
		x1 = v.mx1 * mw
	}
	if d.orient.flipY {
		y1 = v.my1 * mh
	}
	v.width, v.height = x1-v.mx0*mw, y1-v.my0*mh
	v.origin = d.orient.fromFile(image.Rect(v.mx0*mw, v.my0*mh, x1, y1), f.width, f.height).Min
}

// toFile maps a rectangle of the oriented picture to the file's orientation;
// width and height are the file's.
func (o orientation) toFile(r image.Rectangle, width, height int) image.Rectangle {
	if o.transpose {
		r = image.Rect(r.Min.Y, r.Min.X, r.Max.Y, r.Max.X)
	}
	return o.mirror(r, width, height)
}

// fromFile is the inverse of toFile.
func (o orientation) fromFile(r image.Rectangle, width, height int) image.Rectangle {
	r = o.mirror(r, width, height)
	if o.transpose {
		r = image.Rect(r.Min.Y, r.Min.X, r.Max.Y, r.Max.X)
	}
	return r
}

func (o orientation) mirror(r image.Rectangle, width, height int) image.Rectangle {
	if o.flipX {
		r.Min.X, r.Max.X = width-r.Max.X, width-r.Min.X
	}
	if o.flipY {
		r.Min.Y, r.Max.Y = height-r.Max.Y, height-r.Min.Y
	}
	return r
}
