// Package disktest makes disk images for the tests of whoever takes some: hostile
// ones by the hundred, always the same, and the good ones that they differ from
// by a number. A hostile image is refused when it is declared as it says; most
// name a file outside of themselves, which must never be opened.
package disktest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// Hostile is an image that must be refused when it is declared as a format.
type Hostile struct {
	Name     string
	Declared string
	Bytes    []byte
}

// GoodQcow2 is a small image that is taken: version 3, 64 KiB clusters, header,
// refcount table, refcount block, L1 table.
func GoodQcow2() []byte {
	const cluster = 1 << 16
	be := binary.BigEndian
	b := make([]byte, 4*cluster)
	copy(b, "QFI\xfb")
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], 16)
	be.PutUint64(b[24:], 64<<20)
	be.PutUint32(b[36:], 1)
	be.PutUint64(b[40:], 3*cluster)
	be.PutUint64(b[48:], cluster)
	be.PutUint32(b[56:], 1)
	be.PutUint32(b[96:], 4)
	be.PutUint32(b[100:], 112)
	be.PutUint64(b[cluster:], 2*cluster)
	for i := range 4 {
		be.PutUint16(b[2*cluster+2*i:], 1)
	}
	return b
}

// GoodV2 is the same in version 2.
func GoodV2() []byte {
	b := GoodQcow2()
	binary.BigEndian.PutUint32(b[4:], 2)
	clear(b[72:200])
	return b
}

// With gives a copy of b with v at an offset: a uint64, uint32, byte or string.
func With(b []byte, offset int, v any) []byte {
	b = bytes.Clone(b)
	switch v := v.(type) {
	case uint64:
		binary.BigEndian.PutUint64(b[offset:], v)
	case uint32:
		binary.BigEndian.PutUint32(b[offset:], v)
	case byte:
		b[offset] = v
	case string:
		copy(b[offset:], v)
	default:
		panic("a value of no known type")
	}
	return b
}

// Extension puts header extensions behind the header of a good image.
func Extension(kind uint32, data string) []byte {
	b := GoodQcow2()
	binary.BigEndian.PutUint32(b[112:], kind)
	binary.BigEndian.PutUint32(b[116:], uint32(len(data)))
	copy(b[120:], data)
	return b
}

// backed gives an image with a backing file.
func backed(b []byte, name string) []byte {
	b = With(With(b, 8, uint64(512)), 16, uint32(len(name)))
	copy(b[512:], name)
	return b
}

// names are what an image may point at outside of itself; secret is a file that
// must not be opened.
func names(secret string) []string {
	return []string{
		secret, "/etc/shadow", "../../../../etc/passwd", "base.qcow2", "file:" + secret, "/dev/sda", "/proc/self/environ",
		`json:{"driver":"raw","file":{"driver":"file","filename":"` + secret + `"}}`,
		`json:{"driver":"qcow2","data-file":{"driver":"file","filename":"` + secret + `"}}`,
		"nbd://127.0.0.1:10809/x", "nbd+unix:///x?socket=" + secret, "http://169.254.169.254/latest/meta-data", "https://127.0.0.1/x", "ftp://127.0.0.1/x",
		"rbd:pool/image", "iscsi://127.0.0.1/iqn.x/0", "ssh://127.0.0.1" + secret, "fat:/etc", "fat:rw:/etc", "blkdebug::" + secret, "host_device:/dev/sda",
		"fd:3", "vvfat:/etc", "gluster://h/v/i", "", "\x00", strings.Repeat("A", 1023),
	}
}

