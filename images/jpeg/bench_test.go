package jpeg_test

import (
	"fmt"
	"testing"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

func BenchmarkDecode(b *testing.B) {
	data := encodePlanes(b, 1600, 1200, 2, 2, jpeg.EncodeOptions{Quality: 88, FixedHuffman: true})
	for _, scale := range []int{1, 2, 4, 8} {
		for _, orient := range []int{1, 3, 6} {
			b.Run(fmt.Sprintf("1600x1200/%d-8/orient-%d", scale, orient), func(b *testing.B) {
				var d jpeg.Decoder
				var p plane.Picture
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := d.Decode(&p, data, jpeg.DecodeOptions{Scale: scale, Orient: orient}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
