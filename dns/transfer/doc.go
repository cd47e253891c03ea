// Package transfer hands zones to secondaries: AXFR (RFC 5936), IXFR answered with
// the whole zone (RFC 1995 4), and NOTIFY (RFC 1996), with TSIG (RFC 8945). It
// reads and writes messages; listening is package listen's, and this package has
// no way to receive a zone.
//
// Words. A transfer is one stream of messages, which has one state of one zone,
// from its SOA to its SOA. A target is a secondary that is told of changes. A
// burst is many changes in a short time, of which a target is told once.
//
// Invariants. What a stream holds was true at one moment. Every message of a
// stream is signed if its request was. The number of transfers at a time is bounded, and so are
// the attempts to tell a target. Serials are those of this member: a secondary
// that listens to several members may see them go back, and should be given one.
package transfer
