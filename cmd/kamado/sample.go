package main

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
)

// The sample's size and quality.
const (
	sampleWidth, sampleHeight = 1600, 1200
	sampleQuality             = 88
)

// writeSample paints one original, so that the first start has something to show: a stove's glow below a night sky.
func writeSample(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write sample picture: %w", err)
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write sample picture: %w", err)
	}
	defer f.Close()
	if err := jpeg.Encode(f, paintSample(), &jpeg.Options{Quality: sampleQuality}); err != nil {
		return fmt.Errorf("write sample picture: %w", err)
	}
	return f.Close()
}

func paintSample() image.Image {
	img := image.NewRGBA(image.Rect(0, 0, sampleWidth, sampleHeight))
	for y := range sampleHeight {
		for x := range sampleWidth {
			u, v := float64(x)/sampleWidth, float64(y)/sampleHeight
			glow := math.Exp(-6 * math.Hypot(u-0.5, 1.2*(v-1)))
			ripple := 0.5 + 0.5*math.Sin(90*math.Hypot(u-0.5, v-1))
			img.SetRGBA(x, y, color.RGBA{
				R: level(20 + 60*v + 220*glow), G: level(24 + 30*v + 130*glow + 14*ripple*glow), B: level(70 - 30*v + 30*ripple*glow), A: 255,
			})
		}
	}
	return img
}

func level(f float64) uint8 { return uint8(max(0, min(255, f))) }
