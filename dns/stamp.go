package dns

import (
	"cmp"
	"time"
)

// Stamp orders changes of zone records that several members made: a hybrid
// logical clock (Kulkarni et al., 2014). Wall time leads as long as clocks
// agree; the counter orders what happened within one millisecond or behind a
// clock that ran ahead; the node breaks ties.
type Stamp struct {
	Millis int64 // Unix time in milliseconds
	Count  uint32
	Node   string
}

// Compare orders stamps.
func (s Stamp) Compare(t Stamp) int {
	return cmp.Or(cmp.Compare(s.Millis, t.Millis), cmp.Compare(s.Count, t.Count), cmp.Compare(s.Node, t.Node))
}

// Time is the wall part.
func (s Stamp) Time() time.Time { return time.UnixMilli(s.Millis) }

// Clock makes the stamps of one member. Not safe for concurrent use.
type Clock struct {
	Node string
	last Stamp
}

// Next is a stamp after every one that was made or seen, at the wall time now.
func (c *Clock) Next(now time.Time) Stamp {
	if ms := now.UnixMilli(); ms > c.last.Millis {
		c.last = Stamp{Millis: ms, Node: c.Node}
	} else {
		c.last = Stamp{Millis: c.last.Millis, Count: c.last.Count + 1, Node: c.Node}
	}
	return c.last
}

// See makes later stamps come after s.
func (c *Clock) See(s Stamp) {
	if s.Compare(c.last) > 0 {
		c.last = s
	}
}
