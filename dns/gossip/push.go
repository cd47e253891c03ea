package gossip

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// A datagram may be lost, and the repair of package replica takes a second or so.
// So whoever gets a push says so, and what was not confirmed is sent again: with
// 10 % loss each try leaves a tenth of the peers, of 99 one in a hundred times
// more than one after the third. Confirmations are gathered for a moment, so many
// pushes cost few of them.
//
//	offset  width  body of a push       body of a confirmation
//	     0      8  id                   ids, 8 bytes each
//	     8         the message
//
// An id is 32 bits of the sender's start and 32 of a counter.
const (
	pushTick      = 5 * time.Millisecond // of what waits: confirmations, and pushes to send again
	pushTries     = 6
	pushesMax     = 4096    // that wait for confirmations; beyond, a push is sent once
	pushBytesMax  = 8 << 20 // and their bytes
	confirmsMax   = 128     // in one datagram
	windowBits    = 1024    // pushes of one sender that are known when they come twice
	idBytes       = 8
	confirmersMax = PeersMax
)

// push waits for confirmations.
type push struct {
	frame []byte
	to    []waiting
}

// waiting is a peer that did not confirm yet.
type waiting struct {
	p    *peer
	node string
	next time.Time     // to send again
	left int           // tries
	wait time.Duration // between them
}

// window is what came from one sender lately.
type window struct {
	epoch, top uint32
	bits       [windowBits / 64]uint64
}

// seen says whether an id came before, and takes note of it. Ids that are too old to
// know count as fresh: the receiver bears doubles.
func (w *window) seen(id uint64) bool {
	epoch, n := uint32(id>>32), uint32(id)
	if epoch != w.epoch {
		*w = window{epoch: epoch, top: n}
	}
	if ahead := n - w.top; ahead != 0 && ahead < 1<<31 {
		for i := range min(ahead, windowBits) {
			k := (w.top + 1 + i) % windowBits
			w.bits[k/64] &^= 1 << (k % 64)
		}
		w.top = n
	} else if w.top-n >= windowBits {
		return false
	}
	k := n % windowBits
	was := w.bits[k/64]&(1<<(k%64)) != 0
	w.bits[k/64] |= 1 << (k % 64)
	return was
}

// newPush gives the frame of a message and registers who should confirm it.
func (g *Gossip) newPush(msg []byte, to []*peer) []byte {
	g.pushing.Lock()
	defer g.pushing.Unlock()
	g.pushed++
	id := g.start<<32 | uint64(g.pushed)
	frame := appendFrame(nil, kindPush, g.cfg.Node, append(binary.LittleEndian.AppendUint64(nil, id), msg...))
	if len(g.pushes) >= pushesMax || g.pushBytes+len(frame) > pushBytesMax {
		g.metrics.drop("unconfirmed")
		return frame
	}
	p := &push{frame: frame}
	now := time.Now()
	for _, peer := range to {
		// One slow answer of a busy machine must not make us wait long.
		wait := g.cfg.Timing.Retry + min(2*peer.rtt, g.cfg.Timing.Retry)
		p.to = append(p.to, waiting{peer, peer.node, now.Add(wait), pushTries - 1, wait})
	}
	g.pushes[id] = p
	g.pushBytes += len(frame)
	g.wake(g.unconfirmed)
	return frame
}

// takePush takes one from outside: it gives the message, nil when it came before.
func (g *Gossip) takePush(from string, body []byte) []byte {
	if len(body) < idBytes {
		g.metrics.drop("malformed")
		return nil
	}
	id := binary.LittleEndian.Uint64(body)
	g.pushing.Lock()
	defer g.pushing.Unlock()
	w := g.windows[from]
	if w == nil {
		if len(g.windows) >= confirmersMax {
			clear(g.windows)
		}
		w = &window{}
		g.windows[from] = w
	}
	if len(g.confirms[from]) < confirmsMax*8 {
		g.confirms[from] = append(g.confirms[from], id)
		g.wake(g.unconfirmed)
	}
	if w.seen(id) {
		return nil
	}
	return body[idBytes:]
}

// confirmed takes confirmations of a peer.
func (g *Gossip) confirmed(from string, body []byte) {
	g.pushing.Lock()
	defer g.pushing.Unlock()
	for ; len(body) >= idBytes; body = body[idBytes:] {
		id := binary.LittleEndian.Uint64(body)
		p := g.pushes[id]
		if p == nil {
			continue
		}
		for i := range p.to {
			if p.to[i].node == from {
				p.to[i] = p.to[len(p.to)-1]
				p.to = p.to[:len(p.to)-1]
				break
			}
		}
		if len(p.to) == 0 {
			g.forget(id, p)
		}
	}
}

// forget ends the wait. Preconditions: pushing is held.
func (g *Gossip) forget(id uint64, p *push) {
	delete(g.pushes, id)
	g.pushBytes -= len(p.frame)
}

// pushLoop sends confirmations, and again what was not confirmed, while there is any.
func (g *Gossip) pushLoop(ctx context.Context) {
	for {
		select {
		case <-g.unconfirmed:
		case <-ctx.Done():
			return
		}
		for busy := true; busy; {
			if !pause(ctx, pushTick) {
				return
			}
			busy = g.again(time.Now())
			g.confirm()
		}
	}
}

// confirm sends the confirmations that were gathered.
func (g *Gossip) confirm() {
	g.pushing.Lock()
	confirms := g.confirms
	g.confirms = map[string][]uint64{}
	g.pushing.Unlock()
	for node, ids := range confirms {
		g.mu.Lock()
		p := g.peers[node]
		ok := p != nil && p.state == up
		var to memberlist.Node
		if ok {
			to = p.list()
		}
		g.mu.Unlock()
		for ok && len(ids) > 0 {
			n := min(len(ids), confirmsMax)
			body := make([]byte, 0, n*idBytes)
			for _, id := range ids[:n] {
				body = binary.LittleEndian.AppendUint64(body, id)
			}
			g.packet(&to, appendFrame(nil, kindConfirm, g.cfg.Node, body), "confirm")
			ids = ids[n:]
		}
	}
}

// again sends what is due, and says whether more is waited for.
func (g *Gossip) again(now time.Time) bool {
	type resend struct {
		frame []byte
		p     *peer
	}
	var due []resend
	g.pushing.Lock()
	for id, p := range g.pushes {
		p.to = slices.DeleteFunc(p.to, func(w waiting) bool { return w.left == 0 && !now.Before(w.next) })
		for i := range p.to {
			if w := &p.to[i]; !now.Before(w.next) {
				w.left--
				w.next = now.Add(w.wait)
				due = append(due, resend{p.frame, w.p})
			}
		}
		if len(p.to) == 0 {
			g.metrics.drop("unconfirmed")
			g.forget(id, p)
		}
	}
	more := len(g.pushes) > 0 || len(g.confirms) > 0
	g.pushing.Unlock()
	for _, r := range due {
		g.mu.Lock()
		ok, to := r.p.state == up, r.p.list()
		g.mu.Unlock()
		if ok {
			g.packet(&to, r.frame, "again")
		}
	}
	return more
}
