package jpeg_test

import (
	"bytes"
	"fmt"
	"image"
	stdjpeg "image/jpeg"

	"github.com/kamado/kamado/images/jpeg"
	"github.com/kamado/kamado/images/plane"
)

// A thumbnail begins with the smallest scale that is still large enough. The
// orientation of the camera is undone on the way.
func ExampleDecoder_Decode() {
	var file bytes.Buffer
	if err := stdjpeg.Encode(&file, image.NewRGBA(image.Rect(0, 0, 1600, 1200)), nil); err != nil {
		panic(err)
	}
	info, err := jpeg.ReadInfo(file.Bytes())
	if err != nil {
		panic(err)
	}

	var d jpeg.Decoder // reuse both for the next picture
	var p plane.Picture
	res, err := d.Decode(&p, file.Bytes(), jpeg.DecodeOptions{
		Scale:     2, // 2/8: 1600x1200 becomes 400x300
		Orient:    info.Orientation,
		MaxPixels: 50_000_000,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Model, p.Width, p.Height, "truncated:", res.Truncated)
	fmt.Println("chroma", p.Planes[1].Width, p.Planes[1].Height)
	// Output:
	// ycbcr 400 300 truncated: false
	// chroma 200 150
}

// A region is decoded without transforming what lies outside of it. The
// result may begin earlier: Origin tells where.
func ExampleDecodeOptions_region() {
	var file bytes.Buffer
	if err := stdjpeg.Encode(&file, image.NewRGBA(image.Rect(0, 0, 1600, 1200)), nil); err != nil {
		panic(err)
	}
	var d jpeg.Decoder
	var p plane.Picture
	res, err := d.Decode(&p, file.Bytes(), jpeg.DecodeOptions{Region: image.Rect(805, 610, 900, 700)})
	if err != nil {
		panic(err)
	}
	fmt.Println("origin", res.Origin, "size", p.Width, p.Height)
	// Output:
	// origin (800,608) size 112 96
}
