// Package listen speaks DNS to resolvers: over UDP with threads of its own, over
// TCP, and over TLS; the handler of DNS over HTTPS comes in through Exchange. It
// carries packets to package answer and back, and everything that takes longer
// to a handler; it knows no names.
//
// Vocabulary. A worker is a thread, locked to its socket, that takes packets in
// batches and answers them. Slow packets are those that a handler serves:
// forwarding, updates, transfers; a bounded number at once. A tap sees every
// query with its response.
//
// Invariants. A worker never waits for anything but its socket, and allocates
// nothing for a query that package answer answers. A response leaves from the
// address that was asked. Connections, slow packets and remembered networks are
// bounded; when connections run out, the one that was silent longest goes.
package listen
