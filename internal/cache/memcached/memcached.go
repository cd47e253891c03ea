// Package memcached is the engine of cache over one or more memcached servers,
// version 1.6 or newer, by the meta commands of its text protocol. It is for several processes over
// one store, which all name the same servers.
//
// Vocabulary. A server is an address; each is a part of the cache. A connection carries the requests of many
// callers, whose answers come in their order. A stamp is a number that memcached
// gave, together with the connection on which it did: that number is
// unique only within one life of the server, and a connection lives no longer than the
// server behind it. So what was read before a restart never matches after it. A server rests for RetryAfter after it failed:
// requests to it fail at once meanwhile, and then one of them tries it.
//
// Invariants. A request is over after Timeout, whatever the server does. There are
// at most ConnectionsMax connections to a server, with at most InFlightMax requests.
// A request whose answer did not come in time closes its connection, since the answers
// behind it would be late too. No proxy that speaks the protocol may stand between: it would hide
// that the server behind it started again. memcached has no credentials here, and sees all
// values: it belongs on a network that only these servers use.
package memcached

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/cache"
)

// Config is where the servers are, and how long they may take.
type Config struct {
	// Servers are host:port, the same list in every process.
	Servers []string
	// Prefix begins every key, so that several users can share servers.
	Prefix string
	// Timeout is how long a request, or the making of a connection, may take.
	Timeout time.Duration
	// RetryAfter is how long a server rests after it failed.
	RetryAfter time.Duration
	// ConnectionsMax is how many connections a server gets.
	ConnectionsMax int
	// InFlightMax is how many requests to a server may be under way; others wait for half of Timeout at most.
	InFlightMax int
	// CellBytesMax is the largest cell; memcached's own bound (-I) is 1 MiB with its overhead.
	CellBytesMax int
}

// Default has no servers.
func Default() Config {
	return Config{
		Prefix: "kamado:", Timeout: 150 * time.Millisecond, RetryAfter: 200 * time.Millisecond,
		ConnectionsMax: 2, InFlightMax: 256, CellBytesMax: 512 << 10,
	}
}

// serverKeyBytesMax is the longest key that memcached takes (protocol.txt, "Keys").
const serverKeyBytesMax = 250

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for _, s := range c.Servers {
		if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "" {
			errs = append(errs, fmt.Errorf("server %q: want host:port", s))
		}
		if seen[s] {
			errs = append(errs, fmt.Errorf("server %q is named twice", s))
		}
		seen[s] = true
	}
	if len(c.Servers) == 0 || len(c.Servers) > serversMax {
		errs = append(errs, fmt.Errorf("%d servers: want 1 to %d", len(c.Servers), serversMax))
	}
	if len(c.Prefix) > 64 || !legal(c.Prefix) {
		errs = append(errs, fmt.Errorf("prefix %q: want at most 64 printable characters without spaces", c.Prefix))
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"timeout", c.Timeout}, {"retry after", c.RetryAfter}} {
		if d.d < time.Millisecond || d.d > 10*time.Second {
			errs = append(errs, fmt.Errorf("%s is %v, must be 1ms to 10s", d.name, d.d))
		}
	}
	if c.ConnectionsMax < 1 || c.ConnectionsMax > 64 {
		errs = append(errs, fmt.Errorf("connections max is %d, must be 1 to 64", c.ConnectionsMax))
	}
	if c.InFlightMax < 1 || c.InFlightMax > 1<<16 {
		errs = append(errs, fmt.Errorf("in-flight max is %d, must be 1 to %d", c.InFlightMax, 1<<16))
	}
	if c.CellBytesMax < 1024 || c.CellBytesMax > 1<<20 {
		errs = append(errs, fmt.Errorf("cell bytes max is %d, must be 1024 to %d", c.CellBytesMax, 1<<20))
	}
	return errors.Join(errs...)
}

const serversMax = 64

// Engine implements cache.Engine.
type Engine struct {
	cfg     Config
	servers []*server
	ring    ring
	metrics *metrics
}

var _ cache.Engine = (*Engine)(nil)

// New connects to nobody yet. Registry may be nil.
func New(cfg Config, registry prometheus.Registerer) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure memcached: %w", err)
	}
	e := &Engine{cfg: cfg, ring: newRing(cfg.Servers), metrics: newMetrics()}
	for _, addr := range cfg.Servers {
		e.servers = append(e.servers, newServer(addr, cfg, e.metrics))
	}
	if registry != nil {
		if err := e.metrics.register(registry, e.servers); err != nil {
			return nil, fmt.Errorf("register metrics of memcached: %w", err)
		}
	}
	return e, nil
}

