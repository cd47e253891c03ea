// Command photos writes generated landscapes as JPEG files, for machines on
// which Debian's wallpaper packages cannot be had. They stand in for
// photographs: large soft areas, fine texture, hard edges and some noise, so
// that sizes and qualities show what they do. The same seed gives the same
// picture; nothing here is meant for measuring.
package main

import (
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// quality of the files, as cameras write them.
const quality = 90

func main() {
	out := flag.String("out", ".", "folder to write 1.jpg, 2.jpg … into")
	count := flag.Int("count", 8, "how many pictures")
	width := flag.Int("width", 2400, "pixels across; the height is three quarters of it")
	flag.Parse()
	if err := run(*out, *count, *width); err != nil {
		fmt.Fprintln(os.Stderr, "photos:", err)
		os.Exit(1)
	}
}

func run(dir string, count, width int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, count)
	for i := range count {
		wg.Go(func() {
			path := filepath.Join(dir, fmt.Sprintf("%d.jpg", i+1))
			errs[i] = write(path, landscape(uint64(i+1), width, width*3/4))
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func write(path string, m image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := jpeg.Encode(f, m, &jpeg.Options{Quality: quality}); err != nil {
		f.Close()
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return f.Close()
}

// landscape paints a sky with a sun and five ridges, the nearer the darker.
func landscape(seed uint64, width, height int) *image.RGBA {
	random := rand.New(rand.NewPCG(seed, 7))
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	hue := float64(seed) * 0.61803
	top, low := hsv(hue, 0.55, 0.75), hsv(hue+0.12, 0.35, 1)
	sunX, sunY := float64(width)*(0.2+0.6*random.Float64()), float64(height)*(0.15+0.3*random.Float64())
	const ridges = 5
	var line [ridges][]float64
	for r := range ridges {
		line[r] = ridge(random.Uint64(), width, float64(height)*(0.35+0.13*float64(r)), float64(height)*0.16)
	}
	for y := range height {
		for x := range width {
			c := mix(top, low, float64(y)/float64(height)*1.6)
			d := math.Hypot(float64(x)-sunX, float64(y)-sunY) / float64(height)
			c = mix(c, [3]float64{1, 0.97, 0.85}, math.Exp(-d*d*60)+0.3*math.Exp(-d*3))
			for r := range ridges {
				if depth := float64(y) - line[r][x]; depth > 0 {
					near := float64(r+1) / ridges
					ground := hsv(hue+0.3+0.05*float64(r), 0.25+0.3*near, 0.75-0.55*near)
					texture := noise(seed+uint64(r), float64(x)/(6*near+2), float64(y)/(6*near+2)) - 0.5
					c = mix(ground, low, 0.5*(1-near))
					for i := range c {
						c[i] *= 1 + 0.7*texture*near - 0.1*math.Min(1, depth/200)
					}
				}
			}
			grain := (random.Float64() - 0.5) * 0.02
			m.SetRGBA(x, y, color.RGBA{R: sample(c[0] + grain), G: sample(c[1] + grain), B: sample(c[2] + grain), A: 255})
		}
	}
	return m
}

// ridge is the height of a mountain line at every x: eight octaves of noise.
func ridge(seed uint64, width int, base, swing float64) []float64 {
	line := make([]float64, width)
	for x := range line {
		at := float64(x) / float64(width) * 3
		sum, weight := 0.0, 1.0
		for range 8 {
			sum += weight * (noise(seed, at, 0.5) - 0.5)
			at, weight = at*2.03, weight*0.5
		}
		line[x] = base - swing*sum
	}
	return line
}

// noise is smooth value noise in 0..1 on a unit lattice.
func noise(seed uint64, x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := smooth(x-x0), smooth(y-y0)
	corner := func(dx, dy int64) float64 {
		h := seed*0x9e3779b97f4a7c15 + uint64(int64(x0)+dx)*0xbf58476d1ce4e5b9 + uint64(int64(y0)+dy)*0x94d049bb133111eb
		h = (h ^ h>>31) * 0xd6e8feb86659fd93
		return float64((h^h>>32)>>11) / (1 << 53)
	}
	a := corner(0, 0)*(1-fx) + corner(1, 0)*fx
	b := corner(0, 1)*(1-fx) + corner(1, 1)*fx
	return a*(1-fy) + b*fy
}

func smooth(t float64) float64 { return t * t * (3 - 2*t) }

func mix(a, b [3]float64, t float64) [3]float64 {
	t = math.Max(0, math.Min(1, t))
	return [3]float64{a[0] + (b[0]-a[0])*t, a[1] + (b[1]-a[1])*t, a[2] + (b[2]-a[2])*t}
}

// hsv converts hue (in turns), saturation and value in 0..1 to RGB in 0..1.
func hsv(h, s, v float64) [3]float64 {
	var c [3]float64
	for i, n := range []float64{5, 3, 1} {
		k := math.Mod(n+h*6, 6)
		c[i] = v - v*s*math.Max(0, math.Min(1, math.Min(k, 4-k)))
	}
	return c
}

func sample(v float64) uint8 { return uint8(math.Max(0, math.Min(255, v*255+0.5))) }
