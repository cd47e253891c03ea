// Package clients drives the cloud with other people's clients, as their users
// do: the built program as a process of its own, its clouds.yaml, and nothing
// else. What one dialect answers to one request is tested beside it; here it is
// whether a client gets from its first command to its last.
//
// Vocabulary: a cloud is `kamado compute serve` on a free loopback port with a
// directory of its own; a stock client is the executable that Debian ships.
//
// Invariant: nothing is left. As root the tests run in a network and a mount
// namespace of their own, so that no route and no namespace of this machine is
// touched, and guests that outlive their cloud, which they should, are ended by
// the directory that their command line names.
package clients
