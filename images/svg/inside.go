package svg

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
)

// scansMax is how many scans a JPEG inside may have; a progressive one has ten.
const scansMax = 64

// inside takes a data: URL of a PNG or JPEG and gives it as it may stand: with
// its pixels alone. It counts bytes and pixels against the limits.
func (w *walk) inside(url string) (string, bool, error) {
	head, coded, found := strings.Cut(url, ",")
	if !found {
		return "", false, nil
	}
	var kind string
	var config func(io.Reader) (image.Config, error)
	switch strings.ToLower(strings.ReplaceAll(head, " ", "")) {
	case "data:image/png;base64":
		kind, config = "png", png.DecodeConfig
	case "data:image/jpeg;base64", "data:image/jpg;base64":
		kind, config = "jpeg", jpeg.DecodeConfig
	default:
		return "", false, nil
	}
	data, err := base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, coded))
	if err != nil {
		return "", false, nil
	}
	c, err := config(bytes.NewReader(data))
	if err != nil || c.Width < 1 || c.Height < 1 {
		return "", false, nil
	}
	w.insideBytes += len(data)
	w.insidePixels += int64(c.Width) * int64(c.Height)
	switch {
	case w.insideBytes > w.limits.Inside:
		return "", false, tooMuch("pictures inside have more than %d bytes", w.limits.Inside)
	case w.insidePixels > w.limits.InsidePixels:
		return "", false, tooMuch("pictures inside have more than %d pixels", w.limits.InsidePixels)
	case kind == "jpeg" && bytes.Count(data, []byte{0xFF, 0xDA}) > scansMax:
		return "", false, tooMuch("a picture inside has more than %d scans", scansMax)
	}
	if kind == "png" {
		data = pixelsOfPNG(data)
	}
	return "data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(data), true, nil
}

// pixelsOfPNG leaves texts, profiles and the like out of a PNG: the chunks
// that could inflate to something else than its pixels (PNG 3rd edition, 11).
func pixelsOfPNG(data []byte) []byte {
	const signature, frame = 8, 12
	out := append([]byte(nil), data[:signature]...)
	for rest := data[signature:]; len(rest) >= frame; {
		n := int64(binary.BigEndian.Uint32(rest))
		if n > int64(len(rest)-frame) {
			break
		}
		chunk := rest[:frame+int(n)]
		switch string(chunk[4:8]) {
		case "IHDR", "PLTE", "tRNS", "IDAT", "IEND":
			out = append(out, chunk...)
		}
		rest = rest[len(chunk):]
	}
	return out
}
