package world

import (
	"context"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Places knows which node runs which copy, and where users are. Alone is the one of a node without others; mesh has that of several
// nodes. Its methods may be called concurrently, and none but Claim and Release waits for anybody.
type Places interface {
	// Claim asks for the right to run a copy. Three things may happen: a claim; *ElsewhereError when another node has
	// it; or another error when that cannot be known, and a later try may succeed.
	Claim(ctx context.Context, c game.Copy) (Claim, error)
	// Release gives a claim back. The copy may then be claimed by any node.
	Release(ctx context.Context, c game.Copy) error
	// Elsewhere lists the copies of an area that other nodes run, as they last told.
	Elsewhere(area string) []CopyAt
	// Tell gives a reliable frame to a user whose session is on another node; false: no other node has one. The body is not changed
	// afterwards.
	Tell(uid game.UID, cmd wire.Command, body []byte) bool
	// Where says on which other node a user is.
	Where(uid game.UID) (Whereabouts, bool)
	// Here tells the others that a user of this node came (online, no copy), changed the area, or went.
	Here(uid game.UID, online bool, c game.Copy)
	// Population tells the others how full a copy of this node is. It is called at each change.
	Population(c game.Copy, avatars, capacity int)
	// Subscribe has f called for each change of a user on another node. It is called once, before anything else. f does not wait.
	Subscribe(f func(Change))
}

// Claim is the right of this node to run a copy.
type Claim struct {
	// Fence is the token under which the copy is written; it grows with each claim of the copy. 0: nobody else could claim it.
	Fence uint64
	// Lost is closed when the claim is over before it was released; nil: that does not happen.
	Lost <-chan struct{}
}

// ElsewhereError says that another node runs a copy.
type ElsewhereError struct {
	Place *wire.Place
	Copy  game.Copy
}

func (e *ElsewhereError) Error() string {
	return "copy " + e.Copy.String() + " runs on node " + e.Place.GetNode()
}

// CopyAt is a copy on another node.
type CopyAt struct {
	Copy              game.Copy
	Place             *wire.Place
	Avatars, Capacity int
}

// Whereabouts is where a user of another node is.
type Whereabouts struct {
	Node string
	Copy game.Copy // zero: in no area
}

// Change is what happened to a user on another node.
type Change struct {
	UID    game.UID
	Online bool
	Copy   game.Copy // zero: in no area
	// Replaces: the session there is later than the one here, if there is one here: that one is closed.
	Replaces bool
}

// Alone are the places of a node that has no others. Its claims have no fence: what was written under one before keeps it.
type Alone struct{}

// Claim always succeeds.
func (*Alone) Claim(context.Context, game.Copy) (Claim, error) { return Claim{}, nil }

// Release does nothing.
func (*Alone) Release(context.Context, game.Copy) error { return nil }

// Elsewhere is empty.
func (*Alone) Elsewhere(string) []CopyAt { return nil }

// Tell finds nobody.
func (*Alone) Tell(game.UID, wire.Command, []byte) bool { return false }

// Where finds nobody.
func (*Alone) Where(game.UID) (Whereabouts, bool) { return Whereabouts{}, false }

// Here tells nobody.
func (*Alone) Here(game.UID, bool, game.Copy) {}

// Population tells nobody.
func (*Alone) Population(game.Copy, int, int) {}

// Subscribe never calls f.
func (*Alone) Subscribe(func(Change)) {}
