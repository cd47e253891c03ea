package images_test

import (
	"testing"

	"github.com/kamado/kamado/images"
)

func TestWatermarkPlace(t *testing.T) {
	for _, tt := range []struct {
		name    string
		gravity images.Gravity
		x, y    int
		wantX   int
		wantY   int
	}{
		{"in the middle", images.Center, 0, 0, 40, 45},
		{"distances from the middle count right and down", images.Center, 3, -2, 43, 43},
		{"at the lower right corner", images.SouthEast, 0, 0, 80, 90},
		{"distances from the right and lower edge count inwards", images.SouthEast, 5, 7, 75, 83},
		{"at the upper left corner, inwards", images.NorthWest, 5, 7, 5, 7},
		{"a negative distance leaves the picture", images.NorthWest, -5, 0, -5, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := images.Watermark{Gravity: tt.gravity, X: tt.x, Y: tt.y}
			if x, y := w.Place(100, 100, 20, 10); x != tt.wantX || y != tt.wantY {
				t.Errorf("Place(100, 100, 20, 10) = %d, %d, want %d, %d", x, y, tt.wantX, tt.wantY)
			}
		})
	}
}
