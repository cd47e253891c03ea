// Package bench measures how many questions a second this server answers over
// UDP, what CPU time one costs, how late the late answers are and what memory it
// takes: beside the peers that are installed (NSD, Knot, Unbound, CoreDNS), with
// the same zone, alternating in one run.
//
// Vocabulary. A subject is a server as a process of its own, on a free loopback
// port and in a directory of its own. A load is a way to ask: dnsperf, or the
// batched generator of this package, which sends and receives with one system
// call for many packets. The floor is a C program, compiled at the start of a
// run, that does no more than what any server must: receive, find the end of the
// question, append one record, send.
//
// Invariants. Every subject runs with one thread that answers, on one core, and
// loads on another; idle subjects stay while another is asked, so that all share
// the state of the machine. A figure is a median over rounds, and ratios are
// medians of the ratios of each round. No installation that exists is touched.
package bench
