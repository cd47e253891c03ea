package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsCheck lives when a server answers: with a record of the type, or with
// anything when no name was given. The question goes over UDP, and again
// over TCP when the answer did not fit.
type dnsCheck struct {
	server   address
	question dnsmessage.Question
	any      bool
}

// dnsTypes are the types that can be called by name; others are TYPEn.
var dnsTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "NS": dnsmessage.TypeNS, "CNAME": dnsmessage.TypeCNAME, "SOA": dnsmessage.TypeSOA, "PTR": dnsmessage.TypePTR,
	"MX": dnsmessage.TypeMX, "TXT": dnsmessage.TypeTXT, "AAAA": dnsmessage.TypeAAAA, "SRV": dnsmessage.TypeSRV, "CAA": 257, "SVCB": 64, "HTTPS": 65,
}

func parseDNS(target string, _ *options) (Spec, error) {
	server, rest, named := strings.Cut(target, "/")
	a, err := parseAddress(server, "53")
	if err != nil {
		return Spec{}, err
	}
	c := dnsCheck{server: a, any: !named, question: dnsmessage.Question{Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeNS, Class: dnsmessage.ClassINET}}
	if !named {
		return Spec{polled: c}, nil
	}
	name, typ := rest, "A"
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		name, typ = rest[:i], strings.ToUpper(rest[i+1:])
	}
	if name == "" {
		return Spec{}, errors.New("no name after the server")
	}
	if c.question.Name, err = dnsmessage.NewName(strings.TrimSuffix(name, ".") + "."); err == nil {
		_, err = (&dnsmessage.Message{Questions: []dnsmessage.Question{c.question}}).Pack()
	}
	if err != nil {
		return Spec{}, fmt.Errorf("%q is no domain name", shorten(name))
	}
	t, ok := dnsTypes[typ]
	if digits, unnamed := strings.CutPrefix(typ, "TYPE"); !ok && unnamed {
		n, err := strconv.ParseUint(digits, 10, 16)
		t, ok = dnsmessage.Type(n), err == nil
	}
	if !ok {
		return Spec{}, fmt.Errorf("record type %q is not known here; any type can be written TYPEn", shorten(typ))
	}
	c.question.Type = t
	return Spec{polled: c}, nil
}

func (c dnsCheck) attempt(ctx context.Context) (string, error) {
	id := uint16(rand.Uint32())
	query, err := (&dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{c.question}}).Pack()
	if err != nil {
		return "", err
	}
	udp := c.server
	udp.network = "udp"
	text, err := converse(ctx, udp, func(rw io.ReadWriter) (string, error) { return c.talkUDP(rw, id, query) })
	if errors.Is(err, errTruncated) {
		return converse(ctx, c.server, func(rw io.ReadWriter) (string, error) { return c.talkTCP(rw, id, query) })
	}
	return text, err
}

func (c dnsCheck) talkUDP(rw io.ReadWriter, id uint16, query []byte) (string, error) {
	if _, err := rw.Write(query); err != nil {
		return "", err
	}
	buf := make([]byte, 4096)
	for range 16 { // answers that are not to this question are somebody's guesses
		n, err := rw.Read(buf)
		if err != nil {
			return "", err
		}
		if text, err := c.read(buf[:n], id); !errors.Is(err, errForeign) {
			return text, err
		}
	}
	return "", errForeign
}

// talkTCP sends and reads messages behind their length in 2 bytes (RFC 1035 4.2.2).
func (c dnsCheck) talkTCP(rw io.ReadWriter, id uint16, query []byte) (string, error) {
	if _, err := rw.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return "", err
	}
	var head [2]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return "", err
	}
	buf := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(rw, buf); err != nil {
		return "", err
	}
	text, err := c.read(buf, id)
	if errors.Is(err, errTruncated) {
		err = errors.New("a truncated answer over TCP")
	}
	return text, err
}

var (
	errForeign   = errors.New("an answer to another question")
	errTruncated = errors.New("answer did not fit")
)

// read judges an answer.
func (c dnsCheck) read(b []byte, id uint16) (string, error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.ID != id || !h.Response {
		return "", errForeign
	}
	q, err := p.AllQuestions()
	if err != nil || len(q) > 1 || len(q) == 1 && (q[0].Type != c.question.Type || !strings.EqualFold(q[0].Name.String(), c.question.Name.String())) {
		return "", errForeign
	}
	if c.any {
		return strings.TrimPrefix(h.RCode.GoString(), "dnsmessage."), nil
	}
	if h.Truncated {
		return "", errTruncated
	}
	if h.RCode != dnsmessage.RCodeSuccess {
		return "", errors.New(strings.TrimPrefix(h.RCode.GoString(), "dnsmessage.RCode"))
	}
	n := 0
	for {
		rr, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err == nil {
			err = p.SkipAnswer()
		}
		if err != nil {
			return "", fmt.Errorf("malformed answer: %w", err)
		}
		if rr.Type == c.question.Type {
			n++
		}
	}
	if n == 0 {
		return "", errors.New("no record of the type")
	}
	return fmt.Sprintf("%d records", n), nil
}
