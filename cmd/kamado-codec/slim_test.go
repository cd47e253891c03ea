package main

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// webpOf is a container of chunks that hold their own names.
func webpOf(kinds ...string) []byte {
	b := []byte("RIFF\x00\x00\x00\x00WEBP")
	for _, kind := range kinds {
		b = append(append(b, kind...), 3, 0, 0, 0, kind[0], kind[1], kind[2], 0)
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

func many(n int, kind string) (list []string) {
	for range n {
		list = append(list, kind)
	}
	return list
}

func TestSlimWebP(t *testing.T) {
	usual := []string{"VP8X", "ICCP", "ANIM"}
	for _, c := range []struct {
		name         string
		kinds        []string
		frames, want int
		slim         bool
	}{
		{"a still", []string{"VP8 "}, 1, 0, false},
		{"as many frames as are cheap", append(usual, many(webpFrames, "ANMF")...), 1, webpFrames, false},
		{"more frames", append(usual, many(9000, "ANMF")...), 300, 9000, true},
		{"a crowd of chunks", append(usual, many(1000, "XXXX")...), 1, 0, true},
		{"a crowd of profiles", append(usual, many(1000, "ICCP")...), 1, 0, true},
	} {
		slim, pages := slimWebP(webpOf(c.kinds...), c.frames)
		if pages != c.want || (slim != nil) != c.slim {
			t.Errorf("%s: %d pages, slim %v", c.name, pages, slim != nil)
		}
		if slim == nil {
			continue
		}
		if n := bytes.Count(slim, []byte("ANMF")); n != min(c.want, max(c.frames, webpFrames)) || bytes.Count(slim, []byte("ICCP")) != 1 ||
			int(binary.LittleEndian.Uint32(slim[4:])) != len(slim)-8 {
			t.Errorf("%s: %d frames left, %d bytes", c.name, n, len(slim))
		}
	}
}

func TestCheckDirectories(t *testing.T) {
	chain := func(n int) []byte {
		b := []byte("II*\x00\x08\x00\x00\x00")
		for i := range n {
			next := uint32(8 + 6*(i+1))
			if i == n-1 {
				next = 0
			}
			b = binary.LittleEndian.AppendUint32(append(b, 0, 0), next)
		}
		return append(b, make([]byte, 16)...)
	}
	for n, want := range map[int]error{1: nil, directoriesMax: nil, directoriesMax + 1: errDirectories} {
		if err := checkDirectories(chain(n)); err != want {
			t.Errorf("%d directories: %v", n, err)
		}
	}
	if err := checkDirectories([]byte("MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00")); err != errDirectories {
		t.Errorf("a circle: %v", err)
	}
}

// FuzzHeaders: no file leads these walks out of it.
func FuzzHeaders(f *testing.F) {
	f.Add(webpOf("VP8X", "ANMF"))
	f.Add([]byte("II+\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x00\x00\x00\x00"))
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x08ftyp\x00\x00\x00\x01free\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"))
	f.Add([]byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xFF\xFF\xFF!\xF9\x04\x00\x00\x00\x00\x00;"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if slim, _ := slimWebP(b, 1); len(slim) > len(b) {
			t.Fatalf("%d bytes became %d", len(b), len(slim))
		}
		checkDirectories(b)
		checkBoxes(b)
		gifComplete(b)
	})
}
