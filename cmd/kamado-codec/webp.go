package main

import "encoding/binary"

// webpFrames is how many frames an animation may have before those beyond
// what was asked for are left out: the library looks at every frame by
// counting from the first, so that its time grows with their square.
const webpFrames = 256

// webpChunks are the chunks that a picture is made of; all others, and all but
// the first of each that is not a frame, are left out when there are many.
var webpChunks = map[string]bool{"VP8X": true, "VP8 ": true, "VP8L": true, "ALPH": true, "ANIM": true, "ICCP": true, "EXIF": true}

// slimWebP gives a WebP file without the frames beyond max(frames, webpFrames)
// and without a crowd of chunks, and how many frames it has; nil when there is
// nothing to leave out. Layout: WebP container specification.
func slimWebP(b []byte, frames int) (slim []byte, pages int) {
	const header, chunk = 12, 8
	if len(b) < header {
		return nil, 0
	}
	frames = max(frames, webpFrames)
	others := 0
	walkWebP(b[header:], func(kind string, _ []byte) {
		if kind == "ANMF" {
			pages++
		} else {
			others++
		}
	})
	if pages <= frames && others <= len(webpChunks)*4 {
		return nil, pages
	}
	slim = append(slim, b[:header]...)
	kept, seen := 0, map[string]bool{}
	walkWebP(b[header:], func(kind string, whole []byte) {
		switch {
		case kind == "ANMF" && kept < frames:
			kept++
		case webpChunks[kind] && !seen[kind]:
			seen[kind] = true
		default:
			return
		}
		slim = append(slim, whole...)
	})
	binary.LittleEndian.PutUint32(slim[4:], uint32(len(slim)-chunk))
	return slim, pages
}

// walkWebP tells the chunks that lie in b whole, with their padding.
func walkWebP(b []byte, tell func(kind string, whole []byte)) {
	const chunk = 8
	for len(b) >= chunk {
		size := int64(binary.LittleEndian.Uint32(b[4:]))
		size += chunk + size&1
		if size > int64(len(b)) {
			return
		}
		tell(string(b[:4]), b[:size])
		b = b[size:]
	}
}
