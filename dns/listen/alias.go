package listen

import (
	"context"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

// udpBytesLeast is what every client takes over UDP (RFC 1035 4.2.1).
const udpBytesLeast = 512

// completer answers questions whose answer ends in an alias to a name of others:
// a stub resolver follows no alias, so what it leads to is asked of the
// forwarder and put behind it.
type completer struct{ forward Handler }

// Serve implements Handler.
func (c completer) Serve(ctx context.Context, r Request, write func([]byte) error) error {
	m, err := message.Decode(r.begun)
	if err != nil {
		return err
	}
	question, ok := follow(m)
	if !ok {
		return write(r.begun)
	}
	packet, err := question.Encode(message.BytesMax)
	if err != nil {
		return err
	}
	var rest *message.Message
	// As over TCP, because only the whole answer knows whether it fits.
	err = c.forward.Serve(ctx, Request{Packet: packet, Client: r.Client, Server: r.Server, Transport: TCP}, func(b []byte) error {
		var err error
		rest, err = message.Decode(b)
		return err
	})
	const serverFailure = 2
	m.Rcode, m.RecursionAvailable = serverFailure, true
	if err == nil && rest != nil {
		m.Rcode = rest.Rcode
		m.Answer = append(m.Answer, rest.Answer...)
		m.Authority, m.Additional = rest.Authority, nil
	}
	b, err := m.Encode(sizeFor(r, m))
	if err != nil {
		return err
	}
	return write(b)
}

// follow makes the question for what the last alias of an answer leads to.
func follow(m *message.Message) (*message.Message, bool) {
	if len(m.Answer) == 0 || len(m.Question) != 1 {
		return nil, false
	}
	last := m.Answer[len(m.Answer)-1]
	target, _, err := dns.NameFromWire(last.Data)
	if last.Type != dns.TypeCNAME || err != nil {
		return nil, false
	}
	q := &message.Message{ID: m.ID, RecursionDesired: true, Question: []message.Question{{Name: target, Type: m.Question[0].Type, Class: m.Question[0].Class}}}
	if m.EDNS != nil {
		q.EDNS = &message.EDNS{UDPBytes: m.EDNS.UDPBytes, DO: m.EDNS.DO}
	}
	return q, true
}

// sizeFor is how long the answer may be: over UDP what the client takes, and we give.
func sizeFor(r Request, m *message.Message) int {
	if r.Transport.Stream() {
		return message.BytesMax
	}
	q, err := message.Decode(r.Packet)
	if err != nil || q.EDNS == nil || m.EDNS == nil {
		return udpBytesLeast
	}
	return max(udpBytesLeast, int(min(q.EDNS.UDPBytes, m.EDNS.UDPBytes)))
}
