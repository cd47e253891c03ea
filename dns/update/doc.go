// Package update changes zones as RFC 2136 says: a client sends one message with
// prerequisites and changes, signed with a TSIG key (RFC 8945), and either all
// of it happens or nothing does. It reads and answers messages; sockets are
// package listen's, and what is kept is package node's.
//
// Words. Prerequisites and changes are what RFC 2136 2.4 and 2.5 call so. A
// verdict is an RCODE with, for clients of EDNS, a sentence (RFC 8914). A draft
// is a name as the changes before in the same message left it.
//
// Rules that RFC 2136 leaves to the server. Nobody changes anything without a key.
// Prerequisites are judged on what this member knows at that moment: zone records,
// and owned records whether they live or not; another member may know something
// newer, and the later of two changes wins. Owned records change only by their
// owner, so an update that would delete one, or add to its type or beside a CNAME,
// is refused, not ignored. A member numbers its zones itself, so a change of the
// SOA is refused when it would count; the servers of the domain are its members,
// so its NS records are left alone. Static zones change with their file.
package update
