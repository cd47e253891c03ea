// Package token mints and verifies short-lived statements of who somebody is: PASETO
// v4.public for our own servers, and JWT with EdDSA for others, both with Ed25519 keys
// of one ring.
//
// Vocabulary. A key signs from one time to another and is kept until the last token
// that it signed is over. A ring is the set of keys of one moment. Claims are
// what a token says. A verifier believes tokens of one issuer and audience whose
// key is in its ring, and remembers those that it has verified.
//
// Invariants. Nothing in a token chooses how it is verified: its footer (PASETO) or header (JWT)
// must be, byte for byte, the one that a key of the ring writes, and that names key and
// algorithm at once. A token is not looked into before its signature is verified. One
// that is remembered is believed for as long as one that is new: time and ring are
// asked each time. Sizes are bounded before anything is decoded.
//
// Whether a session was signed out the caller asks elsewhere. Not for tokens that
// must live longer than minutes, since none can be taken back here alone.
package token

import "errors"

// Why a token is not believed.
var (
	ErrMalformed  = errors.New("token is malformed")
	ErrUnknownKey = errors.New("token of a key that is not known")
	ErrSignature  = errors.New("token has a wrong signature")
	ErrExpired    = errors.New("token is expired")
	ErrFuture     = errors.New("token is issued in the future")
	ErrAudience   = errors.New("token is for another audience")
	ErrIssuer     = errors.New("token is of another issuer")
)
