package bench

import (
	"bytes"
	"errors"
	"fmt"
)

// The bounds of an answer. More is no answer of this API.
const (
	headBytesMax = 8 << 10
	bodyBytesMax = 64 << 10
)

// errAnswer is the root of what is wrong with bytes that should be an answer.
var errAnswer = errors.New("not an answer of HTTP/1.1")

// answer is one response. Its body lies in the buffer it was parsed from, or in
// the parser's own when it came in chunks: it is good until the next one.
type answer struct {
	status int
	body   []byte
	close  bool // no other answer comes on this connection
}

// parser reads answers to GET, POST and PUT from the beginning of a buffer. It knows
// what a server of this API may send (RFC 9112): a length, or chunks, or no body.
type parser struct{ chunks []byte }

// next parses one answer. n is how many bytes it took: 0 when it is not all there yet.
// Answers before the real one (100 to 199) are taken with it.
func (p *parser) next(b []byte) (a answer, n int, err error) {
	for {
		a, k, err := p.one(b[n:])
		if err != nil || k == 0 {
			return answer{}, 0, err
		}
		n += k
		if a.status >= 200 {
			return a, n, nil
		}
	}
}

// one parses one answer, whatever its status.
func (p *parser) one(b []byte) (answer, int, error) {
	end := bytes.Index(b, crlf2)
	if end < 0 {
		if len(b) > headBytesMax {
			return answer{}, 0, fmt.Errorf("%w: a head of more than %d bytes", errAnswer, headBytesMax)
		}
		return answer{}, 0, nil
	}
	if end > headBytesMax {
		return answer{}, 0, fmt.Errorf("%w: a head of more than %d bytes", errAnswer, headBytesMax)
	}
	h, err := parseHead(b[:end+2])
	if err != nil {
		return answer{}, 0, err
	}
	a := answer{status: h.status, close: h.close}
	at := end + len(crlf2)
	switch {
	case h.status < 200 || h.status == 204 || h.status == 304: // RFC 9112 §6.3: no body, whatever the head says
		return a, at, nil
	case h.chunked:
		n, err := p.chunked(b[at:])
		a.body = p.chunks
		if err != nil || n == 0 {
			return answer{}, 0, err
		}
		return a, at + n, nil
	case h.length < 0:
		return answer{}, 0, fmt.Errorf("%w: neither a length nor chunks", errAnswer)
	case len(b)-at < h.length:
		return answer{}, 0, nil
	}
	a.body = b[at : at+h.length]
	return a, at + h.length, nil
}

var (
	crlf  = []byte("\r\n")
	crlf2 = []byte("\r\n\r\n")
)

// head is what matters of the lines before a body.
type head struct {
	status  int
	length  int // -1: not given
	chunked bool
	close   bool
}

// parseHead reads whole lines, each with its end.
func parseHead(b []byte) (head, error) {
	h := head{length: -1}
	const least = len("HTTP/1.1 200\r\n")
	first := b[:bytes.Index(b, crlf)]
	if len(b) < least || string(b[:9]) != "HTTP/1.1 " || b[12] != ' ' && b[12] != '\r' || bare(first) {
		return h, fmt.Errorf("%w: the first line is %.40q", errAnswer, b)
	}
	for _, c := range b[9:12] {
		if c < '0' || c > '9' {
			return h, fmt.Errorf("%w: the status is %q", errAnswer, b[9:12])
		}
		h.status = 10*h.status + int(c-'0')
	}
	if h.status < 100 {
		return h, fmt.Errorf("%w: the status is %q", errAnswer, b[9:12])
	}
	for line := b[len(first)+2:]; len(line) > 0; {
		end := bytes.Index(line, crlf)
		name, value, ok := bytes.Cut(line[:end], colon)
		if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' || bare(line[:end]) {
			return h, fmt.Errorf("%w: a line %.40q of the head", errAnswer, line[:end])
		}
		if err := h.field(name, bytes.Trim(value, " \t")); err != nil {
			return h, err
		}
		line = line[end+2:]
	}
	return h, nil
}

