package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"google.golang.org/protobuf/proto"
)

// World is the areas of this node, and who is in them.
type World struct {
	cfg    game.WorldConfig
	deps   Deps
	log    *slog.Logger
	filter game.WordFilter
	m      *metrics
	social *social
	slots  chan struct{} // calls in work
	crew   *crew
	jobs   sync.WaitGroup // stages, and writes of theirs

	mu      sync.Mutex
	players map[game.UID]*player
	stages  map[string]map[uint32]*stage // by area and number, also those that open or close
	copies  int                          // of all areas
	closing bool                         // no further copies are opened
}

// New makes a world. Run it before the first session is opened.
func New(cfg game.WorldConfig, deps Deps) (*World, error) {
	if deps.Log == nil || deps.Entities == nil || deps.Node == "" {
		return nil, errors.New("world: Log, Entities and Node are needed")
	}
	if deps.Places == nil {
		deps.Places = &Alone{}
	}
	if deps.Handlers == nil {
		deps.Handlers = &game.Handlers{}
	}
	if deps.CallsEach <= 0 {
		deps.CallsEach = game.DefaultGateway().Calls
	}
	w := &World{
		cfg: cfg, deps: deps, log: deps.Log, filter: game.NewWordFilter(cfg.HiddenWords), slots: make(chan struct{}, callsMax), crew: newCrew(),
		players: map[game.UID]*player{}, stages: map[string]map[uint32]*stage{},
	}
	w.social = newSocial(w)
	w.m = newMetrics(deps.Registerer, w)
	deps.Places.Subscribe(w.changedElsewhere)
	return w, nil
}

// closeTimeout is how long Run tries to close everything.
const closeTimeout = 10 * time.Second

// Run keeps the world until ctx ends, and returns when all its copies are closed and what they keep is kept.
func (w *World) Run(ctx context.Context) error {
	var lanes sync.WaitGroup
	for i := range w.social.lanes {
		lanes.Go(func() { w.social.run(ctx, &w.social.lanes[i]) })
	}
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout) // it outlives ctx, to keep what is to be kept
	defer cancel()
	err := w.CloseAll(closing)
	lanes.Wait()
	w.crew.home()
	w.jobs.Wait()
	return err
}

// Opened greets a session: of the same user the one before is closed.
func (w *World) Opened(s Session) {
	p := newPlayer(w, s)
	s.SetValue(p)
	if p.uid == 0 {
		return
	}
	w.mu.Lock()
	before := w.players[p.uid]
	w.players[p.uid] = p
	w.mu.Unlock()
	if before != nil {
		before.replaced()
	}
	p.here()
	w.social.came(p.uid)
}

// playerOf is what the world keeps of a session; nil: it was never opened, or is closed.
func playerOf(s Session) *player {
	p, _ := s.Value().(*player)
	return p
}

// Handle does a frame of a client.
func (w *World) Handle(s Session, cmd wire.Command, body []byte) {
	p := playerOf(s)
	if p == nil {
		return
	}
	switch cmd {
	case wire.CmdMove:
		m, ok := wire.ParseMove(body)
		if at := p.seat.Load(); at != nil && ok {
			at.move(m)
		}
		p.whole(ok)
	case wire.CmdFace:
		f, ok := wire.ParseFace(body)
		if at := p.seat.Load(); at != nil && ok {
			at.face(f)
		}
		p.whole(ok)
	case wire.CmdEmote:
		e, ok := wire.ParseEmote(body)
		if at := p.seat.Load(); at != nil && ok {
			at.gesture(e)
		}
		p.whole(ok)
	default:
		p.now = sent{cmd: cmd}
		if c, ok := s.(counted); ok && cmd.Reliable() {
			p.now.seq = c.Received()
		}
		if err := w.do(p, cmd, body); err != nil {
			p.refuse(p.now, err)
		}
	}
}

// do does a command that has a message, or is the application's. Its error is told to the client.
func (w *World) do(p *player, cmd wire.Command, body []byte) error {
	if p.uid == 0 && cmd != wire.CmdCall {
		return game.Errorf(game.Denied, "a service has no avatar: it may only call")
	}
	switch cmd {
	case wire.CmdCall:
		return with(p, body, &wire.Call{}, w.call)
	case wire.CmdJoin:
		return with(p, body, &wire.Join{}, w.join)
	case wire.CmdLeave:
		return with(p, body, &wire.Leave{}, w.leave)
	case wire.CmdSay:
		return with(p, body, &wire.Say{}, w.say)
	case wire.CmdWhisper:
		return with(p, body, &wire.Whisper{}, w.whisper)
	case wire.CmdSetThing:
		return with(p, body, &wire.SetThing{}, w.setThing)
	}
	if rule := w.deps.Handlers.Command(uint32(cmd)); rule != nil {
		return w.command(p, cmd, body, rule)
	}
	return game.Errorf(game.Invalid, "command %d is not known here", cmd)
}

// with reads a message. One that is none ends the session.
func with[M proto.Message](p *player, body []byte, m M, do func(*player, M) error) error {
	if err := wire.Parse(body, m); err != nil {
		p.whole(false)
		return nil
	}
	return do(p, m)
}

// Cut remembers that a connection is lost.
func (w *World) Cut(s Session) {
	if p := playerOf(s); p != nil {
		if at := p.seat.Load(); at != nil {
			at.cut(true)
		}
	}
}

// Resumed goes on with a session.
func (w *World) Resumed(s Session) {
	if p := playerOf(s); p != nil {
		if at := p.seat.Load(); at != nil {
			at.cut(false)
		}
	}
}

// Closed forgets a session.
func (w *World) Closed(s Session, _ wire.Reason) {
	p := playerOf(s)
	if p == nil {
		return
	}
	p.silence()
	p.end()
	if p.uid == 0 {
		return
	}
	w.mu.Lock()
	last := w.players[p.uid] == p
	if last {
		delete(w.players, p.uid)
	}
	w.mu.Unlock()
	if last {
		w.deps.Places.Here(p.uid, false, game.Copy{})
		w.social.went(p.uid)
	}
}

// changedElsewhere hears of users of other nodes.
func (w *World) changedElsewhere(c Change) {
	if c.Replaces {
		if p := w.player(c.UID); p != nil {
			p.replaced()
		}
	}
	w.social.changed(c.UID)
}

func (w *World) player(uid game.UID) *player {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.players[uid]
}

// Online is the session of a user on this node; nil: there is none.
func (w *World) Online(uid game.UID) Member {
	if p := w.player(uid); p != nil {
		return p.m
	}
	return nil
}

func (w *World) event(kind string, uid game.UID, attributes map[string]string) {
	if w.deps.Events != nil {
		w.deps.Events(Event{Type: kind, Subject: uid.String(), Actor: "user " + uid.String(), Attributes: attributes})
	}
}

// encode makes a body of a message whose texts were checked when they came in, so it cannot fail.
func encode(m proto.Message) []byte {
	b, err := wire.Body(m)
	if err != nil {
		panic(fmt.Sprintf("a message with a text that is not UTF-8 came through the checks: %v", err))
	}
	return b
}
