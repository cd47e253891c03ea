package gateway

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// listMax bounds one List.
const listMax = 1000

// Replace ends the session of a user here, but not the one with the id except: the user has come in on another node. It says whether there
// was one.
func (g *Gateway) Replace(uid game.UID, except string) bool {
	s := g.Session(uid)
	if s == nil || s.ID() == except {
		return false
	}
	s.end(wire.Reason_REASON_REPLACED, "", 0, nil)
	return true
}

// Kick ends the session of a user here; false: there is none.
func (g *Gateway) Kick(uid game.UID, text string) bool {
	s := g.Session(uid)
	if s == nil {
		return false
	}
	s.end(wire.Reason_REASON_KICKED, text, 0, nil)
	return true
}

// Broadcast tells a reliable frame to all users, and has it written. The body is not changed afterwards.
func (g *Gateway) Broadcast(cmd wire.Command, body []byte) {
	for _, s := range g.sessions(false) {
		s.Tell(cmd, body)
		s.Flush()
	}
}

// turnAway tells a client why the door is closed.
func (c *conn) turnAway(d *door) error {
	var place *wire.Place
	if d.place != nil {
		place = d.place(nil)
	}
	c.g.metrics.login(loginClosed)
	return c.refuse(d.reason, d.text, spread(retryOf(d.reason)), place)
}

// retryOf is when a client comes again, by why it was closed; 0: not by itself.
func retryOf(r wire.Reason) time.Duration {
	switch r {
	case wire.Reason_REASON_SLOW:
		return retrySlow
	case wire.Reason_REASON_FULL:
		return retryFull
	case wire.Reason_REASON_FLOOD:
		return retryFlood
	case wire.Reason_REASON_DRAIN:
		return retryDrain
	case wire.Reason_REASON_MAINTENANCE:
		return retryMaintenance
	case wire.Reason_REASON_INTERNAL:
		return retryInternal
	}
	return 0
}

// Drain empties the gateway: users who come are refused, and so many sessions a second are told to go to the place that is named for
// them (nil: anywhere). place is also asked with a nil session, for those who come now. It returns when no user is left, or ctx ends; the
// gateway stays closed until Undrain. Services stay.
func (g *Gateway) Drain(ctx context.Context, place func(*Session) *wire.Place, perSecond int) error {
	g.door.Store(&door{reason: wire.Reason_REASON_DRAIN, place: place, since: g.now()})
	const step = 20 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	began, sent := g.now(), int64(0)
	var list []*Session
	for {
		if len(list) == 0 {
			if list = g.sessions(false); len(list) == 0 {
				return nil
			}
		}
		for due := (g.now()-began)*int64(max(perSecond, 1))/1000 + 1; len(list) > 0 && sent < due; list = list[1:] {
			if s := list[0]; !s.over() {
				sent++
				s.drain(place)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain tells a client where to go.
func (s *Session) drain(place func(*Session) *wire.Place) {
	var to *wire.Place
	if place != nil {
		to = place(s)
	}
	s.end(wire.Reason_REASON_DRAIN, "", spread(retryDrain), to)
}

// over says whether the session is ending.
func (s *Session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Undrain takes users again.
func (g *Gateway) Undrain() { g.reopen(wire.Reason_REASON_DRAIN) }

// reopen opens the door if it is closed for that reason.
func (g *Gateway) reopen(reason wire.Reason) {
	if d := g.door.Load(); d != nil && d.reason == reason {
		g.door.CompareAndSwap(d, nil)
	}
}

// Maintenance closes the world to users, or opens it again. Users who are in get the text as a notice, and are closed MaintenanceGrace later.
// Services stay.
func (g *Gateway) Maintenance(on bool, text string) {
	if !on {
		g.reopen(wire.Reason_REASON_MAINTENANCE)
		return
	}
	g.door.Store(&door{reason: wire.Reason_REASON_MAINTENANCE, text: text, since: g.now()})
	if text == "" {
		text = wire.ReasonText(wire.Reason_REASON_MAINTENANCE)
	}
	if body, err := wire.Body(&wire.Notice{Text: text, AtMs: time.Now().Add(MaintenanceGrace).UnixMilli()}); err == nil {
		g.Broadcast(wire.CmdNotice, body)
	}
}

// Count says how many sessions of users there are, and how many of them are cut.
func (g *Gateway) Count() (sessions, cut int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.users), int(g.cut.Load())
}

// State is a session as an operator sees it.
type State struct {
	ID          string        `json:"id"`
	UID         game.UID      `json:"uid"` // 0: a service
	Service     string        `json:"service,omitempty"`
	Node        string        `json:"node,omitempty"` // that it speaks for
	Address     string        `json:"address"`
	Transport   string        `json:"transport"` // "tcp", "tls", "websocket"; empty: it is cut
	Agent       string        `json:"agent"`
	Since       time.Time     `json:"since"`
	QueuedBytes int           `json:"queued_bytes"`
	ReplayBytes int           `json:"replay_bytes"`
	RTT         time.Duration `json:"rtt_ns"` // of the last ping; 0: not known yet
}

// List lists sessions whose id comes after another one ("" begins), the oldest first, at most limit of them.
func (g *Gateway) List(after string, limit int) []State {
	from, _ := strconv.ParseUint(after, 36, 64) // what is no id begins at the first
	list := slices.DeleteFunc(g.sessions(true), func(s *Session) bool { return s.number <= from })
	slices.SortFunc(list, func(a, b *Session) int { return cmp.Compare(a.number, b.number) })
	out := make([]State, 0, min(len(list), limit, listMax))
	for _, s := range list[:min(len(list), max(limit, 0), listMax)] {
		out = append(out, s.state())
	}
	return out
}

func (s *Session) state() State {
	p := s.Principal()
	st := State{ID: s.ID(), UID: p.UID, Service: p.Service, Node: s.node, Agent: s.Client.Agent, Since: s.g.start.Add(time.Duration(s.since) * time.Millisecond).UTC()}
	if s.Client.Address.IsValid() {
		st.Address = s.Client.Address.String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.ReplayBytes = s.replayBytes
	if c := s.conn.Load(); c != nil {
		c.mu.Lock()
		st.QueuedBytes = c.queued
		c.mu.Unlock()
		st.Transport, st.RTT = c.transport.String(), time.Duration(c.rtt.Load())*time.Microsecond
	}
	return st
}
