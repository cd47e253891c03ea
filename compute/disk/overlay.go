package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// The overlay's geometry: QEMU's own default clusters, 16-bit refcounts.
const (
	overlayClusterBits = 16
	overlayCluster     = 1 << overlayClusterBits
	overlayHeaderBytes = 112 // version 3 with the compression type and its padding
	overlayFilePerm    = 0o600

	// backingNameMax is what the format allows for the base's path (docs/interop/qcow2.txt of QEMU).
	backingNameMax = 1023

	// VirtualSizeMax bounds the disk inside an image. Unit: bytes.
	VirtualSizeMax = 16 << 40
)

// CreateOverlay makes the file path: a qcow2 disk of virtualSize bytes over the
// file base, whose format ("raw" or "qcow2") stands in the header, so that QEMU
// never guesses it. base is resolved by QEMU relative to path's directory; give
// an absolute one. path must not exist. The file is not synced: QEMU's first
// flush of the disk does that.
func CreateOverlay(path, base, baseFormat string, virtualSize int64) error {
	if base == "" || len(base) > backingNameMax {
		return fmt.Errorf("overlay %s: the base's path has %d bytes, limit %d", path, len(base), backingNameMax)
	}
	if baseFormat != FormatRaw && baseFormat != FormatQcow2 {
		return fmt.Errorf("overlay %s: a base of format %q", path, baseFormat)
	}
	return createQcow2(path, base, baseFormat, virtualSize)
}

// CreateEmpty makes the file path: a qcow2 disk of size bytes without a base,
// that reads as zeros. path must not exist.
func CreateEmpty(path string, size int64) error { return createQcow2(path, "", "", size) }

// createQcow2 writes clusters 0: header, 1: refcount table, 2: its one block, and
// from 3 the L1 table, which is a hole: no L2 table is there yet.
func createQcow2(path, base, baseFormat string, virtualSize int64) error {
	if virtualSize <= 0 || virtualSize > VirtualSizeMax || virtualSize%sector != 0 {
		return fmt.Errorf("disk %s: a size of %d bytes, which must be a multiple of %d up to %d", path, virtualSize, sector, int64(VirtualSizeMax))
	}
	const perL2 = overlayCluster * (overlayCluster / 8) // bytes that one L2 table maps
	l1Entries := (virtualSize + perL2 - 1) / perL2
	l1Clusters := (l1Entries*8 + overlayCluster - 1) / overlayCluster
	clusters := 3 + l1Clusters

	header := overlayHeader(base, baseFormat, virtualSize, l1Entries)
	var refTable [8]byte
	binary.BigEndian.PutUint64(refTable[:], 2*overlayCluster)
	refBlock := make([]byte, 2*clusters)
	for i := range clusters {
		binary.BigEndian.PutUint16(refBlock[2*i:], 1)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, overlayFilePerm)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	err = f.Truncate(clusters * overlayCluster)
	for _, part := range []struct {
		bytes  []byte
		offset int64
	}{{header, 0}, {refTable[:], overlayCluster}, {refBlock, 2 * overlayCluster}} {
		if err == nil {
			_, err = f.WriteAt(part.bytes, part.offset)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("disk %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// overlayHeader is the header of version 3, the extension that names the base's
// format, and the base's path.
func overlayHeader(base, baseFormat string, virtualSize, l1Entries int64) []byte {
	be := binary.BigEndian
	h := make([]byte, overlayHeaderBytes, 256+len(base))
	copy(h, qcowMagic)
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[20:], overlayClusterBits)
	be.PutUint64(h[24:], uint64(virtualSize))
	be.PutUint32(h[36:], uint32(l1Entries))
	be.PutUint64(h[40:], 3*overlayCluster) // L1 table
	be.PutUint64(h[48:], 1*overlayCluster) // refcount table
	be.PutUint32(h[56:], 1)                // its clusters
	be.PutUint32(h[96:], 4)                // refcount order: 2^4 bits
	be.PutUint32(h[100:], overlayHeaderBytes)
	if base != "" {
		h = be.AppendUint32(h, extBackingFormat)
		h = be.AppendUint32(h, uint32(len(baseFormat)))
		h = append(h, baseFormat...)
		for len(h)%8 != 0 {
			h = append(h, 0)
		}
	}
	h = append(h, make([]byte, 8)...) // the end of the extensions: type 0, length 0
	if base != "" {
		be.PutUint64(h[8:], uint64(len(h)))
		be.PutUint32(h[16:], uint32(len(base)))
		h = append(h, base...)
	}
	return h
}
