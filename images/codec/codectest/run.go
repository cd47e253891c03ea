package codectest

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"sync"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/plane"
)

// Codec is what the suite checks.
type Codec interface {
	Load(ctx context.Context, r codec.LoadRequest) (*codec.Raster, codec.Info, error)
	Save(ctx context.Context, r codec.SaveRequest) ([]byte, error)
	Probe(ctx context.Context, data []byte, format images.Format) (codec.Info, error)
}

// Can is what a codec claims.
type Can struct {
	Loads, Saves []images.Format
	Profiles     bool // applies colour profiles
	Rare         bool // reads what only C libraries read
	WebPMoves    bool // animated WebP
}

func has(list []images.Format, f images.Format) bool {
	for _, v := range list {
		if v == f {
			return true
		}
	}
	return false
}

// Run checks a codec. make may give the same one each time.
func Run(t *testing.T, can Can, make func(t *testing.T) Codec) {
	t.Run("samples", func(t *testing.T) { runSamples(t, can, make(t)) })
	t.Run("damage", func(t *testing.T) { runDamage(t, can, make(t)) })
	t.Run("truncated", func(t *testing.T) { runTruncated(t, can, make(t)) })
	t.Run("geometry", func(t *testing.T) { runGeometry(t, make(t)) })
	t.Run("save", func(t *testing.T) { runSave(t, can, make(t)) })
	t.Run("animation", func(t *testing.T) { runAnimation(t, can, make(t)) })
	t.Run("motion", func(t *testing.T) { runMotion(t, can, make(t)) })
	t.Run("profile", func(t *testing.T) { runProfile(t, can, make(t)) })
	t.Run("alpha", func(t *testing.T) { runAlpha(t, make(t)) })
	t.Run("refusals", func(t *testing.T) { runRefusals(t, can, make(t)) })
	t.Run("together", func(t *testing.T) { runTogether(t, make(t)) })
}

// reads says whether a codec claims to read a sample.
func (c Can) reads(s Sample) bool {
	return has(c.Loads, s.Format) && (c.Rare || !s.CRule)
}

func runSamples(t *testing.T, can Can, c Codec) {
	for _, s := range Samples() {
		if !can.reads(s) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			info, err := c.Probe(t.Context(), s.Data, s.Format)
			if err != nil {
				t.Fatalf("probe: %v", err)
			}
			checkInfo(t, s, info)
			whole := image.Rect(0, 0, Width, Height)
			right := image.Rect(Width/2, 4, Width, Height)
			for _, target := range []codec.Target{
				{}, {Width: 32, Height: 24}, {Width: 100, Height: 90}, {Crop: right, Width: 16, Height: 22}, {Crop: image.Rect(5, 3, 60, 44)},
			} {
				r, again, err := c.Load(t.Context(), codec.LoadRequest{Data: s.Data, Format: s.Format,
					Geometry: func(codec.Info) (codec.Target, error) { return target, nil }})
				if err != nil {
					t.Fatalf("load %+v: %v", target, err)
				}
				if again != info {
					t.Errorf("load says %+v, probe %+v", again, info)
				}
				if target.Crop.Empty() {
					target.Crop = whole
				}
				if target.Width == 0 {
					target.Width, target.Height = target.Crop.Dx(), target.Crop.Dy()
				}
				checkScene(t, s, can, r, info, target)
			}
		})
	}
}

func checkInfo(t *testing.T, s Sample, info codec.Info) {
	t.Helper()
	want := codec.Info{Format: s.Format, Width: Width, Height: Height, Pages: max(s.Pages, 1), Orientation: max(s.Orientation, 1),
		Bits: s.Bits, Alpha: s.Alpha, ICC: s.ICC, Gray: s.Gray, Loop: info.Loop}
	if s.Bits == 0 {
		want.Bits = 8
	}
	got := info
	if s.Bits < 0 {
		got.Bits = s.Bits
	}
	if s.Pages < 0 {
		got.Pages = 1
	}
	if s.Name == "png broken profile" {
		got.ICC = false // it may be counted or not
	}
	if s.Format == images.BMP || s.Format == images.ICO {
		got.Bits = want.Bits
	}
	if got != want {
		t.Errorf("info is %+v, want %+v", got, want)
	}
}

