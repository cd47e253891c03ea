// Package gossip knows which members live, and carries messages between them: a
// shell around hashicorp/memberlist. It does not know what a message means, and
// it proves nothing about who sent one: whoever has a cluster key can say
// anything here, so package replica verifies signatures.
//
// Vocabulary. A peer is another member: up, dead (stopped answering), left (said
// goodbye) or forgotten. A push is a message sent at once to a peer, in a datagram
// that may be lost, or by a stream that reports its failure. A doubt is a peer that
// memberlist holds for dead and that we ask ourselves before we believe it. A
// knock is a question to a dead peer, which finds out that a cut has healed.
//
// Invariants. All methods of Events are called by one goroutine, one at a time,
// and for each peer Up and Down alternate (an Up may follow an Up: it restarted,
// moved, or has new metadata). Nothing leaves unencrypted, and nothing that cannot
// be decrypted is looked at. Memory that strangers can make us use is bounded:
// datagrams, streams, their bytes and their time.
package gossip
