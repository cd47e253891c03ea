// Package registry keeps machine images: what may happen to them, to whom they
// are shown, and where their bytes lie.
//
// Vocabulary. An image is queued until bytes come, saving while they do, and
// active when an instance can start from it; a staged image has its bytes in
// this server's staging directory and waits to be imported. A base is the image
// as a local file that QEMU may use below the overlays of instances.
//
// Invariants. An image is active only when disk.Inspect took its bytes as the
// format that its owner declared; they are inspected once more before they become
// a base. The key of the bytes is in the image's row before the first byte is in
// the blob.Store, so bytes that no row names belong to nobody and are removed.
// Bytes of an active image never change. A file that was cut short, refused or
// too large leaves nothing behind, and the image is queued again. Quota is
// charged in the write that makes an image active.
//
// One server holds the directory of a Service; rows and objects may be shared.
package registry
