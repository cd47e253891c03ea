package message

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// textBytesMax bounds the text of one record's data: four bytes of text (\DDD) for each of data, and room for blanks.
const textBytesMax = 5 * dns.RDataBytesMax

// ParseRData reads record data as a master file has it, on one line; names in it
// that do not end in a dot lie under the origin. The result is canonical. Any type
// can be written as RFC 3597 says: `\# 4 c0000201`.
func ParseRData(t dns.Type, text string, origin dns.Name) ([]byte, error) {
	if err := checkLine(text); err != nil {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	data, err := parseRData(t, text, origin)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	return data, nil
}

// checkLine refuses what would make a master file's parser stop early or go on to a next record.
func checkLine(text string) error {
	if len(text) > textBytesMax {
		return fmt.Errorf("text of %d bytes, at most %d", len(text), textBytesMax)
	}
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '\n' || c == '\r' || c == 0:
			return errors.New("line ends are written \\010 here")
		case c == ';' && !quoted:
			return errors.New("a semicolon begins a comment: put the text into quotes")
		case (c == '(' || c == ')') && !quoted:
			return errors.New("parentheses join the lines of a master file: put the text into quotes")
		}
	}
	if quoted {
		return errors.New("a quoted string that does not end")
	}
	return nil
}

// parseRData reads one line without comments and parentheses.
func parseRData(t dns.Type, text string, origin dns.Name) ([]byte, error) {
	if !t.Data() && t != dns.TypeSOA {
		return nil, errors.New("records of this type cannot be stored")
	}
	text = strings.Trim(text, " \t")
	if generic, ok := strings.CutPrefix(text, `\#`); ok {
		return parseGeneric(t, generic)
	}
	if t == dns.TypeA || t == dns.TypeAAAA {
		return parseAddr(t, text)
	}
	if text == "" {
		return nil, errors.New("no record data")
	}
	if origin == "" {
		origin = dns.Root
	}
	if nameTypes[t] == (layout{names: 1}) && !strings.ContainsAny(text, " \t\"") {
		name, err := resolve(text, origin)
		return name.AppendWire(nil), err
	}
	line := ". 0 IN " + miekg.Type(t).String() + " " + text + "\n"
	parser := miekg.NewZoneParser(strings.NewReader(line), origin.Absolute(), "")
	rr, ok := parser.Next()
	if err := parser.Err(); err != nil {
		return nil, parseError(err)
	}
	if !ok {
		return nil, errors.New("no record data")
	}
	return pack(rr)
}

// parseError takes what miekg/dns says of its own position out of a complaint: it counts in our line, not in the file.
func parseError(err error) error {
	text := strings.TrimPrefix(err.Error(), "dns: ")
	if i := strings.LastIndex(text, " at line: "); i >= 0 {
		text = text[:i]
	}
	return errors.New(text)
}

func parseAddr(t dns.Type, text string) ([]byte, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4() != (t == dns.TypeA) {
		return nil, fmt.Errorf("%q is no address of this type", shorten(text))
	}
	return addr.AsSlice(), nil
}

// parseGeneric reads what stands behind \# (RFC 3597 5): a length, and as many bytes in hexadecimal.
func parseGeneric(t dns.Type, text string) ([]byte, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil, errors.New(`\# without a length`)
	}
	length, err := strconv.ParseUint(fields[0], 10, 16)
	if err != nil {
		return nil, fmt.Errorf(`\# with the length %q`, shorten(fields[0]))
	}
	data, err := hex.DecodeString(strings.Join(fields[1:], ""))
	if err != nil {
		return nil, fmt.Errorf(`\#: %w`, err)
	}
	if len(data) != int(length) {
		return nil, fmt.Errorf(`\# announces %d bytes, and has %d`, length, len(data))
	}
	return CheckRData(t, data)
}

// CheckRData judges record data that came as bytes, and gives its canonical form.
func CheckRData(t dns.Type, data []byte) ([]byte, error) {
	rr, err := unpack(dns.RR{Name: dns.Root, Type: t, Data: data})
	if err != nil {
		return nil, err
	}
	canonical, err := pack(rr)
	if err != nil {
		return nil, err
	}
	if len(canonical) != len(data) {
		return nil, errors.New("record data with a compressed name or an odd encoding")
	}
	return canonical, nil
}

// FormatRData writes record data as a master file has it, on one line. What has no
// text of its own, and types nobody knows, are written as RFC 3597 says.
func FormatRData(t dns.Type, data []byte) (string, error) {
	if t == dns.TypeA && len(data) == 4 || t == dns.TypeAAAA && len(data) == 16 {
		addr, _ := netip.AddrFromSlice(data)
		return addr.String(), nil
	}
	rr, err := unpack(dns.RR{Name: dns.Root, Type: t, Data: data})
	if err != nil {
		return "", fmt.Errorf("%v: %w", t, err)
	}
	text, ok := strings.CutPrefix(rr.String(), rr.Header().String())
	if _, unknown := rr.(*miekg.RFC3597); ok && !unknown && checkLine(text) == nil {
		if back, err := parseRData(t, text, dns.Root); err == nil && bytes.Equal(back, data) {
			return text, nil
		}
	}
	return strings.TrimRight(fmt.Sprintf(`\# %d %X`, len(data), data), " "), nil
}

