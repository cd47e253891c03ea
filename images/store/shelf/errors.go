package shelf

import "errors"

// The conditions on which a protocol branches; compare with errors.Is. Beside
// them come those of blob (ErrNotFound, ErrInvalidKey, ErrUnavailable, ErrDenied,
// ErrRange), the *images.Error that validation gave, and the context's own.
var (
	// ErrTooLarge: the body has more bytes than may be stored.
	ErrTooLarge = errors.New("body is too large")

	// ErrChecksum: the bytes that came are not those that were announced.
	ErrChecksum = errors.New("checksum does not match the body")

	// ErrIncomplete: the body ended before its announced length.
	ErrIncomplete = errors.New("body ended early")

	// ErrStalled: no byte of the body came for too long.
	ErrStalled = errors.New("body stalled")

	// ErrPrecondition: a condition of the request does not hold.
	ErrPrecondition = errors.New("condition does not hold")

	// ErrConflict: the object changed under a read or a write more often than it
	// was tried again.
	ErrConflict = errors.New("object keeps changing")

	// ErrFull: the disk has no room. Asking again does not help until a person
	// makes some.
	ErrFull = errors.New("disk is full")

	// ErrBusy: as many uploads are at work and wait as may. Come back later.
	ErrBusy = errors.New("too many uploads")

	// ErrOrigin: the shelf has no origin of this name.
	ErrOrigin = errors.New("no such origin")
)
