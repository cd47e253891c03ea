// Package delivery answers requests for pictures over HTTP.
//
// Vocabulary: a result is a finished rendition together with the header values
// of its answer, made once; its key names it by rendition and identity of the
// original; an outcome is how a request was answered (from memory, from disk,
// rendered, shared with an equal request, not modified, or an error of some
// kind).
//
// A request goes this way and leaves at the first answer: method, grammar and
// signature, which original (its identity is asked of the origin), 304 when
// the client has that result, memory, disk, and then the work that all equal
// requests share: a place in the queue, the bytes, the renderer.
//
// Invariants: an answer never comes from an older original than the one that
// was there when the request arrived (remote origins: than the one believed,
// for as long as origin.Source.Fresh says); strong ETags, equal ones mean equal
// bytes; Vary is sent exactly where Accept decided something; nothing internal
// is in an error's body, the request id leads to it.
package delivery
