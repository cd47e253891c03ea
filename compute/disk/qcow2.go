package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The header of qcow2 (QEMU, docs/interop/qcow2.txt): all numbers big-endian.
const (
	qcowMagic = "QFI\xfb"

	qcowHeaderV2 = 72  // bytes of version 2
	qcowHeaderV3 = 104 // of version 3, at least
	qcowHeaderCT = 112 // with the compression type and 7 bytes of padding

	clusterBitsMin, clusterBitsMax = 9, 21

	// Bounds of what is read, QEMU's own. Unit: bytes.
	l1BytesMax       = 32 << 20
	refTableBytesMax = 8 << 20
	extensionsMax    = 16 // header extensions
)

// Incompatible features: bits whose meaning one must know to read the image.
const (
	incompatDirty       = 1 << 0
	incompatCorrupt     = 1 << 1
	incompatDataFile    = 1 << 2 // the guest's bytes lie in another file
	incompatCompression = 1 << 3
	incompatExtendedL2  = 1 << 4
	autoclearBitmaps    = 1 << 0
	autoclearRawData    = 1 << 1
)

// Header extensions.
const (
	extEnd           = 0
	extBackingFormat = 0xE2792ACA
	extFeatureTable  = 0x6803F857 // names of features, for messages
	extBitmaps       = 0x23852875
	extEncryption    = 0x0537BE77
	extDataFile      = 0x44415441 // the name of the file that incompatDataFile speaks of
)

// qcow2 is a header.
type qcow2 struct {
	version                uint32
	backingOffset          uint64
	backingSize            uint32
	clusterBits            uint32
	size                   uint64
	crypt                  uint32
	l1Size                 uint32
	l1Offset               uint64
	refOffset              uint64
	refClusters            uint32
	snapshots              uint32
	snapshotsOffset        uint64
	incompat, compat, auto uint64
	refOrder               uint32
	headerLength           uint32
	compression            byte
}

func parseQcow2(h []byte) qcow2 {
	be := binary.BigEndian
	q := qcow2{
		version: be.Uint32(h[4:]), backingOffset: be.Uint64(h[8:]), backingSize: be.Uint32(h[16:]), clusterBits: be.Uint32(h[20:]),
		size: be.Uint64(h[24:]), crypt: be.Uint32(h[32:]), l1Size: be.Uint32(h[36:]), l1Offset: be.Uint64(h[40:]),
		refOffset: be.Uint64(h[48:]), refClusters: be.Uint32(h[56:]), snapshots: be.Uint32(h[60:]), snapshotsOffset: be.Uint64(h[64:]),
		refOrder: 4, headerLength: qcowHeaderV2,
	}
	if q.version >= 3 {
		q.incompat, q.compat, q.auto = be.Uint64(h[72:]), be.Uint64(h[80:]), be.Uint64(h[88:])
		q.refOrder, q.headerLength = be.Uint32(h[96:]), be.Uint32(h[100:])
		if q.headerLength > qcowHeaderV3 {
			q.compression = h[104]
		}
	}
	return q
}

// qcow2 checks an image whose first bytes are qcow2's magic, and gives the size
// of its disk.
func (img *image) qcow2() (int64, error) {
	if img.size < qcowHeaderCT {
		return 0, img.refuse("the file ends within its header")
	}
	h := make([]byte, qcowHeaderCT)
	if err := img.read(h, 0); err != nil {
		return 0, err
	}
	q := parseQcow2(h)
	for _, check := range []func(qcow2) error{img.qcow2Names, img.qcow2Features, img.qcow2Sizes, img.qcow2Extensions, img.qcow2Tables} {
		if err := check(q); err != nil {
			return 0, err
		}
	}
	if q.headerLength > qcowHeaderV3 && !bytes.Equal(h[105:112], make([]byte, 7)) {
		return 0, img.refuse("the header's padding is not zero")
	}
	return (int64(q.size) + sector - 1) / sector * sector, nil
}

// qcow2Names refuses whatever leads out of the file, and encryption.
func (img *image) qcow2Names(q qcow2) error {
	switch {
	case q.version != 2 && q.version != 3:
		return img.refuse(fmt.Sprintf("version %d of qcow2 is not known", q.version))
	case q.backingOffset != 0 || q.backingSize != 0:
		return img.refuse("it has a backing file")
	case q.incompat&incompatDataFile != 0 || q.auto&autoclearRawData != 0:
		return img.refuse("it has an external data file")
	case q.crypt != 0:
		return img.refuse("it is encrypted")
	case q.snapshots != 0 || q.snapshotsOffset != 0:
		return img.refuse("it has internal snapshots")
	}
	return nil
}

