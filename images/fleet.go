package images

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Purge is how orders to show pictures afresh, or not at all, reach every node and the CDN.
type Purge struct {
	// Name of this node among those of the fleet. Empty: the name of the host.
	Node string `toml:"node"`
	// Base URLs of the other nodes, as http://10.0.0.2:7701. This node may be among them.
	Peers []string `toml:"peers"`
	// File with the secret that all nodes share, at least 16 bytes in its first line. Needed with peers.
	SecretFile string `toml:"secret_file"`
	// How often every other node is asked whether it has orders that this one has not.
	Interval time.Duration `toml:"interval"`
	// Most purges that are held. Of more the oldest are folded: everything older than them is made afresh once.
	Purges int `toml:"purges"`
	// Most takedowns and restores that are held. They are kept for ever; one more is refused.
	Takedowns int `toml:"takedowns"`
	// Files of each cache that are looked at in a second while the bytes of a takedown are deleted.
	SweepRate int `toml:"sweep_rate"`
	// CDNs that are told of orders, by name. The node that accepts an order tells them.
	CDN map[string]CDN `toml:"cdn"`
}

// CDN is one call that tells a CDN of orders. The URL, the values of headers and the body are templates of Go's text/template
// with .Token and .Tokens (surrogate keys), .Tag and .Tags (key/ORIGIN/KEY, kind/NAME, ...), .ID, .Action, .Scope, .Origin,
// .Name, .Reason, .Node and .Secret, and the functions json, query, path and join.
type CDN struct {
	// Method of the request.
	Method string `toml:"method"`
	// Where it goes. With a batch of 1, each order has a request of its own.
	URL string `toml:"url"`
	// Headers of the request.
	Headers map[string]string `toml:"headers"`
	// Body of the request. Empty: none.
	Body string `toml:"body"`
	// File whose first line is .Secret, so that no credential stands in this configuration.
	SecretFile string `toml:"secret_file"`
	// Most orders in one request.
	Batch int `toml:"batch"`
	// Most requests in a second.
	Rate float64 `toml:"rate"`
	// How long one request may take.
	Timeout time.Duration `toml:"timeout"`
	// How often a request is tried before its orders are given up, with growing pauses of up to a minute.
	Tries int `toml:"tries"`
	// How long after the first time each order is told once more, for what was on its way meanwhile. Negative: not at all.
	Again time.Duration `toml:"again"`
}

// DefaultPurge suits a fleet of some dozen nodes; it names none.
func DefaultPurge() Purge {
	return Purge{Interval: 3 * time.Second, Purges: 100_000, Takedowns: 1_000_000, SweepRate: 20_000}
}

// Defaults of a CDN, where the configuration says nothing (0 or "").
const (
	DefaultCDNMethod  = "POST"
	DefaultCDNBatch   = 1
	DefaultCDNRate    = 10
	DefaultCDNTimeout = 10 * time.Second
	DefaultCDNTries   = 100
	DefaultCDNAgain   = 30 * time.Second
)

// WithDefaults fills in what the configuration does not say.
func (c CDN) WithDefaults() CDN {
	if c.Method == "" {
		c.Method = DefaultCDNMethod
	}
	if c.Batch == 0 {
		c.Batch = DefaultCDNBatch
	}
	if c.Rate == 0 {
		c.Rate = DefaultCDNRate
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultCDNTimeout
	}
	if c.Tries == 0 {
		c.Tries = DefaultCDNTries
	}
	if c.Again == 0 {
		c.Again = DefaultCDNAgain
	}
	return c
}

// maxPeers bounds the nodes of a fleet that a configuration names.
const maxPeers = 256

// Validate gives all complaints at once. Templates are read by the package that fills them in.
func (p Purge) Validate() error {
	var errs []error
	if len(p.Peers) > maxPeers {
		errs = append(errs, fmt.Errorf("purge.peers names %d nodes, at most %d", len(p.Peers), maxPeers))
	}
	for _, peer := range p.Peers {
		if u, err := url.Parse(peer); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			errs = append(errs, fmt.Errorf("purge.peers: %q is not a base URL as http://10.0.0.2:7701", peer))
		}
	}
	if len(p.Peers) > 0 && p.SecretFile == "" {
		errs = append(errs, errors.New("purge.peers needs purge.secret_file: nodes know each other by the secret they share"))
	}
	for name, n := range map[string]int64{"interval": int64(p.Interval), "purges": int64(p.Purges), "takedowns": int64(p.Takedowns), "sweep_rate": int64(p.SweepRate)} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("purge.%s must not be negative", name))
		}
	}
	for name, c := range p.CDN {
		if !ValidName(name) {
			errs = append(errs, fmt.Errorf("purge.cdn.%s: a name is of a-z, 0-9, - and _ and begins with a letter", name))
		}
		if c.URL == "" {
			errs = append(errs, fmt.Errorf("purge.cdn.%s needs a url", name))
		}
		if c.Batch < 0 || c.Batch > 1000 || c.Rate < 0 || c.Timeout < 0 || c.Tries < 0 {
			errs = append(errs, fmt.Errorf("purge.cdn.%s: batch is at most 1000, and nothing but again may be negative", name))
		}
	}
	return sorted(errs)
}

// KindFinder gives a function that says which kind an original belongs to by
// where it lies, for URLs that name its key: the kind whose own route leads
// there, else the first part of the key below the prefix of a host or none.
// Where several routes lead there, the longest prefix decides.
func (c Config) KindFinder() func(source, key string) string {
	type route struct{ source, prefix, kind string }
	var routes []route
	add := func(s Source, kind string) {
		origin := cmp.Or(s.Origin, DefaultOrigin)
		if kind != "" {
			routes = append(routes, route{origin, s.Prefix + kind + "/", kind})
			return
		}
		routes = append(routes, route{origin, s.Prefix, ""})
	}
	for kind, s := range c.Kinds {
		add(s, kind)
	}
	for _, s := range c.Hosts {
		add(s, "")
	}
	add(Source{}, "")
	slices.SortFunc(routes, func(a, b route) int {
		return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), strings.Compare(a.prefix, b.prefix), strings.Compare(a.kind, b.kind))
	})
	return func(source, key string) string {
		for i := range routes {
			r := &routes[i]
			if r.source != source || !strings.HasPrefix(key, r.prefix) {
				continue
			}
			if r.kind != "" {
				return r.kind
			}
			if kind, _, ok := strings.Cut(key[len(r.prefix):], "/"); ok {
				return kind
			}
		}
		return ""
	}
}
