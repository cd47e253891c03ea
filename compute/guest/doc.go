// Package guest makes machine images that can be booted at once: "tiny", a small
// one of Debian's own kernel, busybox and dropbear, and on request a whole Debian.
//
// Vocabulary. Parts are the programs and the kernel that tiny is made of, as
// Debian built them, gathered once into a directory (Collect) from packages that
// were unpacked, never installed. Files are what a build leaves: a kernel, a
// ramdisk that loads the drivers and finds the disk, and a disk whose file system
// is the guest. They are booted directly, without a boot loader.
//
// Invariants. A build from the same parts gives the same bytes. It needs no
// network, no root and nothing of the host but the parts. Drivers lie in the
// ramdisk, beside their kernel, so that a disk (a snapshot, say) boots with any
// kernel. A guest lets in only who has the key that its metadata names.
package guest
