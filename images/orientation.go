package images

// Orientation is one of the eight ways to turn a picture by right angles and
// mirror it, numbered as in EXIF (tag 0x0112): what has to be done to the
// stored pixels so that they stand upright. 0 counts as 1.
type Orientation uint8

// The orientations, by what is done to the stored picture.
const (
	Upright    Orientation = 1 // nothing
	MirrorH    Orientation = 2 // mirrored left to right
	Turn180    Orientation = 3
	MirrorV    Orientation = 4 // mirrored top to bottom
	Transpose  Orientation = 5 // rows become columns
	Turn90     Orientation = 6 // clockwise
	Transverse Orientation = 7 // mirrored along the other diagonal
	Turn270    Orientation = 8 // clockwise; 90 degrees counter-clockwise
)

// Swaps says whether width and height change places.
func (o Orientation) Swaps() bool { return o >= Transpose && o <= Turn270 }

// Mirrors says along which sides of the stored picture the turned one is walked
// backwards: its columns, its rows.
func (o Orientation) Mirrors() (across, down bool) {
	m := o.matrix()
	return m.a+m.b < 0, m.c+m.d < 0
}

// Size is the size of a picture of width x height after turning it.
func (o Orientation) Size(width, height int) (int, int) {
	if o.Swaps() {
		return height, width
	}
	return width, height
}

// matrix maps a finished direction to a stored one, for coordinates centred on
// the picture: stored = (a*x + b*y, c*x + d*y).
type matrix struct{ a, b, c, d int8 }

var matrices = [9]matrix{
	0:          {1, 0, 0, 1},
	Upright:    {1, 0, 0, 1},
	MirrorH:    {-1, 0, 0, 1},
	Turn180:    {-1, 0, 0, -1},
	MirrorV:    {1, 0, 0, -1},
	Transpose:  {0, 1, 1, 0},
	Turn90:     {0, 1, -1, 0},
	Transverse: {0, -1, -1, 0},
	Turn270:    {0, -1, 1, 0},
}

func (o Orientation) matrix() matrix {
	if int(o) >= len(matrices) {
		return matrices[Upright]
	}
	return matrices[o]
}

// Then is the one orientation that has the effect of o followed by next.
func (o Orientation) Then(next Orientation) Orientation {
	first, second := o.matrix(), next.matrix()
	product := matrix{
		first.a*second.a + first.b*second.c, first.a*second.b + first.b*second.d,
		first.c*second.a + first.d*second.c, first.c*second.b + first.d*second.d,
	}
	for i := Upright; i <= Turn270; i++ {
		if matrices[i] == product {
			return i
		}
	}
	panic("images: orientations are closed under composition")
}

// Inverse is the orientation that undoes o: mirrors and half turns are their
// own, the quarter turns each other's.
func (o Orientation) Inverse() Orientation {
	switch o {
	case Turn90:
		return Turn270
	case Turn270:
		return Turn90
	}
	return o
}

// Back maps a window of the turned picture to the same window of the stored
// one. width and height are those of the stored picture.
func (o Orientation) Back(w Window, width, height float64) Window {
	m := o.matrix()
	turnedWidth, turnedHeight := width, height
	if o.Swaps() {
		turnedWidth, turnedHeight = height, width
	}
	x, y := w.X+w.Width/2-turnedWidth/2, w.Y+w.Height/2-turnedHeight/2
	cx := float64(m.a)*x + float64(m.b)*y + width/2
	cy := float64(m.c)*x + float64(m.d)*y + height/2
	out := Window{Width: w.Width, Height: w.Height}
	if o.Swaps() {
		out.Width, out.Height = w.Height, w.Width
	}
	out.X, out.Y = cx-out.Width/2, cy-out.Height/2
	return out
}
