// Package ledger keeps points on one machine: an append-only log of postings with
// checksums, the accounts in memory, and snapshots of them. What the files look
// like is docs/reference/game-ledger.md.
//
// Vocabulary. The core is the accounts and the rules, a step function without clock,
// disk or goroutine. The decider is the one goroutine that feeds orders to the core and
// makes batches of the postings; the writer is the one that makes batches durable, each by one
// write and one fdatasync. A segment is a file of the log, allocated ahead; the spare is the
// next one. A place is where in the log a posting stands. The index finds places by
// transaction id, reservation and seq; the filter says in memory which ids cannot be
// in it. Both are derived from the log. A mark and a seal are batches without
// postings: one follows what a crash left, the other ends what was closed in order.
//
// Invariants. What was answered is durable; so is all that an answer was judged
// by, a refusal's too. A batch is written only when the one before it is durable,
// so one that cannot be read is a torn end exactly when no later one exists.
// Whatever is decided but not durable is thrown away together: after a write or a
// sync that failed nothing is answered any more, and the next Open starts from the log. An
// account, once in the table, is never changed, only replaced. The index is
// never ahead of what is durable.
//
// Lock order: mu alone; no lock is held while the disk or the index is asked.
//
// Start reading at core.go, then decide.go and write.go.
package ledger