// checkScene looks at the middle of each quarter that the crop shows.
func checkScene(t *testing.T, s Sample, can Can, r *codec.Raster, info codec.Info, target codec.Target) {
	t.Helper()
	if len(r.Frames) != 1 || r.Truncated {
		t.Fatalf("%d frames, truncated %v", len(r.Frames), r.Truncated)
	}
	p := &r.Frames[0].Picture
	checkShape(t, p, info, target.Width, target.Height)
	tolerance := max(s.Tolerance, 3)
	if s.ICC && !can.Profiles {
		return
	}
	for _, at := range []image.Point{{Width / 4, Height / 4}, {Width * 3 / 4, Height / 4}, {Width / 4, Height * 3 / 4}, {Width * 3 / 4, Height * 3 / 4}} {
		if !at.In(target.Crop) {
			continue
		}
		x := (at.X - target.Crop.Min.X) * target.Width / target.Crop.Dx()
		y := (at.Y - target.Crop.Min.Y) * target.Height / target.Crop.Dy()
		want := quarter(at.X, at.Y)
		if s.Gray {
			want = grey(at.X, at.Y)
		}
		list := []uint8{want.R, want.G, want.B}[:p.Model.Components()]
		if p.Alpha {
			a := uint8(255)
			if s.Format == images.PNG {
				a = 128
			}
			list = append(list, a)
		}
		for i, v := range list {
			if s.CMYK {
				checkPrinted(t, p, i, x, y, want)
				continue
			}
			if got := p.Planes[i].Row(y)[x]; abs(int(got)-int(v)) > tolerance {
				t.Errorf("target %v: plane %d at (%d,%d) is %d, want %d +- %d", target, i, x, y, got, v, tolerance)
			}
		}
	}
}

// checkPrinted: a channel that is full in the scene is brighter than one that
// is empty.
func checkPrinted(t *testing.T, p *plane.Picture, i, x, y int, want color.NRGBA) {
	t.Helper()
	full := [3]bool{want.R > 0, want.G > 0, want.B > 0}
	for j := range full {
		if got, other := p.Planes[i].Row(y)[x], p.Planes[j].Row(y)[x]; full[i] && !full[j] && int(got) < int(other)+30 {
			t.Errorf("printed colour at (%d,%d): channel %d is %d, channel %d is %d", x, y, i, got, j, other)
		}
	}
}

func abs(v int) int { return max(v, -v) }

func checkShape(t *testing.T, p *plane.Picture, info codec.Info, width, height int) {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	model := plane.RGB
	if info.Gray {
		model = plane.Gray
	}
	if p.Model != model || p.Alpha != info.Alpha || p.Width != width || p.Height != height {
		t.Fatalf("picture is %v alpha %v %dx%d, want %v alpha %v %dx%d", p.Model, p.Alpha, p.Width, p.Height, model, info.Alpha, width, height)
	}
}

// runDamage: whatever is cut off or changed gives a picture or an error that
// says whose fault it is.
func runDamage(t *testing.T, can Can, c Codec) {
	for _, s := range Samples() {
		if !has(can.Loads, s.Format) {
			continue
		}
		for _, n := range []int{0, 1, 12, 30, len(s.Data) / 2, len(s.Data) - 20} {
			data := s.Data[:min(n, len(s.Data))]
			checkSurvives(t, c, s, data)
		}
		for i := 8; i < len(s.Data); i += 1 + len(s.Data)/24 {
			data := bytes.Clone(s.Data)
			data[i] ^= 0xFF
			checkSurvives(t, c, s, data)
		}
	}
	for _, s := range damagedHeaders() {
		if has(can.Loads, s.Format) {
			checkSurvives(t, c, s, s.Data)
		}
	}
	if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: Samples()[0].Data, Format: images.PNG}); err != nil {
		t.Errorf("a good picture after the damaged ones: %v", err)
	}
}

// runTruncated: whoever makes a picture of half a file says so.
func runTruncated(t *testing.T, can Can, c Codec) {
	for _, f := range can.Loads {
		if !has(can.Saves, f) {
			continue
		}
		file, err := c.Save(t.Context(), codec.SaveRequest{Raster: noise(), Format: f})
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := c.Load(t.Context(), codec.LoadRequest{Data: file[:len(file)*2/3], Format: f})
		if err == nil && !r.Truncated {
			t.Errorf("%v: two thirds of a file are a whole picture", f)
		}
		if err != nil && images.KindOf(err) != images.Unprocessable {
			t.Errorf("%v: kind %v: %v", f, images.KindOf(err), err)
		}
	}
}

