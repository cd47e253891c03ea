// Package eventlog keeps what happened in every room: events go to segment
// files in order, and segments become Parquet files in a blob.Store, one for
// each room and day, where any reader of Parquet can ask them.
//
// Vocabulary. Append gives an event to the log and waits until it is durable;
// Offer gives it without waiting and may drop it, counted, so that a hot path
// never waits for a disk. A segment is active while events are appended to it,
// sealed when it is complete, and compacted when its events lie in the store.
// The manifest says up to which segment that is.
//
// Invariants. An event whose Append returned nil is found by every later Query,
// through crashes and compaction, exactly once. A segment is removed only after
// the manifest says that it is compacted, and the manifest says so only after
// every one of its Parquet files is durable; those have names made of the log's
// identity and the segment's number, so compacting again after a crash writes
// the same files again. What a crash tore off, or damage cut off, is kept beside the segments
// and reported, never silently passed over. Everything is bounded: the queue,
// a segment, the segments that wait, the answer of a query, the days kept.
//
// Lock order: Log.files, then Log.mu. Not a message queue: nobody is told of an
// event, and events of different rooms have no order but their time.
package eventlog
