// Package api is the HTTP interface of players, under /v1/: users and tokens,
// points, entities, locks, shards. The console, the verbs of the command line and
// other programs use it; openapi.json describes it, and a test walks both.
//
// Vocabulary. A caller is who a request's credential names: a user, by an access
// token; a service, by its secret, with scopes; or the operator, who may do
// everything. A user does things with what is the user's own; a service with what
// its scopes say. The header Idempotency-Key is the transaction id of an order of
// points: it counts for its caller alone.
//
// Invariants. Errors are problem documents (RFC 9457) with the member "kind". What
// was answered with success is durable. Bodies are bounded, and an unknown field
// is an error, so that a misspelt one is no silent default. Not for hot commands
// of an avatar world: those have a protocol of their own.
package api
