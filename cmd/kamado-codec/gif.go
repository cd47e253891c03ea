package main

// gifComplete says whether a GIF goes on to its trailer. The decoder fills in
// what is missing without a word. Blocks: GIF89a, sections 15 to 27.
func gifComplete(b []byte) bool {
	if len(b) < 13 {
		return false
	}
	at := 13 + gifColours(b[10])
	for at < len(b) {
		switch b[at] {
		case 0x3B:
			return true
		case 0x21: // extension: label, then sub-blocks
			at += 2
		case 0x2C: // image: descriptor, colours, code size, then sub-blocks
			if at+10 > len(b) {
				return false
			}
			at += 10 + gifColours(b[at+9]) + 1
		default:
			return false
		}
		for at < len(b) && b[at] != 0 {
			at += 1 + int(b[at])
		}
		at++
	}
	return false
}

// gifColours is the bytes of the table that a packed field announces.
func gifColours(packed byte) int {
	if packed&0x80 == 0 {
		return 0
	}
	return 3 << (packed&7 + 1)
}
