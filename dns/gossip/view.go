package gossip

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/hashicorp/memberlist"
)

// News of members travel by chance, and a member that missed one would hear of it
// only by the next exchange of everything. So each answer to a probe carries the
// answerer's view in short, 8 bytes; when it differs from ours although ours did
// not change for a while, we exchange everything with that peer.
const (
	viewQuiet      = 500 * time.Millisecond // news need about 150 ms to the last of 100 members
	repairPauseMin = time.Second            // between two exchanges
	repairPauseMax = time.Minute            // when they change nothing
)

// view is which members memberlist holds for alive, in short.
type view struct {
	of      map[string]uint64 // hash by node
	sum     uint64            // of all, by exclusive or
	changed time.Time
}

// put takes note of a member; h 0: it is not alive.
func (v *view) put(node string, h uint64) {
	old := v.of[node]
	if old == h {
		return
	}
	v.sum ^= old ^ h
	v.changed = time.Now()
	if h == 0 {
		delete(v.of, node)
		return
	}
	v.of[node] = h
}

// differs says whether somebody's view is lastingly another one.
func (v *view) differs(sum uint64) bool {
	return sum != v.sum && time.Since(v.changed) >= viewQuiet
}

func hashOf(n *memberlist.Node) uint64 {
	h := fnv.New64a()
	h.Write([]byte(n.Name))
	h.Write([]byte{0, byte(n.Port >> 8), byte(n.Port)})
	h.Write(n.Addr)
	h.Write(n.Meta)
	return h.Sum64() | 1 // not 0
}

// repairLoop exchanges everything with peers whose view differs.
func (g *Gossip) repairLoop(ctx context.Context) {
	wait := repairPauseMin
	for {
		var peer string
		select {
		case peer = <-g.repair:
		case <-ctx.Done():
			return
		}
		g.mu.Lock()
		before := g.view.sum
		g.mu.Unlock()
		_, err := g.list.Join([]string{peer})
		g.mu.Lock()
		changed := g.view.sum != before
		g.mu.Unlock()
		g.log.Debug("views differ; exchanged what is known of members", "peer", peer, "changed", changed, "error", err)
		wait = min(2*wait, repairPauseMax)
		if changed {
			wait = repairPauseMin
		}
		if !pause(ctx, wait) {
			return
		}
	}
}
