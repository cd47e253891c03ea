package bench

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"os"
	"slices"
	"testing"
	"time"
)

func TestParseCoding(t *testing.T) {
	frame := func(marker byte, sampling ...byte) []byte {
		b := []byte{0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, marker, 0, byte(8 + 3*len(sampling)), 8, 0x0b, 0xb8, 0x0f, 0xa0, byte(len(sampling))}
		for i, s := range sampling {
			b = append(b, byte(i+1), s, 0)
		}
		return b
	}
	scan := []byte{0xff, 0xda, 0, 2}
	restart := []byte{0xff, 0xdd, 0, 4, 0, 8}
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"baseline 4:2:0 has no suffix", append(frame(0xc0, 0x22, 0x11, 0x11), scan...), "12 MP"},
		{"progressive 4:4:4", append(frame(0xc2, 0x11, 0x11, 0x11), scan...), "12 MP 4:4:4 progressive"},
		{"4:2:2 with restart markers", append(append(frame(0xc0, 0x21, 0x11, 0x11), restart...), scan...), "12 MP 4:2:2 restart"},
		{"grey", append(frame(0xc0, 0x11), scan...), "12 MP grey"},
		{"CMYK", append(frame(0xc0, 0x11, 0x11, 0x11, 0x11), scan...), "12 MP CMYK"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseCoding(tt.in)
			if err != nil || c.class() != tt.want || c.width != 4000 || c.height != 3000 {
				t.Errorf("parseCoding() = %+v %q %v, want 4000x3000 %q", c, c.class(), err, tt.want)
			}
		})
	}
	for _, bad := range [][]byte{nil, []byte("GIF89a"), {0xff, 0xd8, 0xff, 0xda, 0, 2}, frame(0xc0, 0x22, 0x10, 0x11), frame(0xc0)[:14]} {
		if c, err := parseCoding(bad); err == nil {
			t.Errorf("parseCoding(% x) = %+v, want an error", bad, c)
		}
	}
}

func FuzzParseCoding(f *testing.F) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 16)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(_ *testing.T, in []byte) {
		if c, err := parseCoding(in); err == nil {
			_ = c.class()
		}
	})
}

func TestParseStatCountsFieldsAfterTheName(t *testing.T) {
	s, err := parseStat("42 (a) b) c) S 7 42 42 0 -1 4194560 100 0 0 0 5 6 150 25 20 0 1 0 100")
	if err != nil || s.parent != 7 || s.reaped != 1750*time.Millisecond {
		t.Errorf("parseStat() = %+v %v, want parent 7 and 1.75 s reaped", s, err)
	}
	for _, bad := range []string{"", "42 (x", "42 (x) S 7"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) gave no error", bad)
		}
	}
}

func TestParsePss(t *testing.T) {
	if got := parsePss([]byte("Rss: 99 kB\nPss:              12 kB\nPss_Dirty: 5 kB\n")); got != 12<<10 {
		t.Errorf("parsePss() = %d, want %d", got, 12<<10)
	}
}

func TestTreeMeasuresThisProcess(t *testing.T) {
	self := tree{pid: os.Getpid()}
	before, err := self.cpu()
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 30*time.Millisecond; {
	}
	after, err := self.cpu()
	if err != nil || after-before < 5*time.Millisecond {
		t.Errorf("30 ms of work cost %s (%v), want 5 ms at least", after-before, err)
	}
	if sum, n, err := self.pss(); err != nil || sum < 1<<20 || n < 1 {
		t.Errorf("pss() = %d in %d processes (%v), want a megabyte at least", sum, n, err)
	}
}

func TestRule(t *testing.T) {
	peer := quality{psnr: 36, score: 75, scored: true, bytes: 20000}
	tests := []struct {
		name   string
		ours   quality
		by     string
		broken int
	}{
		{"the same is met", peer, "ssimulacra2, PSNR, bytes", 0},
		{"just inside every bound", quality{psnr: 35.71, score: 74.51, scored: true, bytes: 20599}, "ssimulacra2, PSNR, bytes", 0},
		{"a point too low", quality{psnr: 36, score: 74.4, scored: true, bytes: 20000}, "ssimulacra2, PSNR, bytes", 1},
		{"everything too bad", quality{psnr: 35.6, score: 74.4, scored: true, bytes: 20700}, "ssimulacra2, PSNR, bytes", 3},
		{"without a score PSNR and bytes judge", quality{psnr: 36, bytes: 20000}, "PSNR, bytes", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			by, broken := rule(tt.ours, peer)
			if by != tt.by || len(broken) != tt.broken {
				t.Errorf("rule() = %q %q, want %q and %d complaints", by, broken, tt.by, tt.broken)
			}
		})
	}
}

