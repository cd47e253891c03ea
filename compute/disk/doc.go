// Package disk reads what a disk image claims to be, and makes the disks of
// instances, without asking a tool to guess. It knows raw and qcow2 well enough
// to say yes, and every other format that QEMU can open well enough to say no.
//
// Vocabulary. The declared format is what the owner of an image says it is; the
// found one is what its bytes say. A refusal is the reason why an image is not
// taken. A base is an immutable image below an overlay; an overlay is a qcow2
// file that holds what differs from its base.
//
// Invariants. Inspect reads through an io.ReaderAt and opens nothing: no name
// that lies in an image is ever resolved. What it does not know it refuses: a
// feature bit, a header extension, a compression type that is in no list here is
// no reason to hope. It reads at most the head, the tail and two bounded tables
// (l1BytesMax, refTableBytesMax) however large the image is. Not for repairing or converting images.
package disk
