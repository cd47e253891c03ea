//go:build libjpeg && cgo

package turbodec

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

var photographs = flag.String("photographs", "/usr/share/backgrounds", "directory whose *.jpg the benchmark decodes")

// BenchmarkDecode decodes every photograph with both libraries in turns and
// reports the processor time a picture of each, and how many times as fast ours is.
//
//	go test -tags libjpeg -bench . ./images/jpeg/turbodec -args -photographs DIR
func BenchmarkDecode(b *testing.B) {
	files, _ := filepath.Glob(filepath.Join(*photographs, "*.jpg"))
	if len(files) == 0 {
		b.Skipf("needs photographs in %s (apt-get install lomiri-wallpapers-20.04)", *photographs)
	}
	var all [][]byte
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, data)
	}
	for _, scale := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("%d-8", scale), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var d jpeg.Decoder
			var p plane.Picture
			var ours, turbo time.Duration
			for b.Loop() {
				for _, data := range all {
					t0 := ThreadTime()
					if _, err := d.Decode(&p, data, jpeg.DecodeOptions{Scale: scale}); err != nil {
						b.Fatal(err)
					}
					t1 := ThreadTime()
					DecodeOnly(data, scale)
					turbo += ThreadTime() - t1
					ours += t1 - t0
				}
			}
			n := float64(b.N * len(all))
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ours.Seconds()*1000/n, "ours-ms")
			b.ReportMetric(turbo.Seconds()*1000/n, "turbo-ms")
			b.ReportMetric(turbo.Seconds()/ours.Seconds(), "ratio")
		})
	}
}
