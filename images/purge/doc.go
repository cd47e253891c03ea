// Package purge keeps the orders by which pictures are shown afresh or not at
// all, equal on every node of a fleet.
//
// Vocabulary. An order is a purge (what was kept of these originals is not to
// be used any more), a takedown (these originals are answered with 410) or a
// restore (a takedown is over). Its target is one original, or a tag: all that
// begin with a prefix, of a kind, of an owner, of an origin, or all. A revision
// stamp is what an original's identity gets from the purges that match it; it
// enters the keys of results and ETags, so a purge holds from the moment a node
// has it, and no cache needs an index. A register is the newest purge, or the
// newest takedown or restore, of one target; a table is all registers and the
// floor. The floor is the youngest purge that was folded: everything counts as
// purged up to there. A vector says up to which counter the orders of each node
// were seen.
//
// Invariants.
//   - A table is a join-semilattice: registers and floor only grow in the order
//     of IDs, so nodes that have the same orders give the same stamps and the
//     same refusals, whatever the order of arrival, and however often.
//   - Each order that arrives and is not older than its register changes the
//     stamp of what it matches: a stamp is made of all matching registers and
//     not of the newest only, so a clock that is late makes no purge void.
//   - An order is on disk before Issue or Merge returns, and seen by Revision
//     only then.
//   - A vector covers an order of a node only when the order is held, or one
//     that replaces it is held or will be asked for.
//   - Takedowns are never folded. Registers are independent of each other:
//     restoring a key does not restore it from a takedown of its kind.
//
// Why registers and a vector, and not a log that all nodes replay: any node can
// be asked, none is special, a new node needs the present state only, and a
// node that was away needs what it has not. The price is the floor: beyond the
// bound of purges, everything older loses what was kept of it, once.
//
// This package talks to nobody: package fleet carries orders between nodes and
// sweeps caches, package cdn tells CDNs, package journal is the file.
package purge
