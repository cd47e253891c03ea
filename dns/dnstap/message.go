package dnstap

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Kind is what a message is (dnstap.proto, Message.Type).
type Kind uint8

// The kinds that this program tells of.
const (
	ClientQuery       Kind = 5
	ClientResponse    Kind = 6
	ForwarderQuery    Kind = 7
	ForwarderResponse Kind = 8
	UpdateQuery       Kind = 13
	UpdateResponse    Kind = 14
)

// Protocol is what a message travelled over (dnstap.proto, SocketProtocol).
type Protocol uint8

// The protocols.
const (
	UDP   Protocol = 1
	TCP   Protocol = 2
	TLS   Protocol = 3
	HTTPS Protocol = 4
)

// Message is one query or response. Fields that are zero are left out.
type Message struct {
	Kind     Kind
	Protocol Protocol
	// From is who asked, To whom: of a response, too.
	From, To  netip.AddrPort
	Query     []byte
	Asked     time.Time
	Response  []byte
	Responded time.Time
}

// Numbers of fields with their wire type: tag = number<<3 | type (protobuf encoding, "Message Structure").
const (
	tagIdentity = 1<<3 | 2 // of Dnstap
	tagVersion  = 2<<3 | 2
	tagMessage  = 14<<3 | 2
	tagType     = 15 << 3

	tagKind          = 1 << 3 // of Message
	tagFamily        = 2 << 3
	tagProtocol      = 3 << 3
	tagFromAddr      = 4<<3 | 2
	tagToAddr        = 5<<3 | 2
	tagFromPort      = 6 << 3
	tagToPort        = 7 << 3
	tagAskedSec      = 8 << 3
	tagAskedNsec     = 9<<3 | 5
	tagQuery         = 10<<3 | 2
	tagRespondedSec  = 12 << 3
	tagRespondedNsec = 13<<3 | 5
	tagResponse      = 14<<3 | 2

	typeMessage = 1 // Dnstap.Type
)

func appendNumber(b []byte, tag, n uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, tag), n)
}

func appendBytes(b []byte, tag uint64, data []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, tag), uint64(len(data)))
	return append(b, data...)
}

func appendTime(b []byte, sec, nsec uint64, t time.Time) []byte {
	b = appendNumber(b, sec, uint64(t.Unix()))
	b = binary.AppendUvarint(b, nsec)
	return binary.LittleEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// lengthBytes is the room that is left for the length of the inner message: enough
// for a message of 2 MiB, written with leading zeros if it is less.
const lengthBytes = 3

// append encodes the message with what heads every one.
func (m *Message) append(b, head []byte) []byte {
	b = append(b, head...)
	b = appendNumber(b, tagType, typeMessage)
	b = binary.AppendUvarint(b, tagMessage)
	at := len(b)
	b = append(b, make([]byte, lengthBytes)...)
	b = m.appendFields(b)
	n := len(b) - at - lengthBytes
	b[at], b[at+1], b[at+2] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)
	return b
}

func (m *Message) appendFields(b []byte) []byte {
	b = appendNumber(b, tagKind, uint64(m.Kind))
	family := uint64(1) // INET
	if m.From.Addr().Is6() && !m.From.Addr().Is4In6() {
		family = 2 // INET6
	}
	b = appendNumber(b, tagFamily, family)
	b = appendNumber(b, tagProtocol, uint64(m.Protocol))
	b = appendAddr(b, tagFromAddr, tagFromPort, m.From)
	b = appendAddr(b, tagToAddr, tagToPort, m.To)
	if !m.Asked.IsZero() {
		b = appendTime(b, tagAskedSec, tagAskedNsec, m.Asked)
	}
	if m.Query != nil {
		b = appendBytes(b, tagQuery, m.Query)
	}
	if !m.Responded.IsZero() {
		b = appendTime(b, tagRespondedSec, tagRespondedNsec, m.Responded)
	}
	if m.Response != nil {
		b = appendBytes(b, tagResponse, m.Response)
	}
	return b
}

func appendAddr(b []byte, addrTag, portTag uint64, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return b
	}
	if ip := a.Addr().Unmap(); ip.Is4() {
		four := ip.As4()
		b = appendBytes(b, addrTag, four[:])
	} else {
		sixteen := ip.As16()
		b = appendBytes(b, addrTag, sixteen[:])
	}
	return appendNumber(b, portTag, uint64(a.Port()))
}
