package gateway

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Bounds of the sweep.
const (
	// checksBatch is how many tokens are handed on at once: to wake somebody for each would cost more than to look at it. checksMax
	// is how many batches wait; what does not fit waits for the next sweep.
	checksBatch = 64
	checksMax   = 64
	// checkers look at tokens at the same time: another server may have to be asked.
	checkers = 8
)

// MaintenanceGrace is how long users who are in may finish what they do when maintenance begins.
const MaintenanceGrace = 30 * time.Second

// cutting is a session that was cut, and when.
type cutting struct {
	s  *Session
	at int64
}

// sweepUntil looks at a part of all connections at each tick, so that each is looked at about once a second, until ctx ends.
func (g *Gateway) sweepUntil(ctx context.Context) {
	tick := time.NewTicker(max(g.round/connShards, time.Millisecond))
	defer tick.Stop()
	var list []*conn
	for i := 0; ; i = (i + 1) % connShards {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sh := &g.conns[i]
		sh.mu.Lock()
		list = append(list[:0], sh.list...)
		sh.mu.Unlock()
		now := g.now()
		for _, c := range list {
			g.look(c, now)
		}
		g.handOn()
		clear(list)
		if i == 0 {
			g.endCuts(now)
			g.watch()
		}
	}
}

// watch tells the operator when too much waits, and when that is over.
func (g *Gateway) watch() {
	switch over := g.over(); {
	case over && !g.overloaded:
		g.log.Warn("too much waits for clients, so moves are held back and nobody is let in", "queued_bytes", g.queued.Load(), "replay_bytes", g.replayed.Load(), "limit", int64(g.cfg.QueueBytesAll))
		g.overloaded = true
	case !over && g.overloaded:
		g.log.Info("what waits for clients is within its bound again")
		g.overloaded = false
	}
}

// look does what is due for a connection.
func (g *Gateway) look(c *conn, now int64) {
	s := c.session.Load()
	keepAlive := g.cfg.KeepAlive.Milliseconds()
	if s == nil {
		if now-c.since > g.cfg.HelloTimeout.Milliseconds() && c.flags.Load()&flagLogin == 0 {
			c.refuse(wire.Reason_REASON_SILENT, "", 0, nil) //nolint:errcheck // it says that it is over
		}
		return
	}
	silent := now - c.heard.Load()
	switch {
	case silent > 2*keepAlive:
		c.shut(wire.Reason_REASON_SILENT, "", 0, nil)
		return
	case c.stuck(now, 2*keepAlive):
		c.shut(wire.Reason_REASON_SLOW, "", retrySlow, nil)
		return
	case silent >= keepAlive && now-c.asked >= keepAlive:
		c.asked = now
		g.ask(c)
	}
	if s.told.Load() < s.in.Load() && now-c.acked >= ackTerm {
		s.ack(c)
		s.Flush()
	}
	if s.told.Load() == s.in.Load() {
		c.acked = now
	}
	g.lookAtToken(c, s, now)
	if d := g.door.Load(); d != nil && d.reason == wire.Reason_REASON_MAINTENANCE && !s.service() && now-d.since >= MaintenanceGrace.Milliseconds() {
		s.end(d.reason, d.text, spread(retryMaintenance), nil)
	}
}

// stuck says whether a client has read nothing of what waits for it for so long.
func (c *conn) stuck(now, term int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing != nil && now-c.writing.progress > term
}

// ask sends a ping. Its bytes are our clock, so that the pong tells how long it took.
func (g *Gateway) ask(c *conn) {
	body := binary.LittleEndian.AppendUint64(nil, uint64(time.Since(g.start).Microseconds()))
	if c.say(wire.CmdPing, body) == nil {
		c.mu.Lock()
		c.flush()
		c.mu.Unlock()
	}
}

