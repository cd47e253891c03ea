package message

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// Opcode is the kind of a message.
type Opcode uint8

// The opcodes of the slow paths.
const (
	OpQuery  Opcode = 0
	OpNotify Opcode = 4 // RFC 1996
	OpUpdate Opcode = 5 // RFC 2136
)

// Rcode is the outcome of a message, with the upper bits of EDNS, or the error of a TSIG record.
type Rcode uint16

// The outcomes (RFC 6895 2.3).
const (
	NoError   Rcode = 0
	FormErr   Rcode = 1
	ServFail  Rcode = 2
	NXDomain  Rcode = 3
	NotImp    Rcode = 4
	Refused   Rcode = 5
	YXDomain  Rcode = 6
	YXRRSet   Rcode = 7
	NXRRSet   Rcode = 8
	NotAuth   Rcode = 9
	NotZone   Rcode = 10
	BadVers   Rcode = 16 // in OPT
	BadSig    Rcode = 16 // in TSIG
	BadKey    Rcode = 17
	BadTime   Rcode = 18
	BadTrunc  Rcode = 22
	rcodeMask       = 15 // what stands in the header
)

func (r Rcode) String() string {
	if text, ok := miekg.RcodeToString[int(r)]; ok {
		return text
	}
	return fmt.Sprintf("RCODE%d", uint16(r))
}

// The classes that messages have (RFC 1035 3.2.4, RFC 2136 2.4 and 2.5).
const (
	ClassIN   uint16 = 1
	ClassNone uint16 = 254
	ClassAny  uint16 = 255
)

// BytesMax is the size of the largest message (RFC 1035 4.2.2).
const BytesMax = 65535

// RR is a record of any class. One of class ANY, and a prerequisite of class NONE, has no data.
type RR struct {
	dns.RR
	Class uint16
}

// Question is an entry of the first section.
type Question struct {
	Name  dns.Name
	Type  dns.Type
	Class uint16
	wire  []byte // the name as the client wrote it: an answer repeats its case
}

// Option is an option of EDNS.
type Option struct {
	Code uint16
	Data []byte
}

// EDNS is what the OPT record says (RFC 6891).
type EDNS struct {
	UDPBytes uint16
	Version  uint8
	DO       bool
	Options  []Option
}

// Message is a message of the slow paths. Its TSIG record is no part of it.
type Message struct {
	ID                 uint16
	Opcode             Opcode
	Rcode              Rcode
	Response           bool
	Authoritative      bool
	Truncated          bool
	RecursionDesired   bool
	RecursionAvailable bool
	Question           []Question
	Answer             []RR // of an update: the prerequisites
	Authority          []RR // of an update: the changes
	Additional         []RR
	EDNS               *EDNS // nil: none
}

// Decode reads a message. What it complains of is answered with FORMERR.
func Decode(packet []byte) (*Message, error) {
	m, _, err := decode(packet)
	return m, err
}

// decode also gives the TSIG record.
func decode(packet []byte) (*Message, *miekg.TSIG, error) {
	if len(packet) > BytesMax {
		return nil, nil, fmt.Errorf("a message of %d bytes", len(packet))
	}
	if _, err := lastRecord(packet); err != nil {
		return nil, nil, err
	}
	var in miekg.Msg
	if err := in.Unpack(packet); err != nil {
		return nil, nil, err
	}
	m := &Message{
		ID: in.Id, Opcode: Opcode(in.Opcode), Rcode: Rcode(in.Rcode), Response: in.Response, Authoritative: in.Authoritative,
		Truncated: in.Truncated, RecursionDesired: in.RecursionDesired, RecursionAvailable: in.RecursionAvailable,
	}
	for _, q := range in.Question {
		question, err := fromQuestion(q)
		if err != nil {
			return nil, nil, err
		}
		m.Question = append(m.Question, question)
	}
	var err error
	if m.Answer, err = fromSection(in.Answer); err != nil {
		return nil, nil, err
	}
	if m.Authority, err = fromSection(in.Ns); err != nil {
		return nil, nil, err
	}
	tsig, err := m.additional(in.Extra)
	return m, tsig, err
}

func fromQuestion(q miekg.Question) (Question, error) {
	wire := make([]byte, dns.NameBytesMax+1)
	end, err := miekg.PackDomainName(q.Name, wire, 0, nil, false)
	if err != nil {
		return Question{}, err
	}
	name, _, err := dns.NameFromWire(wire[:end])
	return Question{Name: name, Type: dns.Type(q.Qtype), Class: q.Qclass, wire: wire[:end]}, err
}

func fromSection(rrs []miekg.RR) ([]RR, error) {
	var out []RR
	for _, rr := range rrs {
		switch rr.Header().Rrtype {
		case miekg.TypeOPT, miekg.TypeTSIG:
			return nil, errors.New("an OPT or TSIG record outside the additional section")
		}
		ours, err := fromRR(rr)
		if err != nil {
			return nil, err
		}
		out = append(out, ours)
	}
	return out, nil
}

// fromRR takes records of every class, without data too.
func fromRR(rr miekg.RR) (RR, error) {
	h := rr.Header()
	name, err := dns.ParseName(h.Name)
	if err != nil {
		return RR{}, err
	}
	out := RR{RR: dns.RR{Name: name, Type: dns.Type(h.Rrtype), TTL: h.Ttl}, Class: h.Class}
	if h.Rdlength == 0 {
		return out, nil
	}
	out.Data, err = pack(rr)
	return out, err
}

