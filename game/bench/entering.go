package bench

import (
	"errors"
	"fmt"
	"time"
)

// enteringAtOnce is how many connections of one crowd are on their way in at once.
const enteringAtOnce = 64

// gate counts connections on their way in. It belongs to one crowd.
type gate struct {
	begun, in, failed int
	first             error // why the first failed one did
	lost              int   // connections that ended when they had been in
	lostWhy           error // why the first of them did
	moved             int64 // when the last one came in, or failed
}

func (g *gate) entered(now int64) { g.in, g.moved = g.in+1, now }

// ended counts a connection that is over.
func (g *gate) ended(wasIn bool, now int64, err error) {
	if wasIn {
		if g.lost++; g.lostWhy == nil {
			g.lostWhy = err
		}
		return
	}
	g.failed, g.moved = g.failed+1, now
	if g.first == nil {
		g.first = err
	}
}

// merge adds what another crowd counted.
func (g *gate) merge(o *gate) {
	g.begun, g.in, g.failed, g.lost = g.begun+o.begun, g.in+o.in, g.failed+o.failed, g.lost+o.lost
	if g.first == nil {
		g.first = o.first
	}
	if g.lostWhy == nil {
		g.lostWhy = o.lostWhy
	}
}

// why is what the first connection failed of, or the first one ended of.
func (g *gate) why() error {
	if g.first != nil {
		return g.first
	}
	return g.lostWhy
}

// entering is the errand of bringing n connections in, some at once.
type entering struct {
	gate     *gate
	n        int
	patience time.Duration // without anybody who comes in
	dial     func(i int)
}

// errEntering are connections that do not come in.
var errEntering = errors.New("connections do not come in")

func (e *entering) turn(now int64) (next int64, done bool, err error) {
	g := e.gate
	if g.begun == 0 {
		g.moved = now
	}
	for g.begun < e.n && g.begun-g.in-g.failed < enteringAtOnce {
		g.begun++
		e.dial(g.begun - 1)
	}
	if now-g.moved > int64(e.patience) {
		return 0, false, fmt.Errorf("%w: %d of %d are in, %d failed, and nothing happened for %v", errEntering, g.in, e.n, g.failed, e.patience)
	}
	return now + int64(crowdRest), g.in+g.failed+g.lost >= e.n, nil
}
