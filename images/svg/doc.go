// Package svg makes drawings of strangers harmless before anybody draws them:
// Clean reads an SVG file, keeps the elements, attributes and styles that it
// knows to be paint and geometry, and writes a file of its own with nothing
// else in it. It draws nothing; a sandboxed worker of package codec does.
//
// Vocabulary: a reference is the name of another element, in href or in
// url(#name); the inside is pictures that a drawing carries as data: URLs; the
// cost is how many elements a renderer will draw once every reference is
// followed, which a file of a kilobyte can make billions.
//
// What is left out in silence cannot be part of a still picture (scripts, event
// attributes, animations, foreignObject, metadata, whatever has another
// namespace) or would fetch something (references to other files, @import).
// What is refused would change what is seen, or is an attack: entities, text
// (which would need the fonts of the machine; it can be turned into paths), a
// drawing that refers to itself, and everything over a bound of Limits.
//
// Invariants: Clean never opens anything; it spends time and memory in
// proportion to the file, whose size is bounded; what it has written it accepts
// again and leaves as it is.
package svg