// Parts implements cache.Engine.
func (e *Engine) Parts() []string {
	names := make([]string, len(e.servers))
	for i, s := range e.servers {
		names[i] = "memcached " + s.addr
	}
	return names
}

// Part implements cache.Engine.
func (e *Engine) Part(key string) int { return e.ring.at(key) }

// Close ends all connections; requests that are under way fail.
func (e *Engine) Close() error {
	for _, s := range e.servers {
		s.close()
	}
	return nil
}

// stamp is a number of memcached, valid on its connection.
type stamp struct {
	on  *conn
	cas uint64
}

// onServer gives a key as memcached takes it.
func (e *Engine) onServer(key string) string {
	if len(e.cfg.Prefix)+len(key) <= serverKeyBytesMax && legal(key) && !strings.HasPrefix(key, hashedPrefix) {
		return e.cfg.Prefix + key
	}
	sum := sha256.Sum256([]byte(key))
	return e.cfg.Prefix + hashedPrefix + hex.EncodeToString(sum[:])
}

const hashedPrefix = "sha256:"

// legal says whether a text may stand in a command.
func legal(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Load implements cache.Engine.
func (e *Engine) Load(ctx context.Context, part int, key string) ([]byte, cache.Stamp, error) {
	c, a, err := e.ask(ctx, part, key, nil, func(b []byte, k string) []byte { return append(append(append(b, "mg "...), k...), " v c\r\n"...) })
	switch {
	case err != nil:
		return nil, nil, err
	case a.code == "EN":
		return nil, nil, nil
	case a.code != "VA" || len(a.data) == 0 || a.cas == 0:
		return nil, nil, c.nonsense(a)
	}
	return a.data, stamp{c, a.cas}, nil
}

// Swap implements cache.Engine.
func (e *Engine) Swap(ctx context.Context, part int, key string, at cache.Stamp, cell []byte, life time.Duration) (cache.Stamp, error) {
	if len(cell) > e.cfg.CellBytesMax {
		return nil, cache.ErrLarge
	}
	c, a, err := e.ask(ctx, part, key, at, func(b []byte, k string) []byte {
		b = fmt.Appendf(b, "ms %s %d T%d c", k, len(cell), int64((life+time.Second-1)/time.Second))
		if s, ok := at.(stamp); ok {
			b = fmt.Appendf(b, " C%d\r\n", s.cas)
		} else {
			b = append(b, " ME\r\n"...) // only where nothing is
		}
		return append(append(b, cell...), "\r\n"...)
	})
	switch {
	case err != nil:
		return nil, err
	case a.code == "HD" && a.cas != 0:
		return stamp{c, a.cas}, nil
	case a.code == "NS", a.code == "EX", a.code == "NF":
		return nil, cache.ErrRefused
	case a.code == "SERVER_ERROR": // too large for it, or no memory for one of this size; the cell of before is gone then
		return nil, cache.ErrLarge
	}
	return nil, c.nonsense(a)
}

// Remove implements cache.Engine.
func (e *Engine) Remove(ctx context.Context, part int, key string, at cache.Stamp) error {
	c, a, err := e.ask(ctx, part, key, at, func(b []byte, k string) []byte {
		s, _ := at.(stamp)
		return fmt.Appendf(b, "md %s C%d\r\n", k, s.cas)
	})
	switch {
	case err != nil:
		return err
	case a.code == "HD", a.code == "NF":
		return nil
	case a.code == "EX":
		return cache.ErrRefused
	}
	return c.nonsense(a)
}

// Probe implements cache.Engine.
func (e *Engine) Probe(ctx context.Context, part int) error {
	c, a, err := e.servers[part].ask(ctx, nil, func(b []byte) []byte { return append(b, "mn\r\n"...) })
	if err == nil && a.code != "MN" {
		err = c.nonsense(a)
	}
	return err
}

// ask sends a request about a key: on the connection of the stamp, if there is one.
func (e *Engine) ask(ctx context.Context, part int, key string, at cache.Stamp, write func(b []byte, k string) []byte) (*conn, answer, error) {
	if key == "" || len(key) > cache.KeyBytesMax {
		return nil, answer{}, fmt.Errorf("%w: a key of %d bytes: want 1 to %d", cache.ErrAway, len(key), cache.KeyBytesMax)
	}
	var on *conn
	if s, ok := at.(stamp); ok {
		on = s.on
	}
	k := e.onServer(key)
	return e.servers[part].ask(ctx, on, func(b []byte) []byte { return write(b, k) })
}