func checkSurvives(t *testing.T, c Codec, s Sample, data []byte) {
	t.Helper()
	r, info, err := c.Load(t.Context(), codec.LoadRequest{Data: data, Format: s.Format, Geometry: func(i codec.Info) (codec.Target, error) {
		limits := images.DefaultLimits()
		return codec.Target{Width: 8, Height: 8}, limits.CheckOriginal(i.Width, i.Height)
	}})
	if err == nil {
		checkShape(t, &r.Frames[0].Picture, info, 8, 8)
		return
	}
	if errors.Is(err, codec.ErrCrashed) || errors.Is(err, codec.ErrKilled) {
		t.Errorf("%s damaged (%d bytes): %v", s.Name, len(data), err)
	}
	if kind := images.KindOf(err); kind != images.Unprocessable && kind != images.TooLarge {
		t.Errorf("%s damaged (%d bytes): kind %v: %v", s.Name, len(data), kind, err)
	}
}

// runGeometry: the callback decides, sees the facts, and its error comes back
// as it is.
func runGeometry(t *testing.T, c Codec) {
	s := Samples()[0]
	mine := errors.New("mine")
	calls := 0
	_, info, err := c.Load(t.Context(), codec.LoadRequest{Data: s.Data, Format: s.Format, Geometry: func(i codec.Info) (codec.Target, error) {
		calls++
		if i.Width != Width || i.Height != Height {
			t.Errorf("geometry sees %+v", i)
		}
		return codec.Target{}, mine
	}})
	if err != mine || calls != 1 || info.Width != Width {
		t.Errorf("got %v after %d calls, info %+v; want the callback's own error", err, calls, info)
	}
	for _, target := range []codec.Target{{Crop: image.Rect(0, 0, Width+1, 1)}, {Width: -1, Height: 5}, {Width: 5}, {Crop: image.Rect(-1, 0, 5, 5)}} {
		if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: s.Data, Format: s.Format,
			Geometry: func(codec.Info) (codec.Target, error) { return target, nil }}); images.KindOf(err) != images.Internal || err == nil {
			t.Errorf("target %+v: %v", target, err)
		}
	}
	if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: s.Data, Format: s.Format,
		Geometry: func(codec.Info) (codec.Target, error) { return codec.Target{Width: 1 << 19, Height: 1 << 19}, nil }}); images.KindOf(err) != images.TooLarge {
		t.Errorf("a rendition of 2^38 pixels: %v, want TooLarge", err)
	}
	if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: s.Data, Format: s.Format}); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

func runRefusals(t *testing.T, can Can, c Codec) {
	good := Samples()[0]
	for _, f := range images.Formats(false) {
		if !has(can.Loads, f) {
			if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: good.Data, Format: f}); !errors.Is(err, codec.ErrFormat) && (f != images.SVG || images.KindOf(err) != images.Unprocessable) {
				// SVG may be known and still not wanted.
				t.Errorf("load %v: %v, want ErrFormat", f, err)
			}
		} else if f != images.PNG { // a file is not read as another format than asked for
			if _, _, err := c.Load(t.Context(), codec.LoadRequest{Data: good.Data, Format: f}); images.KindOf(err) != images.Unprocessable {
				t.Errorf("load a PNG as %v: %v, want Unprocessable", f, err)
			}
		}
		if !has(can.Saves, f) {
			if _, err := c.Save(t.Context(), codec.SaveRequest{Raster: still(plane.RGB, false), Format: f}); !errors.Is(err, codec.ErrFormat) {
				t.Errorf("save %v: %v, want ErrFormat", f, err)
			}
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Load(ended, codec.LoadRequest{Data: good.Data, Format: good.Format}); !errors.Is(err, context.Canceled) {
		t.Errorf("load with a context that ended: %v", err)
	}
	if _, err := c.Save(t.Context(), codec.SaveRequest{Raster: &codec.Raster{}, Format: images.PNG}); images.KindOf(err) != images.Internal || err == nil {
		t.Errorf("save no frame: %v", err)
	}
}

func runTogether(t *testing.T, c Codec) {
	s := Samples()[0]
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				r, _, err := c.Load(t.Context(), codec.LoadRequest{Data: s.Data, Format: s.Format})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := c.Save(t.Context(), codec.SaveRequest{Raster: r, Format: images.PNG}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
