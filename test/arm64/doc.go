// Package arm64 holds no code: its tests hold the build for arm64 against the
// one of this machine, under qemu-aarch64. The kernels in NEON must agree
// with their scalar twins bit for bit, and a rendition must have the same
// bytes on both architectures: caches and fleets of mixed machines rely on it.
//
// The short form only builds the packages that have kernels. Nothing here says how
// fast an arm64 is: an emulator has no figures of speed.
package arm64
