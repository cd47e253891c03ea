// Package differential asks our answers, NSD and Knot the same questions about the
// same master files, and compares. It holds tests alone: a seeded generator of zones and of
// questions, the comparison, and the list of the differences that are known and
// allowed, each with the section that allows it.
//
// A difference is between our response and one peer's, after order, case and TTL
// were taken out. What no entry of the list explains fails the test, and so does
// an entry that explains nothing any more.
package differential
