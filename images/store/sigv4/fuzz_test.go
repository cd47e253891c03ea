package sigv4

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzVerify: whatever a request says of its signature, it is refused with an
// *Error, unless it is the example's.
func FuzzVerify(f *testing.F) {
	good := exampleGet()
	f.Add("GET", "/test.txt", "", good.Header.Get("Authorization"), "20130524T000000Z", emptySum, "bytes=0-9")
	_, query, _ := strings.Cut(examplePresigned, "?")
	f.Add("GET", "/test.txt", query, "", "", "", "")
	f.Add("PUT", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%2F%2F%2F%2F&X-Amz-Expires=-1", "AWS4-HMAC-SHA256 Credential=,SignedHeaders=;;,Signature=", "x", "y", "z")
	f.Fuzz(func(t *testing.T, method, path, query, authorization, date, payload, rang string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: exampleHost, Header: http.Header{}}
		for name, value := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Content-Sha256": payload, "Range": rang} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		s, err := verifier(t).Verify(r)
		var known *Error
		if err != nil && !errors.As(err, &known) {
			t.Fatalf("Verify = %v, want an *Error", err)
		}
		if err == nil && (s.AccessKey != exampleAccess || method != "GET" || path != "/test.txt") {
			t.Fatalf("%s %q with %q was taken for signed", method, path, authorization)
		}
	})
}

// FuzzChunks: whatever comes, the decoder gives at most the announced bytes, and
// io.EOF only for exactly those.
func FuzzChunks(f *testing.F) {
	_, wire := exampleChunked(true)
	f.Add([]byte(wire[len(wire)-400:]), uint16(1024), "x-amz-checksum-crc32c", true)
	f.Add([]byte("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), uint16(3), "x-amz-checksum-crc32", false)
	f.Add([]byte("0\r\n\r\n"), uint16(0), "", false)
	f.Add([]byte("ffffffffffffffff\r\n"), uint16(9), "", true)
	f.Fuzz(func(t *testing.T, wire []byte, size uint16, names string, signed bool) {
		s := &Signed{Payload: UnsignedTrailer, key: []byte("key"), context: "d\ns\n", seed: "seed"}
		if signed {
			s.Payload = ChunkedTrailer
		}
		b, err := s.Body(unsignedTrailer(int(size), names), strings.NewReader(string(wire)))
		if err != nil {
			return
		}
		text, err := io.ReadAll(b)
		if len(text) > int(size) || err == nil && len(text) != int(size) {
			t.Fatalf("%d bytes, %v; announced %d", len(text), err, size)
		}
		if err == nil && signed {
			t.Fatalf("chunks that nobody signed were taken: %q", wire)
		}
		if n, again := b.Read(make([]byte, 1)); n != 0 || again == nil {
			t.Fatalf("after the end: %d, %v", n, again)
		}
	})
}

// FuzzKeys: a file of pairs is read or refused, and no error repeats a secret.
func FuzzKeys(f *testing.F) {
	f.Add("AAA 0123456789abcdef read-only\n")
	f.Add("# x\nAAA  secret0123456789")
	f.Fuzz(func(t *testing.T, file string) {
		keys, err := Parse(strings.NewReader(file))
		if err != nil {
			for _, word := range strings.Fields(file) {
				if len(word) >= SecretBytesMin && strings.Contains(err.Error(), word) && !strings.Contains("it is not an access key, a secret and perhaps read-only", word) {
					t.Fatalf("the error repeats %q: %v", word, err)
				}
			}
			return
		}
		if len(keys.pairs) == 0 || len(keys.pairs) > PairsMax {
			t.Fatalf("%d pairs", len(keys.pairs))
		}
	})
}
