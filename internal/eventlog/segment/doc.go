// Package segment is the file format of the event log: a header and then
// records, each with its length and checksum, appended and never changed. The
// table of bytes is docs/reference/eventlog.md, and a test compares it with this
// code.
//
// Vocabulary. A record is one event. The valid prefix of a segment is its header
// and the records before the first byte that does not fit; a crash can leave
// less than a record behind it, the torn tail.
//
// Invariants: every byte of a record is covered by its CRC-32C, the length
// included, so a valid prefix never ends in the middle of a record, and zeros
// that a file system left after a crash are not a record. A reader spends at
// most RecordBytesMax of memory, whatever the file says.
package segment