func TestSpreadAndRatios(t *testing.T) {
	if got, want := spread([]float64{3, 1, 2, 10}), (Spread{1, 2.5, 10}); got != want {
		t.Errorf("spread() = %+v, want %+v", got, want)
	}
	if got := spread(nil); got != (Spread{}) {
		t.Errorf("spread(nil) = %+v", got)
	}
	if got := ratios([]float64{1, 0, 4}, []float64{2, 2, 8}); !slices.Equal(got, []float64{0.5, 0.5}) {
		t.Errorf("ratios() = %v, want the rounds in which both have something", got)
	}
}

func TestJobsHaveDistinctExactSizes(t *testing.T) {
	c := Default()
	group := []*original{{id: "1"}, {id: "2"}, {id: "3"}}
	seen := map[job]bool{}
	for round := range 2*jitterSteps + 1 {
		for _, j := range jobs(c, group, round) {
			if j.width*aspectHeight != j.height*aspectWidth {
				t.Errorf("%dx%d is not 4:3", j.width, j.height)
			}
			if seen[j] {
				t.Errorf("round %d asks for %dx%d of %s again", round, j.width, j.height, j.original.id)
			}
			seen[j] = true
		}
	}
}

func TestLanczosKeepsFlatAndLinearPictures(t *testing.T) {
	p := rgb{width: 120, height: 90, pix: make([]byte, 120*90*3)}
	for y := range 90 {
		for x := range 120 {
			at := (y*120 + x) * 3
			p.pix[at], p.pix[at+1], p.pix[at+2] = 77, byte(2*x), byte(2*y)
		}
	}
	out := lanczos(p, 40, 30)
	for y := 3; y < 27; y++ {
		for x := 3; x < 37; x++ {
			at := (y*40 + x) * 3
			if out.pix[at] != 77 || math.Abs(float64(out.pix[at+1])-float64(6*x+2)) > 1 || math.Abs(float64(out.pix[at+2])-float64(6*y+2)) > 1 {
				t.Fatalf("sample %d,%d = %v, want 77 %d %d", x, y, out.pix[at:at+3], 6*x+2, 6*y+2)
			}
		}
	}
	if got := psnr(out, out); got != psnrMax {
		t.Errorf("psnr of equal pictures = %v, want %v", got, psnrMax)
	}
	other := rgb{width: 40, height: 30, pix: slices.Clone(out.pix)}
	for i := range other.pix {
		other.pix[i] ^= 1
	}
	if got := psnr(out, other); math.Abs(got-48.13) > 0.01 {
		t.Errorf("psnr of a difference of one everywhere = %.2f, want 48.13", got)
	}
}

func TestParsePPM(t *testing.T) {
	p, err := parsePPM([]byte("P6\n#vips2ppm\n2 1\n255\nabcdef"))
	if err != nil || p.width != 2 || p.height != 1 || string(p.pix) != "abcdef" {
		t.Errorf("parsePPM() = %+v %v", p, err)
	}
	if p, err := parsePPM([]byte("P5 1 1 255 g")); err != nil || string(p.pix) != "ggg" {
		t.Errorf("parsePPM() of grey = %+v %v", p, err)
	}
	for _, bad := range []string{"", "P6", "P6 9 9 255 a", "P6 1 1 65535 aaaaaa"} {
		if _, err := parsePPM([]byte(bad)); err == nil {
			t.Errorf("parsePPM(%q) gave no error", bad)
		}
	}
}

func TestCPUModel(t *testing.T) {
	if got := cpuModel([]byte("processor\t: 0\nmodel name\t: Fast 9000\nmodel name\t: x\n")); got != "Fast 9000" {
		t.Errorf("cpuModel() = %q", got)
	}
	if got := cpuModel([]byte("CPU implementer\t: 0x41\nCPU part\t: 0xd40\nCPU implementer\t: 0x41\n")); got != "arm 0x41 0xd40" {
		t.Errorf("cpuModel() = %q", got)
	}
}
