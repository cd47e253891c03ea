// Package journal keeps what this member must not forget: an append-only file of
// opaque entries under one directory. It knows nothing of what an entry means,
// and is no database: what was written is read once, at the start.
//
// Vocabulary. An entry is some bytes. A batch is the entries of one Append: after
// a crash it is there whole or not at all. A group is the batches that one sync
// made durable together; its frames carry its number. A frame is one entry on the
// disk with length, CRC-32C, group and kind. A snapshot is every entry that still
// matters; compaction writes it into a file that takes the place of the old one.
//
// Invariants. An Append whose wait returned nil is on the disk: in the file that
// the next Open reads. One process at a time has a directory. Groups are numbered
// one after another, and one begins only when the one before it is durable: so a
// frame that cannot be read belongs to a torn end exactly when no later group
// exists, and is damage otherwise, which Open refuses by file and offset. After a
// failed write or sync nothing of that file's cache is believed: the next append
// goes to a new file made of what is known to be good.
package journal
