package game

import (
	"context"
	"time"
)

// Node is a server of the world: it keeps connections, and runs copies of areas.
type Node struct {
	Name string `json:"name"` // one of its own among all nodes
	// WebSocket is where clients and other nodes reach it: ws://HOST:PORT/v1/socket.
	WebSocket string `json:"websocket"`
	TCP       string `json:"tcp,omitempty"` // HOST:PORT of the same protocol over plain TCP or TLS; empty: none
	// Draining: it takes no new clients, and sends its own to other nodes.
	Draining bool `json:"draining,omitempty"`
}

// NodeTerm is how long a node that is not heard of counts as living.
const NodeTerm = 1500 * time.Millisecond

// NodeRegistrar is how nodes find each other. The locks that they share satisfy it, and so do names that follow the
// living (dns), which cmd hands in.
type NodeRegistrar interface {
	// Announce says that the node lives, and where. It is called again and again, several times in NodeTerm; whoever is not announced any more
	// is gone after about NodeTerm.
	Announce(ctx context.Context, n Node) error
	// Withdraw takes it back at once.
	Withdraw(ctx context.Context, name string) error
	// Nodes lists all nodes that live, as far as is known here, this one among them.
	Nodes(ctx context.Context) ([]Node, error)
}
