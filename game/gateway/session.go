package gateway

import (
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Session is what a client has here once it is logged in. Its methods may be called from any goroutine, and none waits for the client.
type Session struct {
	// Client is where it came from when it logged in. It does not change.
	Client game.Client
}

// ID names the session among those of this node, for people.
func (s *Session) ID() string { return "" }

// UID is the user; 0: a service.
func (s *Session) UID() game.UID { return 0 }

// Principal is who it is at the moment, with the mute that is in force.
func (s *Session) Principal() game.Principal { return game.Principal{} }

// Token is the credential that was shown last.
func (s *Session) Token() string { return "" }

// Node is the name of the other node that this is; empty: it is none.
func (s *Session) Node() string { return "" }

// Tell queues a reliable frame. The body is without its sequence number, shared, and never changed afterwards. A client whose queue is full is
// closed as slow; so is one that is cut and has missed too much.
func (s *Session) Tell(cmd wire.Command, body []byte) {}

// Show queues whole frames of state that a later state supersedes. They are shared, and never changed afterwards. False: the client is behind
// or cut, and nothing was taken; newer state may be offered later.
func (s *Session) Show(frames []byte) bool { return false }

// Flush has what is queued written: once at once, as far as the socket takes it; what is left goes on in a goroutine of its own.
func (s *Session) Flush() {}

// Close ends the session for good. The client is told the reason, the text for people, and the place where to go, if there is one. Only the
// first call counts.
func (s *Session) Close(reason wire.Reason, text string, place *wire.Place) {}

// Value is what SetValue got last; nil at first.
func (s *Session) Value() any { return nil }

// SetValue keeps what the host knows of the session.
func (s *Session) SetValue(v any) {}
