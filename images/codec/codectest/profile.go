package codectest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/plane"
)

// runProfile: a profile that is kept comes out whole, the planes stay in its
// colours, and a file that it is written to gives the same picture again.
func runProfile(t *testing.T, can Can, c Codec) {
	for _, s := range Samples() {
		if !s.ICC || !can.reads(s) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			applied := loadSample(t, c, s.Data, s.Format, false)
			if applied.ICC != nil {
				t.Errorf("a profile of %d bytes although it was applied", len(applied.ICC))
			}
			kept := loadSample(t, c, s.Data, s.Format, true)
			if len(kept.ICC) < 132 || string(kept.ICC[36:40]) != "acsp" {
				t.Fatalf("no profile came out: %d bytes", len(kept.ICC))
			}
			// Full red of sRGB lies inside wider colours.
			red, wide := corner(applied), corner(kept)
			if red[0] < 250 || wide[0] > red[0]-5 || wide[1] < red[1]+5 {
				t.Errorf("red is %v with the profile applied and %v with it kept", red, wide)
			}
			for _, f := range can.Saves {
				if f == images.GIF { // has no room for one
					continue
				}
				t.Run(f.String(), func(t *testing.T) { profileComesBack(t, c, kept, red, f) })
			}
		})
	}
	for _, s := range Samples() {
		if s.CMYK && can.reads(s) || s.Name == "png" {
			if r := loadSample(t, c, s.Data, s.Format, true); r.ICC != nil {
				t.Errorf("%s: a profile of %d bytes where none describes the planes", s.Name, len(r.ICC))
			}
		}
	}
}

// profileComesBack writes a raster with its profile and reads it both ways.
func profileComesBack(t *testing.T, c Codec, kept *codec.Raster, red []uint8, f images.Format) {
	file, err := c.Save(t.Context(), codec.SaveRequest{Raster: kept, Format: f, Quality: 95, ICC: kept.ICC})
	if err != nil {
		t.Fatal(err)
	}
	again := loadSample(t, c, file, f, true)
	if !bytes.Equal(again.ICC, kept.ICC) {
		t.Errorf("a profile of %d bytes came back as %d", len(kept.ICC), len(again.ICC))
	}
	seen := corner(loadSample(t, c, file, f, false))
	for i := range red {
		if abs(int(seen[i])-int(red[i])) > 16 {
			t.Fatalf("red is seen as %v, was %v", seen, red)
		}
	}
}

func loadSample(t *testing.T, c Codec, data []byte, f images.Format, keep bool) *codec.Raster {
	t.Helper()
	r, _, err := c.Load(t.Context(), codec.LoadRequest{Data: data, Format: f, KeepProfile: keep})
	if err != nil {
		t.Fatal(fmt.Errorf("keep %v: %w", keep, err))
	}
	return r
}

// corner is the colour in the red quarter of the scene.
func corner(r *codec.Raster) []uint8 {
	p := &r.Frames[0].Picture
	if p.Model != plane.RGB {
		return []uint8{0, 0, 0}
	}
	return []uint8{p.Planes[0].Row(Height / 4)[Width/4], p.Planes[1].Row(Height / 4)[Width/4], p.Planes[2].Row(Height / 4)[Width/4]}
}
