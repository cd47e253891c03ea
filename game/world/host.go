package world

import (
	"context"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// World is the areas of this node, and who is in them.
type World struct {
	cfg  game.WorldConfig
	deps Deps
}

// New makes a world. Run it before the first session is opened.
func New(cfg game.WorldConfig, deps Deps) (*World, error) {
	if deps.Places == nil {
		deps.Places = &Alone{}
	}
	return &World{cfg: cfg, deps: deps}, nil
}

// Run keeps the world until ctx ends, and returns when all its copies are closed and what they keep is kept.
func (w *World) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Opened greets a session.
func (w *World) Opened(Session) {}

// Handle does a frame of a client.
func (w *World) Handle(Session, wire.Command, []byte) {}

// Cut remembers that a connection is lost.
func (w *World) Cut(Session) {}

// Resumed goes on with a session.
func (w *World) Resumed(Session) {}

// Closed forgets a session.
func (w *World) Closed(Session, wire.Reason) {}

// Areas lists the copies that this node runs.
func (w *World) Areas() []CopyState { return nil }

// Copy tells of one of them, with its members; NotFound when this node does not run it.
func (w *World) Copy(c game.Copy) (CopyState, error) {
	return CopyState{}, game.Errorf(game.NotFound, "copy %v does not run here", c)
}

// Evict closes a copy that this node runs: its members are told to join anew. NotFound when this node does not run it.
func (w *World) Evict(ctx context.Context, c game.Copy, text string) error {
	return game.Errorf(game.NotFound, "copy %v does not run here", c)
}

// CloseAll closes all copies, keeps what they keep, and gives their claims back. No further one is opened.
func (w *World) CloseAll(ctx context.Context) error { return nil }

// Online is the session of a user on this node; nil: there is none.
func (w *World) Online(uid game.UID) Member { return nil }
