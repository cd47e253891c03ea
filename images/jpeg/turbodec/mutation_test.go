//go:build libjpeg && cgo

package turbodec

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/jpeg/dct"
	"github.com/kamado/kamado/images/plane"
)

var mutations = flag.Int("mutations", 400, "damaged files to compare for each variant")

// mutate damages a file: cuts it, flips bits, overwrites, removes or repeats bytes.
func mutate(r *rand.Rand, data []byte) []byte {
	out := slices.Clone(data)
	for range 1 + r.IntN(3) {
		if len(out) < 8 {
			return out
		}
		at := 2 + r.IntN(len(out)-4)
		switch r.IntN(8) {
		case 0:
			out = out[:at]
		case 1, 2, 3:
			out[at] ^= 1 << r.IntN(8)
		case 4:
			out[at] = byte(r.IntN(256))
		case 5:
			out[at] = 0xFF
		case 6:
			out = slices.Delete(out, at, min(at+1+r.IntN(5), len(out)))
		case 7:
			out = slices.Insert(out, at, out[at:min(at+1+r.IntN(5), len(out))]...)
		}
	}
	return out
}

// Damaged files are accepted or refused as libjpeg-turbo does, and what is
// accepted has its samples.
func TestDamagedFiles(t *testing.T) {
	const width, height = 75, 61
	count := *mutations
	if testing.Short() {
		count /= 3
	}
	for _, v := range variants {
		t.Run(v.Name, func(t *testing.T) {
			n := 3
			if v.Space == Gray {
				n = 1
			}
			data, err := Encode(scene(width, height, n), width, height, v)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(11, uint64(v.Quality)))
			var d jpeg.Decoder
			accepted := 0
			for i := range count {
				bad := mutate(r, data)
				switch outcome, why := compare(&d, bad); {
				case outcome == same:
					accepted++
				case outcome != excused:
					t.Errorf("mutation %d: %s", i, why)
				}
			}
			if accepted < count/3 {
				t.Errorf("only %d of %d damaged files were compared by their samples", accepted, count)
			}
		})
	}
}

type outcome int

const (
	same outcome = iota
	excused
	different
)

// pixelsMax keeps damaged headers from asking for huge pictures.
const pixelsMax = 1 << 20

func compare(d *jpeg.Decoder, data []byte) (outcome, string) {
	info, infoErr := jpeg.ReadInfo(data)
	if infoErr == nil && info.Width*info.Height > pixelsMax {
		return excused, ""
	}
	var p plane.Picture
	res, err := d.Decode(&p, data, jpeg.DecodeOptions{})
	want, warnings, turboErr := Raw(data, 8)
	switch {
	case err != nil && turboErr != nil:
		return excused, ""
	case err != nil:
		if strings.HasSuffix(err.Error(), "header ends before it is complete") {
			return excused, "" // libjpeg-turbo takes the markers it makes up as the missing payload
		}
		var unsupported jpeg.UnsupportedError
		if errors.As(err, &unsupported) {
			return excused, "" // arithmetic coding, or a sampling libjpeg-turbo can give raw but not as pixels
		}
		return different, fmt.Sprintf("refused: %v; libjpeg-turbo takes it with %d warnings", err, warnings)
	case turboErr != nil:
		if res.Truncated {
			// libjpeg-turbo reads the markers it makes up at the end of the
			// input as the payload of a segment that is cut there.
			return excused, ""
		}
		return different, fmt.Sprintf("accepted with %+v; libjpeg-turbo says %v", res, turboErr)
	}
	if p.N() != len(want) || p.Model == plane.CMYK {
		return different, fmt.Sprintf("%d planes, libjpeg-turbo has %d", p.N(), len(want))
	}
	for i := range want {
		if w, q := &want[i], &p.Planes[i]; q.Width != w.Width || q.Height != w.Height {
			return excused, "" // expanded
		}
	}
	for i := range want {
		w, q := &want[i], &p.Planes[i]
		if worst, _, _ := diff(q, func(x, y int) int { return int(w.Pix[y*w.Stride+x]) }); worst != 0 {
			return compareCoefficients(&p, data, res)
		}
	}
	return same, ""
}

// compareCoefficients is for files so damaged that their coefficients overflow the
// transform, where libjpeg-turbo's own implementations differ from each other:
// its coefficients, in our transform, must give our samples.
func compareCoefficients(p *plane.Picture, data []byte, res jpeg.Result) (outcome, string) {
	want, err := Coefficients(data)
	if err != nil {
		return excused, "" // damage after the last row, which decoding never reads
	}
	for i := range want {
		w := &want[i]
		blocks := map[int][]byte{}
		worst, x, y := diff(&p.Planes[i], func(x, y int) int {
			b := y/8*w.BlocksX + x/8
			if x/8 >= w.BlocksX || y/8 >= w.BlocksY {
				return 128 // libjpeg-turbo has raw rows there, but no blocks
			}
			if blocks[b] == nil {
				var group [dct.Group8]int16
				for k := range 64 {
					group[k/8*16+k%8] = w.Coefs[b*64+k] * int16(w.Quant[k])
				}
				blocks[b] = make([]byte, 8*dct.Width8)
				dct.Inverse8(blocks[b], dct.Width8, group[:])
			}
			return int(blocks[b][y%8*dct.Width8+x%8])
		})
		if worst != 0 && bytes.Contains(data, []byte{0xFF, 0xFF, 0}) {
			// Its fast decoder takes the first FF for a marker and leaves
			// coefficients behind that its slow one does not clear.
			return excused, ""
		}
		if worst != 0 && repeatsScan(data) {
			return excused, "" // libjpeg-turbo lays the second scan over the first
		}
		if worst != 0 {
			return different, fmt.Sprintf("plane %d differs by %d at (%d,%d); %+v", i, worst, x, y, res)
		}
	}
	return same, ""
}

// repeatsScan says whether a component has two scans of its own.
func repeatsScan(data []byte) bool {
	seen := map[byte]bool{}
	head := []byte{0xFF, 0xDA, 0, 8, 1}
	for {
		i := bytes.Index(data, head)
		if i < 0 || i+len(head) >= len(data) {
			return false
		}
		id := data[i+len(head)]
		if seen[id] {
			return true
		}
		seen[id] = true
		data = data[i+len(head):]
	}
}
