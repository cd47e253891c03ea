// Package identity is the ID server without its protocol: it gives UIDs, keeps who
// may prove to be which user, signs users in and out, and says who makes a request.
//
// Vocabulary. A block is a range of UIDs that the database gave to one server. A
// pair is a subject at a provider; its row is kept for ever. A session is one
// sign-in; its access tokens are verified without the database, its refresh token
// is exchanged for the next one (rotation). A notice is a row that tells all
// servers what must be believed no more, or read again: a session that ended, a
// mute, a key, a service. The feed is the list of the notices of the last minutes,
// which each server polls. A ring is the set of keys that sign tokens. A merge makes one user the
// past of another one.
//
// Invariants. No UID is given twice: a block is durable before its first UID is
// used, and no clock has a part in it. A pair has one UID for ever, also when it was
// unlinked or its user is gone; only that user links it again. A user that can
// sign in has at least one pair. A refresh token gives one successor; when it comes
// again after its grace, its session ends. What a session lost it never gets
// back: its tokens stop here at once, and on other servers within PollEvery and the
// time of one query. A key is published KeyAhead before it signs, and kept until the last token that
// it signed has ended. No secret is kept in clear but the keys that sign.
//
// Time. Rows carry wall-clock time in milliseconds. Inside a process time never
// goes back: a clock that is set back is not believed until the next start, and then
// a token that was issued in the future is not either.
//
// Lock order: none; no mutex of this package is held while another one is taken.
// Start reading at identity.go, then session.go. Not for rights inside the
// application: those are its own.
package identity
