package images_test

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/images/imgproxy"
	"github.com/kamado/kamado/internal/porttest"
)

// peer runs a real imgproxy over a folder, with the key and the salt of the tests.
func peer(t *testing.T, dir string) *process {
	t.Helper()
	path := "../../../.cache/peers/imgproxy/imgproxy"
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("imgproxy"); err != nil {
			t.Skip("needs a real imgproxy (images/bench/peers/imgproxy.sh builds it)")
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{addr: fmt.Sprint("127.0.0.1:", porttest.Free(t)), ready: "/health", dir: t.TempDir(), args: []string{path}}
	p.env = []string{
		"IMGPROXY_BIND=" + p.addr, "IMGPROXY_LOCAL_FILESYSTEM_ROOT=" + dir, "IMGPROXY_KEY=" + key, "IMGPROXY_SALT=" + salt,
		"IMGPROXY_WORKERS=2", "IMGPROXY_LOG_LEVEL=error", "LD_LIBRARY_PATH=" + filepath.Dir(path),
	}
	p.run(t)
	return p
}

// compared are options of which both must make pictures of the same size.
var compared = []string{
	"rs:fit:300:200", "rs:fit:300:300", "rs:fit:301:199", "rs:fit:77:0", "rs:fit:0:77", "rs:fill:300:200", "rs:fill:200:300", "rs:fill:300:0", "rs:fill-down:300:200",
	"rs:fill-down:2000:1000", "rs:fill-down:700:2000", "rs:force:300:200", "rs:force:300:0", "rs:force:2000:100", "rs:auto:300:200", "rs:auto:200:300", "rs:auto:300:300",
	"rs:fit:2000:2000", "rs:fit:2000:2000:1", "rs:fill:2000:1000", "rs:fill:2000:1000:1", "rs:fill:2000:100", "rs:fill:100:2000", "rs:force:2000:1500:1",
	"rs:fill-down:1000:100", "rs:fill-down:2000:1000:1", "rs:auto:2000:1000", "rs:force:1000:1000",
	"rs:fit:300:300:0:1", "rs:fit:300:300:0:1:so", "rs:fit:2000:2000:0:1", "rs:fit:300:200:1:1", "rs:fit:300:0:1:1", "rs:fill:300:200:1:1",
	"c:100:80", "c:100:80:nowe", "c:0.5:0.5", "c:0:50", "c:50:0", "c:5000:80", "c:100:80/rs:fit:50:50", "c:150:100/rs:fill:60:60:1/g:so", "c:100:80/rot:90", "c:0.3:0.7/rs:fit:100:100",
	"t:10", "t:10/rs:fit:100:100", "t:40/rs:fill:120:40:1", "t:10/c:100:50", "t:10/pd:5",
	"pd:10", "pd:10:20", "pd:1:2:3", "pd:1:2:3:4", "pd:1::3", "pd::5", "rs:fit:100:100/pd:10", "rs:fit:100:100/pd:10/dpr:2", "rs:fit:300:300:0:1/pd:10",
	"rot:90", "rot:180", "rot:270", "rot:90/rs:fit:300:200", "rot:270/rs:fill:100:50:1", "rot:90/rs:fit:100:0", "rot:90/c:100:50", "fl:1:0/rs:fit:100:100",
	"dpr:2/rs:fit:100:100", "dpr:0.5/rs:fit:100:100", "dpr:3/rs:fill:90:90", "dpr:2/rs:fit:1000:1000", "dpr:2/rs:fill:1000:900", "dpr:2", "dpr:1.5/rs:fit:33:33:1",
	"z:2/rs:fit:100:100", "z:0.5", "z:0.5/rs:fit:100:100", "z:1.5/rs:fill:100:60", "z:2", "z:2/el:1", "z:0.333",
	"w:100", "h:100", "s:100:50", "s:100:50/rt:fill", "w:100/h:100/rt:force", "w:1", "h:1", "rs:fit:1:1", "rs:fill:1:1", "rs:fit:3:500",
	"bl:2/rs:fit:100:100", "sh:1/rs:fit:100:100", "pix:10/rs:fit:100:100", "q:50", "f:png/rs:fit:50:50", "bg:ff0000/rs:fit:50:50",
}

// explained are the sizes that differ, and why.
var explained = map[string]string{
	// Not enlarging, imgproxy makes the box smaller until it is no larger than the original,
	// and keeps its ratio; here each side is held to the original's.
	"rs:force:2000:100": "sides", "rs:force:1000:1000": "sides", "rs:force:300:200": "sides", "rs:force:300:0": "sides",
	// Not enlarging, imgproxy takes less density where it fills a box; here the box is cut
	// down to the original, as it is without density.
	"dpr:2/rs:fill:1000:900": "density", "dpr:3/rs:fill:90:90": "density",
	// A half pixel is rounded up here; imgproxy rounds what it has rounded before.
	"dpr:1.5/rs:fit:33:33:1": "rounding", "rs:fit:77:0": "rounding",
}

// TestSameSizesAsImgproxy asks both for the same URLs.
func TestSameSizesAsImgproxy(t *testing.T) {
	t.Parallel()
	dir := originals(t)
	theirs, ours := peer(t, dir), proxy(t, dir)
	keys, err := imgproxy.ParseKeys(strings.NewReader(key+" "+salt), imgproxy.SizeMax)
	if err != nil {
		t.Fatal(err)
	}
	same, differ, places := 0, 0, 0
	list := []string{"small.jpg"}
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		list = append(list, "framed.png", "1.jpg", "tall.jpg")
	}
	for _, original := range list {
		for _, options := range compared {
			signed := "/" + options + "/plain/local:///photos/" + original
			path := "/" + keys.Sign(signed) + signed
			a, b := get(t, "http://"+ours.addr+path), get(t, "http://"+theirs.addr+path)
			switch {
			case a.String() == b.String():
				same++
				if d, ok := difference(t, a.body, b.body); strings.HasPrefix(options, "c:") && ok {
					if places++; d > placeMost {
						t.Errorf("%s of %s: another place, %v levels apart", options, original, d)
					}
				}
			case explained[options] != "":
				differ++
			default:
				t.Errorf("%s of %s is %s, and %s of imgproxy", options, original, a, b)
			}
		}
	}
	t.Logf("%d pictures of the same size, %d of them compared, %d that differ and are explained", same, places, differ)
}

// placeMost is how many levels (of 255) two pictures of the same place may be apart
// in the mean; photographs of other places are 20 and more.
const placeMost = 8

// difference is how far two pictures are apart in the mean.
func difference(t *testing.T, a, b []byte) (levels float64, ok bool) {
	t.Helper()
	x, _, err := image.Decode(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	y, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	size := x.Bounds()
	if size.Dx() < 20 || size.Dy() < 20 {
		return 0, false
	}
	for j := range size.Dy() {
		for i := range size.Dx() {
			r, g, b, _ := x.At(i, j).RGBA()
			u, v, w, _ := y.At(i, j).RGBA()
			levels += (math.Abs(float64(r)-float64(u)) + math.Abs(float64(g)-float64(v)) + math.Abs(float64(b)-float64(w))) / (3 * 257)
		}
	}
	return levels / float64(size.Dx()*size.Dy()), true
}
