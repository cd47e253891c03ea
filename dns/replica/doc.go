// Package replica is the replicated state of the room: who says what, kept equal
// on all members. It is a pure step function: inputs, messages and times in,
// an Out with messages and effects out. It has no goroutine, lock, clock, socket
// or disk; the caller serializes calls, keeps entries and carries messages.
//
// Vocabulary. Each member has a stream: slots, each holding at most one entry.
// An entry is one signed fact of its member with a version; in a slot the
// greater version wins, and only its member can sign one. Info is the entry that
// carries a member's certificate and addresses; the key of the newest certificate
// is the member's current key. A zone entry is a record, a policy, a zone or a
// key of the ring: several streams may speak about the same thing, and the
// greatest stamp wins in all of them. A tombstone is an entry that says "gone".
// A head is the count and sum of a stream's entries; a digest sums up all heads.
//
// Invariants. What is held is a function of the set of entries that were heard,
// not of their order, so that two members with the same digests hold the same.
// No entry is believed without its member's signature and a certificate that a
// trusted key signed; what the certificate does not cover is refused. Versions of
// one's own stream never repeat, whatever a crash forgot and wherever the clock
// went. Entries of Out.Keep are durable before anything of Out.Send leaves.
// Nothing here grows without bound: see Config.
package replica
