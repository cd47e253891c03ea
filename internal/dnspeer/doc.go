// Package dnspeer runs other people's DNS programs for tests: NSD, Knot and BIND as
// secondaries or primaries, and tools like dig and nsupdate. All of them get
// own configurations in the test's directory and own ports on loopback, and end with
// the test; a test that needs one that is not installed is skipped with the reason.
//
// A server here is a program of others, a handler is ours: Serve puts a handler
// behind UDP and TCP of one port, without what package listen adds.
package dnspeer
