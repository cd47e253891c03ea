package mesh

import (
	"errors"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Arrival is the end of another node's link that comes in. Handle and Closed are called one after another.
type Arrival struct {
	m      *Mesh
	id     uint64
	node   string
	hangup func()
}

// Accept takes the session of another node, which said in its Hello that it is this one, and proved to be a service with
// the scope admin. hangup ends its connection; it does not wait, and may be called more than once. The error is Exhausted or Unavailable.
func (m *Mesh) Accept(node string, hangup func()) (*Arrival, error) {
	if err := checkName(node); err != nil {
		return nil, err
	}
	a := &Arrival{m: m, node: node, hangup: hangup}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.running:
		return nil, game.Errorf(game.Unavailable, "this node does not run")
	case len(m.arrivals) >= 2*m.cfg.NodesMax: // a node that lost a link opens the next one before the last is found dead
		return nil, game.Errorf(game.Exhausted, "%d links come in, which is all that may", len(m.arrivals))
	}
	a.id = m.core.accept()
	m.arrivals[a.id] = a
	return a, nil
}

// Handle takes a frame. The body is valid during the call. It waits while more happens than is called back. After an error the connection is to be closed:
// it was no message of a link, or a newer link has come.
func (a *Arrival) Handle(cmd wire.Command, body []byte) error {
	if cmd < CommandMin || cmd > CommandMax {
		return a.broken(broken("command %d", cmd))
	}
	a.m.metrics.messages.WithLabelValues("in").Inc()
	msg, err := parse(cmd, body)
	if err != nil && !errors.Is(err, errUnknown) {
		return a.broken(err)
	}
	if err == nil && cmd == CmdBegin && msg.node.Name != a.node {
		return a.broken(broken("node %.64q says that it is %.64q", a.node, msg.node.Name))
	}
	if !a.waitRoom() {
		return game.Errorf(game.Unavailable, "this node does not run")
	}
	var fault error
	a.m.do(func(k *core, now time.Duration) {
		if err != nil {
			fault = k.unknown(now, a.id, msg)
		} else {
			fault = k.receive(now, a.id, msg)
		}
	})
	if fault != nil {
		return a.broken(fault)
	}
	return nil
}

func (a *Arrival) broken(err error) error {
	a.m.metrics.linkEnds.WithLabelValues("in", "broken").Inc()
	if a.m.complains(a.node) {
		a.m.log.Warn("link of a node is broken", "node", a.node, "err", err)
	}
	return err
}

// Closed takes that the connection is over.
func (a *Arrival) Closed() {
	a.m.do(func(k *core, now time.Duration) {
		k.departed(now, a.id)
		delete(a.m.arrivals, a.id)
	})
}

// waitRoom waits until not too much waits to be called back; false: the mesh has ended. Meanwhile the node is not silent: it is not read.
func (a *Arrival) waitRoom() bool {
	m := a.m
	for {
		full, running, room := false, false, (chan struct{})(nil)
		m.do(func(k *core, now time.Duration) {
			if full, running, room = len(m.queue) >= m.cfg.HappeningsMax, m.running, m.room; full {
				k.hear(now, a.id)
			}
		})
		if !running || !full {
			return running
		}
		again := time.NewTimer(beatEvery)
		select {
		case <-room:
		case <-again.C:
		case <-m.ended:
		}
		again.Stop()
	}
}
