// Package clients drives the cloud with other people's clients, as their users
// do: the built program as a process of its own (see package cloud), its
// clouds.yaml, and nothing else. What one dialect answers to one request is tested
// beside it; here it is whether a client gets from its first command to its last.
//
// Vocabulary: a stock client is the executable that Debian ships.
package clients