// lookAtToken asks for the next token in time, ends what has none, and has the token looked at again.
func (g *Gateway) lookAtToken(c *conn, s *Session, now int64) {
	cred := s.cred.Load()
	switch {
	case cred.ends != 0 && now >= cred.ends:
		s.end(wire.Reason_REASON_TOKEN, "the token has ended", 0, nil)
		return
	case cred.ends != 0 && now >= cred.asks && !cred.asked.Swap(true):
		if body, err := wire.Body(&wire.Expiring{ExpiresMs: millis(cred.Expires)}); err == nil && c.say(wire.CmdExpiring, body) == nil {
			s.Flush()
		}
	}
	// Half a round sooner: the next look would be too late.
	if now-c.checked < (g.cfg.RecheckEvery-g.round/2).Milliseconds() || s.checking.Swap(true) {
		return
	}
	c.checked = now
	if g.due = append(g.due, c); len(g.due) == checksBatch {
		g.handOn()
	}
}

// handOn has the tokens looked at that are due.
func (g *Gateway) handOn() {
	if len(g.due) == 0 {
		return
	}
	select {
	case g.checks <- g.due:
	default:
		for _, c := range g.due {
			c.checked = 0
			c.session.Load().checking.Store(false)
		}
		g.metrics.checksLate.Add(uint64(len(g.due)))
	}
	g.due = nil
}

// check looks at tokens again: a ban, a sign-out or a mute is found here.
func (g *Gateway) check(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case batch := <-g.checks:
			for _, c := range batch {
				g.checkOne(ctx, c.session.Load())
			}
		}
	}
}

func (g *Gateway) checkOne(ctx context.Context, s *Session) {
	cred := s.cred.Load()
	p, err := g.deps.Identity.Authenticate(ctx, cred.token)
	s.checking.Store(false)
	if err == nil {
		if g.identityAway.Load() && g.identityAway.Swap(false) {
			g.log.Info("tokens can be looked at again")
		}
		if !p.MutedUntil.Equal(cred.MutedUntil) || p.Scopes != cred.Scopes {
			next := &credential{Principal: p, token: cred.token, asks: cred.asks, ends: cred.ends}
			next.asked.Store(cred.asked.Load())
			s.cred.CompareAndSwap(cred, next) // a renewal that came between knows better
		}
		return
	}
	switch kind := game.KindOf(err); {
	case ctx.Err() != nil:
	case kind == game.Unauthenticated || kind == game.Denied:
		if s.cred.Load() == cred {
			reason, text := reasonOf(err)
			s.end(reason, text, 0, nil)
		}
	default:
		g.metrics.checkFails.Add(1) // it stays as it was: the identity is away
		if !g.identityAway.Swap(true) {
			g.log.Warn("tokens cannot be looked at, so bans and sign-outs are not found", "error", err)
		}
	}
}

// awaitReturn has a session that was cut ended when it does not come back in time.
func (g *Gateway) awaitReturn(s *Session) {
	s.mu.Lock()
	at := s.cutAt
	s.mu.Unlock()
	g.mu.Lock()
	g.cuts = append(g.cuts, cutting{s, at})
	var over []cutting
	if n := len(g.cuts) - g.cfg.Connections; n > 0 {
		over = append(over, g.cuts[:n]...)
		g.cuts = append(g.cuts[:0], g.cuts[n:]...)
	}
	g.mu.Unlock()
	for _, c := range over {
		c.end()
	}
}

// end ends the session if it is still cut as it was then.
func (c cutting) end() {
	c.s.mu.Lock()
	still := !c.s.ended && c.s.cutAt == c.at
	c.s.mu.Unlock()
	if still {
		c.s.end(wire.Reason_REASON_UNSPECIFIED, "", 0, nil)
	}
}

// endCuts ends sessions that did not come back in time.
func (g *Gateway) endCuts(now int64) {
	g.mu.Lock()
	n := 0
	for n < len(g.cuts) && now-g.cuts[n].at >= g.cfg.ResumeTerm.Milliseconds() {
		n++
	}
	over := append([]cutting(nil), g.cuts[:n]...)
	if g.cuts = append(g.cuts[:0], g.cuts[n:]...); len(g.cuts) == 0 {
		g.cuts = nil
	} else {
		clear(g.cuts[len(g.cuts):cap(g.cuts)])
	}
	g.mu.Unlock()
	for _, c := range over {
		c.end()
	}
}

// spread gives a time from d to 1.5 d, so that clients do not come back all at once.
func spread(d time.Duration) time.Duration { return d + rand.N(d/2) }
