package web

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// Config says which servers to use and how long to wait for them.
type Config struct {
	// Bases are URLs that keys are joined to, as "https://img.example.com/originals/".
	// More than one: mirrors. Their hosts and ports need not be listed in Hosts: URL
	// keys and redirects of other hosts reach what lies below a base, and a base's own
	// redirects whatever its host has.
	Bases []string `toml:"bases"`

	// URLKeys makes whole URLs of the hosts in Hosts keys as well.
	URLKeys bool `toml:"url_keys"`

	// Hosts that URL keys may name and redirects may lead to: exact names, as
	// "img.example.com"; "*.example.com" for all names below it; "*" for every
	// name (addresses are still listed one by one). With ":port" behind it for
	// that port only.
	Hosts []string `toml:"allow_hosts"`

	// Ports of Hosts that have none behind them.
	Ports []int `toml:"allow_ports"`

	// Schemes of URL keys and redirects: http and https, or one of them.
	Schemes []string `toml:"allow_schemes"`

	// AllowNetworks are prefixes of addresses that are not public and may be
	// connected to all the same: "10.1.0.0/16".
	AllowNetworks []string `toml:"allow_networks"`

	// DialTimeout bounds looking up a name and connecting, TLSTimeout the
	// handshake, HeaderTimeout the wait for the head of an answer.
	DialTimeout   time.Duration `toml:"dial_timeout"`
	TLSTimeout    time.Duration `toml:"tls_timeout"`
	HeaderTimeout time.Duration `toml:"header_timeout"`

	// Stall is how long the body may give no byte.
	Stall time.Duration `toml:"stall"`

	// Whole bounds one attempt from its beginning to the last byte of the body.
	Whole time.Duration `toml:"whole"`

	// Attempts of one call, the first included. 1 to 10.
	Attempts int `toml:"attempts"`

	// BackoffMin and BackoffMax bound the wait before attempt n+1: a random time
	// up to min(BackoffMax, BackoffMin * 2^n). A Retry-After up to BackoffMax is
	// followed.
	BackoffMin time.Duration `toml:"backoff_min"`
	BackoffMax time.Duration `toml:"backoff_max"`

	// Connections to one server at once, and IdleConnections kept open over all.
	Connections     int `toml:"connections"`
	IdleConnections int `toml:"idle_connections"`

	// HeaderBytesMax bounds the head of an answer.
	HeaderBytesMax int64 `toml:"header_bytes_max"`

	// BytesMax bounds an object. An object whose length or version the server
	// does not tell is held in memory up to it.
	BytesMax int64 `toml:"bytes_max"`

	// UserAgent of requests.
	UserAgent string `toml:"user_agent"`

	// Resolver looks names up; nil is the system's. RootCAs sign servers'
	// certificates; nil are the system's.
	Resolver *net.Resolver  `toml:"-"`
	RootCAs  *x509.CertPool `toml:"-"`

	// OnRetry, when set, hears of each attempt that failed and will be made
	// again. It is called by the goroutine of the call and must not block.
	OnRetry func(op string, attempt int, err error) `toml:"-"`
}

const (
	attemptsMax       = 10
	headerBytesMaxMin = 1 << 10
	redirectsMax      = 3
)

// Default is a Config that lacks only bases or hosts.
func Default() Config {
	return Config{
		Ports:           []int{80, 443},
		Schemes:         []string{"http", "https"},
		DialTimeout:     3 * time.Second,
		TLSTimeout:      5 * time.Second,
		HeaderTimeout:   10 * time.Second,
		Stall:           10 * time.Second,
		Whole:           60 * time.Second,
		Attempts:        3,
		BackoffMin:      100 * time.Millisecond,
		BackoffMax:      2 * time.Second,
		Connections:     32,
		IdleConnections: 64,
		HeaderBytesMax:  64 << 10,
		BytesMax:        64 << 20,
		UserAgent:       "kamado",
	}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Bases) > 0 || c.URLKeys, "bases: want at least one, or url_keys")
	check(!c.URLKeys || len(c.Hosts) > 0, "allow_hosts: want at least one with url_keys")
	for _, b := range c.Bases {
		_, err := parseBase(b)
		check(err == nil, "bases: %w", err)
	}
	for _, h := range c.Hosts {
		_, err := parsePattern(h)
		check(err == nil, "allow_hosts: %w", err)
	}
	for _, p := range c.Ports {
		check(p >= 1 && p <= 65535, "allow_ports: %d is no port", p)
	}
	for _, s := range c.Schemes {
		check(s == "http" || s == "https", "allow_schemes: %q: want http or https", s)
	}
	check(len(c.Schemes) > 0, "allow_schemes: want http, https or both")
	_, err := parseNetworks(c.AllowNetworks)
	check(err == nil, "allow_networks: %w", err)
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"dial_timeout", c.DialTimeout}, {"tls_timeout", c.TLSTimeout}, {"header_timeout", c.HeaderTimeout}, {"stall", c.Stall}, {"whole", c.Whole}} {
		check(d.d > 0, "%s %v: want more than 0", d.name, d.d)
	}
	check(c.Attempts >= 1 && c.Attempts <= attemptsMax, "attempts %d: want 1 to %d", c.Attempts, attemptsMax)
	check(c.BackoffMin > 0 && c.BackoffMax >= c.BackoffMin, "backoff_min %v, backoff_max %v: want 0 < min <= max", c.BackoffMin, c.BackoffMax)
	check(c.Connections > 0, "connections %d: want at least 1", c.Connections)
	check(c.IdleConnections > 0, "idle_connections %d: want at least 1", c.IdleConnections)
	check(c.HeaderBytesMax >= headerBytesMaxMin, "header_bytes_max %d: want at least %d", c.HeaderBytesMax, headerBytesMaxMin)
	check(c.BytesMax > 0, "bytes_max %d: want more than 0", c.BytesMax)
	check(!strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < 0x20 || r >= 0x7f }), "user_agent: want printable ASCII")
	return errors.Join(errs...)
}

