package blob

import "errors"

// The conditions on which a caller branches; compare with errors.Is. Engines
// wrap them together with the cause.
var (
	// ErrNotFound: no object is under the key. Asking again does not help.
	ErrNotFound = errors.New("object not found")

	// ErrInvalidKey: the key breaks a rule of CheckKey, or the store cannot
	// hold it beside the keys that it holds (fs: "a" and "a/b").
	ErrInvalidKey = errors.New("invalid key")

	// ErrUnavailable: the store is down, slow, overloaded or its answer made
	// no sense. The same call may be made again later; engines have already
	// tried again as often as their configuration allows.
	ErrUnavailable = errors.New("store unavailable")

	// ErrShort: fewer bytes than announced. From Read of an object's body: the
	// store cut it short. From Put: the reader gave fewer or more bytes than
	// size, and nothing was stored.
	ErrShort = errors.New("body has the wrong length")

	// ErrRange: the offset of a range lies at or after the object's end.
	ErrRange = errors.New("range outside the object")

	// ErrDenied: the store refuses the credentials or the permission bits.
	// Asking again does not help; a person must change something.
	ErrDenied = errors.New("access to the store denied")

	// ErrTooLarge: the object is larger than the caller wants to hold.
	ErrTooLarge = errors.New("object too large")
)
