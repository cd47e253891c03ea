package mesh

import (
	"slices"
	"time"

	"github.com/kamado/kamado/game/wire"
)

// conn is a link in the network.
type conn struct {
	from, to int
	link     uint64
	core     *core // of the run that opened it
	upAt     time.Duration
	open     bool
	arrival  uint64
	into     *core // of the run that it came to
	bytes    []packet
	slow     bool
	silent   time.Duration // since when nothing came back; 0: it does
	hungup   time.Duration // when the receiver hears of the end; 0: not ended
	ended    time.Duration // when the sender does
}

type packet struct {
	at   time.Duration
	cmd  wire.Command
	body []byte
}

// network moves what is on the way.
func (s *sim) network() {
	now := s.now()
	for _, c := range s.conns {
		from, to := s.nodes[c.from], s.nodes[c.to]
		through := !s.cut[[2]int{c.from, c.to}] && !s.cut[[2]int{c.to, c.from}]
		alive := from.alive && from.core == c.core
		if !c.open && c.ended == 0 && now >= c.upAt {
			s.connect(c, to, through)
		}
		if c.open && alive && from.up(now) && c.ended == 0 {
			s.send(c, through)
		}
		s.deliver(c, to, through)
		if c.hungup != 0 && now >= c.hungup && c.into != nil && to.up(now) && to.core == c.into {
			c.into.departed(now, c.arrival)
			s.effects(to)
			c.into = nil
		}
		if c.ended != 0 && now >= c.ended && alive && from.up(now) {
			c.core.unlinked(now, c.link, !s.nodes[c.to].alive)
			delete(from.links, c.link)
			s.effects(from)
		}
	}
	s.conns = slices.DeleteFunc(s.conns, func(c *conn) bool {
		gone := c.ended != 0 && now >= c.ended && s.nodes[c.from].up(now)
		return gone && (c.into == nil || s.nodes[c.to].core != c.into || !s.nodes[c.to].alive)
	})
}

// connect opens a connection, or finds that nobody is there.
func (s *sim) connect(c *conn, to *simNode, through bool) {
	now := s.now()
	switch {
	case through && to.up(now):
		c.open, c.into, c.arrival = true, to.core, to.core.accept()
		c.core.linked(now, c.link)
	case through && !to.alive:
		c.ended = now
	case now >= c.upAt+dialMax:
		c.ended = now
	}
}

// send takes what the core has to tell; a slow link takes little.
func (s *sim) send(c *conn, through bool) {
	now := s.now()
	to := s.nodes[c.to]
	if !through || !to.up(now) || to.core != c.into { // no sign of life comes back
		if c.silent == 0 {
			c.silent = now
		}
		if now-c.silent >= takeMax {
			s.snap(c, 2*takeMax, 1)
		}
	} else {
		c.silent = 0
	}
	if c.slow && !s.chance(30) {
		return
	}
	at := now + s.ms(30)
	if s.wild && s.chance(20) {
		at = now + s.ms(700)
	}
	if n := len(c.bytes); n > 0 {
		at = max(at, c.bytes[n-1].at)
	}
	for _, m := range c.core.pull(c.link, nil) {
		c.bytes = append(c.bytes, packet{at, m.cmd, m.body()})
	}
	s.effects(s.nodes[c.from])
}

func (s *sim) deliver(c *conn, to *simNode, through bool) {
	now := s.now()
	for len(c.bytes) > 0 && now >= c.bytes[0].at && through && to.up(now) && c.into == to.core && c.into != nil {
		p := c.bytes[0]
		c.bytes = c.bytes[1:]
		m, err := parse(p.cmd, p.body)
		if err != nil {
			s.breach("parse %v: %v", p.cmd, err)
		}
		if err := to.core.receive(now, c.arrival, m); err != nil {
			s.snap(c, 1, s.ms(30))
			c.bytes = nil
		}
		s.effects(to)
	}
}
