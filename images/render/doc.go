// Package render turns the bytes of one original into the bytes of one
// rendition. It chooses the way there and holds every step to its limits:
//
//   - JPEG originals are decoded by images/jpeg in this process, at the DCT
//     scale nearest above the wanted size, straight to planes; cropped and
//     resized in one resampling; turned when it is small; finished; encoded.
//   - Where the geometry depends on what is seen (Trim, smart crops), the picture
//     is looked at first; where the rendition can be made of what was decoded
//     for that, it is.
//   - Several renditions of one original (RenderSet) share a decode as far as
//     they can.
//   - Every other format, and the JPEGs that need a C library (CMYK, lookup
//     table profiles, arithmetic coding), is loaded by a Codec at the wanted
//     size. The codec is a pool of sandboxed workers, or pure Go where there is
//     none.
//
// Vocabulary: to look is to find borders or the eye; to load is to get from
// bytes to planes of the wanted size; to finish is what the order of operations
// in images.Rendition says after that; to save is to get from planes to bytes,
// several times where a file must not be longer than asked for.
//
// Invariants: limits are checked against the header before memory for pixels
// is spent. A Renderer is safe for concurrent use and keeps at most
// Config.Workspaces sets of scratch memory. No file, socket or clock but the
// one that times stages is touched here; fetching and caching is the caller's.
package render
