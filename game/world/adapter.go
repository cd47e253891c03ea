package world

import (
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// Behind is a world as the gateway wants it: with the gateway's own sessions.
type Behind struct{ *World }

var (
	_ gateway.Host = Behind{}
	_ Session      = (*gateway.Session)(nil)
)

// Opened greets a session.
func (b Behind) Opened(s *gateway.Session) { b.World.Opened(s) }

// Handle does a frame of a client.
func (b Behind) Handle(s *gateway.Session, cmd wire.Command, body []byte) { b.World.Handle(s, cmd, body) }

// Cut remembers that a connection is lost.
func (b Behind) Cut(s *gateway.Session) { b.World.Cut(s) }

// Resumed goes on with a session.
func (b Behind) Resumed(s *gateway.Session) { b.World.Resumed(s) }

// Closed forgets a session.
func (b Behind) Closed(s *gateway.Session, why wire.Reason) { b.World.Closed(s, why) }
