// Package wire is the message format between the pool of codec workers and one
// worker. A message is one datagram on a socket of type SOCK_SEQPACKET; pixels
// and files never travel in it but in memfds that go with a message.
//
// The talk has two steps, so that limits are checked before memory is spent:
//
//	parent                             worker
//	                              <--  Hello            once, when it is ready
//	Open   + fd of the file       -->
//	                              <--  Info             only a header was read
//	Target + fd of the planes     -->                   (or Drop: too large)
//	                              <--  Done | Fail
//	Save   + fd of planes + fd of the file  -->
//	                              <--  Saved | Fail
//
// Every message: offset 0 version (1 byte), 1 kind (1 byte), 2 zero (2 bytes),
// 4 number of the request (4 bytes), 8 the body. All numbers are little endian
// and of fixed width; truth values are 0 or 1. Invariant: Parse accepts exactly
// what Append writes, byte for byte, and refuses every number out of its
// range; a message holds at most MaxMessage bytes. Package wire decides
// nothing about pictures.
package wire
