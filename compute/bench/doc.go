// Package bench measures what the cloud costs: memory, starts, requests, pages
// of long lists, scheduling, and how soon a real guest is there. It starts the
// real program as a child process, on a free loopback port and a directory of
// its own that it removes, and talks to it over HTTP as any client does.
//
// Vocabulary. A group is a set of rows that share a server: start, api, pages,
// schedule, guest, adopt. A row is one figure, with its target when it has one.
// A subject is the child and all that descends from it.
//
// Invariants. No existing installation is touched. What a group started, it
// stops, also when it fails. Machines are noisy: beside each wall time stands the
// CPU time that the subject spent on one unit of the work, and guests are
// compared by ratios of rounds that alternate.
package bench
