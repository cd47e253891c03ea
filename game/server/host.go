package server

import (
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/mesh"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

// host gives what the gateway hears from users and services to the world, and what it hears from other nodes to the mesh.
type host struct {
	world *world.World
	mesh  *mesh.Mesh // nil: there are no other nodes
}

// peer is another node that has opened a link to this one.
type peer struct{ arrival *mesh.Arrival }

func (h *host) Opened(s *gateway.Session) {
	if s.Node() == "" {
		h.world.Opened(s)
		return
	}
	p := s.Principal()
	if !p.Has(game.ScopeAdmin) {
		s.Close(wire.Reason_REASON_TOKEN, "a node shows the credential of a service with the scope admin", nil)
		return
	}
	if h.mesh == nil {
		s.Close(wire.Reason_REASON_INVALID, "this node shares its areas with no other: game.world.cluster", nil)
		return
	}
	a, err := h.mesh.Accept(s.Node(), func() { s.Close(wire.Reason_REASON_REPLACED, "the link is over", nil) })
	if err != nil {
		s.Close(wire.Reason_REASON_FULL, err.Error(), nil)
		return
	}
	s.SetValue(&peer{a})
}

func (h *host) Handle(s *gateway.Session, cmd wire.Command, body []byte) {
	if s.Node() == "" {
		h.world.Handle(s, cmd, body)
		return
	}
	if p, ok := s.Value().(*peer); ok {
		if err := p.arrival.Handle(cmd, body); err != nil {
			s.Close(wire.Reason_REASON_INVALID, err.Error(), nil)
		}
	}
}

func (h *host) Cut(s *gateway.Session) {
	if s.Node() == "" {
		h.world.Cut(s)
	}
}

func (h *host) Resumed(s *gateway.Session) {
	if s.Node() == "" {
		h.world.Resumed(s)
	}
}

func (h *host) Closed(s *gateway.Session, why wire.Reason) {
	if s.Node() == "" {
		h.world.Closed(s, why)
		return
	}
	if p, ok := s.Value().(*peer); ok {
		p.arrival.Closed()
	}
}