// parseBase reads a base. Its path ends in "/" afterwards.
func parseBase(text string) (*address, error) {
	a, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	if a.url.RawQuery != "" || a.url.ForceQuery {
		return nil, fmt.Errorf("%q has a query; keys are joined to a path", text)
	}
	if !strings.HasSuffix(a.url.Path, "/") {
		escaped := a.url.EscapedPath()
		a.url.Path, a.url.RawPath = a.url.Path+"/", escaped+"/"
	}
	return a, nil
}

// pattern is one entry of Hosts.
type pattern struct {
	host string // "a.b"; ".a.b" for names below a.b; "*" for every name
	port uint16 // 0: Config.Ports
}

func parsePattern(text string) (pattern, error) {
	bad := fmt.Errorf("%q: want a host name in lower case, \"*.\" and a name, or \"*\", and perhaps \":\" and a port", text)
	host, port := text, uint16(0)
	if h, p, ok := cutPort(text); ok {
		n, err := parsePort(p)
		if err != nil {
			return pattern{}, bad
		}
		host, port = h, n
	}
	if host == "*" {
		return pattern{host, port}, nil
	}
	name, below := strings.CutPrefix(host, "*.")
	if err := checkHost(name); err != nil || below && isAddress(name) {
		return pattern{}, bad
	}
	if below {
		return pattern{"." + name, port}, nil
	}
	return pattern{name, port}, nil
}

func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		if err != nil {
			a, aerr := netip.ParseAddr(t)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%q: want a prefix of addresses, as 10.1.0.0/16", t)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("%q has bits set behind its length: %s is meant", t, p.Masked())
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// allowList is who may be asked.
type allowList struct {
	bases    []*address
	patterns []pattern
	ports    []int
	schemes  []string
}

// check says why an address may not be asked. from is what redirects there; nil: it
// is a key. The host of a base may lie inside, and its other paths are nobody's
// business.
func (l *allowList) check(from *url.URL, a *address) error {
	for _, b := range l.bases {
		if sameServer(a.url, b.url) && (from != nil && sameServer(from, b.url) || strings.HasPrefix(a.url.EscapedPath(), b.url.EscapedPath())) {
			return nil
		}
	}
	if !slices.Contains(l.schemes, a.url.Scheme) {
		return fmt.Errorf("%w: scheme %s", ErrRefused, a.url.Scheme)
	}
	listed := false
	for _, p := range l.patterns {
		if !p.matches(a.host) {
			continue
		}
		listed = true
		if p.port == a.port || p.port == 0 && slices.Contains(l.ports, int(a.port)) {
			return nil
		}
	}
	if listed {
		return fmt.Errorf("%w: port %d of host %s", ErrRefused, a.port, a.host)
	}
	return fmt.Errorf("%w: host %s is not listed", ErrRefused, a.host)
}

// sameServer compares what is in front of the path. Both have their one spelling,
// but for a port that need not be said.
func sameServer(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

func (p pattern) matches(host string) bool {
	switch {
	case p.host == "*":
		return !isAddress(host)
	case p.host[0] == '.':
		return strings.HasSuffix(host, p.host) && len(host) > len(p.host)
	}
	return host == p.host
}

// allPorts are the ports that a connection may go to at all.
func (l *allowList) allPorts() map[uint16]bool {
	all := map[uint16]bool{}
	for _, b := range l.bases {
		all[b.port] = true
	}
	for _, p := range l.ports {
		all[uint16(p)] = true
	}
	for _, p := range l.patterns {
		if p.port != 0 {
			all[p.port] = true
		}
	}
	return all
}

// ErrRefused: a URL, or the address it leads to, may not be asked. It comes with
// blob.ErrInvalidKey when the key says so, and with blob.ErrDenied when DNS or a
// redirect does.
var ErrRefused = errors.New("address is not allowed")

func newAllowList(c Config) (*allowList, error) {
	l := &allowList{ports: c.Ports, schemes: c.Schemes}
	for _, b := range c.Bases {
		a, err := parseBase(b)
		if err != nil {
			return nil, err
		}
		l.bases = append(l.bases, a)
	}
	for _, h := range c.Hosts {
		p, err := parsePattern(h)
		if err != nil {
			return nil, err
		}
		l.patterns = append(l.patterns, p)
	}
	return l, nil
}

// targets are the URLs to ask for a key, in turn.
func (l *allowList) targets(key string, urlKeys bool) ([]*url.URL, error) {
	if IsURL(key) {
		if !urlKeys {
			return nil, fmt.Errorf("%w: a URL is no key here", blob.ErrInvalidKey)
		}
		a, err := parseURL(key)
		if err == nil {
			err = l.check(nil, a)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", blob.ErrInvalidKey, err)
		}
		return []*url.URL{a.url}, nil
	}
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if len(l.bases) == 0 {
		return nil, fmt.Errorf("%w: only whole URLs are keys here", blob.ErrInvalidKey)
	}
	targets := make([]*url.URL, len(l.bases))
	for i, b := range l.bases {
		targets[i] = join(b.url, key)
	}
	return targets, nil
}
