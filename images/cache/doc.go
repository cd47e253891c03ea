// Package cache keeps what was computed once: renditions, originals and
// mezzanines, in memory and on disk, and lets equal work that is asked for at
// the same time happen once.
//
// Vocabulary: a Key is the name of a result, made from the canonical rendition
// and the identity of the original, so that a replaced original is never
// answered from an older result. An Entry is a finished rendition with the few
// facts that its HTTP answer needs. Memory is bounded by bytes and evicts by
// SIEVE; Disk is bounded by bytes and evicts the least recently used of one
// bucket at a time; Group coalesces. A Label says of which original an entry
// was made; a sweep removes the entries of those that were taken down.
//
// Invariants: every cache is bounded; nothing here is the only copy of
// anything, so a lost or damaged entry is a miss and never an error; bytes
// handed out are shared and must not be written to.
package cache
