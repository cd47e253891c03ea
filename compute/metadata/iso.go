package metadata

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// An ISO 9660 image (ECMA-119), readable by every system that a guest may be: the
// primary names are of level 2, Rock Ridge (RRIP 1.09, SUSP 1.09) gives Unix the
// exact ones, and Joliet gives them to Windows.
//
// Layout in sectors of 2048 bytes: 16 empty; the primary descriptor, the Joliet
// descriptor and the terminator; two path tables for each tree; the folders of
// each tree; the files, which both trees share.
const (
	sectorBytes = 2048
	isoSystem   = 16 // sectors that belong to nobody here
	isoNameMax  = 64 // bytes of one name, so that its record stays under 255
	isoBytesMax = 16 << 20
)

// isoNode is a file or a folder.
type isoNode struct {
	name     string
	data     []byte
	dir      bool
	children []*isoNode
	parent   *isoNode

	sector uint32 // of a file's data
	// Of a folder, by tree (0: primary, 1: Joliet).
	at, size [2]uint32
	number   [2]uint16 // in the path table, from 1
}

// isoImage is an image that is being laid out.
type isoImage struct {
	out   []byte
	stamp time.Time
	dirs  [2][]*isoNode // in the order of the path tables
	root  *isoNode
}

// writeISO makes an image of files, by path with "/" between names.
func writeISO(label string, stamp time.Time, files map[string][]byte) ([]byte, error) {
	img := &isoImage{stamp: stamp.UTC(), root: &isoNode{dir: true}}
	img.root.parent = img.root
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	total := 0
	for _, path := range paths {
		if err := img.add(path, files[path]); err != nil {
			return nil, err
		}
		if total += len(files[path]) + sectorBytes; total > isoBytesMax {
			return nil, fmt.Errorf("a config drive of more than %d bytes", isoBytesMax)
		}
	}
	img.layOut()
	for tree := range 2 {
		img.descriptor(tree, label)
	}
	copy(img.sector(isoSystem+2), "\xffCD001\x01")
	for tree := range 2 {
		img.pathTable(tree, binary.LittleEndian)
		img.pathTable(tree, binary.BigEndian)
		for _, d := range img.dirs[tree] {
			img.folder(tree, d)
		}
	}
	return img.out, nil
}

// add puts a file into the tree, with the folders on the way to it.
func (img *isoImage) add(path string, data []byte) error {
	at := img.root
	parts := strings.Split(path, "/")
	for i, name := range parts {
		if name == "" || len(name) > isoNameMax {
			return fmt.Errorf("%q is no path for a config drive", path)
		}
		k := slices.IndexFunc(at.children, func(n *isoNode) bool {
			return isoIdentifier(0, n) == isoIdentifier(0, &isoNode{name: name, dir: n.dir})
		})
		last := i == len(parts)-1
		switch {
		case k < 0:
			n := &isoNode{name: name, dir: !last, parent: at}
			at.children = append(at.children, n)
			at = n
		case last || !at.children[k].dir || at.children[k].name != name:
			return fmt.Errorf("%q is on the config drive twice", path)
		default:
			at = at.children[k]
		}
	}
	at.data = data
	return nil
}

// layOut gives everything its sector. A path table of one sector holds more
// folders than a config drive ever has.
func (img *isoImage) layOut() {
	next := uint32(isoSystem + 3 + 4)
	for tree := range 2 {
		queue := []*isoNode{img.root}
		for len(queue) > 0 {
			d := queue[0]
			queue = queue[1:]
			img.dirs[tree] = append(img.dirs[tree], d)
			d.number[tree] = uint16(len(img.dirs[tree]))
			slices.SortFunc(d.children, func(a, b *isoNode) int { return strings.Compare(isoIdentifier(tree, a), isoIdentifier(tree, b)) })
			for _, c := range d.children {
				if c.dir {
					queue = append(queue, c)
				}
			}
			d.at[tree] = next
			d.size[tree] = img.folderBytes(tree, d)
			next += d.size[tree] / sectorBytes
		}
	}
	for _, d := range img.dirs[0] {
		for _, f := range d.children {
			if !f.dir {
				f.sector = next
				next += uint32((len(f.data) + sectorBytes - 1) / sectorBytes)
			}
		}
	}
	img.out = make([]byte, int(next)*sectorBytes)
	for _, d := range img.dirs[0] {
		for _, f := range d.children {
			if !f.dir {
				copy(img.out[int(f.sector)*sectorBytes:], f.data)
			}
		}
	}
}

func (img *isoImage) sector(n uint32) []byte { return img.out[int(n)*sectorBytes:] }

// isoIdentifier is a name as a tree has it.
func isoIdentifier(tree int, n *isoNode) string {
	if tree == 1 {
		return ucs2(n.name)
	}
	name := []byte(strings.ToUpper(n.name))
	dot := strings.LastIndexByte(string(name), '.')
	for i, c := range name {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i == dot && !n.dir) {
			name[i] = '_'
		}
	}
	name = name[:min(len(name), 28)]
	if n.dir {
		return string(name)
	}
	if !slices.Contains(name, '.') {
		name = append(name, '.')
	}
	return string(name) + ";1"
}

// ucs2 is text in UCS-2, the higher byte first.
func ucs2(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return string(b)
}

// both32 and both16 write a number in both byte orders (ECMA-119 7.3.3, 7.2.3).
func both32(b []byte, v uint32) {
	binary.LittleEndian.PutUint32(b, v)
	binary.BigEndian.PutUint32(b[4:], v)
}

func both16(b []byte, v uint16) {
	binary.LittleEndian.PutUint16(b, v)
	binary.BigEndian.PutUint16(b[2:], v)
}

