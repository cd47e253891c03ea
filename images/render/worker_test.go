package render_test

import (
	"bytes"
	"image"
	"image/color"
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/image/webp"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/render"
)

// workers is a pool of this checkout's kamado-codec.
func workers(t *testing.T) render.Codec {
	t.Helper()
	if exec.Command("pkg-config", "--exists", "vips").Run() != nil {
		t.Skip("needs libvips-dev (./setup test installs it)")
	}
	path := filepath.Join(t.TempDir(), "kamado-codec")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/kamado/kamado/cmd/kamado-codec").CombinedOutput(); err != nil {
		t.Fatalf("build kamado-codec: %v\n%s", err, out)
	}
	pool, err := codec.NewPool(codec.Config{Path: path, Workers: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}

// What only workers read and write goes the same way as the rest.
func TestOperationsThroughWorkers(t *testing.T) {
	t.Parallel()
	c := &counting{Codec: workers(t)}
	r := newRenderer(render.Config{Codecs: []render.Codec{c}})
	photo := jpegOf(t, noisy(160, 120))
	make := func(src []byte, want images.Rendition) render.Result {
		t.Helper()
		res, err := r.Render(t.Context(), src, want)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		return res
	}
	for _, format := range []images.Format{images.WebP, images.AVIF} {
		plain := make(photo, images.Rendition{Format: format})
		limit := len(plain.Data) / 2
		small := make(photo, images.Rendition{Format: format, MaxBytes: limit})
		if len(small.Data) > limit || small.Quality >= plain.Quality || small.Quality < 10 {
			t.Errorf("%s: %d bytes at quality %d, at most %d wanted", format, len(small.Data), small.Quality, limit)
		}
		if _, err := r.Render(t.Context(), photo, images.Rendition{Format: format, MaxBytes: 256}); images.KindOf(err) != images.TooLarge {
			t.Errorf("%s: when nothing fits the error is %v", format, err)
		}
	}

	framedWebP := make(jpegOf(t, framed(256, 160, image.Rect(48, 32, 208, 128), color.RGBA{250, 250, 250, 255})), images.Rendition{Format: images.WebP, Quality: 100})
	trimmed := make(framedWebP.Data, images.Rendition{Trim: 60, Format: images.JPEG})
	if trimmed.Width != 160 || trimmed.Height != 96 || corners(decoded(t, trimmed)) != [4]int{0, 1, 2, 3} {
		t.Errorf("a WebP is trimmed to %dx%d, want 160x96", trimmed.Width, trimmed.Height)
	}

	// Padding without a background is transparent, and so is what was.
	padded := make(photo, images.Rendition{Width: 64, Format: images.WebP, Padding: images.Padding{Left: 10}})
	m, err := webp.Decode(bytes.NewReader(padded.Data))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, a := m.At(4, 20).RGBA(); a != 0 {
		t.Errorf("the canvas beside the picture has an alpha of %x, want none", a)
	}

	moving := make(gifOf(t, quarters(120, 90)), images.Rendition{
		Width: 60, Format: images.WebP, Text: images.Text{Words: "hi", Size: 12, Opacity: 1}, Pixelate: 4, Rotate: 90,
	})
	if moving.Frames != 2 || moving.Width != 60 || moving.Height != 80 {
		t.Errorf("an animation is %dx%d with %d frames", moving.Width, moving.Height, moving.Frames)
	}

	c.loads = 0
	for i, one := range r.RenderSet(t.Context(), framedWebP.Data, []images.Rendition{{Width: 100}, {Width: 50, Format: images.AVIF}, {Width: 30, Format: images.JPEG}}) {
		if one.Err != nil || one.Result.Width != []int{100, 50, 30}[i] {
			t.Errorf("%d: %d pixels wide (%v)", i, one.Result.Width, one.Err)
		}
	}
	if c.loads != 1 {
		t.Errorf("%d loads for a set, want 1", c.loads)
	}
	f, err := r.Facts(t.Context(), framedWebP.Data, render.Ask{BlurHashX: 4, BlurHashY: 3, ThumbHash: true, Palette: 4})
	if err != nil || f.Format != images.WebP || f.Width != 256 || len(f.BlurHash) != 28 || len(f.ThumbHash) == 0 || len(f.Palette) != 4 {
		t.Errorf("facts of a WebP: %+v, %v", f, err)
	}
	profileThroughWorkers(t, make)
}

func profileThroughWorkers(t *testing.T, make func([]byte, images.Rendition) render.Result) {
	t.Helper()
	withICC := withProfile(jpegOf(t, quarters(80, 60)), swapped("RGB "))
	kept := make(withICC, images.Rendition{Format: images.WebP, Profile: images.ProfileKeep})
	back := make(kept.Data, images.Rendition{Format: images.JPEG, Profile: images.ProfileKeep})
	if m := decoded(t, back); !bytes.Contains(back.Data, []byte("acsp")) || greener(m.At(10, 10)) {
		t.Errorf("through WebP and back the profile is gone or applied: %v", m.At(10, 10))
	}
	plain := make(kept.Data, images.Rendition{Format: images.JPEG})
	if m := decoded(t, plain); bytes.Contains(plain.Data, []byte("acsp")) || !greener(m.At(10, 10)) {
		t.Errorf("converted from the kept profile it is %v", m.At(10, 10))
	}
}
