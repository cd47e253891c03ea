package world

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// player is what the world keeps of a session.
type player struct {
	w    *World
	m    Session
	uid  game.UID             // 0: a service
	seat atomic.Pointer[seat] // where it is; nil: nowhere
	work chan struct{}        // calls of this session in work
	now  sent                 // what is handled; of the goroutine that calls Handle

	mu    sync.Mutex
	asked string // as it wanted to be called last; empty: it never said
	name  string // as it is called; empty: as by default
	ended bool

	telling sync.Mutex // held while Places are told
	silent  bool       // somebody else says where the user is
}

func newPlayer(w *World, s Session) *player {
	return &player{w: w, m: s, uid: s.UID(), work: make(chan struct{}, w.deps.CallsEach)}
}

// called is the name under which the player speaks.
func (p *player) called() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.name, "guest "+p.uid.String())
}

// wanted is the name that the player asked for last.
func (p *player) wanted() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.asked, "guest "+p.uid.String())
}

// tell gives a frame from outside of an area's turn.
func (p *player) tell(cmd wire.Command, body []byte) {
	p.m.Tell(cmd, body)
	p.m.Flush()
}

// sent is a command of a client, as a refusal names it.
type sent struct {
	cmd wire.Command
	seq uint64 // 0: it has none, or it is not known
}

// refuse tells that a command was not done.
func (p *player) refuse(c sent, err error) {
	f := FaultOf(err)
	p.w.m.refusals.WithLabelValues(f.Kind).Inc()
	if game.KindOf(err) == game.Internal {
		p.w.log.Error("a command failed", "command", uint32(c.cmd), "session", p.m.ID(), "err", err)
	}
	f.Detail = valid(f.Detail)
	p.tell(wire.CmdRefused, encode(&wire.Refused{Command: uint32(c.cmd), Seq: c.seq, Fault: f}))
}

// valid makes a text fit for the wire: a detail may cite what a client sent, cut somewhere.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	b := []rune(text) // what is no letter becomes one
	return string(b)
}

// whole ends the session of a client that sent a body that is none.
func (p *player) whole(ok bool) {
	if !ok {
		p.m.Close(wire.Reason_REASON_INVALID, wire.ReasonText(wire.Reason_REASON_INVALID), nil)
	}
}

// replaced ends the session, because the same user has a later one.
func (p *player) replaced() {
	p.silence()
	p.end()
	p.m.Close(wire.Reason_REASON_REPLACED, wire.ReasonText(wire.Reason_REASON_REPLACED), nil)
}

// end takes the player out of its area for good.
func (p *player) end() {
	p.mu.Lock()
	p.ended = true
	at := p.seat.Swap(nil)
	p.mu.Unlock()
	if at != nil {
		at.leave()
	}
}

// sit moves the player to a seat that is reserved, out of the one where it was. False: the player has ended.
func (p *player) sit(next *seat) bool {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return false
	}
	p.name = next.entrant.Name
	p.asked = cmp.Or(next.asked, p.asked)
	before := p.seat.Swap(next)
	p.mu.Unlock()
	if before != nil {
		<-before.leave()
	}
	return true
}

// here tells other nodes, and friends, where the player is now. However many call it at once, what is true is told last.
func (p *player) here() {
	p.telling.Lock()
	defer p.telling.Unlock()
	if p.silent {
		return
	}
	var c game.Copy
	if at := p.seat.Load(); at != nil {
		c = at.stage.copy
	}
	p.w.deps.Places.Here(p.uid, true, c)
	p.w.social.changed(p.uid)
}

// silence has here tell nothing any more.
func (p *player) silence() {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.silent = true
}

// muted is the error of who may not talk now.
func (p *player) muted() error {
	if until := p.m.Principal().MutedUntil; until.After(time.Now()) {
		if until.Equal(game.MutedForever) {
			return game.Errorf(game.Denied, "you may not talk")
		}
		return game.Errorf(game.Denied, "you may not talk until %s", until.UTC().Format(time.RFC3339))
	}
	return nil
}
