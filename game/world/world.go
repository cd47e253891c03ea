package world

import (
	"context"
	"log/slog"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/wire"
	"github.com/prometheus/client_golang/prometheus"
)

// Entities keeps friends, and the things of areas. *entity.Store and core.Entities satisfy it.
type Entities interface {
	Get(ctx context.Context, uid game.UID, name string) (game.StoredEntity, error)
	Put(ctx context.Context, w entity.Write) (uint64, error)
}

// Event is something that happened, for the event log.
type Event struct {
	Type       string // world.enter, world.leave, chat.say, chat.whisper
	Subject    string // the user's UID
	Actor      string // "user UID"
	Attributes map[string]string
}

// Deps are what a world stands on. Log, Entities and Node are needed.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Places     Places                // nil: Alone
	Entities   Entities
	// Handlers are the rules of the application; nil: none.
	Handlers *game.Handlers
	// Calls answers the methods that are built in (points, entities, locks) but not of the world itself; nil: none. It may be called from many
	// goroutines at once, and may wait. The body is not used after it returns.
	Calls func(ctx context.Context, who game.Principal, method string, body []byte) (answer []byte, found bool, err error)
	// Events hears what happened; nil: nobody does. It does not wait.
	Events func(Event)
	Node   string // name of this node
	// Admit looks at who is about to enter an area, and may change its name and look, or refuse it with an error of package game; nil: all
	// may, as they say. It may wait. The act's Method is area.join, and its Copy is where the avatar wants to go: number 0 is any copy.
	Admit func(ctx context.Context, act *game.Act, avatar *game.Avatar) error
	// CallsEach bounds the calls of one session that are in work at once; further ones wait with their session. 0: 16.
	CallsEach int
}

// CopyState is a running copy, for operators.
type CopyState struct {
	Copy     game.Copy     `json:"copy"`
	Node     string        `json:"node"`
	Fence    uint64        `json:"fence,omitempty"`
	Avatars  int           `json:"avatars"`
	Capacity int           `json:"capacity"`
	Things   int           `json:"things"`
	Opened   time.Time     `json:"opened"`
	Rounds   uint64        `json:"rounds"` // since it was opened
	Moves    uint64        `json:"moves"`  // that were taken
	Load     float64       `json:"load"`   // part of the time that its rounds took lately: 1 is all that one copy can do
	Members  []MemberState `json:"members,omitempty"`
}

// MemberState is an avatar in a running copy.
type MemberState struct {
	Avatar  game.AvatarID `json:"avatar"`
	UID     game.UID      `json:"uid"`
	Name    string        `json:"name"`
	X       uint16        `json:"x"`
	Y       uint16        `json:"y"`
	Session string        `json:"session"`
	Cut     bool          `json:"cut,omitempty"`    // its connection is lost, and may come back
	Behind  bool          `json:"behind,omitempty"` // it has not got the latest moves
}

// Host is what the gateway asks of a world, with Session for its own type; *World has it. All methods for one session are called one
// after another, but Closed, which may come at any time.
type Host interface {
	// Opened: somebody has logged in.
	Opened(s Session)
	// Handle does a frame of a client. The body, without its sequence number, is valid during the call. It may wait while an area is opened,
	// and while the session has as many calls in work as it may.
	Handle(s Session, cmd wire.Command, body []byte)
	// Cut: the connection is lost, and may come back.
	Cut(s Session)
	// Resumed: it came back, and all that it was told has been told to it again.
	Resumed(s Session)
	// Closed: it is over.
	Closed(s Session, why wire.Reason)
}

var _ Host = (*World)(nil)
