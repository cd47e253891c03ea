// Package api is the HTTP interface of names, under /v1/: records, zones,
// policies, members, keys, and a stream of what changes. The console, the verbs
// of the command line and other programs use it; openapi.yaml describes it, and a
// test walks both.
//
// Reads pass a guard that lets the operator and this machine's own programs
// through; a change needs the operator's credential. A change was on disk when it
// is answered. Errors are problem documents (RFC 9457). Nothing here is on the
// way of an answer to a resolver.
package api
