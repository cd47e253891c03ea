package gossip

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
)

// Bounds of messages.
const (
	// PacketBytesMax is the longest message that travels in one datagram; longer ones
	// go by stream. Whoever sends small things often should stay under it. With the
	// sender's name, memberlist's head and the seal it stays under packetBytesMax.
	PacketBytesMax = 1200
	// MessageBytesMax is the longest message at all.
	MessageBytesMax = 1 << 20
	// MetaBytesMax is the longest metadata of a member. memberlist's own bound is 512.
	MetaBytesMax = 256
	// KeysMax bounds the keyring.
	KeysMax = 8
	// PeersMax bounds the peers that are known; others are not let in.
	PeersMax = 10_000

	// packetBytesMax is the payload of our datagrams: with heads of IPv6 and UDP (48) it
	// fits into every MTU down to 1448.
	packetBytesMax = 1400
)

// Config is what a member needs to gossip.
type Config struct {
	Node       string                        // of this member
	Bind       string                        // host:port to listen at, UDP and TCP; port 0: any
	Advertise  string                        // host:port at which peers reach it; empty: Bind, or an address of this machine
	Keys       [][]byte                      // of 32 bytes; the first encrypts, all decrypt
	Meta       []byte                        // told to all peers; at most MetaBytesMax
	Join       []string                      // tried in Run until one was joined, and when all peers are gone; see Join
	JoinCloud  string                        // finds more to join: see Cloud; empty: none
	Log        *slog.Logger                  // nil: silent
	Registerer prometheus.Registerer         // nil: no metrics
	Transport  memberlist.NodeAwareTransport // nil: the network, at Bind; tests put their own
	Timing     Timing                        // zero: LAN
}

// Timing is how fast members look after each other. N members, P the probe
// interval, G the gossip interval, S the suspicion.
//
// Each member asks another one every P, in an order of its own, so a dead one is
// asked after t with the chance 1 - exp(-t/P): half after 0.7 P, 99 of 100 after
// 4.6 P. The question has failed after P; the suspicion lasts
// S × max(1, log10 N) × P, in which the suspected may defend itself; the news
// reaches the last of 100 after about four rounds of gossip; then we ask
// ourselves for Doubt. For 100 members, P = 100 ms, S = 2, G = 30 ms:
//
//	p50  70 + 100 + 400 + 120 + 140 =   830 ms
//	p99 460 + 100 + 400 + 120 + 140 = 1,220 ms      (bound: 1.5 s)
//
// With P = 200 ms the first term alone would be 920 ms, and the bound missed.
//
// The price is traffic: a question has about 110 bytes and its answer 55, so each
// member sends 10 × 165 = 1.7 kB/s, 2.2 with the heads of IP and UDP, however many
// members there are (bound: 3 kB/s with everything else).
//
// The danger is a false death, and that is what Indirect and Doubt are for. With
// 10 % loss a question and its answer both arrive with 0.81; one of five peers
// that are asked to ask brings an answer with 1 - (1-0.9⁴)⁵ = 0.995, a stream with
// about 0.66: a probe fails with 0.19 × 0.005 × 0.34 = 0.0003, which is once in
// three seconds among 100 members. The suspected hears of it within about 100 ms
// and has 400; should that fail too, each member asks by itself, five times in
// Doubt, before it believes: 0.19⁵ = 0.0002.
type Timing struct {
	Probe        time.Duration // between two questions; also the time that one has, indirect ways included
	ProbeTimeout time.Duration // before indirect ways are tried; over the round trip of the network
	Indirect     int           // peers that are asked to ask
	Suspicion    int           // the multiplier S
	Awareness    int           // probes are slowed up to so many times while this member itself does badly
	Gossip       time.Duration
	Fanout       int           // peers that get news each Gossip
	PushPull     time.Duration // between two exchanges of all that memberlist knows, up to 32 members; 3 times that at 100. Rare, since views are compared with each probe
	Stream       time.Duration // a stream may last
	Retry        time.Duration // before an unconfirmed push is sent again, beside two round trips that count at most as much
	Doubt        time.Duration // a peer that memberlist holds for dead may take to answer us
	Isolated     time.Duration // without a packet from anybody (of 3 or more), in which we believe that it is us and not them
	Knock        time.Duration // between two questions to dead peers, while many are
}

// LAN is for round trips of up to 30 ms: a building, a region, one machine.
func LAN() Timing {
	return Timing{
		Probe: 100 * time.Millisecond, ProbeTimeout: 50 * time.Millisecond, Indirect: 5, Suspicion: 2, Awareness: 8,
		Gossip: 30 * time.Millisecond, Fanout: 4, PushPull: 5 * time.Minute, Stream: 2 * time.Second,
		Retry: 30 * time.Millisecond, Doubt: 140 * time.Millisecond, Isolated: 8 * time.Second, Knock: 250 * time.Millisecond,
	}
}

func (c *Config) check() error {
	bad := func(format string, args ...any) error {
		return &dns.Error{Op: "start gossip", Kind: dns.Invalid, Detail: fmt.Sprintf(format, args...)}
	}
	if err := dns.CheckNode(c.Node); err != nil {
		return bad("%v", err)
	}
	if err := checkKeys(c.Keys); err != nil {
		return err
	}
	if len(c.Meta) > MetaBytesMax {
		return bad("metadata of %d bytes, at most %d", len(c.Meta), MetaBytesMax)
	}
	if c.Transport == nil {
		if _, _, err := net.SplitHostPort(c.Bind); err != nil {
			return bad("gossip address %q: want host:port", c.Bind)
		}
	}
	for _, a := range c.Join {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return bad("member to join %q: want host:port", a)
		}
	}
	if c.JoinCloud != "" {
		if _, err := ParseCloud(c.JoinCloud); err != nil {
			return bad("%v", err)
		}
	}
	if c.Timing == (Timing{}) {
		c.Timing = LAN()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func checkKeys(keys [][]byte) error {
	bad := func(format string, args ...any) error {
		return &dns.Error{Op: "set gossip keys", Kind: dns.Invalid, Detail: fmt.Sprintf(format, args...)}
	}
	if len(keys) == 0 || len(keys) > KeysMax {
		return bad("%d keys, want 1 to %d", len(keys), KeysMax)
	}
	for i, k := range keys {
		if len(k) != 32 {
			return bad("key %d has %d bytes, want 32", i+1, len(k))
		}
		for _, other := range keys[:i] {
			if bytes.Equal(k, other) {
				return bad("key %d is there twice", i+1)
			}
		}
	}
	return nil
}

// memberlist makes memberlist's configuration.
func (c *Config) memberlist() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	t := c.Timing
	m.Name = c.Node
	m.ProbeInterval, m.ProbeTimeout, m.IndirectChecks = t.Probe, t.ProbeTimeout, t.Indirect
	m.SuspicionMult, m.AwarenessMaxMultiplier = t.Suspicion, t.Awareness
	m.GossipInterval, m.GossipNodes, m.PushPullInterval = t.Gossip, t.Fanout, t.PushPull
	m.TCPTimeout = t.Stream
	// A restarted machine may have another address; its certificate says who it is.
	m.DeadNodeReclaimTime = time.Millisecond
	// LZW makes 64 KiB of tables for each packet, to save little.
	m.EnableCompression = false
	m.UDPBufferSize = packetBytesMax
	m.DelegateProtocolVersion, m.DelegateProtocolMin, m.DelegateProtocolMax = frameVersion, frameVersion, frameVersion
	return m
}
