package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/wire"
)

func samples() map[string]wire.Message {
	return map[string]wire.Message{
		"hello":  wire.Hello{Layers: 7, Loads: 0x7e, Saves: 0x3e, Library: "libvips 8.14.1"},
		"open":   wire.Open{Format: images.PNG, Frames: 12, Length: 1 << 20, Deadline: 20_000},
		"probe":  wire.Open{Format: images.AVIF, Probe: true, Keep: true, Frames: 1, Length: 9},
		"info":   wire.Info{Width: 4000, Height: 3000, Pages: 3, Orientation: 6, Bits: 16, Loop: 2, Alpha: true, ICC: true, Gray: true, Profile: 480},
		"target": wire.Target{CropX: 1, CropY: 2, CropWidth: 30, CropHeight: 40, Width: 5, Height: 6, Stride: 96, Frames: 2, Planes: 4, Profile: 480, Capacity: 96*6*2*4 + 480},
		"drop":   wire.Drop{},
		"done":   wire.Done{Truncated: true, Loop: 1, Delays: []uint32{100, 0, wire.MaxDelay}},
		"save": wire.Save{Format: images.WebP, Quality: 80, Effort: 4, Lossless: true, Width: 5, Height: 6, Stride: 96, Planes: 3,
			Loop: 0, ICC: 10, Length: 96*6*3*2 + 10, Capacity: 1 << 16, Deadline: 1, Delays: []uint32{40, 50}},
		"saved": wire.Saved{Length: 12345},
		"long":  wire.Fail{Code: wire.CodeTooLarge, Text: "16711744x1 pixels"},
		"fail":  wire.Fail{Code: wire.CodeMemory, Text: "out of memory"},
	}
}

func TestEveryMessageReadsBack(t *testing.T) {
	for name, m := range samples() {
		b := wire.Append(nil, 99, m)
		id, got, err := wire.Parse(b)
		if err != nil || id != 99 || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: read back id %d, %+v, %v; want %+v", name, id, got, err, m)
		}
	}
}

func TestEveryCutAndEveryExtraByteIsRefused(t *testing.T) {
	for name, m := range samples() {
		b := wire.Append(nil, 1, m)
		for n := range b {
			if _, _, err := wire.Parse(b[:n]); !errors.Is(err, wire.ErrMessage) {
				t.Errorf("%s cut to %d of %d bytes: error %v", name, n, len(b), err)
			}
		}
		if _, _, err := wire.Parse(append(b, 0)); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%s with a byte too many: error %v", name, err)
		}
	}
}

func TestOutOfRangeIsRefused(t *testing.T) {
	for name, m := range map[string]wire.Message{
		"no width":              wire.Info{Height: 1, Pages: 1, Orientation: 1, Bits: 8},
		"orientation 9":         wire.Info{Width: 1, Height: 1, Pages: 1, Orientation: 9, Bits: 8},
		"no frames":             wire.Open{Format: images.PNG},
		"unknown format":        wire.Open{Frames: 1},
		"stride under width":    wire.Target{CropWidth: 9, CropHeight: 9, Width: 9, Height: 9, Stride: 8, Frames: 1, Planes: 1, Capacity: 1 << 20},
		"planes over the end":   wire.Target{CropWidth: 9, CropHeight: 9, Width: 9, Height: 9, Stride: 32, Frames: 1, Planes: 3, Capacity: 32*9*3 - 1},
		"five planes":           wire.Target{CropWidth: 9, CropHeight: 9, Width: 9, Height: 9, Stride: 32, Frames: 1, Planes: 5, Capacity: 1 << 20},
		"kept icc over the end": wire.Target{CropWidth: 9, CropHeight: 9, Width: 9, Height: 9, Stride: 32, Frames: 1, Planes: 3, Profile: 1, Capacity: 32 * 9 * 3},
		"icc over the end":      wire.Save{Format: images.WebP, Quality: 1, Width: 1, Height: 1, Stride: 1, Planes: 1, ICC: 2, Length: 2, Delays: []uint32{0}},
		"quality 0":             wire.Save{Format: images.WebP, Width: 1, Height: 1, Stride: 1, Planes: 1, Length: 2, Delays: []uint32{0}},
		"long delay":            wire.Done{Delays: []uint32{wire.MaxDelay + 1}},
		"code 9":                wire.Fail{Code: 9},
		"huge":                  wire.Saved{Length: wire.MaxData + 1},
	} {
		if _, got, err := wire.Parse(wire.Append(nil, 1, m)); !errors.Is(err, wire.ErrMessage) {
			t.Errorf("%s: got %+v, %v; want ErrMessage", name, got, err)
		}
	}
	if _, _, err := wire.Parse(make([]byte, wire.MaxMessage+1)); !errors.Is(err, wire.ErrMessage) {
		t.Errorf("a message over MaxMessage: %v", err)
	}
}

func TestLongTextIsCut(t *testing.T) {
	_, m, err := wire.Parse(wire.Append(nil, 1, wire.Fail{Text: strings.Repeat("x", 9999)}))
	if err != nil || len(m.(wire.Fail).Text) != wire.MaxText {
		t.Fatalf("got %d bytes, %v", len(m.(wire.Fail).Text), err)
	}
}

// FuzzParse: whatever is accepted is written back byte for byte.
func FuzzParse(f *testing.F) {
	for _, m := range samples() {
		f.Add(wire.Append(nil, 1, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id, m, err := wire.Parse(b)
		if err != nil {
			return
		}
		if again := wire.Append(nil, id, m); !bytes.Equal(again, b) {
			t.Fatalf("%x was read as %+v and written as %x", b, m, again)
		}
	})
}
