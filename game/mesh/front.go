package mesh

import (
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// Front stands between a gateway and the world: it gives the sessions of other nodes to the mesh, and all others to Host.
type Front struct {
	Mesh *Mesh
	Host gateway.Host
}

var _ gateway.Host = Front{}

// Opened takes a session. One that speaks for a node needs the scope admin.
func (f Front) Opened(s *gateway.Session) {
	if s.Node() == "" {
		f.Host.Opened(s)
		return
	}
	if err := s.Principal().Wants(game.ScopeAdmin); err != nil {
		f.Mesh.log.Warn("a node has not the scope admin", "node", s.Node(), "service", s.Principal().Service)
		s.Close(wire.Reason_REASON_TOKEN, err.Error(), nil)
		return
	}
	a, err := f.Mesh.Accept(s.Node(), func() { s.Close(wire.Reason_REASON_UNSPECIFIED, "a newer link has come, or nothing was heard", nil) })
	if err != nil {
		s.Close(wire.Reason_REASON_FULL, err.Error(), nil)
		return
	}
	s.SetValue(a)
}

// Handle does a frame.
func (f Front) Handle(s *gateway.Session, cmd wire.Command, body []byte) {
	if s.Node() == "" {
		f.Host.Handle(s, cmd, body)
		return
	}
	if a, ok := s.Value().(*Arrival); ok {
		if err := a.Handle(cmd, body); err != nil {
			s.Close(wire.Reason_REASON_INVALID, err.Error(), nil)
		}
	}
}

// Cut ends the session of a node: it comes again with all that is there.
func (f Front) Cut(s *gateway.Session) {
	if s.Node() == "" {
		f.Host.Cut(s)
		return
	}
	s.Close(wire.Reason_REASON_UNSPECIFIED, "", nil)
}

// Resumed goes on with a session.
func (f Front) Resumed(s *gateway.Session) {
	if s.Node() == "" {
		f.Host.Resumed(s)
	}
}

// Closed forgets a session.
func (f Front) Closed(s *gateway.Session, why wire.Reason) {
	if s.Node() == "" {
		f.Host.Closed(s, why)
		return
	}
	if a, ok := s.Value().(*Arrival); ok {
		a.Closed()
	}
}