func (img *image) qcow2Features(q qcow2) error {
	switch {
	case q.incompat&incompatDirty != 0:
		return img.refuse("it was not closed cleanly; qemu-img check -r leaks mends that")
	case q.incompat&incompatCorrupt != 0:
		return img.refuse("it is marked corrupt")
	case q.incompat&^(incompatCompression|incompatExtendedL2) != 0:
		return img.refuse(fmt.Sprintf("incompatible features %#x are not known", q.incompat))
	case q.auto&autoclearBitmaps != 0:
		return img.refuse("it has persistent bitmaps")
	case q.version == 3 && q.headerLength != qcowHeaderV3 && q.headerLength != qcowHeaderCT:
		return img.refuse(fmt.Sprintf("a header of %d bytes is not known", q.headerLength))
	case q.compression > 1:
		return img.refuse(fmt.Sprintf("compression type %d is not known", q.compression))
	case (q.compression != 0) != (q.incompat&incompatCompression != 0):
		return img.refuse("its compression type and its feature bit disagree")
	case q.refOrder > 6:
		return img.refuse(fmt.Sprintf("refcounts of 2^%d bits", q.refOrder))
	}
	return nil
}

func (img *image) qcow2Sizes(q qcow2) error {
	switch {
	case q.clusterBits < clusterBitsMin || q.clusterBits > clusterBitsMax:
		return img.refuse(fmt.Sprintf("clusters of 2^%d bytes", q.clusterBits))
	case q.incompat&incompatExtendedL2 != 0 && q.clusterBits < 14:
		return img.refuse("clusters too small for subclusters")
	case q.size == 0:
		return img.refuse("its disk has no bytes")
	case q.size > VirtualSizeMax:
		return img.refuse(fmt.Sprintf("its disk has %d bytes, limit %d", q.size, int64(VirtualSizeMax)))
	}
	return nil
}

// qcow2Extensions walks the extensions between the header and the end of the
// first cluster.
func (img *image) qcow2Extensions(q qcow2) error {
	at, end := int64(q.headerLength), int64(1)<<q.clusterBits
	for range extensionsMax {
		if at == end {
			return nil
		}
		var h [8]byte
		if at+8 > end || at+8 > img.size {
			return img.refuse("its header extensions have no end")
		}
		if err := img.read(h[:], at); err != nil {
			return err
		}
		kind, length := binary.BigEndian.Uint32(h[:]), int64(binary.BigEndian.Uint32(h[4:]))
		at += 8
		if length > end-at {
			return img.refuse("a header extension reaches past the first cluster")
		}
		switch kind {
		case extEnd:
			return nil
		case extFeatureTable:
		case extBackingFormat:
			return img.refuse("it names the format of a backing file")
		case extDataFile:
			return img.refuse("it names an external data file")
		case extEncryption:
			return img.refuse("it has a header for encryption")
		case extBitmaps:
			return img.refuse("it has persistent bitmaps")
		default:
			return img.refuse(fmt.Sprintf("header extension %#x is not known", kind))
		}
		at += (length + 7) &^ 7
	}
	return img.refuse("it has too many header extensions")
}

// span is bytes of the file that belong to one table.
type span struct {
	name        string
	start, size int64
}

// qcow2Tables checks where the L1 table and the refcount table lie, and that
// what they lead to lies within the file.
func (img *image) qcow2Tables(q qcow2) error {
	cluster := int64(1) << q.clusterBits
	perL2 := cluster / 8
	if q.incompat&incompatExtendedL2 != 0 {
		perL2 = cluster / 16
	}
	need := (int64(q.size) + perL2*cluster - 1) / (perL2 * cluster)
	l1 := span{"L1 table", int64(q.l1Offset), int64(q.l1Size) * 8}
	ref := span{"refcount table", int64(q.refOffset), int64(q.refClusters) * cluster}
	switch {
	case int64(q.l1Size) < need:
		return img.refuse("its L1 table is too small for its disk")
	case l1.size > l1BytesMax:
		return img.refuse("its L1 table is too large")
	case ref.size == 0:
		return img.refuse("it has no refcount table")
	case ref.size > refTableBytesMax:
		return img.refuse("its refcount table is too large")
	}
	for _, s := range []span{l1, ref} {
		// A header may be alone in its file for as long as a table is a hole behind its end, but no tool writes that.
		if s.start < cluster || s.start%cluster != 0 || s.start > img.size || s.size > img.size-s.start {
			return img.refuse("its " + s.name + " lies outside the file")
		}
	}
	if l1.start < ref.start+ref.size && ref.start < l1.start+l1.size {
		return img.refuse("its tables overlap")
	}
	const flags = 1 << 63 // QCOW_OFLAG_COPIED
	if err := img.qcow2Entries(l1, cluster, flags); err != nil {
		return err
	}
	return img.qcow2Entries(ref, cluster, 0)
}

// qcow2Entries checks that each entry of a table is 0 or, without its flags, the
// offset of a cluster behind the header and within the file.
func (img *image) qcow2Entries(s span, cluster int64, flags uint64) error {
	buf := make([]byte, min(s.size, 64<<10))
	for done := int64(0); done < s.size; done += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), s.size-done)]
		if err := img.read(buf, s.start+done); err != nil {
			return err
		}
		for i := 0; i+8 <= len(buf); i += 8 {
			v := binary.BigEndian.Uint64(buf[i:]) &^ flags
			if v != 0 && (v < uint64(cluster) || v%uint64(cluster) != 0 || v >= uint64(img.size)) {
				return img.refuse("an entry of its " + s.name + " leads outside the file")
			}
		}
	}
	return nil
}
