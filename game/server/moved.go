package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/wire"
)

// movedMax bounds postings of which users wait to be told. What does not fit is not told: a client asks for its balance when that counts.
const movedMax = 4096

// posted hears of a posting that the world made: it becomes an event, and its users are told.
func (s *Server) posted(p *game.Posting) {
	kind, subject, attributes := p.Event()
	s.event(api.Event{Type: kind, Subject: subject, Actor: p.By, Attributes: attributes})
	s.moved(p)
}

// moved has the users of a posting told. It does not wait.
func (s *Server) moved(p *game.Posting) {
	select {
	case s.living.moved <- p:
	default:
	}
}

// tellMoved tells users that their points moved, on whichever node they are.
func (s *Server) tellMoved(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-s.living.moved:
			s.tellBalance(p, p.UID, p.Balance)
			if p.To != 0 {
				s.tellBalance(p, p.To, p.BalanceTo)
			}
		}
	}
}

func (s *Server) tellBalance(p *game.Posting, uid game.UID, balance game.Amount) {
	body, err := proto.Marshal(&wire.PointsChanged{Balance: int64(balance), Op: p.Op.String(), Amount: int64(p.Amount), Reason: p.Reason})
	if err != nil {
		s.deps.Log.Error("a change of points cannot be told", "user", uid, "error", err)
		return
	}
	if !s.deliver(uid, wire.CmdPointsChanged, body) && s.living.mesh != nil {
		s.living.mesh.Tell(uid, wire.CmdPointsChanged, body)
	}
}
