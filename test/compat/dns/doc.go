// Package dns drives a cluster of DNS members with other people's clients, as
// their users do: the built program as processes, their sockets, and nothing else.
// What one message is answered with is tested in the room; here it is whether an
// update, a certificate or a secondary gets from its first step to its last, on
// two members at once.
//
// Vocabulary: a cluster is two members with one key; the authority is pebble, which
// proves names by asking the second member what the first was told.
package dns
