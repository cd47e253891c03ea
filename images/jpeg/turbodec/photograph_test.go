//go:build libjpeg && cgo

package turbodec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// photographsShort is how many photographs the short form of the test compares.
const photographsShort = 2

// Real photographs, from whatever encoder, equal libjpeg-turbo at full size.
func TestPhotographs(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(*photographs, "*.jpg"))
	if len(files) == 0 {
		t.Skipf("needs photographs in %s (./setup test installs lomiri-wallpapers-20.04)", *photographs)
	}
	if testing.Short() {
		files = files[:min(len(files), photographsShort)]
	}
	var d jpeg.Decoder
	var p plane.Picture
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := Raw(data, 8)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Decode(&p, data, jpeg.DecodeOptions{}); err != nil {
				t.Fatal(err)
			}
			checkPlanes(t, &p, want)
		})
	}
}
