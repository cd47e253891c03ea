package gossip

import (
	"context"

	"github.com/hashicorp/memberlist"
)

// Bounds of what is sent.
const (
	outboxMax     = 4096     // messages that wait for the sender
	sendsMax      = 8        // streams at a time
	laneMax       = 256      // messages that wait for a stream to one peer
	lanesBytesMax = 32 << 20 // and their bytes for all peers
)

// Message goes to one peer or to all that live.
type Message struct {
	To       string // node; empty: every live peer
	Bytes    []byte // not changed after Send
	Reliable bool   // by stream
}

// Send queues a message; it never blocks. What cannot be queued or sent is dropped
// and counted: repair is the business of who knows what messages mean. Messages to
// one peer may overtake each other.
func (g *Gossip) Send(msg Message) {
	if len(msg.Bytes) > MessageBytesMax {
		g.metrics.drop("outbox")
		return
	}
	select {
	case g.outbox <- msg:
	default:
		g.metrics.drop("outbox")
	}
}

func (g *Gossip) sendLoop(ctx context.Context) {
	for {
		select {
		case msg := <-g.outbox:
			g.send(ctx, msg)
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gossip) send(ctx context.Context, msg Message) {
	g.mu.Lock()
	var peers []*peer
	if p := g.peers[msg.To]; p != nil && p.state == up {
		peers = append(peers, p)
	}
	for _, p := range g.peers {
		if msg.To == "" && p.state == up {
			peers = append(peers, p)
		}
	}
	to := make([]memberlist.Node, len(peers))
	for i, p := range peers {
		to[i] = p.list()
	}
	byStream := msg.Reliable || len(msg.Bytes) > PacketBytesMax
	var frame []byte
	if byStream {
		frame = appendFrame(nil, kindMessage, g.cfg.Node, msg.Bytes)
	} else if len(peers) > 0 {
		frame = g.newPush(msg.Bytes, peers)
	}
	g.mu.Unlock()
	for i := range to {
		if byStream {
			g.stream(ctx, to[i], frame)
		} else {
			g.packet(&to[i], frame, "packet")
		}
	}
}

func (g *Gossip) packet(to *memberlist.Node, frame []byte, kind string) {
	if err := g.list.SendBestEffort(to, frame); err != nil {
		g.metrics.sendFailures.WithLabelValues("packet").Inc()
		return
	}
	g.metrics.message("out", kind, len(frame))
}

// lane is what waits to be sent to one peer by stream, in order, one at a time.
type lane struct{ waiting [][]byte }

// stream puts a message into the peer's lane, and starts to empty it.
func (g *Gossip) stream(ctx context.Context, to memberlist.Node, frame []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[to.Name]
	if l != nil && len(l.waiting) >= laneMax || g.laned+len(frame) > lanesBytesMax {
		g.metrics.drop("lane")
		return
	}
	g.laned += len(frame)
	if l != nil {
		l.waiting = append(l.waiting, frame)
		return
	}
	if g.stopped {
		return
	}
	l = &lane{waiting: [][]byte{frame}}
	g.lanes[to.Name] = l
	g.tasks.Go(func() { g.drain(ctx, to, l) })
}

// drain sends what waits in a lane, then ends it.
func (g *Gossip) drain(ctx context.Context, to memberlist.Node, l *lane) {
	for {
		g.mu.Lock()
		if len(l.waiting) == 0 || ctx.Err() != nil {
			for _, f := range l.waiting {
				g.laned -= len(f)
			}
			delete(g.lanes, to.Name)
			g.mu.Unlock()
			return
		}
		frame := l.waiting[0]
		l.waiting = l.waiting[1:]
		g.laned -= len(frame)
		g.mu.Unlock()
		select {
		case g.streams <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		err := g.list.SendReliable(&to, frame)
		<-g.streams
		if err != nil {
			g.metrics.sendFailures.WithLabelValues("stream").Inc()
			g.log.Debug("a message could not be sent", "peer", to.Name, "bytes", len(frame), "error", err)
			continue
		}
		g.metrics.message("out", "stream", len(frame))
	}
}
