// Package oidc lets users of other OpenID Connect issuers sign in: it is a relying
// party, and says only who vouches for whom. Which user that is, package identity knows.
//
// Vocabulary. An issuer is somebody else's OpenID provider; a provider is its name
// here. A subject is what an issuer calls a user, for ever. A start is the
// beginning of a sign-in in a browser, and its cookie holds what its end needs,
// sealed. A nonce ties an ID token to the one who asked for it.
//
// Two ways lead in. A native client signs in at the issuer by its platform's means
// and posts the ID token with its nonce. A browser is sent to the issuer and comes
// back with a code (RFC 6749 4.1, with PKCE of RFC 7636), which is exchanged here.
//
// Invariants. An ID token counts when its issuer, audience, time and nonce are
// right, and its signature is of a key that the issuer publishes, by an algorithm
// from our list: the token chooses none. It counts once. What an issuer says is
// bounded in size and time; one that is away is game.Unavailable and delays
// nobody else.
package oidc
