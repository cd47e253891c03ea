// Package fleet carries orders of purge and takedown to every node, deletes what
// a takedown is about from this node's caches, and answers those who give
// orders.
//
// Vocabulary. A node is one image server; its peers are the others, each known
// by a base URL. A push sends orders to a peer as they are given; an exchange
// compares what two nodes hold and brings each what it has not. A sweep deletes
// the cached bytes of what was taken down. The secret is shared by all nodes and
// is the bearer of what they say to each other.
//
// Invariants.
//   - An order holds on the node that took it when it is answered, and the
//     answer says of every peer whether it has it: done, sweeping, or
//     unreachable, will follow.
//   - An order reaches every node that is up and that any node which has it can
//     reach, within some intervals: by its push, else by an exchange. No node is
//     special, and the giver may be gone.
//   - Two nodes whose digests are equal say nothing more to each other. An
//     exchange that ends with different digests though nothing is missing
//     begins again from nothing, so a mistake in a vector heals.
//   - The CDN is told after the peers were, so that it does not fetch again what
//     a peer still had.
//   - Peers, orders of a message, and work at the same time are bounded.
package fleet
