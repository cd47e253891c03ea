package main

import (
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

func TestPicturesDecodeAtTheirSize(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir, 2, 160); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1.jpg", "2.jpg"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := jpeg.DecodeConfig(f)
		if err != nil || c.Width != 160 || c.Height != 120 {
			t.Errorf("%s is %dx%d (%v), want 160x120", name, c.Width, c.Height, err)
		}
	}
}
