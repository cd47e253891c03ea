package guest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// errNotExtracted: the kernel inside a bzImage is compressed in a way that is not
// read here. It is then booted as it is: the kernel unpacks itself, which takes an
// emulated processor about half a second.
var errNotExtracted = errors.New("kernel in a compression that is not read here")

// kernelBytesMax bounds what an unpacked kernel may take.
const kernelBytesMax = 256 << 20

// extractKernel gives the ELF file inside a bzImage (Documentation/arch/x86/boot.rst
// of Linux). QEMU starts one that has a PVH note at its 32-bit entry.
func extractKernel(image []byte) ([]byte, error) {
	if len(image) < 0x264 || string(image[0x202:0x206]) != "HdrS" {
		return nil, errors.New("no bzImage")
	}
	sectors := int64(image[0x1f1])
	if sectors == 0 {
		sectors = 4 // as the header's description says of old ones
	}
	start := (sectors+1)*512 + int64(binary.LittleEndian.Uint32(image[0x248:]))
	length := int64(binary.LittleEndian.Uint32(image[0x24c:]))
	if start+length > int64(len(image)) || length < 8 {
		return nil, errors.New("a bzImage that ends before its payload")
	}
	raw, err := unpackLZ4(image[start : start+length])
	if err != nil {
		return nil, err
	}
	return trimKernel(raw)
}

// unpackLZ4 reads LZ4's legacy frame (lz4_Frame_format.md, "Legacy frame"): a magic,
// then blocks of a 4-byte length. Linux appends 4 bytes with the unpacked size.
func unpackLZ4(b []byte) ([]byte, error) {
	if binary.LittleEndian.Uint32(b) != 0x184C2102 {
		return nil, errNotExtracted
	}
	size := int64(binary.LittleEndian.Uint32(b[len(b)-4:]))
	if size > kernelBytesMax || size > 255*int64(len(b)) { // LZ4 makes nothing smaller than a 255th
		return nil, fmt.Errorf("a kernel of %d bytes is over the bound of %d", size, kernelBytesMax)
	}
	out := make([]byte, 0, size)
	for b = b[4:]; len(b) > 4; {
		n := int64(binary.LittleEndian.Uint32(b))
		b = b[4:]
		if n > int64(len(b)) {
			return nil, errors.New("an LZ4 block is cut off")
		}
		var err error
		if out, err = unpackLZ4Block(out, b[:n]); err != nil {
			return nil, err
		}
		b = b[n:]
	}
	if int64(len(out)) != size {
		return nil, fmt.Errorf("the kernel unpacks to %d bytes instead of %d", len(out), size)
	}
	return out, nil
}

var errLZ4 = errors.New("a broken LZ4 block")

// unpackLZ4Block appends one block (lz4_Block_format.md): sequences of a token
// (length of literals, length of a match less 4), literals, and a 2-byte distance.
// Matches do not reach behind the start of the block.
func unpackLZ4Block(out, b []byte) ([]byte, error) {
	start := len(out)
	more := func(n int) (int, error) {
		if n != 15 {
			return n, nil
		}
		for {
			if len(b) == 0 {
				return 0, errLZ4
			}
			c := b[0]
			b = b[1:]
			if n += int(c); c != 255 {
				return n, nil
			}
		}
	}
	for len(b) > 0 {
		token := b[0]
		b = b[1:]
		literals, err := more(int(token >> 4))
		if err != nil || literals > len(b) || literals > cap(out)-len(out) {
			return nil, errLZ4
		}
		out, b = append(out, b[:literals]...), b[literals:]
		if len(b) == 0 {
			return out, nil // the last sequence has no match
		}
		if len(b) < 2 {
			return nil, errLZ4
		}
		distance := int(binary.LittleEndian.Uint16(b))
		b = b[2:]
		match, err := more(int(token & 15))
		match += 4
		if err != nil || distance == 0 || distance > len(out)-start || match > cap(out)-len(out) {
			return nil, errLZ4
		}
		for range match { // byte by byte: a match may reach into what it writes
			out = append(out, out[len(out)-distance])
		}
	}
	return nil, errLZ4
}

// trimKernel writes an ELF kernel anew with its segments alone, side by side, and
// without the zeros at their ends: a third less to store, to hash and to load.
func trimKernel(raw []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read the kernel: %w", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || !hasPVH(f) {
		return nil, errNotExtracted
	}
	const headerBytes, segmentBytes, segmentsMax = 64, 56, 64
	if len(f.Progs) > segmentsMax {
		return nil, fmt.Errorf("a kernel of %d segments", len(f.Progs))
	}
	out := make([]byte, headerBytes+segmentBytes*len(f.Progs), len(raw)+4096*len(f.Progs))
	copy(out, raw[:headerBytes])
	le := binary.LittleEndian
	le.PutUint64(out[32:], headerBytes) // e_phoff
	le.PutUint64(out[40:], 0)           // e_shoff, and no sections
	le.PutUint16(out[60:], 0)
	le.PutUint16(out[62:], 0)
	for i, p := range f.Progs {
		if p.Off > uint64(len(raw)) || p.Filesz > uint64(len(raw))-p.Off {
			return nil, errors.New("a segment of the kernel is cut off")
		}
		data := raw[p.Off : p.Off+p.Filesz]
		if p.Type == elf.PT_LOAD {
			data = bytes.TrimRight(data, "\x00") // the loader fills memory up to Memsz with them
		}
		for len(out)%4096 != 0 {
			out = append(out, 0)
		}
		h := out[headerBytes+segmentBytes*i:]
		le.PutUint32(h, uint32(p.Type))
		le.PutUint32(h[4:], uint32(p.Flags))
		for j, v := range []uint64{uint64(len(out)), p.Vaddr, p.Paddr, uint64(len(data)), p.Memsz, p.Align} {
			le.PutUint64(h[8+8*j:], v)
		}
		out = append(out, data...)
	}
	return out, nil
}

// hasPVH says whether a kernel tells its 32-bit entry by a Xen note of type 18
// (XEN_ELFNOTE_PHYS32_ENTRY).
func hasPVH(f *elf.File) bool {
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > 1<<20 {
			continue
		}
		notes := make([]byte, p.Filesz)
		if _, err := p.ReadAt(notes, 0); err != nil {
			return false
		}
		for len(notes) >= 12 {
			le := binary.LittleEndian
			name, desc := int(le.Uint32(notes)), int(le.Uint32(notes[4:]))
			kind := le.Uint32(notes[8:])
			next := 12 + (name+3)&^3 + (desc+3)&^3
			if name > len(notes) || desc > len(notes) || next > len(notes) {
				return false
			}
			if kind == 18 && string(notes[12:12+name]) == "Xen\x00" {
				return true
			}
			notes = notes[next:]
		}
	}
	return false
}
