package world

import (
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Member is what an area needs of a session; *gateway.Session is one. Its methods may be called from any goroutine, and wait for nobody.
type Member interface {
	ID() string // short, for people
	UID() game.UID
	// Principal is who it is at the moment, with the mute that is in force.
	Principal() game.Principal
	// Tell gives a reliable frame, without its sequence number. The body is shared, and never changed afterwards.
	Tell(cmd wire.Command, body []byte)
	// Show gives whole frames of state that a later state supersedes. They are shared, and never changed afterwards. False: the client is
	// behind or cut, and nothing was taken; newer state may be offered later.
	Show(frames []byte) bool
	// Flush has what was told and shown written.
	Flush()
	// Close ends the session for good.
	Close(reason wire.Reason, text string, place *wire.Place)
}

// Session is a Member that remembers what the world knows of it.
type Session interface {
	Member
	// Value is what SetValue got last; nil at first.
	Value() any
	SetValue(v any)
}

// counted is a Session that knows the sequence number of the reliable frame that is handled, so that a refusal can name it.
type counted interface{ Received() uint64 }
