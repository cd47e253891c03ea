package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

// drainPerSecond is how many users a second are sent elsewhere when nobody says otherwise: others take them in without a queue.
const drainPerSecond = 200

// drains is whether the node is being emptied, and whether it is closed to users.
type drains struct {
	mu          sync.Mutex
	on          bool
	perSecond   int
	maintenance string        // text for users; "": open
	changed     chan struct{} // one place: on has changed
}

// steering is the living part as the API steers it.
type steering struct{ *Server }

var _ api.World = steering{}

func (s steering) Areas() []world.CopyState { return s.living.world.Areas() }

func (s steering) Copy(c game.Copy) (world.CopyState, error) { return s.living.world.Copy(c) }

func (s steering) Evict(ctx context.Context, c game.Copy, text string) error {
	return s.living.world.Evict(ctx, c, text)
}

func (s steering) Plans() []game.AreaPlan { return s.cfg.World.Plans() }

func (s steering) Nodes(context.Context) ([]game.Node, error) { return s.Server.Nodes(), nil }

func (s steering) Connections(after string, limit int) []gateway.State {
	return s.living.gateway.List(after, limit)
}

func (s steering) Count() (sessions, cut int) { return s.living.gateway.Count() }

func (s steering) Kick(uid game.UID, text string) bool { return s.living.gateway.Kick(uid, text) }

func (s steering) Drain(perSecond int) { s.setDraining(true, perSecond) }

func (s steering) Undrain() { s.setDraining(false, 0) }

// Maintenance closes the node to users, or opens it.
func (s steering) Maintenance(on bool, text string) {
	if on && text == "" {
		text = "the world is being looked after"
	}
	if !on {
		text = ""
	}
	d := &s.living.drains
	d.mu.Lock()
	d.maintenance = text
	d.mu.Unlock()
	s.living.gateway.Maintenance(on, text)
}

// Notice tells all users here.
func (s steering) Notice(text string, at time.Time) error {
	n := &wire.Notice{Text: text}
	if !at.IsZero() {
		n.AtMs = at.UnixMilli()
	}
	body, err := proto.Marshal(n)
	if err != nil {
		return err
	}
	s.living.gateway.Broadcast(wire.CmdNotice, body)
	return nil
}

// State is how the node stands.
func (s steering) State() api.NodeState {
	sessions, cut := s.Count()
	n := api.NodeState{
		Node: s.node, Started: s.started, Connected: sessions, Cut: cut, TickMs: s.cfg.World.Tick.Milliseconds(), WebSocket: s.living.self.WebSocket, TCP: s.living.self.TCP,
	}
	for _, c := range s.Areas() {
		n.Copies++
		n.Avatars += c.Avatars
	}
	d := &s.living.drains
	d.mu.Lock()
	n.Draining, n.Maintenance = d.on, d.maintenance
	d.mu.Unlock()
	return n
}

func (s *Server) setDraining(on bool, perSecond int) {
	if perSecond <= 0 {
		perSecond = drainPerSecond
	}
	d := &s.living.drains
	d.mu.Lock()
	d.on, d.perSecond = on, perSecond
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// drainWhenAsked empties the node while somebody wants it emptied.
func (s *Server) drainWhenAsked(ctx context.Context) error {
	d := &s.living.drains
	for {
		d.mu.Lock()
		on, perSecond := d.on, d.perSecond
		d.mu.Unlock()
		if s.living.mesh != nil {
			s.living.mesh.Drain(on)
		}
		own, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if !on {
				s.living.gateway.Undrain()
				return
			}
			if err := s.living.gateway.Drain(own, s.elsewhere(), perSecond); err != nil && own.Err() == nil {
				s.deps.Log.Warn("the node was not emptied", "error", err)
			}
		}()
		select {
		case <-ctx.Done():
		case <-d.changed:
		}
		cancel()
		<-done
		if ctx.Err() != nil {
			return nil
		}
	}
}

// elsewhere gives the other nodes in turn.
func (s *Server) elsewhere() func(*gateway.Session) *wire.Place {
	var mu sync.Mutex
	next := 0
	return func(*gateway.Session) *wire.Place {
		to := s.others()
		if len(to) == 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		next++
		return to[next%len(to)]
	}
}
