// Package exif keeps what may have to stay of a picture's Exif metadata when
// everything else is stripped: who made it and who owns it. It also tells the
// facts of the picture's making that name no place: where somebody was is nobody's
// business here.
//
// Vocabulary: a payload is what an APP1 segment of a JPEG holds, beginning
// with "Exif\0\0" and a TIFF header (Exif 2.32, 4.7.2); an entry is one of the
// 12-byte fields of its first directory. Only that directory is read, every
// offset is checked, and nothing is allocated by what the bytes claim.
package exif

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// The tags that are kept (TIFF 6.0, section 8).
const (
	tagDescription = 0x010E
	tagMake        = 0x010F
	tagModel       = 0x0110
	tagSoftware    = 0x0131
	tagDateTime    = 0x0132
	tagArtist      = 0x013B
	tagCopyright   = 0x8298
)

// Facts are texts of a picture's first directory, as its maker wrote them.
type Facts struct {
	Description string `json:"description,omitempty"`
	Make        string `json:"make,omitempty"`
	Model       string `json:"model,omitempty"`
	Software    string `json:"software,omitempty"`
	DateTime    string `json:"date_time,omitempty"` // "YYYY:MM:DD HH:MM:SS", of an unknown zone
	Artist      string `json:"artist,omitempty"`
	Copyright   string `json:"copyright,omitempty"`
}

// Read reads the facts of a payload. What cannot be read is empty; bytes that are
// not UTF-8 are replaced.
func Read(payload []byte) Facts {
	var f Facts
	to := map[uint16]*string{
		tagDescription: &f.Description, tagMake: &f.Make, tagModel: &f.Model, tagSoftware: &f.Software, tagDateTime: &f.DateTime,
		tagArtist: &f.Artist, tagCopyright: &f.Copyright,
	}
	walk(payload, func(tag uint16, value []byte) {
		if t := to[tag]; t != nil {
			*t = strings.ToValidUTF8(strings.ReplaceAll(string(value), "\x00", "; "), "\uFFFD")
		}
	})
	return f
}

const (
	prefix     = "Exif\x00\x00"
	typeASCII  = 2
	entrySize  = 12
	textMax    = 4096 // bytes of one text; a longer one is cut there
	entriesMax = 512  // of the directory that is read
)

// Rights makes a payload with nothing but the artist and the copyright of the
// given one; nil when it has neither or cannot be read.
func Rights(payload []byte) []byte {
	artist, copyright := texts(payload)
	if artist == nil && copyright == nil {
		return nil
	}
	return build(artist, copyright)
}

func texts(payload []byte) (artist, copyright []byte) {
	walk(payload, func(tag uint16, value []byte) {
		switch tag {
		case tagArtist:
			artist = value
		case tagCopyright:
			copyright = value
		}
	})
	return artist, copyright
}

// walk gives the texts of the first directory.
func walk(payload []byte, give func(tag uint16, value []byte)) {
	tiff, ok := bytes.CutPrefix(payload, []byte(prefix))
	if !ok || len(tiff) < 8 {
		return
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	} else if string(tiff[:2]) != "MM" {
		return
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return
	}
	n := min(int(order.Uint16(tiff[at:])), entriesMax)
	for i := range uint64(n) {
		entry := at + 2 + i*entrySize
		if entry+entrySize > uint64(len(tiff)) {
			return
		}
		e := tiff[entry : entry+entrySize]
		if value := text(tiff, e, order); value != nil {
			give(order.Uint16(e), value)
		}
	}
}

// text is the value of an ASCII entry, without its final NULs. A copyright may
// hold a NUL between the photographer's and the editor's.
func text(tiff, entry []byte, order binary.ByteOrder) []byte {
	if order.Uint16(entry[2:]) != typeASCII {
		return nil
	}
	count := uint64(order.Uint32(entry[4:]))
	value := entry[8:12] // up to four bytes stand in the entry itself
	if count > 4 {
		at := uint64(order.Uint32(entry[8:]))
		if at >= uint64(len(tiff)) {
			return nil
		}
		value = tiff[at:]
	}
	value = value[:min(count, uint64(len(value)), textMax)]
	value = bytes.TrimRight(value, "\x00 ")
	if len(value) == 0 {
		return nil
	}
	return value
}

// build writes a big-endian TIFF with one directory of ASCII entries in
// ascending order of their tags.
func build(artist, copyright []byte) []byte {
	type field struct {
		tag  uint16
		text []byte
	}
	var fields []field
	if artist != nil {
		fields = append(fields, field{tagArtist, artist})
	}
	if copyright != nil {
		fields = append(fields, field{tagCopyright, copyright})
	}
	out := append([]byte(prefix), "MM\x00*\x00\x00\x00\x08"...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(fields)))
	at := 8 + 2 + len(fields)*entrySize + 4 // where the texts begin, from the TIFF header
	var tail []byte
	for _, f := range fields {
		value := append(bytes.Clone(f.text), 0)
		out = binary.BigEndian.AppendUint16(out, f.tag)
		out = binary.BigEndian.AppendUint16(out, typeASCII)
		out = binary.BigEndian.AppendUint32(out, uint32(len(value)))
		if len(value) <= 4 {
			out = append(out, append(value, 0, 0, 0)[:4]...)
			continue
		}
		out = binary.BigEndian.AppendUint32(out, uint32(at+len(tail)))
		tail = append(tail, value...)
		if len(tail)%2 != 0 {
			tail = append(tail, 0) // values begin on even offsets
		}
	}
	out = append(out, 0, 0, 0, 0) // no further directory
	return append(out, tail...)
}
