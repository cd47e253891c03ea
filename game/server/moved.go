package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// movedMax bounds news of points that wait to be told. What does not fit is not told: a client asks for its balance when that counts.
const movedMax = 4096

// posted hears of a posting that the world made: it becomes an event, and its users are told.
func (s *Server) posted(p *game.Posting) {
	s.happened(p)
	s.moved(p)
}

// called hears of a posting that somebody asked for over the wire. Who asked has the answer, which tells the balance; half of all writes would
// tell it again.
func (s *Server) called(who game.Principal, p *game.Posting) {
	if who.Kind != game.ByUser || who.UID != p.UID {
		s.posted(p)
		return
	}
	s.happened(p)
	if p.To != 0 {
		s.tell(news{p, p.To, p.BalanceTo})
	}
}

func (s *Server) happened(p *game.Posting) {
	kind, subject, attributes := p.Event()
	s.event(kind, subject, p.By, attributes)
}

// moved has the users of a posting told. It does not wait.
func (s *Server) moved(p *game.Posting) {
	s.tell(news{p, p.UID, p.Balance})
	if p.To != 0 {
		s.tell(news{p, p.To, p.BalanceTo})
	}
}

// news is what a user is told of a posting.
type news struct {
	*game.Posting
	uid     game.UID
	balance game.Amount // of the user, afterwards
}

func (s *Server) tell(n news) {
	select {
	case s.living.moved <- n:
	default:
	}
}

// tellMoved tells users that their points moved, on whichever node they are.
func (s *Server) tellMoved(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case n := <-s.living.moved:
			s.tellBalance(n)
		}
	}
}

func (s *Server) tellBalance(n news) {
	body, err := proto.Marshal(&wire.PointsChanged{Balance: int64(n.balance), Op: n.Op.String(), Amount: int64(n.Amount), Reason: n.Reason})
	if err != nil {
		s.deps.Log.Error("a change of points cannot be told", "user", n.uid, "error", err)
		return
	}
	if !s.deliver(n.uid, wire.CmdPointsChanged, body) && s.living.mesh != nil {
		s.living.mesh.Tell(n.uid, wire.CmdPointsChanged, body)
	}
}
