package gossip

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of messages.
const (
	// PacketBytesMax is the longest message that travels in one datagram; longer ones
	// go by stream. Whoever sends small things often should stay under it.
	PacketBytesMax = 1200
	// MessageBytesMax is the longest message at all.
	MessageBytesMax = 1 << 20
	// MetaBytesMax is the longest metadata of a member.
	MetaBytesMax = 256
)

// Config is what a member needs to gossip.
type Config struct {
	Node      string                        // of this member
	Bind      string                        // host:port to listen at, UDP and TCP; port 0: any
	Advertise string                        // host:port at which peers reach it, if another one
	Keys      [][]byte                      // of 32 bytes; the first encrypts, all decrypt
	Meta      []byte                        // told to all peers; at most MetaBytesMax
	Join      []string                      // tried in Run until one was joined, and when all peers are gone: host:port, or a DNS name with port, all of whose addresses are tried
	Log       *slog.Logger                  // nil: silent
	Register  prometheus.Registerer         // nil: no metrics
	Transport memberlist.NodeAwareTransport // nil: the network; tests put their own
	Timing    Timing                        // zero: LAN
}

// Timing is how fast members look after each other.
type Timing struct {
	Probe time.Duration
}

// Peer is another member as it is known here.
type Peer struct {
	Node string
	Addr netip.AddrPort
	Meta []byte
	Up   bool
	Left bool          // it said goodbye; false with Up false: dead
	RTT  time.Duration // last measured; 0: never
}

// Message goes to one peer or to all that live.
type Message struct {
	To       string // node; empty: every live peer
	Bytes    []byte // not changed after Send
	Reliable bool   // by stream, with a report of failure in the log and the metrics
}

// Events hears what happens. All methods are called by one goroutine of Run, one
// at a time; they must return soon, since messages wait (bounded) behind them.
type Events interface {
	// Receive gets a message; from is the sender as it says itself. msg is the receiver's to keep.
	Receive(from string, msg []byte)
	// Up says that a peer lives; again when it restarted, moved or has new metadata.
	Up(node string, addr netip.AddrPort, meta []byte)
	// Down says that a peer is dead, or left.
	Down(node string, left bool)
	// RTT is a measured round trip to a peer.
	RTT(node string, d time.Duration)
	// Conflict says that two machines use one node name; here is the one that is held
	// for the member.
	Conflict(node string, here, there netip.AddrPort)
}

// Gossip is a member's end of the gossip. Safe for concurrent use.
type Gossip struct{}

// New listens. It fails with a *dns.Error: Invalid for what is wrong in cfg, Conflict when the port is taken.
func New(cfg Config, ev Events) (*Gossip, error) { return nil, errors.New("not listening") }

// Run carries messages and events until ctx ends, then closes the sockets. A
// member that stops without Leave is dead for the others after a while.
func (g *Gossip) Run(ctx context.Context) error { return nil }

// Join contacts members now, and says how many were reached. The error of kind Denied says that a member has other
// keys, Conflict that this member's name is in use at another address, Unavailable that nobody was reached.
func (g *Gossip) Join(ctx context.Context, addrs []string) (int, error) { return 0, nil }

// Leave tells the others that this member goes on purpose. Run should be ended afterwards.
func (g *Gossip) Leave(timeout time.Duration) error { return nil }

// Send queues a message; it never blocks. What cannot be queued is dropped and counted.
func (g *Gossip) Send(msg Message) {}

// SetKeys replaces the keyring: the first key encrypts.
func (g *Gossip) SetKeys(keys [][]byte) error { return nil }

// SetMeta replaces the metadata and tells the others.
func (g *Gossip) SetMeta(meta []byte) error { return nil }

// Remember makes a member known that was met before this start, so that it is looked for.
func (g *Gossip) Remember(node string, addr netip.AddrPort) {}

// Forget lets a dead or left peer be looked for no more.
func (g *Gossip) Forget(node string) {}

// Peers lists the peers that are known, ordered by node.
func (g *Gossip) Peers() []Peer { return nil }

// Addr is the address at which peers reach this member.
func (g *Gossip) Addr() netip.AddrPort { return netip.AddrPort{} }
