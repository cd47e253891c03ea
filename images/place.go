package images

import "math"

// Place gives the corner of a watermark of width x height on a rendition of
// baseWidth x baseHeight: at the edges that Gravity names, X and Y away from
// them, counted inwards; from the middle they count right and down. It may lie
// partly or wholly outside.
func (w Watermark) Place(baseWidth, baseHeight, width, height int) (x, y int) {
	shareX, shareY := w.Gravity.share()
	along := func(free int, share float64, away int) int {
		if share == 1 {
			away = -away
		}
		return int(math.Floor(float64(free)*share)) + away
	}
	return along(baseWidth-width, shareX, w.X), along(baseHeight-height, shareY, w.Y)
}
