// Package jetstream keeps values on several machines: six shards with three
// replicas each, as streams of NATS JetStream. The servers are part of this
// process, one to a machine, and find each other; there is nothing else to install.
//
// Vocabulary. A node is a server with its directory. A shard is one stream, which
// a Raft group of nodes keeps; all keys of a group (kv.Key) lie on one shard, which
// follows from a hash. The meta leader is the node that places the shards. A
// tombstone is the record of a deleted key; it goes away after TombstoneTTL.
//
// Invariants. A write is acknowledged after a majority of the shard's replicas has
// synced it into its log ("sync: always", which a node checks of itself when it
// starts, and refuses to run without). A version is the number of the record in its
// shard, so it grows for ever. A write is a compare-and-set, which the leader of
// the shard decides. A timed-out write is looked up by the number that this package
// puts beside the value, and is kv.ErrDoubt only when that cannot tell.
//
// What an operator must know.
//
//   - Losing the leader of a shard costs 4 to 10 seconds until that shard answers
//     again: this is the engine's election, which cannot be tuned. Other shards go
//     on. Leave steps down first, so that a planned restart costs less than 0.2 s.
//   - Reads are those of a leader, fresh in the normal case. A leader that was cut
//     off from the others, or stood still, may answer with an old value for 10 to
//     20 s, until it notices. An old value cannot be written back: its version is
//     refused. What must be sure is a write. A lock's fencing token must therefore
//     be checked inside the value that is compared, not by a read before.
//   - The name of a node is its machine's with a random part that lies in its
//     directory. A node that was removed must never come back with that directory:
//     it could bring back what the others have forgotten.
//   - A node that is gone for good is replaced by nobody until RemoveNode says so.
//     Remove only with a healthy majority. A new node needs the cluster file, the
//     addresses of the others, and no change at them.
//   - Backups are not optional. Damage to files on one machine can reach the others
//     (a flipped bit in a replica's log is not always seen), and removal of nodes
//     while others fail has lost data of this engine in tests of other people.
//   - Memory grows by about 150 to 250 bytes a key on each node. Above a million keys,
//     or overwritten records between older ones, in a shard its index is no longer
//     saved, and a start after a crash reads everything: Shards warns before.
//   - A node alone (no peers) keeps one replica, is no cluster, and cannot become
//     one: the engine would not take over its shards. It is for trying out; the
//     engine of one machine is kv/pebble. To grow from it, or from kv/pebble, start
//     three nodes with empty directories and write the entities there.
//   - A cluster of two nodes can only have one replica to a shard (Replicas), and
//     stands still when either is away. When a third has joined and the settings say
//     three, OpenStore raises the replicas, as Grow does while the store is open.
//   - The engine opens a port of its own on loopback, since it serves no cluster
//     without one. Its password is made at each start and told to nobody.
package jetstream
