package forward

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Spec is a server as it is written.
type Spec struct {
	Addr netip.AddrPort
	TLS  bool
	// Name that its certificate must have; empty: its address.
	Name string
	// Pin is the SHA-256 of the public key that it must have (RFC 7858 4.2), instead of a name that somebody vouches for.
	Pin []byte
}

// ParseServer reads "192.0.2.1", "192.0.2.1:53", "[2001:db8::1]:53", and over TLS
// "tls://192.0.2.1", "tls://192.0.2.1:853#dns.example" (the name in its certificate) or
// "tls://192.0.2.1#pin=BASE64". A server has an address, since a name could not be
// asked for before the server is reached.
func ParseServer(text string) (Spec, error) {
	var s Spec
	rest, port := text, uint16(53)
	if after, ok := strings.CutPrefix(text, "tls://"); ok {
		s.TLS, port = true, 853
		var who string
		rest, who, _ = strings.Cut(after, "#")
		pin, ok := strings.CutPrefix(who, "pin=")
		if !ok {
			s.Name = strings.TrimSuffix(who, ".")
		} else if sum, err := base64.StdEncoding.DecodeString(pin); err != nil || len(sum) != sha256.Size {
			return Spec{}, fmt.Errorf("forwarder %q: the pin is no base64 of a SHA-256", text)
		} else {
			s.Pin = sum
		}
	}
	addr, err := netip.ParseAddrPort(rest)
	if err != nil {
		bare, e := netip.ParseAddr(strings.Trim(rest, "[]"))
		if e != nil {
			return Spec{}, fmt.Errorf("forwarder %q: want an address and a port, like 192.0.2.1:53 or tls://192.0.2.1:853#name", text)
		}
		addr = netip.AddrPortFrom(bare, port)
	}
	if addr.Port() == 0 {
		return Spec{}, fmt.Errorf("forwarder %q: port 0", text)
	}
	s.Addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return s, nil
}

// server is one upstream and what is remembered of it.
type server struct {
	Spec
	pipe    *pipe // TCP or TLS
	label   string
	trusted bool // its AD bit: nobody on the way could have set it

	mu    sync.Mutex
	rtt   time.Duration // smoothed; 0: not known, so that it is tried
	fails int           // in a row
	until time.Time     // it is asked last until then
}

func newServer(text string, cfg *Config, roots *x509.CertPool, f *Forwarder) (*server, error) {
	spec, err := ParseServer(text)
	if err != nil {
		return nil, err
	}
	s := &server{Spec: spec, label: text, trusted: spec.TLS || spec.Addr.Addr().IsLoopback()}
	s.pipe = &pipe{addr: spec.Addr, idle: cfg.StreamIdle, forwarder: f, turn: make(chan struct{}, 1)}
	if spec.TLS {
		s.pipe.tls = spec.tlsConfig(roots)
	}
	return s, nil
}

// sessionsMax bounds the TLS sessions of one server that can be resumed.
const sessionsMax = 8

func (s Spec) tlsConfig(roots *x509.CertPool) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"dot"}, RootCAs: roots, ServerName: s.Name,
		ClientSessionCache: tls.NewLRUClientSessionCache(sessionsMax),
	}
	if cfg.ServerName == "" {
		cfg.ServerName = s.Addr.Addr().String()
	}
	if s.Pin != nil {
		cfg.InsecureSkipVerify = true // the pin is verified in its place, also when a session is resumed
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("a server without a certificate")
			}
			sum := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if subtle.ConstantTimeCompare(sum[:], s.Pin) != 1 {
				return errors.New("the server's key is not the pinned one")
			}
			return nil
		}
	}
	return cfg
}

// Bounds of what is remembered of servers.
const (
	rttFirst    = 50 * time.Millisecond // taken for a server that never answered, in the time of hedges
	penaltyMin  = time.Second
	penaltyMax  = 30 * time.Second
	hedgeMin    = 40 * time.Millisecond
	declinesMax = 3 // in a row, until a server is asked last
	hedgeFactor = 4 // of the smoothed round trip
)

// succeeded notes an answer and its round trip.
func (s *server) succeeded(rtt time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.until = 0, time.Time{}
	if s.rtt == 0 {
		s.rtt = max(rtt, 1)
	} else { // RFC 6298 2.3: an eighth of what is new
		s.rtt += (rtt - s.rtt) / 8
	}
}

// failed notes that nothing came: the server is asked after the others, for longer each time.
func (s *server) failed(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails++
	s.until = now.Add(min(penaltyMax, penaltyMin<<min(s.fails-1, 10)))
}

// slow notes that another server was quicker, after this one had had the time took.
func (s *server) slow(took time.Duration) {
	s.mu.Lock()
	s.rtt = max(s.rtt, took)
	s.mu.Unlock()
}

// declined notes a refusal. One may be about the name; a server that refuses all is asked last.
func (s *server) declined(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails++; s.fails >= declinesMax {
		s.until = now.Add(penaltyMax)
	}
}

// decay makes a server that was not chosen look a little better, so that it is tried again some day.
func (s *server) decay() {
	s.mu.Lock()
	s.rtt -= s.rtt / 50
	s.mu.Unlock()
}

// rank gives what servers are ordered by.
func (s *server) rank(now time.Time) (punished bool, rtt time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until), s.rtt
}

// hedge is how long to wait for the server before the next is asked, too.
func (s *server) hedge(try time.Duration) time.Duration {
	_, rtt := s.rank(time.Time{})
	if rtt == 0 {
		rtt = rttFirst
	}
	return min(max(hedgeMin, hedgeFactor*rtt), try)
}

// order gives the servers as they are to be asked: those in good standing first, the quickest first.
func (f *Forwarder) order(now time.Time) []*server {
	type ranked struct {
		*server
		punished bool
		rtt      time.Duration
	}
	list := make([]ranked, len(f.servers))
	for i, s := range f.servers {
		p, rtt := s.rank(now)
		list[i] = ranked{s, p, rtt}
	}
	slices.SortStableFunc(list, func(a, b ranked) int {
		switch {
		case a.punished != b.punished && a.punished, a.punished == b.punished && a.rtt > b.rtt:
			return 1
		case a.punished != b.punished, a.rtt < b.rtt:
			return -1
		}
		return 0
	})
	out := make([]*server, len(list))
	for i, r := range list {
		out[i] = r.server
	}
	return out
}
