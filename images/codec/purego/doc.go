// Package purego reads and writes pictures in memory-safe Go alone: it serves
// where the executable kamado-codec is missing, and BMP and ICO everywhere.
//
// It reads PNG, GIF with its animation, WebP that is not animated, TIFF, BMP
// and ICO, and writes PNG and GIF; for anything else its errors wrap
// codec.ErrFormat. It is slower than the workers and holds one whole original
// in memory, applies only colour profiles of curves and a matrix (package icc),
// and gives up on damaged files earlier. Invariants: no pixel is decoded
// before the header was checked against Config.Memory and the request's
// Geometry has agreed; a panic in a decoder is an error of its request.
package purego
