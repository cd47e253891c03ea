package images

// Gravity says which part of a picture stays when some of it is cut off, and
// where a picture lies in a larger box.
type Gravity uint8

// The gravities. Directions are those of the finished picture, after
// orientation, rotation and flips.
const (
	Center Gravity = iota
	North
	NorthEast
	East
	SouthEast
	South
	SouthWest
	West
	NorthWest
	// Focal: the point FocalX, FocalY of the rendition comes as near to the
	// middle as the edges allow.
	Focal
	// Smart: the point that draws the eye, found in the picture, is the focal
	// point.
	Smart

	gravityCount
)

var gravityNames = [gravityCount]string{"center", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest", "focal", "smart"}

// String is the name in URLs and presets.
func (g Gravity) String() string {
	if g < gravityCount {
		return gravityNames[g]
	}
	return "gravity?"
}

// ParseGravity is the inverse of String.
func ParseGravity(s string) (Gravity, bool) {
	for g, name := range gravityNames {
		if s == name {
			return Gravity(g), true
		}
	}
	return 0, false
}

// share is how much of the free space lies left of and above the thing that
// is placed: 0, 1/2 or 1 each. Focal and Smart count as the middle.
func (g Gravity) share() (x, y float64) {
	x, y = 0.5, 0.5
	switch g {
	case NorthWest, West, SouthWest:
		x = 0
	case NorthEast, East, SouthEast:
		x = 1
	}
	switch g {
	case NorthWest, North, NorthEast:
		y = 0
	case SouthWest, South, SouthEast:
		y = 1
	}
	return x, y
}