// Hostiles gives every hostile image: the classes of the advisories on images
// (OSSA 2015-014, 2023-002, 2024-001 and later ones), and each number of a
// header at its edges. secret stands where a name of a file is wanted.
func Hostiles(t testing.TB, secret string) []Hostile {
	t.Helper()
	var list []Hostile
	add := func(declared, name string, b []byte) { list = append(list, Hostile{name, declared, b}) }
	q := func(name string, b []byte) { add("qcow2", name, b) }

	for i, n := range names(secret) {
		what := fmt.Sprintf("%d %.30q", i, n)
		if n != "" {
			q("v3 with the backing file "+what, backed(GoodQcow2(), n))
			q("v2 with the backing file "+what, backed(GoodV2(), n))
		}
		q("the data file "+what, With(Extension(0x44415441, n), 72, uint64(1<<2)))
		q("the name of a data file alone "+what, Extension(0x44415441, n))
	}
	q("a data file without a name", With(GoodQcow2(), 72, uint64(1<<2)))
	q("a raw external data file", With(GoodQcow2(), 88, uint64(1<<1)))
	q("a backing file's offset without a size", With(GoodQcow2(), 8, uint64(512)))
	q("a backing file's size without an offset", With(GoodQcow2(), 16, uint32(8)))
	q("a backing file far behind the end", With(With(GoodQcow2(), 8, uint64(1<<62)), 16, uint32(1023)))
	q("the format of a backing file", Extension(0xE2792ACA, "raw"))
	q("persistent bitmaps", Extension(0x23852875, strings.Repeat("\x00", 24)))
	q("the feature of bitmaps", With(GoodQcow2(), 88, uint64(1)))
	q("a header for encryption", Extension(0x0537BE77, strings.Repeat("\x00", 16)))
	for _, kind := range []uint32{1, 0x12345678, 0xFFFFFFFF, 0x6803F858} {
		q(fmt.Sprintf("the extension %#x", kind), Extension(kind, "x"))
	}
	q("an extension past its cluster", With(Extension(0x6803F857, ""), 116, uint32(1<<16)))
	q("an extension of 4 GiB", With(Extension(0x6803F857, ""), 116, uint32(0xFFFFFFFF)))
	many := GoodQcow2()
	for at := 112; at+8 <= 1<<16; at += 8 {
		binary.BigEndian.PutUint32(many[at:], 0x6803F857)
	}
	q("extensions without end", many)
	for bit := range 64 {
		if bit != 3 && bit != 4 && bit != 2 {
			q(fmt.Sprintf("the incompatible feature %d", bit), With(GoodQcow2(), 72, uint64(1)<<bit))
		}
	}
	list = append(list, hostileNumbers()...)
	return append(list, hostileFormats(secret)...)
}

// hostileNumbers gives images whose header has a number at or past an edge.
func hostileNumbers() []Hostile {
	var list []Hostile
	q := func(name string, b []byte) { list = append(list, Hostile{name, "qcow2", b}) }
	for _, v := range []uint32{0, 1, 4, 5, 0xFFFFFFFF} {
		q(fmt.Sprintf("the version %d", v), With(GoodQcow2(), 4, v))
	}
	for _, v := range []uint32{0, 1, 8, 22, 31, 32, 63, 64, 0xFFFFFFFF} {
		q(fmt.Sprintf("clusters of 2^%d", v), With(GoodQcow2(), 20, v))
	}
	for _, v := range []uint64{0, 16<<40 + 1, 1 << 62, 1 << 63, 1<<64 - 1} {
		q(fmt.Sprintf("a disk of %d bytes", v), With(GoodQcow2(), 24, v))
	}
	for _, v := range []uint32{1, 2, 3, 0xFFFFFFFF} {
		q(fmt.Sprintf("the encryption %d", v), With(GoodQcow2(), 32, v))
		q(fmt.Sprintf("%d snapshots", v), With(GoodQcow2(), 60, v))
	}
	for _, v := range []uint32{0, 4<<20 + 1, 0x20000000, 0xFFFFFFFF} {
		q(fmt.Sprintf("an L1 table of %d entries", v), With(GoodQcow2(), 36, v))
	}
	q("an L1 table too small for the disk", With(GoodQcow2(), 24, uint64(1<<40)))
	for _, v := range []uint64{0, 1, 512, 1<<16 + 1, 4 << 16, 5 << 16, 1 << 40, 1 << 62, 1 << 63, 1<<64 - 1} {
		q(fmt.Sprintf("an L1 table at %d", v), With(GoodQcow2(), 40, v))
		q(fmt.Sprintf("a refcount table at %d", v), With(GoodQcow2(), 48, v))
		q(fmt.Sprintf("snapshots at %d", v), With(With(GoodQcow2(), 60, uint32(1)), 64, v))
	}
	q("an offset of snapshots alone", With(GoodQcow2(), 64, uint64(1<<16)))
	for _, v := range []uint32{0, 5, 129, 1 << 24, 0xFFFFFFFF} {
		q(fmt.Sprintf("a refcount table of %d clusters", v), With(GoodQcow2(), 56, v))
	}
	q("an L1 table on the refcount table", With(GoodQcow2(), 40, uint64(1<<16)))
	for _, v := range []uint64{1, 1 << 62, 4 << 16, 1<<16 + 512, 1 << 55} {
		q(fmt.Sprintf("an L1 entry to %d", v), With(GoodQcow2(), 3<<16, v))
		q(fmt.Sprintf("a refcount entry to %d", v), With(GoodQcow2(), 1<<16, v))
	}
	for _, v := range []uint32{7, 8, 64, 0xFFFFFFFF} {
		q(fmt.Sprintf("refcounts of 2^%d bits", v), With(GoodQcow2(), 96, v))
	}
	for _, v := range []uint32{0, 72, 96, 103, 105, 111, 113, 120, 1 << 16, 0xFFFFFFFF} {
		q(fmt.Sprintf("a header of %d bytes", v), With(GoodQcow2(), 100, v))
	}
	for _, v := range []byte{1, 2, 255} {
		q(fmt.Sprintf("the compression %d without its feature", v), With(GoodQcow2(), 104, v))
	}
	q("the feature of a compression without one", With(GoodQcow2(), 72, uint64(1<<3)))
	q("an unknown compression with its feature", With(With(GoodQcow2(), 72, uint64(1<<3)), 104, byte(2)))
	q("padding that is not zero", With(GoodQcow2(), 107, byte(1)))
	q("subclusters in small clusters", With(With(GoodQcow2(), 72, uint64(1<<4)), 20, uint32(12)))
	for _, n := range []int{0, 3, 4, 71, 72, 103, 111, 112, 1 << 16, 1<<16 + 4, 3 << 16, 3<<16 + 7} {
		q(fmt.Sprintf("only %d bytes", n), GoodQcow2()[:n])
	}
	return list
}

