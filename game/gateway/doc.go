// Package gateway is the socket server: it keeps the connections of clients over TCP, TLS and WebSocket, proves who
// they are, and carries frames between them and a Host. It knows sessions, and nothing of areas.
//
// Vocabulary. A connection (conn) is one socket. A session is what a client has here once it is logged in; it outlives a
// connection that is lost (cut) for ResumeTerm, and goes on with the next one (resume). A reliable frame has the session's next sequence
// number and is kept for replay until the client acknowledges it. What is shown is volatile: a later state takes its place.
// A queue is what was told or shown and not yet written. A sweep looks at each connection about once a second; there is no timer per connection.
//
// Invariants. A user has one session; a later one replaces it. Frames of one session come to the Host in order, one at a time; Opened comes
// first, Cut and Resumed take turns, and Closed comes last, once, after the last Handle. Each reliable frame of a
// client is handled once, whatever was sent again. Tell, Show, Flush and Close never wait for a client. Everything that a client
// can make grow has a bound: connections, logins in work, frames, queues, replays, and all queues together.
//
// An idle connection holds a goroutine with a small stack and two small structs, and no buffer: the goroutine waits until the socket is
// readable, and only then takes a buffer from a pool. TLS is the exception, since its records need buffers of their own.
//
// Locks, in their order: Session.mu, conn.mu, then one of Gateway.mu, connShard.mu and crew.mu. None is held while the Host is called.
package gateway