// descriptor writes the volume descriptor of a tree (ECMA-119 8.4, 8.5).
func (img *isoImage) descriptor(tree int, label string) {
	b := img.sector(uint32(isoSystem + tree))
	b[0], b[6] = byte(1+tree), 1
	copy(b[1:], "CD001")
	for i := 8; i < 72; i++ {
		b[i] = ' '
	}
	for i := 190; i < 813; i++ {
		b[i] = ' '
	}
	if tree == 1 {
		copy(b[88:], "%/E") // the escape of UCS-2 level 3
		for i := 8; i < 72; i += 2 {
			b[i], b[i+1] = 0, ' '
		}
		for i := 190; i < 812; i += 2 {
			b[i], b[i+1] = 0, ' '
		}
		label = ucs2(label)
	}
	copy(b[40:72], label)
	both32(b[80:], uint32(len(img.out)/sectorBytes))
	both16(b[120:], 1)
	both16(b[124:], 1)
	both16(b[128:], sectorBytes)
	both32(b[132:], img.pathTableBytes(tree))
	table := uint32(isoSystem + 3 + 2*tree)
	binary.LittleEndian.PutUint32(b[140:], table)
	binary.BigEndian.PutUint32(b[148:], table+1)
	img.record(b[156:156], tree, img.root, "\x00", false)
	for i := range 4 { // created, changed, expires, effective
		text := "0000000000000000\x00"
		if i < 2 {
			text = img.stamp.Format("20060102150405") + "00\x00"
		}
		copy(b[813+17*i:], text)
	}
	b[881] = 1
}

func (img *isoImage) pathTableBytes(tree int) uint32 {
	n := 0
	for _, d := range img.dirs[tree] {
		length := max(len(isoIdentifier(tree, d)), 1)
		n += 8 + length + length%2
	}
	return uint32(n)
}

// pathTable lists the folders of a tree (ECMA-119 9.4), each with its parent's number.
func (img *isoImage) pathTable(tree int, order binary.ByteOrder) {
	sector := uint32(isoSystem + 3 + 2*tree)
	if order == binary.BigEndian {
		sector++
	}
	b := img.sector(sector)
	for _, d := range img.dirs[tree] {
		name := isoIdentifier(tree, d)
		if d == img.root {
			name = "\x00"
		}
		b[0] = byte(len(name))
		order.PutUint32(b[2:], d.at[tree])
		order.PutUint16(b[6:], d.parent.number[tree])
		copy(b[8:], name)
		b = b[8+len(name)+len(name)%2:]
	}
}

// folderBytes is the size of a folder's records, none of which crosses a sector.
func (img *isoImage) folderBytes(tree int, d *isoNode) uint32 {
	n := 0
	img.eachRecord(tree, d, func(record []byte) {
		if n%sectorBytes+len(record) > sectorBytes {
			n += sectorBytes - n%sectorBytes
		}
		n += len(record)
	})
	return uint32((n + sectorBytes - 1) / sectorBytes * sectorBytes)
}

func (img *isoImage) folder(tree int, d *isoNode) {
	b, n := img.sector(d.at[tree]), 0
	img.eachRecord(tree, d, func(record []byte) {
		if n%sectorBytes+len(record) > sectorBytes {
			n += sectorBytes - n%sectorBytes
		}
		copy(b[n:], record)
		n += len(record)
	})
}

// eachRecord gives the records of a folder: itself, its parent, what is in it.
func (img *isoImage) eachRecord(tree int, d *isoNode, do func(record []byte)) {
	do(img.record(nil, tree, d, "\x00", tree == 0 && d == img.root))
	do(img.record(nil, tree, d.parent, "\x01", false))
	for _, c := range d.children {
		do(img.record(nil, tree, c, isoIdentifier(tree, c), false))
	}
}

// record appends a directory record (ECMA-119 9.1) with, in the primary tree, its
// Rock Ridge entries; first marks the very first of a volume.
func (img *isoImage) record(to []byte, tree int, n *isoNode, identifier string, first bool) []byte {
	r := make([]byte, 33, 256)
	at, size := n.sector, uint32(len(n.data))
	if n.dir {
		at, size = n.at[tree], n.size[tree]
		r[25] = 2
	}
	both32(r[2:], at)
	both32(r[10:], size)
	t := img.stamp
	for i, v := range []int{t.Year() - 1900, int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second()} {
		r[18+i] = byte(v)
	}
	both16(r[28:], 1)
	r[32] = byte(len(identifier))
	r = append(r, identifier...)
	if len(r)%2 != 0 {
		r = append(r, 0)
	}
	if tree == 0 && to == nil {
		r = rockRidge(r, n, identifier, first)
	}
	r[0] = byte(len(r))
	return append(to, r...)
}

// rockRidge appends SP and ER to the first record of a volume, and PX (mode) and
// NM (name) to every one.
func rockRidge(r []byte, n *isoNode, identifier string, first bool) []byte {
	if first {
		r = append(r, "SP\x07\x01\xbe\xef\x00"...)
		r = append(r, "ER\x12\x01\x0a\x00\x00\x01RRIP_1991A"...)
	}
	px := make([]byte, 36)
	copy(px, "PX\x24\x01")
	mode, links := uint32(0o100444), uint32(1)
	if n.dir {
		mode, links = 0o040555, 2
	}
	both32(px[4:], mode)
	both32(px[12:], links)
	r = append(r, px...)
	if identifier != "\x00" && identifier != "\x01" {
		r = append(r, 'N', 'M', byte(5+len(n.name)), 1, 0)
		r = append(r, n.name...)
	}
	if len(r)%2 != 0 {
		r = append(r, 0)
	}
	return r
}