// Descriptors of VMDK, which name files of the host.
func descriptor(extent string) string {
	return "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\n# Extent description\n" + extent + "\n"
}

// hostileFormats gives images of other formats, declared as what is taken and as
// themselves, and good ones under a wrong name.
func hostileFormats(secret string) []Hostile {
	pad := func(head string, at, size int) []byte {
		b := make([]byte, size)
		copy(b[at:], head)
		return b
	}
	const size = 64 << 10
	others := map[string][]byte{
		"vmdk sparse": pad("KDMV\x01\x00\x00\x00", 0, size), "vmdk COWD": pad("COWD", 0, size), "vmdk SE sparse": pad("\xcd\xab\xcd\xab", 0, size),
		"vmdk flat extent":            pad(descriptor(`RW 2048 FLAT "`+secret+`" 0`), 0, size),
		"vmdk VMFS extent":            pad(descriptor(`RW 2048 VMFS "`+secret+`"`), 0, size),
		"vmdk extent of a device":     pad(descriptor(`RW 2048 FLAT "/dev/sda" 0`), 0, size),
		"vmdk without its first line": pad("version=1\nRW 2048 FLAT \""+secret+"\" 0\n", 0, size),
		"vmdk behind comments":        pad("# x\n\n   \n#y\r\nversion=3\nRW 1 FLAT \""+secret+"\" 0", 0, size),
		"vmdk in capitals":            pad("# DISK DESCRIPTORFILE\nVersion=1\n", 0, size),
		"vmdk of spaces":              pad("   version = 1\n", 0, 600),
		"vhd dynamic":                 pad("conectix", 0, size), "vhd fixed": pad("conectix", size-512, size), "vhd fixed of 511": pad("conectix", size-511, size),
		"vhdx": pad("vhdxfile", 0, size), "vdi": pad("\x7f\x10\xda\xbe", 0x40, size), "vdi text": pad("<<< Oracle VM VirtualBox Disk Image >>>", 0, size),
		"qed": pad("QED\x00", 0, size), "qcow": pad("QFI\xfb\x00\x00\x00\x01", 0, size), "luks1": pad("LUKS\xba\xbe\x00\x01", 0, size), "luks2": pad("LUKS\xba\xbe\x00\x02", 0, size),
		"parallels": pad("WithoutFreeSpace", 0, size), "parallels ext": pad("WithouFreSpacExt", 0, size), "bochs": pad("Bochs Virtual HD Image", 0, size),
		"cloop": pad("#!/bin/sh\n#V2.0 Format\nmodprobe cloop", 0, size), "dmg": pad("koly", size-512, size),
		"qcow2 by a guest": GoodQcow2(), "qcow2 with a backing file by a guest": backed(GoodQcow2(), secret), "qcow2 v2 by a guest": backed(GoodV2(), secret),
		"qcow2 with a data file by a guest": With(Extension(0x44415441, secret), 72, uint64(1<<2)),
	}
	var list []Hostile
	for name, b := range others {
		for _, declared := range []string{"raw", "aki", "ari", "ami", "iso"} {
			list = append(list, Hostile{name + " as " + declared, declared, b})
		}
		if !strings.HasPrefix(name, "qcow2") {
			list = append(list, Hostile{name + " as qcow2", "qcow2", b})
		}
		for _, declared := range []string{"vmdk", "vhd", "vhdx", "vdi", "qed", "luks", "", "QCOW2", "auto"} {
			list = append(list, Hostile{name + " as " + fmt.Sprintf("%q", declared), declared, b})
		}
	}
	return append(list, Hostile{"nothing as raw", "raw", nil}, Hostile{"zeros as qcow2", "qcow2", make([]byte, size)}, Hostile{"zeros as iso", "iso", make([]byte, size)})
}
