// Package images is the vocabulary and the decisions of picture delivery: one
// stored original, every size on request.
//
// Words. An original is what somebody stored; it has a key and never changes
// under that key without its version changing. A rendition is what a client
// asks for: size, way of fitting, quality, format and operations. A request
// names an original and a rendition. A plan is the geometry that follows from
// a rendition once the size of the original is known: which window of it,
// resized to what, placed where. A preset is a rendition with a name. A
// grammar is a way of writing requests as URLs (folders tofu and native); all
// grammars give the same Request.
//
// Invariants.
//   - Rendition is a comparable value and String is its one canonical spelling:
//     two renditions are the same picture of an original exactly when their
//     strings are equal. Caches are keyed by that string and the identity of
//     the original.
//   - Nothing here reads a file, opens a socket, looks at a clock or knows an
//     engine. Sizes are checked against Limits before anybody spends memory.
//   - Everything that can go wrong with a request is an *Error with a Kind; the
//     HTTP side turns Kinds into status codes in one table.
//
// Start reading at Rendition (rendition.go) and Plan (plan.go).
package images
