package gateway

import (
	"context"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Host is what is behind the gateway. Its methods are called from many goroutines, but for one session by one at a time.
type Host interface {
	// Opened says that somebody logged in; Welcome is queued.
	Opened(s *Session)
	// Handle gets a frame that the gateway does not answer itself: call, join, leave, say, whisper, set_thing, move, face, emote, and the
	// commands of the application; of a service only call. They come in order. The body has no sequence number, and is valid during the call. While it
	// waits, nothing further of this client is read.
	Handle(s *Session, cmd wire.Command, body []byte)
	// Cut says that the connection is lost. It may come back within ResumeTerm.
	Cut(s *Session)
	// Resumed says that it came back. Reliable frames are queued again already; what is volatile must be told anew.
	Resumed(s *Session)
	// Closed says that it is over for good. It is called once. REASON_UNSPECIFIED: the client left, or did not come back in time.
	Closed(s *Session, why wire.Reason)
}

// Identity says who somebody is. core.Identity and *identity.Server satisfy it.
type Identity interface {
	// Authenticate says who has a token. The error is Unauthenticated when it does not count; with any other kind that is not known.
	Authenticate(ctx context.Context, token string) (game.Principal, error)
	CreateGuest(ctx context.Context, secret string, c game.Client) (game.Login, error)
	LoginGuest(ctx context.Context, secret string, c game.Client) (game.Login, error)
	LoginPassword(ctx context.Context, email, password string, c game.Client) (game.Login, error)
	Refresh(ctx context.Context, refresh string, c game.Client) (game.Login, error)
}

// Event is something that happened, for the event log: session.open {node, transport, agent} and session.close {node, reason, seconds}.
type Event struct {
	Type       string
	Subject    string // the user's UID
	Actor      string // "user UID"
	Attributes map[string]string
}
