// Package codec reads and writes pictures in the formats that are not our own
// Go (package images/jpeg): by worker processes with C libraries here, by pure
// Go in package purego. Both have the same three methods, Load, Save and
// Probe, and pass one conformance suite, codectest.
//
// Vocabulary: a worker is one process of the executable kamado-codec, shut in
// by package sandbox; a Pool starts workers with the first request that needs
// one, keeps a warm spare, bounds their number and ends them when nobody asks;
// a Raster is what comes out of Load and goes into Save: frames of planes.
//
// Invariants: bytes from strangers are decoded in workers alone; this process
// walks the chunks of a PNG and cleans drawings (package svg), in Go, so that
// a worker gets only what makes a picture; a worker
// that crashes, hangs, is killed or runs out of memory costs the request that
// it was serving and no other; what a worker wrote is copied once, from memory
// that it cannot shrink, and only then looked at; a pool that nobody asks has
// no process. Lock order: Pool.mu is never held while waiting for a worker.
package codec
