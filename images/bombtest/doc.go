// Package bombtest makes bombs: files of a few bytes to a few megabytes that
// ask for far more memory or time than they are worth, or that lead a decoder
// in circles. Its test gives each to the renderer, with codec workers and
// without, and holds what it costs against the promise: refused within 50 ms
// of processor time and 64 MiB.
//
// Vocabulary: a fuse is what a bomb promises (pixels, frames, scans, text that
// inflates); a bomb is Harmless when the picture in it is real and small and
// only what lies around it is the bomb: it may be shown, at the same price. The
// files are made by code, so that each is a few lines to read; none is a copy
// of a file from anywhere.
package bombtest
