package metadata_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"unicode/utf16"
)

// joliet reads the paths of all files in the Joliet tree of an image, and checks
// the path table against the folders on the way.
func joliet(t *testing.T, image []byte) []string {
	t.Helper()
	d := image[17*2048:]
	if d[0] != 2 || string(d[1:6]) != "CD001" || string(d[88:91]) != "%/E" {
		t.Fatal("no Joliet descriptor")
	}
	le, be := binary.LittleEndian, binary.BigEndian
	if total := le.Uint32(d[80:]); int(total)*2048 != len(image) || be.Uint32(d[84:]) != total {
		t.Errorf("the volume has %d sectors, its image %d", total, len(image)/2048)
	}
	var paths []string
	var folders []uint32
	var walk func(record []byte, path string)
	walk = func(record []byte, path string) {
		at, size := le.Uint32(record[2:]), le.Uint32(record[10:])
		if be.Uint32(record[6:]) != at || be.Uint32(record[14:]) != size {
			t.Fatalf("%s: the two byte orders differ", path)
		}
		if record[25]&2 == 0 {
			paths = append(paths, path[1:])
			return
		}
		folders = append(folders, at)
		b := image[at*2048 : at*2048+size]
		for n := 0; len(b) > 0; n++ {
			if b[0] == 0 {
				b = b[min(len(b), 2048-(int(size)-len(b))%2048):]
				continue
			}
			record := b[:b[0]]
			b = b[b[0]:]
			if n < 2 {
				continue // the folder itself and its parent
			}
			var units []uint16
			for name := record[33 : 33+record[32]]; len(name) > 0; name = name[2:] {
				units = append(units, be.Uint16(name))
			}
			walk(record, path+"/"+string(utf16.Decode(units)))
		}
	}
	walk(d[156:190], "")
	for i, order := range []binary.ByteOrder{le, be} {
		table := image[[]uint32{le.Uint32(d[140:]), be.Uint32(d[148:])}[i]*2048:][:le.Uint32(d[132:])]
		var listed []uint32
		for len(table) > 0 {
			listed = append(listed, order.Uint32(table[2:]))
			table = table[8+int(table[0])+int(table[0])%2:]
		}
		slices.Sort(listed)
		slices.Sort(folders)
		if !slices.Equal(listed, folders) {
			t.Errorf("the path table names sectors %v, the folders are at %v", listed, folders)
		}
	}
	return paths
}