// ToRR turns a record into the other package's form.
func ToRR(rr dns.RR) (miekg.RR, error) { return unpack(rr) }

// FromRR turns the other package's form of a record of class IN into ours; the data is canonical.
func FromRR(rr miekg.RR) (dns.RR, error) {
	h := rr.Header()
	if h.Class != miekg.ClassINET {
		return dns.RR{}, fmt.Errorf("a record of class %s: only IN is served here", miekg.Class(h.Class))
	}
	name, err := dns.ParseName(h.Name)
	if err != nil {
		return dns.RR{}, err
	}
	data, err := pack(rr)
	if err != nil {
		return dns.RR{}, err
	}
	return dns.RR{Name: name, Type: dns.Type(h.Rrtype), TTL: h.Ttl, Data: data}, nil
}

// emptyData says whether a record of the type may have no data at all.
func emptyData(t dns.Type) bool {
	_, known := miekg.TypeToRR[uint16(t)]
	return !known || t == 10 /* NULL */ || t == 42 /* APL, RFC 3123 4 */
}

func unpack(rr dns.RR) (miekg.RR, error) {
	if len(rr.Data) > 65535 {
		return nil, fmt.Errorf("record data of %d bytes", len(rr.Data))
	}
	if len(rr.Data) == 0 && !emptyData(rr.Type) {
		return nil, errors.New("no record data")
	}
	h := miekg.RR_Header{Name: rr.Name.Absolute(), Rrtype: uint16(rr.Type), Class: miekg.ClassINET, Ttl: rr.TTL, Rdlength: uint16(len(rr.Data))}
	out, _, err := miekg.UnpackRRWithHeader(h, rr.Data, 0)
	if err != nil {
		return nil, errors.New("record data that cannot be read: " + strings.TrimPrefix(err.Error(), "dns: "))
	}
	return out, nil
}

// pack gives the canonical data of a record.
func pack(rr miekg.RR) ([]byte, error) {
	h := rr.Header()
	bare := miekg.Copy(rr)
	bare.Header().Name = "."
	const header = 11 // the root's byte, type, class, TTL, length (RFC 1035 3.2.1)
	length := miekg.Len(bare)
	if length > header+textBytesMax {
		return nil, fmt.Errorf("record data of %d bytes, at most %d", length-header, dns.RDataBytesMax)
	}
	buf := make([]byte, length+header)
	end, err := miekg.PackRR(bare, buf, 0, nil, false)
	if err != nil {
		return nil, parseError(err)
	}
	data := bytes.Clone(buf[header:end])
	t := dns.Type(h.Rrtype)
	if len(data) > dns.RDataBytesMax {
		return nil, fmt.Errorf("record data of %d bytes, at most %d", len(data), dns.RDataBytesMax)
	}
	if len(data) == 0 && !emptyData(t) {
		return nil, errors.New("no record data")
	}
	lowerNames(t, data)
	return data, nil
}

// layout says where the names stand in the data of a type: behind a number of bytes and then of strings with a length byte.
type layout struct{ skip, strings, names int }

// nameTypes are the types whose names are compared and signed in lower case: RFC 4034 6.2 as RFC 6840 5.1 mended it.
var nameTypes = map[dns.Type]layout{
	dns.TypeNS: {names: 1}, 3: {names: 1}, 4: {names: 1}, dns.TypeCNAME: {names: 1}, dns.TypeSOA: {names: 2}, 7: {names: 1}, 8: {names: 1},
	9: {names: 1}, dns.TypePTR: {names: 1}, 14: {names: 2}, dns.TypeMX: {skip: 2, names: 1}, 17: {names: 2}, 18: {skip: 2, names: 1},
	21: {skip: 2, names: 1}, 24: {skip: 18, names: 1}, 26: {skip: 2, names: 2}, dns.TypeSRV: {skip: 6, names: 1},
	dns.TypeNAPTR: {skip: 4, strings: 3, names: 1}, 36: {skip: 2, names: 1}, dns.TypeDNAME: {names: 1}, dns.TypeRRSIG: {skip: 18, names: 1},
}

// lowerNames puts the names in data into lower case. Data was packed by pack, so it is well formed.
func lowerNames(t dns.Type, data []byte) {
	l, ok := nameTypes[t]
	if !ok || len(data) < l.skip {
		return
	}
	b := data[l.skip:]
	for range l.strings {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return
		}
		b = b[1+int(b[0]):]
	}
	for range l.names {
		for len(b) > 0 && b[0] != 0 && len(b) > int(b[0]) {
			label := b[1 : 1+b[0]]
			for i, c := range label {
				if c >= 'A' && c <= 'Z' {
					label[i] = c + 'a' - 'A'
				}
			}
			b = b[1+int(b[0]):]
		}
		if len(b) > 0 {
			b = b[1:]
		}
	}
}

func shorten(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}
