package images_test

import (
	"testing"

	"github.com/kamado/kamado/images"
)

// ftyp writes an ISO base media file's first box.
func ftyp(major string, compatible ...string) string {
	s := "ftyp" + major + "\x00\x00\x00\x00"
	for _, c := range compatible {
		s += c
	}
	return "\x00\x00\x00" + string(rune(len(s)+4)) + s + "\x00\x00\x00\x08meta"
}

func TestSniff(t *testing.T) {
	bmp := "BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00"
	for _, c := range []struct {
		name string
		head string
		want images.Format
	}{
		{"a JFIF file", "\xFF\xD8\xFF\xE0\x00\x10JFIF", images.JPEG},
		{"a JPEG that begins with quantisation tables", "\xFF\xD8\xFF\xDB", images.JPEG},
		{"a PNG", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", images.PNG},
		{"a PNG that was sent as text", "\x89PNG\n\x1a\n\x00\x00", images.FormatUnknown},
		{"a WebP", "RIFF\x24\x00\x00\x00WEBPVP8 ", images.WebP},
		{"a sound in the same container", "RIFF\x24\x00\x00\x00WAVEfmt ", images.FormatUnknown},
		{"a GIF of 1987", "GIF87a\x01\x00", images.GIF},
		{"a GIF of 1989", "GIF89a\x01\x00", images.GIF},
		{"a TIFF with the small end first", "II*\x00\x08\x00\x00\x00", images.TIFF},
		{"a TIFF with the big end first", "MM\x00*\x00\x00\x00\x08", images.TIFF},
		{"a BigTIFF", "II+\x00\x08\x00\x00\x00", images.TIFF},
		{"a Windows bitmap", bmp, images.BMP},
		{"text that begins with BM", "BMW is a maker of cars and motorcycles", images.FormatUnknown},
		{"an icon", "\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00", images.ICO},
		{"a cursor", "\x00\x00\x02\x00\x01\x00\x10\x10\x00\x00\x01\x00", images.FormatUnknown},
		{"an AVIF", ftyp("avif", "mif1", "miaf"), images.AVIF},
		{"an AVIF sequence", ftyp("avis", "msf1"), images.AVIF},
		{"an AVIF that says only HEIF at first", ftyp("mif1", "miaf", "avif"), images.AVIF},
		{"a HEIC from a phone", ftyp("heic", "mif1", "heic"), images.HEIC},
		{"a HEIC with more bits", ftyp("heix", "mif1"), images.HEIC},
		{"a HEIC that says only HEIF at first", ftyp("mif1", "heic"), images.HEIC},
		{"a HEIF of an unnamed codec", ftyp("mif1"), images.HEIC},
		{"a film in the same container", ftyp("isom", "mp42"), images.FormatUnknown},
		{"a brand behind the end of its box", "\x00\x00\x00\x10ftypisom\x00\x00\x00\x00avif", images.FormatUnknown},
		{"a page", "<!DOCTYPE html>", images.FormatUnknown},
		{"a drawing", "<svg xmlns=\"http://www.w3.org/2000/svg\">", images.SVG},
		{"a drawing with a declaration", "\xEF\xBB\xBF <?xml version=\"1.0\"?>\n<!-- by hand --><svg>", images.SVG},
		{"a drawing with a document type", "<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\">", images.SVG},
		{"another element that begins so", "<svgs>", images.FormatUnknown},
		{"nothing", "", images.FormatUnknown},
	} {
		if got := images.Sniff([]byte(c.head)); got != c.want {
			t.Errorf("Sniff of %s = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEveryFormatIsFoundByItsNames(t *testing.T) {
	for _, f := range images.Formats(false) {
		for _, name := range []string{f.String(), f.Extension()} {
			if got, ok := images.ParseFormat(name); !ok || got != f {
				t.Errorf("ParseFormat(%q) = %v, %v, want %v", name, got, ok, f)
			}
		}
		if f.MediaType() == "" || f.Extension() == "" {
			t.Errorf("%v lacks a media type or an extension", f)
		}
	}
	for _, name := range []string{"", "unknown", "JPG", ".jpg", "SVG", "exe"} {
		if got, ok := images.ParseFormat(name); ok {
			t.Errorf("ParseFormat(%q) = %v, want none", name, got)
		}
	}
	writable := map[images.Format]bool{images.JPEG: true, images.PNG: true, images.WebP: true, images.AVIF: true, images.GIF: true}
	for _, f := range images.Formats(false) {
		if f.Writable() != writable[f] {
			t.Errorf("%v.Writable() = %v, want %v", f, f.Writable(), writable[f])
		}
	}
}

func FuzzSniff(f *testing.F) {
	f.Add([]byte(ftyp("mif1", "avif")))
	f.Add([]byte("\x00\x00\x00\xFFftypheic"))
	f.Add([]byte("\xFF\xFF\xFF\xFFftypmif1\x00\x00\x00\x00avi"))
	f.Fuzz(func(t *testing.T, head []byte) {
		whole := images.Sniff(head)
		if len(head) > images.SniffLength && whole != images.AVIF && whole != images.HEIC {
			if got := images.Sniff(head[:images.SniffLength]); got != whole {
				t.Errorf("Sniff of the first %d bytes = %v, of all %v", images.SniffLength, got, whole)
			}
		}
	})
}
