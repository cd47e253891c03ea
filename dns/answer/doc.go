// Package answer turns questions into answers: bytes in, bytes out, with neither
// a lock nor an allocation between. It holds everything that this member answers
// with authority, compiled; sockets are package listen's, data is package node's.
//
// Vocabulary. A table holds zones; a zone holds entries, one for each name that
// has records or lies above one that has. A node is what an entry knows,
// compiled from a dns.Set for one class of clients; it is never changed, only
// replaced. A class is one combination of views that a client can be in. An
// election decides which owned records of a name may be answered; balancing
// orders them for one client. A verdict says what is to be done with a packet
// that this package does not answer itself.
//
// Invariants. Readers take no lock: an entry's node is one atomic pointer, so a
// query sees a set wholly as it was or wholly as it is. Writers are one at a
// time. Parents appear before their children and go after them. Names inside
// this package are in wire form and lower case; the name of a question is
// answered in the letters in which it came (draft-vixie-dnsext-dns0x20). Every
// owner name in a response is a pointer to a name that stands before it, which
// is why record data is compiled once and copied.
package answer
