// Package wire is the protocol between clients and the world: frames, the commands
// that they carry, and the layouts of their bodies. The same bytes travel over TCP, TLS and WebSocket.
//
// Vocabulary. A frame is a length, a command and a body. The length is a varint
// (LEB128, as in Protocol Buffers) of all that follows it; the command is a varint. A stream begins with the
// magic, from client to server, and in WebSocket a binary message holds whole frames, one or more.
// A fixed body has a table of offsets (hot.go), little-endian; any other is a message of
// wire.proto. A reliable frame has its sequence number, a varint, in front of its body.
//
// Invariants. What is decoded is bounded before memory is taken for it, and no bytes make it
// panic. What a reader does not know (a field, a command from the server) it passes over; nothing that was given a meaning
// gets another one.
//
// The package has no connection and no clock: gateway has.
package wire

//go:generate go test -run ^TestGeneratedFilesAreFresh$ ./gen -update
