package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name, in string
		status   int
		body     string
		close    bool
	}{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
		{"no reason, another case", "HTTP/1.1 201\r\ncontent-length:2\r\n\r\n{}", 201, "{}", false},
		{"the end of the connection", "HTTP/1.1 503 Busy\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", 503, "", true},
		{"no content", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 204, "", false},
		{"not modified", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, "", false},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world!!!\r\n0\r\n\r\n", 200, "hello, world!!!", false},
		{"chunks with a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n", 200, "x", false},
		{"a long body", "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\nX: y\r\n\r\n" + long, 200, long, false},
		{"an early answer before it", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var p parser
			for cut := range len(c.in) {
				if a, n, err := p.next([]byte(c.in[:cut])); n != 0 || err != nil {
					t.Fatalf("of %d bytes: %+v, %d, %v", cut, a, n, err)
				}
			}
			// Pipelined: the next answer is already there.
			a, n, err := p.next([]byte(c.in + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
			if err != nil || n != len(c.in) || a.status != c.status || string(a.body) != c.body || a.close != c.close {
				t.Errorf("got %d %.40q close %v, %d of %d bytes, %v", a.status, a.body, a.close, n, len(c.in), err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in string }{
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"a status of letters", "HTTP/1.1 2x0 OK\r\n\r\n"},
		{"a status below 100", "HTTP/1.1 099 OK\r\n\r\n"},
		{"no length", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n"},
		{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
		{"a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"},
		{"a length that overflows", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"},
		{"another encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
		{"half an end of a line", "HTTP/1.1 200 OK\n\r\nContent-Length: 0\r\n\r\n"},
		{"a folded line", "HTTP/1.1 200 OK\r\n x\r\n\r\n"},
		{"a chunk of no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"},
		{"a chunk that is too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n"},
		{"a chunk with more than it says", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n"},
		{"a head without an end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", headBytesMax)},
		{"a chunk's line without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", headBytesMax)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var p parser
			if a, n, err := p.next([]byte(c.in)); !errors.Is(err, errAnswer) || n != 0 {
				t.Errorf("got %+v, %d, %v, want %v", a, n, err, errAnswer)
			}
		})
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	var p parser
	whole := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sat, 28 Nov 2026 17:00:00 GMT\r\nContent-Length: 2\r\n\r\n{}")
	chunks := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	n := testing.AllocsPerRun(100, func() {
		for _, b := range [][]byte{whole, chunks} {
			if _, n, err := p.next(b); n != len(b) || err != nil {
				t.Fatal(n, err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for two answers, want none", n)
	}
}

// FuzzParse wants of any bytes: no panic; the same answer however they are cut; and what net/http makes of it.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/answers/*")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range seeds {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var p parser
		a, n, err := p.next(b)
		if n < 0 || n > len(b) || err != nil && n != 0 {
			t.Fatalf("%d of %d bytes, %v", n, len(b), err)
		}
		if n == 0 {
			return
		}
		body := bytes.Clone(a.body)
		cut = int(uint(cut) % uint(n))
		if _, k, err := p.next(b[:cut]); k != 0 || err != nil {
			t.Fatalf("an answer of %d bytes, but of %d: %d, %v", n, cut, k, err)
		}
		if again, k, err := p.next(b[:n]); k != n || err != nil || again.status != a.status || !bytes.Equal(again.body, body) {
			t.Fatalf("%d bytes alone: %d, %v", n, k, err)
		}
		r := bufio.NewReader(bytes.NewReader(b[:n]))
		for {
			res, err := http.ReadResponse(r, &http.Request{Method: http.MethodPost})
			if err != nil {
				return // it is stricter about lines that are not looked at here
			}
			theirs, err := io.ReadAll(res.Body)
			if err != nil {
				return
			}
			if res.StatusCode < 200 {
				continue
			}
			if res.StatusCode != a.status || !bytes.Equal(theirs, body) {
				t.Fatalf("net/http reads %d %q, this %d %q", res.StatusCode, theirs, a.status, body)
			}
			return
		}
	})
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	for d := int64(1); d < int64(100*time.Second); d = d*9/8 + 1 {
		b := bucket(d)
		if lo, hi := lower(b), lower(b+1); d < lo || d >= hi || float64(hi-lo) > float64(lo)/histogramPart+1 {
			t.Fatalf("%d ns lies in bucket %d, from %d to %d", d, b, lo, hi)
		}
	}
	if b := bucket(1<<63 - 1); b >= histogramSize {
		t.Fatalf("the longest duration lies in bucket %d of %d", b, histogramSize)
	}
	var h histogram
	for i := range 1000 {
		h.add(int64(i+1) * 1000)
	}
	for _, c := range []struct {
		part float64
		want time.Duration
	}{{0.5, 500 * time.Microsecond}, {0.99, 990 * time.Microsecond}, {1, time.Millisecond}} {
		if got := h.percentile(c.part); float64(got) < 0.999*float64(c.want) || float64(got) > 1.02*float64(c.want) {
			t.Errorf("percentile(%v) = %v, want %v", c.part, got, c.want)
		}
	}
}
