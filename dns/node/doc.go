// Package node is one member, put together: the only writer of the replicated
// state, and what protocols, checks and people ask.
//
// Vocabulary. A step changes the replica and gives effects; to publish is to bring
// answers, watchers and peers up to date with a step. An urgent step waits for the
// disk first; a step that the disk refused is taken back by its undo, so nobody
// was told of what is not kept. News are events for watchers and the history.
//
// Invariants. The replica is used under mu only, and mu is never held while the
// disk or the network is waited for. One goroutine, the writer, takes local
// changes, in batches, so their order is one. What Add and its like returned nil
// for is on disk. The answer table sees a name as the replica has it, never half.
package node