// additional reads the last section: at most one OPT, and TSIG only as the last record (RFC 8945 5.2).
func (m *Message) additional(rrs []miekg.RR) (*miekg.TSIG, error) {
	for i, rr := range rrs {
		switch rr := rr.(type) {
		case *miekg.OPT:
			if m.EDNS != nil || rr.Hdr.Name != "." {
				return nil, errors.New("a second OPT record, or one with a name (RFC 6891 6.1.1)")
			}
			m.EDNS = &EDNS{UDPBytes: rr.UDPSize(), Version: rr.Version(), DO: rr.Do()}
			m.Rcode = m.Rcode&rcodeMask | Rcode(rr.Hdr.Ttl>>24)<<4
			if err := m.EDNS.options(rr); err != nil {
				return nil, err
			}
		case *miekg.TSIG:
			if i != len(rrs)-1 || rr.Hdr.Class != ClassAny || rr.Hdr.Ttl != 0 {
				return nil, errors.New("a TSIG record that is not the last one, or not of class ANY and TTL 0 (RFC 8945 4.2)")
			}
			return rr, nil
		default:
			ours, err := fromRR(rr)
			if err != nil {
				return nil, err
			}
			m.Additional = append(m.Additional, ours)
		}
	}
	return nil, nil
}

// options takes the options as bytes: what is in them is of no interest here.
func (e *EDNS) options(opt *miekg.OPT) error {
	bare := &miekg.OPT{Hdr: miekg.RR_Header{Name: ".", Rrtype: miekg.TypeOPT}, Option: opt.Option}
	buf := make([]byte, miekg.Len(bare)+16)
	end, err := miekg.PackRR(bare, buf, 0, nil, false)
	if err != nil {
		return err
	}
	for b := buf[11:end]; len(b) >= 4; {
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return errors.New("an EDNS option that does not end")
		}
		e.Options = append(e.Options, Option{binary.BigEndian.Uint16(b), b[4:n]})
		b = b[n:]
	}
	return nil
}

// lastRecord walks over a message and says where its last record begins; len(packet) if it has none. Nothing may stand behind it.
func lastRecord(packet []byte) (int, error) {
	if len(packet) < 12 {
		return 0, errors.New("a message of less than 12 bytes")
	}
	at, last := 12, len(packet)
	var err error
	for range binary.BigEndian.Uint16(packet[4:]) {
		if at, err = skipName(packet, at); err != nil {
			return 0, err
		}
		at += 4
	}
	records := 0
	for i := 6; i <= 10; i += 2 {
		records += int(binary.BigEndian.Uint16(packet[i:]))
	}
	for range records {
		last = at
		if at, err = skipName(packet, at); err != nil {
			return 0, err
		}
		if at+10 > len(packet) {
			return 0, errors.New("a record that does not end")
		}
		at += 10 + int(binary.BigEndian.Uint16(packet[at+8:]))
	}
	if at != len(packet) {
		return 0, fmt.Errorf("a message of %d bytes whose sections have %d", len(packet), at)
	}
	return last, nil
}

func skipName(packet []byte, at int) (int, error) {
	for at < len(packet) {
		n := int(packet[at])
		switch {
		case n == 0:
			return at + 1, nil
		case n >= 0xc0:
			return at + 2, nil
		case n > dns.LabelBytesMax:
			return 0, errors.New("a label of no known kind")
		}
		at += 1 + n
	}
	return 0, errors.New("a name that does not end")
}

// Reply begins the answer to a message: its id, kind, question and, if it has EDNS, an OPT.
func (m *Message) Reply(rcode Rcode) *Message {
	r := &Message{ID: m.ID, Opcode: m.Opcode, Rcode: rcode, Response: true, RecursionDesired: m.RecursionDesired, Question: m.Question}
	if m.EDNS != nil {
		r.EDNS = &EDNS{UDPBytes: udpBytesMost, DO: m.EDNS.DO}
	}
	return r
}

// Codes of extended errors (RFC 8914 4).
const (
	ExtendedOther        uint16 = 0
	ExtendedNotReady     uint16 = 14
	ExtendedProhibited   uint16 = 18
	ExtendedNotAuthority uint16 = 20
	optionExtended              = 15
	extendedTextMax             = 256
)

// Explain adds an extended error (RFC 8914), if the client speaks EDNS.
func (m *Message) Explain(code uint16, text string) {
	if m.EDNS == nil {
		return
	}
	text = strings.ToValidUTF8(text[:min(len(text), extendedTextMax)], "")
	m.EDNS.Options = append(m.EDNS.Options, Option{optionExtended, append(binary.BigEndian.AppendUint16(nil, code), text...)})
}

// Extended gives the first extended error of a message.
func (m *Message) Extended() (code uint16, text string, ok bool) {
	if m.EDNS == nil {
		return 0, "", false
	}
	for _, o := range m.EDNS.Options {
		if o.Code == optionExtended && len(o.Data) >= 2 {
			return binary.BigEndian.Uint16(o.Data), string(o.Data[2:]), true
		}
	}
	return 0, "", false
}

// Failure answers a message that cannot be read: a header alone. It is nil for what is shorter than a header or an answer itself.
func Failure(packet []byte, rcode Rcode) []byte {
	if len(packet) < 12 || packet[2]&0x80 != 0 {
		return nil
	}
	out := make([]byte, 12)
	copy(out, packet[:2])
	out[2] = 0x80 | packet[2]&0x79 // the opcode and RD
	out[3] = byte(rcode & rcodeMask)
	return out
}

func unhex(text string) []byte {
	b, _ := hex.DecodeString(text) // miekg/dns wrote it
	return b
}
