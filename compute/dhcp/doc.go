// Package dhcp answers DHCP (RFC 2131) with static leases: each address card of
// a network gets the address that the cloud gave it, and nobody else gets one.
// It is the protocol alone: Ethernet frame in, Ethernet frame out, no socket and
// no clock, so that it can be fuzzed and tested without root.
//
// A Lease is what one card is told. A Table is the leases of one network. A
// server answers only in its own network, ignores cards that it does not know
// (another server may know them), and refuses addresses that are not the card's
// with a DHCPNAK, so that a guest that was moved asks again at once.
//
// Invariants. An answer never holds another card's address: the card is known by
// the frame's sender, which must also be the one that the message names. An
// answer goes to the card alone, except where RFC 2131 §4.1 demands a broadcast.
package dhcp
