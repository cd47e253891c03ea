// Package message is the one place of the room that speaks through
// github.com/miekg/dns: record data as text and wire, master files, whole
// messages of the slow paths, and their signatures (TSIG). The fast path of
// answers does not come by here, and nobody else imports that module.
//
// Words. Record data (RDATA) is canonical: names in it are not compressed, and
// those of the types of RFC 4034 6.2 are in lower case, so that equal records
// have equal bytes. An entry is one record or directive of a master file, on one
// line or joined by parentheses. A request is a message that came in, with the key
// that signed it. Keys are the TSIG keys that this server knows.
//
// Invariants. ParseRData reads whatever FormatRData wrote back to the same bytes.
// Nothing is read from outside the directory of a master file, and everything that
// a file or a message can ask for has a bound. A secret is in no text that is
// logged.
package message
