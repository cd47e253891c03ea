package message

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// fudge is how far the clocks of two ends may differ, in seconds, in what we sign (RFC 8945 10).
const fudge = 300

// tsigMin is the least part of a MAC, in bytes (RFC 8945 5.2.2.1).
const tsigMin = 10

// Request is a message of a client, and what its signature says.
type Request struct {
	Message
	// Key that signed the message; nil: it is not signed, or wrongly.
	Key *Key

	fault    Rcode    // of the signature: BADSIG, BADKEY, BADTIME, BADTRUNC; 0: none
	tsig     *signing // nil: unsigned
	key      *Key     // that answers are signed with; also when the time is wrong
	received time.Time
	mac      []byte // of the message before the one that is sealed next
	sealed   int    // answers so far
}

// signing is the content of a TSIG record (RFC 8945 4.2).
type signing struct {
	key, algorithm dns.Name
	time           uint64 // seconds, 48 bits
	fudge          uint16
	mac            []byte
	id             uint16
	err            Rcode
	other          []byte
}

// Open reads a request and judges its signature in the order of RFC 8945 5.2: key,
// MAC, time, each of which is worth nothing when the one before fails. An error means that it cannot be
// read, which Failure answers; a signature that does not hold is no error but a Fault.
func (k Keys) Open(packet []byte, now time.Time) (*Request, error) {
	m, record, err := decode(packet)
	if err != nil {
		return nil, err
	}
	r := &Request{Message: *m, received: now}
	if record == nil {
		return r, nil
	}
	if r.tsig, err = fromTSIG(record); err != nil {
		return nil, err
	}
	key, ok := k[r.tsig.key]
	if !ok || key.Algorithm != r.tsig.algorithm {
		r.fault = BadKey
		return r, nil
	}
	last, err := lastRecord(packet)
	if err != nil {
		return nil, err
	}
	size := algorithms[key.Algorithm]().Size()
	if n := len(r.tsig.mac); n > size || n < max(tsigMin, size/2) {
		return nil, fmt.Errorf("a MAC of %d bytes", n)
	} else if n < size {
		r.fault = BadTrunc
		return r, nil
	}
	if !hmac.Equal(r.tsig.sum(key, nil, unsigned(packet[:last], r.tsig.id), false), r.tsig.mac) {
		r.fault = BadSig
		return r, nil
	}
	r.key, r.mac = &key, r.tsig.mac
	if off := now.Sub(time.Unix(int64(r.tsig.time), 0)).Abs(); off > time.Duration(r.tsig.fudge)*time.Second {
		r.fault = BadTime
		return r, nil
	}
	r.Key = &key
	return r, nil
}

func fromTSIG(record *miekg.TSIG) (*signing, error) {
	key, err := dns.ParseName(record.Hdr.Name)
	if err != nil {
		return nil, err
	}
	algorithm, err := dns.ParseName(record.Algorithm)
	if err != nil {
		return nil, err
	}
	return &signing{
		key: key, algorithm: algorithm, time: record.TimeSigned, fudge: record.Fudge, mac: unhex(record.MAC),
		id: record.OrigId, err: Rcode(record.Error), other: unhex(record.OtherData),
	}, nil
}

// unsigned is the message as it was before the TSIG record was added.
func unsigned(packet []byte, id uint16) []byte {
	out := append([]byte(nil), packet...)
	binary.BigEndian.PutUint16(out, id)
	binary.BigEndian.PutUint16(out[10:], binary.BigEndian.Uint16(out[10:])-1)
	return out
}

// sum is the MAC over a message without its TSIG record (RFC 8945 4.3). Before is
// the MAC of the request, or of the message before in a stream, whose messages
// after the first one are signed with the time alone.
func (s *signing) sum(key Key, before, packet []byte, timeOnly bool) []byte {
	mac := hmac.New(algorithms[key.Algorithm], key.Secret)
	if before != nil {
		mac.Write(binary.BigEndian.AppendUint16(nil, uint16(len(before))))
		mac.Write(before)
	}
	mac.Write(packet)
	var b []byte
	if !timeOnly {
		b = s.key.AppendWire(b)
		b = binary.BigEndian.AppendUint16(b, ClassAny)
		b = binary.BigEndian.AppendUint32(b, 0) // TTL
		b = s.algorithm.AppendWire(b)
	}
	b = s.appendTime(b)
	if !timeOnly {
		b = binary.BigEndian.AppendUint16(b, uint16(s.err))
		b = binary.BigEndian.AppendUint16(b, uint16(len(s.other)))
		b = append(b, s.other...)
	}
	mac.Write(b)
	return mac.Sum(nil)
}

func (s *signing) appendTime(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(s.time>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(s.time))
	return binary.BigEndian.AppendUint16(b, s.fudge)
}

