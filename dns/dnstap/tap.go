package dnstap

import (
	"time"

	"github.com/kamado/kamado/dns/forward"
	"github.com/kamado/kamado/dns/listen"
)

// The opcode of RFC 2136, in the third byte of a message.
const (
	opcodeMask   = 0xf << 3
	opcodeUpdate = 5 << 3
)

var transports = map[listen.Transport]Protocol{listen.UDP: UDP, listen.TCP: TCP, listen.TLS: TLS, listen.HTTPS: HTTPS}

// Tap implements listen.Tap: it tells of a client's query and of the response, if there was one.
func (w *Writer) Tap(r listen.Request, response []byte, start, end time.Time) {
	m := Message{Kind: ClientQuery, Protocol: transports[r.Transport], From: r.Client, To: r.Server, Query: r.Packet, Asked: start}
	answered := ClientResponse
	if len(r.Packet) > 2 && r.Packet[2]&opcodeMask == opcodeUpdate {
		m.Kind, answered = UpdateQuery, UpdateResponse
	}
	w.Tell(&m)
	if len(response) > 0 {
		m.Kind, m.Query, m.Response, m.Responded = answered, nil, response, end
		w.Tell(&m)
	}
}

var protocols = map[forward.Protocol]Protocol{forward.OverUDP: UDP, forward.OverTCP: TCP, forward.OverTLS: TLS}

// Forwarded tells of what a forwarder sent, or of what it heard; it is its Tap.
func (w *Writer) Forwarded(x forward.Exchange) {
	m := Message{Kind: ForwarderQuery, Protocol: protocols[x.Over], From: x.Local, To: x.Server, Asked: x.Sent}
	if x.Reply == nil {
		m.Query = x.Query
	} else {
		m.Kind, m.Response, m.Responded = ForwarderResponse, x.Reply, x.Heard
	}
	w.Tell(&m)
}
