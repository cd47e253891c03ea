package answer

import (
	"encoding/binary"

	"github.com/kamado/kamado/dns"
)

// Options of EDNS.
const (
	optionNSID     = 3  // RFC 5001
	optionCookie   = 10 // RFC 7873
	optionExtended = 15 // RFC 8914
)

// extended is a code of an extended error (RFC 8914 4). 0, "other", is never sent.
type extended uint8

// The extended errors.
const (
	codeNone             extended = 0
	codeStale            extended = 3
	codeNotReady         extended = 14
	codeProhibited       extended = 18
	codeNotAuthoritative extended = 20
	codeNotSupported     extended = 21
)

// Bytes of parts of an OPT record.
const (
	optBytes      = 11 // without options
	extendedBytes = 6
	cookieBytes   = 8 + 16 // of a client and of a server (RFC 9018 4)
)

// options reads the options of a query; false: they are broken. Unknown ones are ignored (RFC 6891 6.1.2).
func (r *request) options(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 {
			return false
		}
		code, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if b = b[4:]; length > len(b) {
			return false
		}
		switch code {
		case optionNSID:
			r.nsid = true
		case optionCookie:
			if length != 8 && (length < 16 || length > 40) {
				return false // RFC 7873 5.2.2
			}
			r.cookie = b[:length]
		}
		b = b[length:]
	}
	return true
}

// appendOption writes an option.
func appendOption(b []byte, code uint16, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// optReserve is what an OPT record may take that answers a request.
func (r *reply) optReserve() int {
	if !r.edns {
		return 0
	}
	n := optBytes + extendedBytes
	if r.cookie != nil && r.t.config.Cookies {
		n += 4 + cookieBytes
	}
	if r.nsid && n+len(r.t.nsid) <= udpBytesLeast-headerBytes-dns.NameBytesMax-4 {
		n += len(r.t.nsid)
	} else {
		r.nsid = false // it is for people; an answer is for everybody
	}
	return n
}

// appendOPT writes the OPT record; space was reserved.
func (r *reply) appendOPT() {
	b := append(r.out, 0, 0, byte(dns.TypeOPT))
	b = binary.BigEndian.AppendUint16(b, uint16(r.t.config.UDPBytesMax))
	do := byte(0)
	if r.do {
		do = 0x80
	}
	b = append(b, byte(r.rcode>>4), 0, do, 0, 0, 0)
	at := len(b)
	if r.nsid {
		b = append(b, r.t.nsid...)
	}
	if r.cookie != nil && r.t.config.Cookies {
		b = append(b, 0, optionCookie, 0, cookieBytes)
		b = appendCookie(b, r.t.config.CookieSecret, r.cookie[:8], r.query.Now, r.query.Client.Addr())
	}
	if r.code != codeNone {
		b = append(b, 0, optionExtended, 0, 2, 0, byte(r.code))
	}
	binary.BigEndian.PutUint16(b[at-2:], uint16(len(b)-at))
	r.out = b
	r.ar++
}
