// Package lettering draws words as pictures that can be laid over others: the
// texts of renditions.
//
// Vocabulary: a font is a file of glyphs; Fonts are several of them in the
// order in which they are asked for a character; a mark is the drawn text, a
// picture with alpha as small as the letters need; lines are broken where the
// words say so and where they would leave the canvas.
//
// Invariants: font files are an operator's and are parsed once, by New; words come
// from URLs, so a mark never is larger than the canvas that it was drawn for,
// and what is kept of glyphs is bounded. A Fonts is safe for concurrent use.
// Text runs from left to right without shaping: ligatures, and scripts that
// need them to be read, are not its business.
package lettering
