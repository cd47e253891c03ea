package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"os"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/lettering"
	"github.com/kamado/kamado/images/plane"
)

// markTime bounds reading one watermark at the start.
const markTime = 30 * time.Second

// configPictureBytes bounds a watermark's, a font's or the fallback's file. Fonts
// with all of Chinese, Japanese and Korean have about 20 MB.
const configPictureBytes = 32 << 20

// marks are the watermarks of the configuration, decoded.
type marks struct {
	pictures map[string]*plane.Picture
	versions map[string]string // first half of the hash of each file
}

// watermarks reads and decodes the watermark files.
func (s *Server) watermarks() (marks, error) {
	m := marks{pictures: map[string]*plane.Picture{}, versions: map[string]string{}}
	for name, w := range s.opts.Config.Watermarks {
		data, err := readPicture(w.File)
		if err != nil {
			return m, fmt.Errorf("watermark %s: %w", name, err)
		}
		pic, err := s.decode(data)
		if err != nil {
			return m, fmt.Errorf("watermark %s: %s: %w", name, w.File, err)
		}
		sum := sha256.Sum256(data)
		m.pictures[name], m.versions[name] = pic, hex.EncodeToString(sum[:8])
	}
	return m, nil
}

func readPicture(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > configPictureBytes {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, st.Size(), configPictureBytes)
	}
	return os.ReadFile(path)
}

// readFonts reads the files that draw texts, and gives the hash of them all, with
// their order; nil and "" where none is configured.
func readFonts(paths []string) (*lettering.Fonts, string, error) {
	if len(paths) == 0 {
		return nil, "", nil
	}
	var files [][]byte
	hash := sha256.New()
	for _, path := range paths {
		data, err := readPicture(path)
		if err != nil {
			return nil, "", fmt.Errorf("fonts: %w", err)
		}
		files = append(files, data)
		sum := sha256.Sum256(data)
		hash.Write(sum[:])
	}
	fonts, err := lettering.New(files)
	if err != nil {
		return nil, "", fmt.Errorf("fonts: %w", err)
	}
	return fonts, hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// decode loads a picture at its own size, as RGB with alpha.
func (s *Server) decode(data []byte) (*plane.Picture, error) {
	ctx, cancel := context.WithTimeout(context.Background(), markTime)
	defer cancel()
	err := error(codec.ErrNoWorker)
	for i := len(s.codecs) - 1; i >= 0; i-- { // the ones in this process first: no worker is started for a small file
		var raster *codec.Raster
		raster, _, err = s.codecs[i].Load(ctx, codec.LoadRequest{
			Data: data, Format: images.Sniff(data[:min(len(data), images.SniffLength)]), Frames: 1,
			Geometry: func(info codec.Info) (codec.Target, error) {
				return codec.Target{Crop: image.Rect(0, 0, info.Width, info.Height), Width: info.Width, Height: info.Height},
					s.opts.Config.Limits.CheckOriginal(info.Width, info.Height)
			},
		})
		if err == nil && len(raster.Frames) > 0 {
			return withAlpha(&raster.Frames[0].Picture), nil
		}
	}
	if err == nil {
		err = errors.New("it has no frame")
	}
	return nil, err
}

// withAlpha is a picture as RGB with alpha, opaque where it had none.
func withAlpha(src *plane.Picture) *plane.Picture {
	if src.Model == plane.RGB && src.Alpha {
		return src
	}
	dst := new(plane.Picture)
	dst.Reset(plane.RGB, true, src.Width, src.Height, 1, 1)
	for i := range 3 {
		from := &src.Planes[0]
		if src.Model == plane.RGB {
			from = &src.Planes[i]
		}
		for y := range src.Height {
			copy(dst.Planes[i].Row(y), from.Row(y))
		}
	}
	for y := range src.Height {
		row := dst.AlphaPlane().Row(y)
		if a := src.AlphaPlane(); a != nil {
			copy(row, a.Row(y))
			continue
		}
		for x := range row {
			row[x] = 0xff
		}
	}
	return dst
}

// readFallback reads the picture that is shown instead of errors; nil when
// none is configured.
func readFallback(path string) (*delivery.Fallback, error) {
	if path == "" {
		return nil, nil
	}
	data, err := readPicture(path)
	if err != nil {
		return nil, fmt.Errorf("fallback picture: %w", err)
	}
	format := images.Sniff(data[:min(len(data), images.SniffLength)])
	if format == images.FormatUnknown {
		return nil, fmt.Errorf("fallback picture: %s is not a picture in a format that is known here", path)
	}
	return &delivery.Fallback{Data: data, Format: format}, nil
}
