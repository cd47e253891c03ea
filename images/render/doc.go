// Package render turns the bytes of one original into the bytes of one
// rendition. It chooses the way there and holds every step to its limits:
//
//   - JPEG originals are decoded by images/jpeg in this process, at the DCT
//     scale nearest above the wanted size, straight to planes and already
//     turned; cropped and resized in one resampling; finished; encoded.
//   - Every other format, and the JPEGs that need a C library (CMYK, lookup
//     table profiles, arithmetic coding), is loaded by a Codec at the wanted
//     size. The codec is a pool of sandboxed workers, or pure Go where there is
//     none.
//
// Vocabulary: to load is to get from bytes to planes of the wanted size; to
// finish is to blur, sharpen, flatten, pad and mark those; to save is to get
// from planes to bytes.
//
// Invariants: limits are checked against the header before memory for pixels
// is spent. A Renderer is safe for concurrent use and keeps at most
// Config.Workspaces sets of scratch memory. No file, socket or clock but the
// one that times stages is touched here; fetching and caching is the caller's.
package render
