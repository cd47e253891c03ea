package worldtest

import (
	"context"
	"sync"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

// Places are those of a node whose others a test makes up.
type Places struct {
	mu          sync.Mutex
	fence       uint64
	lost        map[game.Copy]chan struct{}
	Copies      []world.CopyAt                 // on other nodes
	Users       map[game.UID]world.Whereabouts // on other nodes
	ClaimError  func(c game.Copy) error        // nil: claims succeed
	told        map[game.UID][]wire.Command    // relayed
	populations map[game.Copy]int              // of copies here, as told last
	here        map[game.UID]world.Whereabouts // of users here, as told last
	released    []game.Copy
	change      func(world.Change)
}

// Change changes what is made up.
func (p *Places) Change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// Claim gives a claim with the next fence.
func (p *Places) Claim(_ context.Context, c game.Copy) (world.Claim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ClaimError != nil {
		if err := p.ClaimError(c); err != nil {
			return world.Claim{}, err
		}
	}
	p.fence++
	if p.lost == nil {
		p.lost = map[game.Copy]chan struct{}{}
	}
	p.lost[c] = make(chan struct{})
	return world.Claim{Fence: p.fence, Lost: p.lost[c]}, nil
}

// Lose ends a claim.
func (p *Places) Lose(c game.Copy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if lost := p.lost[c]; lost != nil {
		close(lost)
		delete(p.lost, c)
	}
}

// Release notes it.
func (p *Places) Release(_ context.Context, c game.Copy) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released = append(p.released, c)
	return nil
}

// Released lists the copies whose claims were given back.
func (p *Places) Released() []game.Copy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]game.Copy(nil), p.released...)
}

// Elsewhere lists those of an area.
func (p *Places) Elsewhere(area string) (list []world.CopyAt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.Copies {
		if c.Copy.Area == area {
			list = append(list, c)
		}
	}
	return list
}

// Tell notes what is relayed.
func (p *Places) Tell(uid game.UID, cmd wire.Command, _ []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, online := p.Users[uid]; !online {
		return false
	}
	if p.told == nil {
		p.told = map[game.UID][]wire.Command{}
	}
	p.told[uid] = append(p.told[uid], cmd)
	return true
}

// Relayed lists what a user of another node was told.
func (p *Places) Relayed(uid game.UID) []wire.Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]wire.Command(nil), p.told[uid]...)
}

// Where finds one of Users.
func (p *Places) Where(uid game.UID) (world.Whereabouts, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, online := p.Users[uid]
	return at, online
}

// Here notes where a user is.
func (p *Places) Here(uid game.UID, online bool, c game.Copy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.here == nil {
		p.here = map[game.UID]world.Whereabouts{}
	}
	delete(p.here, uid)
	if online {
		p.here[uid] = world.Whereabouts{Copy: c}
	}
}

// At is where a user of this node was said to be.
func (p *Places) At(uid game.UID) (c game.Copy, online bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, online := p.here[uid]
	return at.Copy, online
}

// Population notes how full a copy is.
func (p *Places) Population(c game.Copy, avatars, _ int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.populations == nil {
		p.populations = map[game.Copy]int{}
	}
	p.populations[c] = avatars
}

// Full is how full a copy was said to be.
func (p *Places) Full(c game.Copy) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.populations[c]
}

// Subscribe keeps f.
func (p *Places) Subscribe(f func(world.Change)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = f
}

// Say has a change of another node heard.
func (p *Places) Say(c world.Change) {
	p.mu.Lock()
	f := p.change
	if p.Users == nil {
		p.Users = map[game.UID]world.Whereabouts{}
	}
	delete(p.Users, c.UID)
	if c.Online {
		p.Users[c.UID] = world.Whereabouts{Node: "two", Copy: c.Copy}
	}
	p.mu.Unlock()
	f(c)
}
