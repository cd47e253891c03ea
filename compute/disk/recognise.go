package disk

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
)

// The bytes that recognise looks at. QEMU's own probe reads the first 2048
// bytes at most and, for fixed VHD and DMG, the last 512.
const (
	headBytes = 4096
	isoOffset = 32769 // "CD001": ECMA-119 §8.1, sector 16, byte 1
	tailBytes = 512
)

// magic is a format that says its name in its first bytes.
type magic struct {
	format string
	offset int
	bytes  string
}

// magics are the formats that QEMU 7.2 can open by probing, and the containers
// and disks of other hypervisors. An image declared raw must begin as none.
var magics = []magic{
	{"qcow", 0, "QFI\xfb\x00\x00\x00\x01"}, {FormatQcow2, 0, qcowMagic},
	{"qed", 0, "QED\x00"},
	{"vmdk", 0, "KDMV"}, {"vmdk", 0, "COWD"}, {"vmdk", 0, "\xcd\xab\xcd\xab"}, {"vmdk", 0, "SE SPARSE"},
	{"vdi", 0x40, "\x7f\x10\xda\xbe"}, {"vdi", 0, "<<< "},
	{"vhdx", 0, "vhdxfile"},
	{"vhd", 0, "conectix"}, {"vhd", 0, "cxsparse"},
	{"luks", 0, "LUKS\xba\xbe"}, {"luks", 0, "SKUL\xba\xbe"},
	{"parallels", 0, "WithoutFreeSpace"}, {"parallels", 0, "WithouFreSpacExt"},
	{"bochs", 0, "Bochs Virtual HD Image"},
	{"cloop", 0, "#!/bin/sh\n#V2.0 Format"},
	{"vmstate", 0, "QEVM"},
}

// image is what is inspected.
type image struct {
	r        io.ReaderAt
	size     int64
	declared string
	found    string
}

func (img *image) refuse(reason string) error {
	return &Refusal{Declared: img.declared, Found: img.found, Reason: reason}
}

// read fills p from offset. A file that ends before is the image's fault.
func (img *image) read(p []byte, offset int64) error {
	n, err := img.r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return img.refuse("the file is shorter than it says")
	}
	return err
}

// inspect holds the rules of Inspect.
func (img *image) inspect() (Info, error) {
	found, err := img.recognise()
	if err != nil {
		return Info{}, err
	}
	img.found = found
	switch img.declared {
	case FormatQcow2:
		if found != FormatQcow2 {
			return Info{}, img.refuse("it does not begin as a qcow2 image")
		}
		virtual, err := img.qcow2()
		return Info{Format: FormatQcow2, Found: found, VirtualSize: virtual}, err
	case FormatISO:
		if found != FormatISO {
			return Info{}, img.refuse("it is not an ISO 9660 file system")
		}
	case FormatRaw, FormatAKI, FormatARI, FormatAMI:
		if !slices.Contains(plain, found) {
			return Info{}, img.refuse("its bytes are those of another format; name that format, or convert it")
		}
	default:
		return Info{}, img.refuse("disk images of this format are not taken; convert it to qcow2 or raw")
	}
	if img.size == 0 {
		return Info{}, img.refuse("it has no bytes")
	}
	if img.size > VirtualSizeMax {
		return Info{}, img.refuse("it is too large")
	}
	return Info{Format: FormatRaw, Found: found, VirtualSize: (img.size + sector - 1) / sector * sector}, nil
}

// plain are the findings that a raw image may have: partition tables and file
// systems are what a disk is full of.
var plain = []string{FormatRaw, "mbr", "gpt", FormatISO}

// recognise names the format that the bytes show.
func (img *image) recognise() (string, error) {
	head := make([]byte, min(headBytes, max(img.size, 0)))
	if err := img.read(head, 0); err != nil {
		return "", err
	}
	for _, m := range magics {
		if len(head) >= m.offset+len(m.bytes) && string(head[m.offset:m.offset+len(m.bytes)]) == m.bytes {
			return m.format, nil
		}
	}
	if isDescriptor(head) {
		return "vmdk", nil
	}
	if img.size >= tailBytes {
		tail := make([]byte, tailBytes)
		if err := img.read(tail, img.size-tailBytes); err != nil {
			return "", err
		}
		// A fixed VHD has its footer in the last 512 bytes, or 511 when an old tool wrote it.
		if bytes.HasPrefix(tail, []byte("conectix")) || bytes.HasPrefix(tail[1:], []byte("conectix")) {
			return "vhd", nil
		}
		if bytes.HasPrefix(tail, []byte("koly")) {
			return "dmg", nil
		}
	}
	if img.size >= isoOffset+5 {
		var id [5]byte
		if err := img.read(id[:], isoOffset); err != nil {
			return "", err
		}
		if string(id[:]) == "CD001" {
			return FormatISO, nil
		}
	}
	return partitioned(head), nil
}

// isDescriptor says whether a text is a VMDK descriptor as QEMU's probe sees it:
// lines of comments and blanks, then "version=" (block/vmdk.c reads 1, 2 and 3;
// here any). Descriptors name the files of their extents.
func isDescriptor(head []byte) bool {
	text := string(head)
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimRight(strings.TrimLeft(line, " \t"), "\r ")
		lower := strings.ToLower(line)
		switch {
		case strings.HasPrefix(lower, "# disk descriptorfile"), strings.HasPrefix(lower, "version="), strings.HasPrefix(lower, "version ="):
			return true
		case line == "" || line[0] == '#':
			text = rest
		default:
			return false
		}
	}
	return false
}

// partitioned names the partition table of a disk.
func partitioned(head []byte) string {
	if len(head) >= 1024 && string(head[512:520]) == "EFI PART" {
		return "gpt"
	}
	if len(head) >= 512 && binary.LittleEndian.Uint16(head[510:]) == 0xaa55 {
		return "mbr"
	}
	return FormatRaw
}
