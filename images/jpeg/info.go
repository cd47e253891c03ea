package jpeg

import "fmt"

// Info is what the header of a file says. Byte slices may alias the input.
type Info struct {
	Width, Height   int // as stored, before Orientation
	Components      int
	SubX, SubY      int // pixels per sample of the chroma, 1 where there is none
	Progressive     bool
	Orientation     int    // EXIF, 1 to 8; 1 when absent
	ICC             []byte // profile, nil when absent or incomplete
	AdobeTransform  int    // 0 none, 1 YCbCr, 2 YCCK; -1 without Adobe segment
	Precision       int    // bits a sample
	RestartInterval int    // MCUs, 0 = none
	Exif            []byte // whole payload of the Exif APP1 segment, nil when absent
}

// ReadInfo reads the header up to the first scan and decodes no samples. Its
// cost is bounded by the length of the header. Its errors are those of
// [Decoder.Decode] before the first scan.
func ReadInfo(data []byte) (Info, error) {
	var src source
	src.reset(data)
	f := new(frame)
	f.reset(true)
	if _, err := f.readHeader(&src); err != nil {
		return Info{}, fmt.Errorf("read header: %w", err)
	}
	info := Info{
		Width: f.width, Height: f.height, Components: f.n,
		SubX: 1, SubY: 1,
		Progressive:     f.progressive(),
		Orientation:     exifOrientation(f.exif),
		ICC:             f.icc.profile(),
		AdobeTransform:  f.adobeTransform,
		Precision:       f.precision,
		RestartInterval: f.restart,
		Exif:            f.exif,
	}
	if f.n == 3 {
		info.SubX, info.SubY = f.hMax/f.comps[1].h, f.vMax/f.comps[1].v
	}
	return info, nil
}
