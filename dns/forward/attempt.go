package forward

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"
)

// The outcomes of an attempt, as metrics name them.
const (
	outcomeAnswered  = "answered"
	outcomeFailed    = "failed"   // SERVFAIL
	outcomeDeclined  = "declined" // REFUSED and the like, or a referral
	outcomeTimeout   = "timeout"
	outcomeNetwork   = "unreachable" // refused connections, failed handshakes
	outcomeGarbage   = "garbage"
	outcomeAbandoned = "abandoned" // another attempt was quicker
)

// attempt asks one server once: over UDP, and over TCP when the answer was cut or
// smells; or over TLS. It notes how the server did.
func (f *Forwarder) attempt(ctx context.Context, s *server, q *asked) (*entry, error) {
	try, cancel := context.WithTimeout(ctx, f.cfg.TryTimeout)
	defer cancel()
	start := time.Now()
	e, err := f.ask(try, s, q)
	outcome := outcomeOf(err)
	took := time.Since(start)
	if errors.Is(ctx.Err(), context.Canceled) && err != nil {
		outcome = outcomeAbandoned
	}
	switch outcome {
	case outcomeAbandoned:
		s.slow(took)
	case outcomeDeclined:
		s.declined(f.now())
	case outcomeAnswered, outcomeFailed:
		s.succeeded(took)
		f.metrics.seconds.WithLabelValues(s.label).Observe(took.Seconds())
	default:
		s.failed(f.now())
	}
	f.metrics.attempts.WithLabelValues(s.label, outcome).Inc()
	return e, err
}

func outcomeOf(err error) string {
	var timeout net.Error
	switch {
	case err == nil:
		return outcomeAnswered
	case errors.Is(err, errServer):
		return outcomeFailed
	case errors.Is(err, errDeclined), errors.Is(err, errLame):
		return outcomeDeclined
	case errors.Is(err, errGarbage):
		return outcomeGarbage
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return outcomeTimeout
	}
	return outcomeNetwork
}

func (f *Forwarder) ask(ctx context.Context, s *server, q *asked) (*entry, error) {
	if s.TLS {
		return f.askStream(ctx, s, q, OverTLS)
	}
	e, err := f.askUDP(ctx, s, q)
	switch {
	case errors.Is(err, errCut):
		return f.askStream(ctx, s, q, OverTCP)
	case errors.Is(err, errSpelling), errors.Is(err, errFlood):
		// A server that does not keep the spelling, or somebody who guesses: TCP needs no such proof.
		return f.askStream(ctx, s, q, OverTCP)
	}
	return e, err
}

var (
	errCut   = errors.New("the reply was cut")
	errFlood = errors.New("many packets that are no reply")
)

// strangersMax is the number of packets on one socket that are no reply, after which it is left: each is a guess.
const strangersMax = 8

// askUDP asks from a fresh socket, so that its port is another random number to guess (RFC 5452 9.2).
func (f *Forwarder) askUDP(ctx context.Context, s *server, q *asked) (*entry, error) {
	select {
	case f.sockets <- struct{}{}:
		defer func() { <-f.sockets }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.Addr)) // connected: the kernel drops what others send
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	query := makeQuery(q, true, false)
	sent := f.now()
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	f.tapped(Exchange{Server: s.Addr, Local: localOf(conn), Over: OverUDP, Query: query, Sent: sent})
	packet := make([]byte, 4096)
	for strangers := 0; strangers < strangersMax; {
		n, err := conn.Read(packet)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, err
		}
		ours, err := matches(packet[:n], query)
		if err != nil {
			f.metrics.rejected.WithLabelValues("spelling").Inc()
			return nil, err
		}
		if !ours {
			strangers++
			f.metrics.rejected.WithLabelValues("stranger").Inc()
			continue
		}
		f.tapped(Exchange{Server: s.Addr, Local: localOf(conn), Over: OverUDP, Query: query, Reply: packet[:n], Sent: sent, Heard: f.now()})
		if binary.BigEndian.Uint16(packet[2:])&flagTC != 0 {
			return nil, errCut
		}
		return read(packet[:n], q, s.trusted)
	}
	return nil, errFlood
}

func localOf(conn *net.UDPConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// askStream asks over the server's connection.
func (f *Forwarder) askStream(ctx context.Context, s *server, q *asked, over Protocol) (*entry, error) {
	sent := f.now()
	packet, query, err := s.pipe.exchange(ctx, makeQuery(q, false, over == OverTLS))
	if err != nil {
		return nil, err
	}
	f.tapped(Exchange{Server: s.Addr, Over: over, Query: query, Sent: sent})
	ours, err := matches(packet, query)
	if !ours && !errors.Is(err, errSpelling) { // over a connection a lower-case spelling of our lower case is fine
		f.metrics.rejected.WithLabelValues("stranger").Inc()
		return nil, errGarbage
	}
	f.tapped(Exchange{Server: s.Addr, Over: over, Query: query, Reply: packet, Sent: sent, Heard: f.now()})
	if binary.BigEndian.Uint16(packet[2:])&flagTC != 0 {
		return nil, errGarbage
	}
	return read(packet, q, s.trusted)
}

func (f *Forwarder) tapped(x Exchange) {
	if f.tap != nil {
		f.tap(x)
	}
}

// paddedTo is the block that queries over TLS fill, so that their length tells less (RFC 8467 4.1).
const paddedTo = 128

// makeQuery writes a query with a random id, and a name in random case if it is to be spelled so (draft-vixie-dnsext-dns0x20).
func makeQuery(q *asked, spell, pad bool) []byte {
	out := make([]byte, 0, paddedTo)
	out = binary.BigEndian.AppendUint16(out, randomID())
	flags := uint16(flagRD | flagAD)
	if q.bits&keyCD != 0 {
		flags |= flagCD
	}
	out = binary.BigEndian.AppendUint16(out, flags)
	out = append(out, 0, 1, 0, 0, 0, 0, 0, 1)
	begin := len(out)
	out = append(out, q.name...)
	if spell {
		spellRandomly(out[begin:])
	}
	out = binary.BigEndian.AppendUint16(out, uint16(q.typ))
	out = append(out, 0, classIN)
	out = appendOPT(out, q.do(), 0, errorNone, "")
	if n := (paddedTo - (len(out)+4)%paddedTo) % paddedTo; pad {
		binary.BigEndian.PutUint16(out[len(out)-2:], uint16(4+n))
		out = binary.BigEndian.AppendUint16(out, optionPadding)
		out = binary.BigEndian.AppendUint16(out, uint16(n))
		out = append(out, make([]byte, n)...)
	}
	return out
}

// spellRandomly flips a coin for each letter of a wire name in lower case. Length bytes are below the letters.
func spellRandomly(name []byte) {
	coins := make([]byte, (len(name)+7)/8)
	rand.Read(coins)
	for i, c := range name {
		if c >= 'a' && c <= 'z' && coins[i/8]>>(i%8)&1 == 1 {
			name[i] = c - 'a' + 'A'
		}
	}
}