var (
	colon             = []byte(":")
	nameLength        = []byte("Content-Length")
	nameTransfer      = []byte("Transfer-Encoding")
	nameConnection    = []byte("Connection")
	valueChunked      = []byte("chunked")
	valueClose        = []byte("close")
	errLengthTwice    = fmt.Errorf("%w: two lengths", errAnswer)
	errChunkedAndMore = fmt.Errorf("%w: a transfer encoding other than chunked", errAnswer)
)

// field takes one line of the head. Only those are looked at that say where the body ends.
func (h *head) field(name, value []byte) error {
	switch {
	case len(name) == len(nameLength) && bytes.EqualFold(name, nameLength):
		n, ok := digits(value)
		if !ok {
			return fmt.Errorf("%w: a length of %.40q", errAnswer, value)
		}
		if h.length >= 0 && h.length != n {
			return errLengthTwice
		}
		h.length = n
	case len(name) == len(nameTransfer) && bytes.EqualFold(name, nameTransfer):
		if !bytes.EqualFold(value, valueChunked) {
			return errChunkedAndMore
		}
		h.chunked = true
	case len(name) == len(nameConnection) && bytes.EqualFold(name, nameConnection):
		h.close = bytes.EqualFold(value, valueClose)
	}
	return nil
}

// digits reads a length in decimal, up to bodyBytesMax.
func digits(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = 10*n + int(c-'0'); n > bodyBytesMax {
			return 0, false
		}
	}
	return n, len(b) > 0
}

// chunked puts the body of chunks together, and gives how many bytes they took with
// what ends them; 0 when they are not all there yet.
func (p *parser) chunked(b []byte) (int, error) {
	p.chunks = p.chunks[:0]
	at := 0
	for {
		end := bytes.Index(b[at:], crlf)
		if end < 0 {
			return 0, partBound(b[at:])
		}
		size, ok := hexadecimal(b[at : at+end])
		if !ok || bare(b[at:at+end]) {
			return 0, fmt.Errorf("%w: a chunk of %.20q bytes", errAnswer, b[at:at+end])
		}
		at += end + 2
		if size == 0 {
			return trailer(b, at)
		}
		if len(p.chunks)+size > bodyBytesMax {
			return 0, fmt.Errorf("%w: a body of more than %d bytes", errAnswer, bodyBytesMax)
		}
		if len(b)-at < size+2 {
			return 0, nil
		}
		p.chunks = append(p.chunks, b[at:at+size]...)
		at += size
		if b[at] != '\r' || b[at+1] != '\n' {
			return 0, fmt.Errorf("%w: a chunk longer than it says", errAnswer)
		}
		at += 2
	}
}

// trailer passes over the fields behind the last chunk, up to an empty line.
func trailer(b []byte, at int) (int, error) {
	for {
		end := bytes.Index(b[at:], crlf)
		if end < 0 {
			return 0, partBound(b[at:])
		}
		if bare(b[at : at+end]) {
			return 0, fmt.Errorf("%w: a line %.40q behind the chunks", errAnswer, b[at:at+end])
		}
		at += end + 2
		if end == 0 {
			return at, nil
		}
	}
}

// bare says whether a line holds half an end of a line: others could see two lines there (RFC 9112 §2.2).
func bare(line []byte) bool {
	return bytes.IndexByte(line, '\n') >= 0 || bytes.IndexByte(line, '\r') >= 0
}

// partBound complains about a line that does not end.
func partBound(b []byte) error {
	if len(b) > headBytesMax {
		return fmt.Errorf("%w: a line of more than %d bytes", errAnswer, headBytesMax)
	}
	return nil
}

// hexadecimal reads the size of a chunk, up to bodyBytesMax, and passes over extensions (RFC 9112 §7.1.1).
func hexadecimal(b []byte) (n int, ok bool) {
	b, _, _ = bytes.Cut(b, semicolon)
	b = bytes.TrimRight(b, " \t")
	for _, c := range b {
		var d byte
		switch {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		if n = n<<4 | int(d); n > bodyBytesMax {
			return 0, false
		}
	}
	return n, len(b) > 0
}

var semicolon = []byte(";")
