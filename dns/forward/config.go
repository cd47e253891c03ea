package forward

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
)

// Config is how other names are asked for.
type Config struct {
	// Servers, in no order: ParseServer says how they are written. Empty: other names are refused.
	Servers []string
	// Names of special use that are forwarded all the same, with all that lies below them.
	Pass []dns.Name
	// CAFile holds the roots, in PEM, that servers over TLS are verified by; empty: the system's.
	CAFile string

	// Entries that are remembered, rounded up to a multiple of 8; 0: none are.
	Entries int
	// BytesMax bounds their memory.
	BytesMax int
	// Bounds of a TTL; what is outside is taken as the bound.
	TTLMin, TTLMax time.Duration
	// NegativeTTLMax bounds the TTL of "no such name" and "no such data" (RFC 2308 5).
	NegativeTTLMax time.Duration
	// FailureTTL is for how long a failure is remembered (RFC 9520 3.2: 1 s to 5 min).
	FailureTTL time.Duration
	// StaleMax is for how long after its TTL an entry may still be answered when no server answers; 0: never.
	StaleMax time.Duration
	// StaleWait is how long a client waits for a fresh answer when there is a stale one (RFC 8767 5: 1.8 s).
	StaleWait time.Duration
	// StaleRecheck is how long after a failure a stale answer is given at once (RFC 8767 5: 30 s).
	StaleRecheck time.Duration
	// Prefetch asks again for an entry that is asked for in the last tenth of its TTL.
	Prefetch bool
	// Cut takes a remembered "no such name" to be true of all names below it (RFC 8020).
	Cut bool

	// TryTimeout bounds one attempt.
	TryTimeout time.Duration
	// Timeout bounds a flight.
	Timeout time.Duration
	// Attempts of a flight.
	Attempts int
	// FlightsMax bounds the flights at one time; further questions fail at once.
	FlightsMax int
	// SocketsMax bounds the sockets of attempts over UDP at one time; further attempts wait.
	SocketsMax int
	// StreamIdle is how long an unused connection is kept.
	StreamIdle time.Duration
}

// Default asks nobody: it lacks servers.
func Default() Config {
	return Config{
		Entries: 10_000, BytesMax: 32 << 20, TTLMax: 24 * time.Hour, NegativeTTLMax: time.Hour, FailureTTL: 5 * time.Second,
		StaleMax: 24 * time.Hour, StaleWait: 1800 * time.Millisecond, StaleRecheck: 30 * time.Second, Prefetch: true,
		TryTimeout: 1500 * time.Millisecond, Timeout: 4 * time.Second, Attempts: 4,
		FlightsMax: 2_000, SocketsMax: 512, StreamIdle: 10 * time.Second,
	}
}

// Bounds of the configuration.
const (
	serversMax  = 16
	attemptsMax = 16
	entriesMax  = 10_000_000
)

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.Servers) > serversMax {
		errs = append(errs, fmt.Errorf("%d servers, at most %d", len(c.Servers), serversMax))
	}
	for _, s := range c.Servers {
		_, err := ParseServer(s)
		errs = append(errs, err)
	}
	if c.Entries < 0 || c.Entries > entriesMax || c.BytesMax < 0 {
		errs = append(errs, fmt.Errorf("entries must be 0 to %d, and their bytes not negative", entriesMax))
	}
	if c.TTLMin < 0 || c.TTLMax < c.TTLMin || c.NegativeTTLMax < 0 || c.StaleMax < 0 {
		errs = append(errs, errors.New("a TTL must not be negative, nor the least above the most"))
	}
	if c.FailureTTL < time.Second || c.FailureTTL > 5*time.Minute {
		errs = append(errs, fmt.Errorf("failures are remembered for %v, must be 1s to 5m (RFC 9520)", c.FailureTTL))
	}
	if c.TryTimeout <= 0 || c.Timeout < c.TryTimeout || c.StaleWait <= 0 || c.StaleRecheck < 0 || c.StreamIdle <= 0 {
		errs = append(errs, errors.New("timeouts must be positive, that of a question at least that of one attempt"))
	}
	if c.Attempts < 1 || c.Attempts > attemptsMax {
		errs = append(errs, fmt.Errorf("%d attempts, must be 1 to %d", c.Attempts, attemptsMax))
	}
	if c.FlightsMax < 1 || c.SocketsMax < 1 {
		errs = append(errs, errors.New("at least one question and one socket at a time"))
	}
	return errors.Join(errs...)
}

// Deps is what a Forwarder gets from others; each may be nil.
type Deps struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Ours says whether a name lies in a zone of ours: such a name is never sent out.
	Ours func(dns.Name) bool
	// Tap hears of each message that was sent and each reply that was believed. It
	// must not block, nor keep the packets.
	Tap func(Exchange)
	// Now is the clock.
	Now func() time.Time
}

// Exchange is a message to a server, and, when Reply is not nil, its reply.
type Exchange struct {
	Server      netip.AddrPort
	Local       netip.AddrPort
	Over        Protocol
	Query       []byte
	Reply       []byte
	Sent, Heard time.Time
}

// Protocol is how a server was spoken to.
type Protocol uint8

// The protocols.
const (
	OverUDP Protocol = iota
	OverTCP
	OverTLS
)

func (p Protocol) String() string { return [...]string{"udp", "tcp", "tls"}[p] }
