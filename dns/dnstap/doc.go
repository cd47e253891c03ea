// Package dnstap tells a collector of every message that is received and sent, in
// the form that dnstap.info defines: protobuf messages in Frame Streams. It is for
// people who look at traffic; nothing depends on it.
//
// Vocabulary. A message is one query or one response, with who asked whom, over
// what and when. A frame is an encoded message. A collector is what reads frames:
// fstrm_capture, dnstap-receiver and the like, at a unix socket or a TCP address.
//
// Invariants. Tell never waits: when the queue is full, or nobody reads, the message
// is dropped and counted. The collector may come and go; it is looked for again.
package dnstap
