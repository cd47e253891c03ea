// Package audit judges the embedded ledger from outside. It reads the ledger's files
// by docs/reference/game-ledger.md alone, adds everything up with arithmetic of its own,
// copies the files to another place and back, and signs extracts of postings.
//
// Vocabulary. A problem is a place at which the files are not what the document says,
// or not what a ledger may say. A torn end is what a crash, or a ledger that is
// writing just now, leaves behind the last whole batch; it is no problem. A backup is
// the segments up to a batch, with a manifest that names them. An export is lines of
// postings, each of which carries the hash of all before it, with a signature at the end.
//
// Invariants. It shares no code with package ledger, which a test holds, so that a
// mistake there is not repeated here. It never writes to the directory of a ledger.
// Memory grows with users and open reservations, not with postings. A backup has a
// manifest only when all that the manifest names was read back.
package audit
