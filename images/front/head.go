package front

import "bytes"

// verdict is what the parser says of the bytes at the beginning of a
// connection's input.
type verdict uint8

const (
	verdictMore    verdict = iota // the head is not whole yet
	verdictPlain                  // a whole plain request
	verdictStrange                // for net/http to judge
)

// head is a plain request. Its slices are parts of the input.
type head struct {
	length int // of the whole request, with the empty line. Unit: bytes
	target []byte
	host   []byte
	id     []byte // X-Request-Id, nil where there is none or several
	match  []byte // If-None-Match
	chosen [headersChosen][]byte

	isHead      bool
	minor       byte // of HTTP/1
	close, keep bool // what Connection says
	conditional bool // a condition, a range or a repeated header: the handler decides
	since       bool // If-Modified-Since, which If-None-Match outweighs

	hosts, ids, connections uint8
	seen                    uint16 // bit for each of chosen
}

// chosenHeaders are the headers that may choose between several answers of one
// URL. Vary has no others, or the answer is not kept.
var chosenHeaders = [headersChosen]string{
	"Accept", "Save-Data", "Dpr", "Width", "Viewport-Width", "Sec-Ch-Dpr", "Sec-Ch-Width", "Sec-Ch-Viewport-Width",
}

const headersChosen = 8

// conditionHeaders send a request to the handler.
var conditionHeaders = [...]string{"Range", "If-Range", "If-Match", "If-Unmodified-Since"}

// bodyHeaders make a request more than a plain one: it has a body, or the
// connection is to become something else.
var bodyHeaders = [...]string{"Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "Trailer", "Te", "Http2-Settings"}

var (
	crlf     = []byte("\r\n")
	getLine  = []byte("GET /")
	headLine = []byte("HEAD /")
)

// parse reads one request at the beginning of b (RFC 9112 §3 to §5, and no
// more than it needs). It allocates nothing.
func parse(b []byte, h *head) verdict {
	*h = head{}
	rest := b
	switch {
	case bytes.HasPrefix(b, getLine):
		rest = b[len(getLine)-1:]
	case bytes.HasPrefix(b, headLine):
		rest, h.isHead = b[len(headLine)-1:], true
	case len(b) < len(getLine) && bytes.HasPrefix(getLine, b), len(b) < len(headLine) && bytes.HasPrefix(headLine, b):
		return verdictMore
	default:
		return verdictStrange
	}
	n := 0
	for n < len(rest) && rest[n] > ' ' && rest[n] < 0x7f {
		n++
	}
	h.target, rest = rest[:n], rest[n:]
	const version = " HTTP/1.1\r\n"
	if len(rest) < len(version) {
		if len(b) >= headBytesMax || !couldBeVersion(rest) {
			return verdictStrange
		}
		return verdictMore
	}
	if !couldBeVersion(rest[:len(version)]) {
		return verdictStrange
	}
	h.minor, rest = rest[len(version)-3]-'0', rest[len(version):]
	for len(rest) > 0 {
		if rest[0] == '\r' {
			switch {
			case len(rest) == 1:
				return more(b)
			case rest[1] != '\n':
				return verdictStrange
			}
			h.length = len(b) - len(rest) + 2
			if h.length > headBytesMax {
				return verdictStrange
			}
			return h.judge()
		}
		line := bytes.IndexByte(rest, '\r')
		if line < 0 || line+1 == len(rest) {
			return more(b)
		}
		if rest[line+1] != '\n' || !h.field(rest[:line]) {
			return verdictStrange
		}
		rest = rest[line+2:]
	}
	return more(b)
}

// more is what is said of a head that goes on.
func more(b []byte) verdict {
	if len(b) >= headBytesMax {
		return verdictStrange
	}
	return verdictMore
}

// couldBeVersion says whether b is the end of a request line, or may become it.
func couldBeVersion(b []byte) bool {
	const one, zero = " HTTP/1.1\r\n", " HTTP/1.0\r\n"
	return string(b) == one[:len(b)] || string(b) == zero[:len(b)]
}

// judge is asked when all headers are read.
func (h *head) judge() verdict {
	if h.hosts != 1 || h.connections > 1 {
		return verdictStrange
	}
	if h.ids > 1 {
		h.id = nil
	}
	return verdictPlain
}

// field takes one header line without its end. False: the line is strange.
func (h *head) field(line []byte) bool {
	colon := 0
	for colon < len(line) && tokenByte[line[colon]] {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return false
	}
	value := line[colon+1:]
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return h.header(line[:colon], value)
}

// header takes one header. False: only net/http knows what to do with it.
func (h *head) header(name, value []byte) bool {
	switch name[0] | 0x20 {
	case 'h':
		if is(name, "Host") {
			h.host = value
			h.hosts++
			return h.hosts == 1 && plainHost(value)
		}
	case 'c':
		if is(name, "Connection") {
			h.connections++
			h.close, h.keep = is(value, "close"), is(value, "keep-alive")
			return h.close || h.keep
		}
	case 'x':
		if is(name, "X-Request-Id") {
			h.id = value
			h.ids = min(h.ids+1, 2)
			return true
		}
	case 'i':
		if is(name, "If-None-Match") {
			h.conditional = h.conditional || h.match != nil || len(value) == 0
			h.match = value
			return true
		}
		h.since = h.since || is(name, "If-Modified-Since")
	}
	for i := range chosenHeaders {
		if is(name, chosenHeaders[i]) {
			h.conditional = h.conditional || h.seen&(1<<i) != 0
			h.seen |= 1 << i
			h.chosen[i] = value
			return true
		}
	}
	for i := range conditionHeaders {
		if is(name, conditionHeaders[i]) {
			h.conditional = true
			return true
		}
	}
	for i := range bodyHeaders {
		if is(name, bodyHeaders[i]) {
			return false
		}
	}
	return true
}

// is compares a header name or token with a known one, whatever the case of its
// letters.
func is(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(s) {
		x, y := b[i], s[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

// plainHost says whether a Host is a name or an address with or without a port,
// in letters that need no thought.
func plainHost(b []byte) bool {
	for _, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == ':' || c == '_' || c == '[' || c == ']') {
			return false
		}
	}
	return len(b) > 0
}

// tokenByte are the letters of header names (RFC 9110 §5.6.2).
var tokenByte = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

// appendKey appends what a ready answer of the request is found by.
func (h *head) appendKey(b []byte) []byte { return appendKey(b, h.host, h.target, h.match) }

func appendKey[T string | []byte](b []byte, host, target, match T) []byte {
	b = append(b, host...)
	b = append(b, 0) // in none of them
	b = append(b, target...)
	b = append(b, 0)
	return append(b, match...)
}

// appendChosen appends the values of the headers that the answer depends on.
func (h *head) appendChosen(b []byte, which uint16) []byte {
	for i := range chosenHeaders {
		if which&(1<<i) != 0 {
			b = appendValue(b, h.chosen[i], h.seen&(1<<i) != 0)
		}
	}
	return b
}

// appendValue tells an empty value from none.
func appendValue[T string | []byte](b []byte, value T, there bool) []byte {
	if !there {
		return append(b, 0, 1)
	}
	b = append(b, 0, 2)
	return append(b, value...)
}
