package front

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestParseTellsWhatItKnows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     verdict
	}{
		{"a plain request", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", verdictPlain},
		{"nothing yet", "", verdictMore},
		{"a begun method", "HEA", verdictMore},
		{"a begun target", "GET /abc", verdictMore},
		{"a begun version", "GET /a HTT", verdictMore},
		{"a begun header", "GET /a HTTP/1.1\r\nHos", verdictMore},
		{"no empty line", "GET /a HTTP/1.1\r\nHost: h\r\n\r", verdictMore},
		{"another method", "POST /a HTTP/1.1\r\nHost: h\r\n\r\n", verdictStrange},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", verdictStrange},
		{"a TLS hello", "\x16\x03\x01\x02\x00", verdictStrange},
		{"an absolute target", "GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n", verdictStrange},
		{"a bare line feed", "GET /a HTTP/1.1\nHost: h\n\n", verdictStrange},
		{"a bare carriage return", "GET /a HTTP/1.1\r\nHost: h\rx: y\r\n\r\n", verdictStrange},
		{"a folded line", "GET /a HTTP/1.1\r\nHost: h\r\n x\r\n\r\n", verdictStrange},
		{"no host", "GET /a HTTP/1.1\r\n\r\n", verdictStrange},
		{"two hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", verdictStrange},
		{"a body", "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", verdictStrange},
		{"chunks", "GET /a HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n", verdictStrange},
		{"an upgrade", "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", verdictStrange},
		{"a space before the colon", "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\n", verdictStrange},
		{"a head without an end", "GET /" + strings.Repeat("a", headBytesMax) + "", verdictStrange},
		{"a target with a space", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", verdictStrange},
	} {
		var h head
		if got := parse([]byte(c.in), &h); got != c.want {
			t.Errorf("%s: parse(%q) = %d, want %d", c.name, c.in, got, c.want)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	in := []byte("GET /photos/1/640x480cq70/any.jpg?s=0123 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: x\r\nAccept: image/webp,*/*\r\n" +
		"Accept-Encoding: gzip\r\nConnection: keep-alive\r\nIf-None-Match: \"x\"\r\n\r\n")
	var h head
	if n := testing.AllocsPerRun(100, func() {
		if parse(in, &h) != verdictPlain {
			t.Fatal("not plain")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse holds the parser against net/http's: what it calls plain, net/http
// reads as the same request, of the same length and without a body.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD /a?b=c HTTP/1.0\r\nHost: h:1\r\nConnection: Close\r\n\r\nGET",
		"GET /a HTTP/1.1\r\nhost:\th \r\nX-Request-Id: 7\r\nIf-None-Match: \"x\"\r\nRange: bytes=0-\r\nAccept: a\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var h head
		if parse(in, &h) != verdictPlain {
			return
		}
		in = in[:h.length]
		rest := bytes.NewReader(in)
		buffered := bufio.NewReaderSize(rest, 16<<10)
		r, err := http.ReadRequest(buffered)
		if err != nil {
			// Lent as it is: net/http answers with its 400.
			if bytes.IndexByte(h.target, '%') < 0 && !strings.Contains(err.Error(), "invalid") {
				t.Errorf("net/http refuses %q: %v", in, err)
			}
			return
		}
		if buffered.Buffered() != 0 || rest.Len() != 0 || r.ContentLength != 0 || len(r.TransferEncoding) != 0 {
			t.Errorf("net/http reads %q differently: %d bytes left, body of %d", in, buffered.Buffered(), r.ContentLength)
		}
		if r.RequestURI != string(h.target) || r.Host != string(h.host) || (r.Method == "HEAD") != h.isHead || r.ProtoMinor != int(h.minor) {
			t.Errorf("%q is read as %q %q %q, want %q %q", in, r.Method, r.Host, r.RequestURI, h.host, h.target)
		}
		if match := r.Header["If-None-Match"]; !h.conditional && len(match) > 0 && match[0] != string(h.match) || (len(match) == 0) != (h.match == nil) {
			t.Errorf("%q: If-None-Match %q, want %q", in, h.match, match)
		}
		for i, name := range chosenHeaders {
			values := r.Header[name]
			if (len(values) > 0) != (h.seen&(1<<i) != 0) || !h.conditional && len(values) > 0 && values[0] != string(h.chosen[i]) {
				t.Errorf("%q: %s is %q, want %q", in, name, h.chosen[i], values)
			}
		}
		for _, name := range append(conditionHeaders[:], bodyHeaders[:]...) {
			if _, ok := r.Header[name]; ok && !h.conditional {
				t.Errorf("%q: %s was not seen", in, name)
			}
		}
	})
}
