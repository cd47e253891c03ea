package node

import (
	"net/netip"
	"time"

	"github.com/kamado/kamado/dns"
)

// events is what gossip calls: one goroutine, one call at a time.
type events struct{ n *Node }

// Events is the member's ear for gossip.
func (n *Node) Events() interface {
	Receive(from string, msg []byte)
	Up(node string, addr netip.AddrPort, meta []byte)
	Down(node string, left bool)
	RTT(node string, d time.Duration)
	Conflict(node string, here, there netip.AddrPort)
} {
	return events{n}
}

func (e events) Receive(from string, msg []byte) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	out, err := e.n.rep.Receive(e.n.deps.Now(), from, msg)
	if err != nil {
		e.n.metrics.unread.Inc()
		e.n.deps.Log.Debug("a message was not taken", "from", from, "error", err)
	}
	e.n.follow(out)
}

func (e events) Up(node string, _ netip.AddrPort, _ []byte) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.n.follow(e.n.rep.Up(e.n.deps.Now(), node))
}

func (e events) Down(node string, left bool) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.n.follow(e.n.rep.Down(e.n.deps.Now(), node, left))
}

func (e events) RTT(node string, d time.Duration) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.n.rep.RTT(node, d)
}

func (e events) Conflict(node string, here, there netip.AddrPort) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.n.deps.Log.Error("two machines use one node name; give one of them another with --node", "node", node, "here", here, "there", there)
	e.n.event(dns.Event{Kind: dns.EventMember, Owner: node, State: "conflict", Text: "also at " + there.String()})
}
