package jpeg

import "encoding/binary"

// iccChunks gathers the parts of an ICC profile; each points into the input.
type iccChunks struct {
	parts [256][]byte // by chunk number, 1..255
	count int         // what the first chunk says
	seen  int
}

// parseAPP reads the application segments that matter: JFIF, Exif, ICC, Adobe.
// Others, and broken ones, are passed over.
func (f *frame) parseAPP(m uint8, seg []byte) {
	switch {
	case m == markerAPP0 && len(seg) >= 14 && string(seg[:5]) == jfifSignature:
		f.jfif = true
	case m == markerAPP1 && f.exif == nil && len(seg) > len(exifSignature) && string(seg[:6]) == exifSignature:
		f.exif = seg
	case m == markerAPP2 && f.keep && len(seg) > 14 && string(seg[:12]) == iccSignature:
		f.addICC(seg)
	case m == markerAPP14 && len(seg) >= 12 && string(seg[:5]) == adobeSignature:
		f.adobe = true
		f.adobeTransform = int(seg[11])
	}
}

func (f *frame) addICC(seg []byte) {
	number, count := int(seg[12]), int(seg[13])
	if number == 0 || number > count || f.icc.parts[number] != nil || (f.icc.seen > 0 && count != f.icc.count) {
		f.warnings++
		return
	}
	f.icc.count = count
	f.icc.seen++
	f.icc.parts[number] = seg[14:]
}

// profile joins the chunks; nil when there is none or one is missing.
func (c *iccChunks) profile() []byte {
	if c.seen == 0 || c.seen != c.count {
		return nil
	}
	if c.count == 1 {
		return c.parts[1]
	}
	size := 0
	for _, p := range c.parts[1 : c.count+1] {
		size += len(p)
	}
	all := make([]byte, 0, size)
	for _, p := range c.parts[1 : c.count+1] {
		all = append(all, p...)
	}
	return all
}

// exifOrientationTag is Orientation in IFD0 (Exif 2.32, 4.6.4); SHORT, one value.
const (
	exifOrientationTag = 0x0112
	exifTypeShort      = 3
	exifEntrySize      = 12
)

// exifOrientation reads the orientation from an APP1 payload that starts with
// the Exif signature. It is 1 where the tag is absent or makes no sense.
func exifOrientation(app1 []byte) int {
	if len(app1) < len(exifSignature)+8 {
		return 1
	}
	t := app1[len(exifSignature):]
	var order binary.ByteOrder
	switch string(t[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := uint64(order.Uint32(t[4:]))
	if at+2 > uint64(len(t)) {
		return 1
	}
	entries := t[at+2:]
	for range order.Uint16(t[at:]) {
		if len(entries) < exifEntrySize {
			break
		}
		if order.Uint16(entries) == exifOrientationTag {
			v := int(order.Uint16(entries[8:]))
			if order.Uint16(entries[2:]) != exifTypeShort || v < 1 || v > 8 {
				return 1
			}
			return v
		}
		entries = entries[exifEntrySize:]
	}
	return 1
}
