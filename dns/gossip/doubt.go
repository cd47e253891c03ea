package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// Questions of one doubt, spread over Timing.Doubt less the time that the last one
// has. memberlist's own timeout of a question is Timing.ProbeTimeout.
const questions = 5

// doubtsMax bounds the doubts that are settled at a time: when half of a large
// cluster is gone, its members must not drown each other in questions.
const doubtsMax = 16

// doubtAgain is the pause before a peer that answered us, but that memberlist
// still holds for dead, is asked again.
const doubtAgain = 200 * time.Millisecond

// doubt asks a peer until memberlist takes it back, or it does not answer.
func (g *Gossip) doubt(ctx context.Context, p *peer) {
	counted := false
	for {
		g.mu.Lock()
		if !p.doubted() {
			p.asking = false
			g.mu.Unlock()
			return
		}
		addr := p.addr
		g.mu.Unlock()
		select {
		case g.doubts <- struct{}{}:
		case <-ctx.Done():
			return
		}
		answered := g.ask(ctx, p.node, net.UDPAddrFromAddrPort(addr))
		<-g.doubts
		if ctx.Err() != nil {
			return
		}
		if answered {
			if !counted {
				counted = true
				g.metrics.doubts.WithLabelValues("alive").Inc()
			}
			if !pause(ctx, doubtAgain) {
				return
			}
			continue
		}
		g.mu.Lock()
		if g.isolated() {
			g.mu.Unlock()
			if !pause(ctx, doubtAgain) {
				return
			}
			continue
		}
		p.asking = false
		if p.doubted() {
			p.state = dead
			g.metrics.doubts.WithLabelValues("dead").Inc()
		}
		g.wake(g.changed)
		g.mu.Unlock()
		return
	}
}

// isolated says whether it may be us who is cut off or stalled: nobody at all was
// heard for a while, though there are several, who together probe us and answer us
// 20 times a second. Preconditions: mu is held.
func (g *Gossip) isolated() bool {
	quiet := time.Since(g.heard)
	return g.upLocked() >= 3 && quiet >= 3*g.cfg.Timing.Probe && quiet < g.cfg.Timing.Isolated
}

// ask says whether a peer answers one of several questions.
func (g *Gossip) ask(ctx context.Context, node string, addr net.Addr) bool {
	gap := (g.cfg.Timing.Doubt - g.cfg.Timing.ProbeTimeout) / (questions - 1)
	answers := make(chan bool, questions)
	asked, answered := 0, 0
	next := time.NewTimer(0)
	defer next.Stop()
	for answered < questions {
		select {
		case ok := <-answers:
			if answered++; ok {
				return true
			}
		case <-next.C:
			if asked == questions {
				continue
			}
			asked++
			if !g.task(func() { answers <- g.ping(node, addr) }) {
				return false
			}
			next.Reset(gap)
		case <-ctx.Done():
			return false
		}
	}
	return false
}

func (g *Gossip) ping(node string, addr net.Addr) bool {
	_, err := g.list.Ping(node, addr)
	if err == nil {
		g.mu.Lock()
		g.heard = time.Now()
		g.mu.Unlock()
	}
	return err == nil
}

// knockLoop asks dead peers whether they are back: after a cut neither side speaks
// to the other by itself. All members together should ask one dead machine a few
// times a second, and when half of the cluster is dead each asks as often as it may:
// with D dead of N, each does so with the chance 4 D / N at each turn.
func (g *Gossip) knockLoop(ctx context.Context) {
	for pause(ctx, g.cfg.Timing.Knock) {
		node, addr, ok := g.dead()
		if !ok {
			continue
		}
		if g.ping(node, addr) {
			n, err := g.list.Join([]string{node + "/" + addr.String()})
			g.log.Debug("a dead peer answers", "peer", node, "joined", n == 1, "error", err)
		}
	}
}

// dead chooses a peer to knock at.
func (g *Gossip) dead() (node string, addr net.Addr, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []*peer
	for _, p := range g.peers {
		if p.state == dead {
			list = append(list, p)
		}
	}
	if len(list) == 0 || g.leaving || rand.IntN(len(g.peers)) >= 4*len(list) {
		return "", nil, false
	}
	p := list[rand.IntN(len(list))]
	return p.node, net.UDPAddrFromAddrPort(p.addr), true
}

// pause waits; false when the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
