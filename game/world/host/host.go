// Package host puts a world behind a gateway. The world knows sessions by an interface, and the gateway gives its own: this is
// the place where both are known, and nothing else happens here.
package host

import (
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

// Host is a world as the gateway wants it.
type Host struct{ World *world.World }

var (
	_ gateway.Host  = Host{}
	_ world.Session = (*gateway.Session)(nil)
)

// Opened greets a session.
func (h Host) Opened(s *gateway.Session) { h.World.Opened(s) }

// Handle does a frame of a client.
func (h Host) Handle(s *gateway.Session, cmd wire.Command, body []byte) { h.World.Handle(s, cmd, body) }

// Cut remembers that a connection is lost.
func (h Host) Cut(s *gateway.Session) { h.World.Cut(s) }

// Resumed goes on with a session.
func (h Host) Resumed(s *gateway.Session) { h.World.Resumed(s) }

// Closed forgets a session.
func (h Host) Closed(s *gateway.Session, why wire.Reason) { h.World.Closed(s, why) }