// appendRecord writes the TSIG record behind a message, and counts it there.
func (s *signing) appendRecord(packet []byte) []byte {
	binary.BigEndian.PutUint16(packet[10:], binary.BigEndian.Uint16(packet[10:])+1)
	packet = s.key.AppendWire(packet)
	packet = binary.BigEndian.AppendUint16(packet, uint16(dns.TypeTSIG))
	packet = binary.BigEndian.AppendUint16(packet, ClassAny)
	packet = binary.BigEndian.AppendUint32(packet, 0)
	at := len(packet)
	packet = append(packet, 0, 0)
	packet = s.algorithm.AppendWire(packet)
	packet = s.appendTime(packet)
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(s.mac)))
	packet = append(packet, s.mac...)
	packet = binary.BigEndian.AppendUint16(packet, s.id)
	packet = binary.BigEndian.AppendUint16(packet, uint16(s.err))
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(s.other)))
	packet = append(packet, s.other...)
	binary.BigEndian.PutUint16(packet[at:], uint16(len(packet)-at-2))
	return packet
}

// size is the length of the record, with a MAC of n bytes.
func (s *signing) size(n int) int {
	return s.key.WireLen() + 10 + s.algorithm.WireLen() + 16 + n + len(s.other)
}

// Fault is what is wrong with the signature; 0: nothing. A faulty request is answered by Seal of Reply(NotAuth) and by nothing else.
func (r *Request) Fault() Rcode { return r.fault }

// Seal writes an answer to the request, signed if the request is. Messages of a
// stream are sealed in order. One that would have more than bytesMax bytes is truncated, as Encode does.
func (r *Request) Seal(m *Message, now time.Time, bytesMax int) ([]byte, error) {
	if r.tsig == nil {
		return m.Encode(bytesMax)
	}
	s := &signing{key: r.tsig.key, algorithm: r.tsig.algorithm, time: uint64(now.Unix()), fudge: fudge, id: m.ID, err: r.fault}
	if r.fault != 0 {
		s.time, s.fudge = r.tsig.time, r.tsig.fudge // RFC 8945 5.2.3: BADTIME is answered with the client's own time
	}
	if r.fault == BadTime {
		clock := uint64(r.received.Unix())
		s.other = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, uint16(clock>>32)), uint32(clock))
	}
	macSize := 0
	if r.key != nil {
		macSize = algorithms[r.key.Algorithm]().Size()
	}
	bytesMax = min(bytesMax, BytesMax) - s.size(macSize)
	if bytesMax < 12 {
		return nil, errors.New("no room for a signature")
	}
	packet, err := m.Encode(bytesMax)
	if err != nil {
		return nil, err
	}
	return r.sign(s, packet), nil
}

// SignedBytes is the most that a signature adds to an answer to this request.
func (r *Request) SignedBytes() int {
	if r.tsig == nil {
		return 0
	}
	return r.tsig.size(64) + 6
}

// The sizes of answers over UDP: what every client takes (RFC 1035 4.2.1), and the most that we send (DNS flag day 2020).
const (
	udpBytesLeast = 512
	udpBytesMost  = 1232
)

// BytesMax is the size of the largest answer to the request, over a stream or in a datagram.
func (r *Request) BytesMax(stream bool) int {
	switch {
	case stream:
		return BytesMax
	case r.EDNS == nil:
		return udpBytesLeast
	}
	return min(max(int(r.EDNS.UDPBytes), udpBytesLeast), udpBytesMost)
}

// Unsigned is the packet of the request, which Open read, without its signature.
func (r *Request) Unsigned(packet []byte) []byte {
	last, err := lastRecord(packet)
	if r.tsig == nil || err != nil {
		return packet
	}
	out := unsigned(packet[:last], r.ID)
	return out
}

// SealPacket signs an answer that somebody else wrote, if the request is signed; the answer's memory is used.
func (r *Request) SealPacket(answer []byte, now time.Time, bytesMax int) ([]byte, error) {
	if r.tsig == nil || len(answer) < 12 {
		return answer, nil
	}
	if r.key == nil || r.fault != 0 || len(answer)+r.SignedBytes() > bytesMax {
		m := r.Reply(Rcode(answer[3] & rcodeMask))
		m.Truncated = true
		return r.Seal(m, now, bytesMax)
	}
	return r.sign(&signing{key: r.tsig.key, algorithm: r.tsig.algorithm, time: uint64(now.Unix()), fudge: fudge, id: r.ID}, answer), nil
}

// sign adds a signature that continues the exchange.
func (r *Request) sign(s *signing, packet []byte) []byte {
	if r.key != nil { // BADKEY and BADSIG are answered unsigned (RFC 8945 5.3.2)
		s.mac = s.sum(*r.key, r.mac, packet, r.sealed > 0)
		r.mac = s.mac
	}
	r.sealed++
	return s.appendRecord(packet)
}
