// Package front answers requests for pictures that are ready in memory, before
// net/http sees them.
//
// Vocabulary. A loop is a goroutine that waits for many connections at once
// (epoll) and answers what it can on the spot. A ready answer is a
// delivery.Answer in the table, found by the exact host, target, If-None-Match
// and whatever Vary named. A request is plain when the parser understands all
// of it that matters: GET or HEAD in origin form, one Host, no body, no
// upgrade. A plain request without a ready answer is lent: its connection goes
// to net/http with exactly that request and comes back behind the answer. A
// connection with anything else on it is given to net/http for good, with all
// its bytes.
//
// Invariants.
//   - An answer has the bytes that net/http would have sent for the handler's
//     answer, apart from Date, Server-Timing and a fresh request id.
//   - The front never guesses: what the parser does not know for certain is
//     net/http's, before one byte of an answer was written.
//   - A loop does not wait for a client. It waits for a file system only as long
//     as a stat of an original takes that was looked at before.
//   - An idle connection holds no buffer.
//
// Start reading at loop.turn (loop.go) and parse (head.go).
package front
