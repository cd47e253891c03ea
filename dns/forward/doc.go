// Package forward asks other servers for other people's names, and remembers
// what they said. It never asks for a name of ours, nor for one that exists in
// no public tree (RFC 6303, RFC 6761): those it refuses or answers itself.
//
// Vocabulary. A server is one upstream resolver, spoken to over UDP with TCP
// behind it, or over TLS. A question is a name and a type, with the bits that
// change the answer (DO, CD). An entry is a remembered answer to a question:
// fresh until its TTL is over, then stale for a while (RFC 8767), then useless.
// A flight is one asking of a question, whoever waits for it. An attempt is one
// message to one server; a flight makes several, hedged.
//
// Invariants. Equal questions share a flight. A reply is believed when it came
// from the asked address to the asking port with the id and the exact spelling
// of the question (its case is random), and only what answers the question is
// kept of it. Entries do not change after they were stored; a hit takes no lock.
// Everything is bounded: entries, bytes, flights, sockets, attempts, times.
package forward
