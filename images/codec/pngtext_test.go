package codec

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// chunk is one PNG chunk; its checksum is not looked at.
func chunk(kind, content string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(content)))) + kind + content + "SUMS"
}

func TestTextOfPNGIsLeftOut(t *testing.T) {
	const signature = "\x89PNG\r\n\x1a\n"
	head, pixels, end := chunk("IHDR", "0123456789abc"), chunk("IDAT", "tEXt"), chunk("IEND", "")
	for _, tt := range []struct{ name, file, want string }{
		{"no text", signature + head + pixels + end, signature + head + pixels + end},
		{"texts of every kind", signature + head + chunk("zTXt", "bomb") + chunk("iTXt", "") + pixels + chunk("tEXt", "a") + end, signature + head + pixels + end},
		{"cut inside a text", signature + head + chunk("zTXt", "bomb")[:11], signature + head + chunk("zTXt", "bomb")[:11]},
		{"a length beyond the file", signature + "\xff\xff\xff\xffzTXtabcd", signature + "\xff\xff\xff\xffzTXtabcd"},
		{"shorter than a signature", "\x89PN", "\x89PN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := bytes.Join(withoutText([]byte(tt.file)), nil); string(got) != tt.want {
				t.Errorf("what is left is %q, want %q", got, tt.want)
			}
		})
	}
	many := []byte(signature + string(bytes.Repeat([]byte(chunk("tEXt", "")+chunk("tIME", "")), 2*pngPartsMax)))
	if parts := withoutText(many); len(parts) > pngPartsMax+1 || !slices.Equal(parts[len(parts)-1][:8], many[8+12:8+20]) {
		t.Errorf("a file of many texts is in %d pieces, want at most %d and the rest", len(parts), pngPartsMax+1)
	}
}
