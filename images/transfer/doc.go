// Package transfer copies the originals of one store into another: a tree or a
// bucket into a directory of this service, or back. It is made for millions of
// keys and for being interrupted.
//
// Vocabulary. A run goes through the keys of the source in their byte order.
// The window is the keys between the oldest that is not finished and the
// newest that was begun. The watermark is the key below which, itself
// included, every key is finished: copied, linked, skipped because the target
// has it already, or failed. A checkpoint is a small file with the watermark
// and the keys that failed; a run that finds one goes on there.
//
// Invariants: an object counts as finished only when its Put returned, so it
// is durable; a checkpoint is written behind that, so it is never ahead of the
// target; the window, the failures and the memory are bounded whatever the
// number of keys; a key that fails does not stop the run until too many did.
//
// It does not delete anything, and it is no backup: an object that changes in
// the source behind the watermark is found by the next whole run only.
package transfer
