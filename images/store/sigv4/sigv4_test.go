package sigv4

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The examples of "Authenticating Requests (AWS Signature Version 4)", Amazon S3
// API Reference: "Signature Calculations for the Authorization Header" and its
// chunked forms, and "Using Query Parameters".
const (
	exampleAccess = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	emptySum      = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func verifier(t testing.TB) *Verifier {
	t.Helper()
	keys, err := Parse(strings.NewReader(exampleAccess + " " + exampleSecret + "\nREADER another.secret.of.tests read-only\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &Verifier{Keys: keys, Now: func() time.Time { return exampleTime }}
}

// request makes one as net/http gives it to a handler.
func request(method, target, host string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func authorization(signed, signature string) string {
	return "AWS4-HMAC-SHA256 Credential=" + exampleAccess + "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + signed + ",Signature=" + signature
}

const exampleHost = "examplebucket.s3.amazonaws.com"

func exampleGet() *http.Request {
	return request("GET", "/test.txt", exampleHost, "Range", "bytes=0-9", "X-Amz-Content-Sha256", emptySum, "X-Amz-Date", "20130524T000000Z",
		"Authorization", authorization("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"))
}

const examplePresigned = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
	"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

func TestExamplesOfTheReference(t *testing.T) {
	t.Parallel()
	base := []string{"X-Amz-Content-Sha256", emptySum, "X-Amz-Date", "20130524T000000Z"}
	const plain = "host;x-amz-content-sha256;x-amz-date"
	for name, r := range map[string]*http.Request{
		"get a range": exampleGet(),
		"put": request("PUT", "/test$file.text", exampleHost, "Date", "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Date", "20130524T000000Z",
			"X-Amz-Storage-Class", "REDUCED_REDUNDANCY", "X-Amz-Content-Sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"Authorization", authorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")),
		"get a subresource": request("GET", "/?lifecycle", exampleHost,
			append(base, "Authorization", authorization(plain, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"))...),
		"list": request("GET", "/?max-keys=2&prefix=J", exampleHost,
			append(base, "Authorization", authorization(plain, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"))...),
		"presigned": request("GET", examplePresigned, exampleHost),
	} {
		s, err := verifier(t).Verify(r)
		if err != nil || s.AccessKey != exampleAccess || s.ReadOnly || s.Presigned != (name == "presigned") {
			t.Errorf("%s: Verify = %+v, %v", name, s, err)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*http.Request)
		want  *Error
	}{
		"another method":            {func(r *http.Request) { r.Method = "PUT" }, ErrSignature},
		"another path":              {func(r *http.Request) { r.URL.Path = "/test2.txt" }, ErrSignature},
		"a query":                   {func(r *http.Request) { r.URL.RawQuery = "acl" }, ErrSignature},
		"another host":              {func(r *http.Request) { r.Host = "other" }, ErrSignature},
		"another signed header":     {func(r *http.Request) { r.Header.Set("Range", "bytes=0-10") }, ErrSignature},
		"a signed header less":      {func(r *http.Request) { r.Header.Del("Range") }, ErrSignature},
		"an unsigned amz header":    {func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/b/k") }, ErrUnsigned},
		"no signature":              {func(r *http.Request) { r.Header.Del("Authorization") }, ErrAnonymous},
		"signature version 2":       {func(r *http.Request) { r.Header.Set("Authorization", "AWS A:b") }, ErrVersion},
		"asymmetric":                {func(r *http.Request) { r.Header.Set("Authorization", "AWS4-ECDSA-P256-SHA256 x") }, ErrECDSA},
		"no payload":                {func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }, ErrNoPayload},
		"another day":               {func(r *http.Request) { r.Header.Set("X-Amz-Date", "20130525T000000Z") }, ErrMalformed},
		"another payload":           {func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, ErrSignature},
		"no date":                   {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, ErrDate},
		"an unknown access key":     {replace("Authorization", exampleAccess, "AKIA"), ErrAccessKey},
		"a signature of upper case": {replace("Authorization", "f0e8bdb", "F0E8BDB"), ErrMalformed},
		"a host that is not signed": {replace("Authorization", "host;", ""), ErrUnsigned},
		"headers out of order":      {replace("Authorization", "host;range", "range;host"), ErrMalformed},
		"another service":           {replace("Authorization", "/s3/", "/sts/"), ErrMalformed},
		"a field twice":             {replace("Authorization", ",Signature", ",Signature=a,Signature"), ErrMalformed},
	} {
		r := exampleGet()
		c.spoil(r)
		if s, err := verifier(t).Verify(r); !errors.Is(err, c.want) {
			t.Errorf("%s: Verify = %+v, %v, want %v", name, s, err, c.want)
		}
	}
}

func replace(header, from, to string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(header, strings.Replace(r.Header.Get(header), from, to, 1)) }
}

func TestClocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		off    time.Duration
		target string
		want   error
	}{
		{0, "", nil}, {SkewMax, "", nil}, {-SkewMax, "", nil}, {SkewMax + time.Second, "", ErrSkew}, {-SkewMax - time.Second, "", ErrSkew},
		{0, examplePresigned, nil}, {24 * time.Hour, examplePresigned, nil}, {24*time.Hour + time.Second, examplePresigned, ErrExpired},
		{-SkewMax, examplePresigned, nil}, {-SkewMax - time.Second, examplePresigned, ErrNotYet},
	} {
		v, r := verifier(t), exampleGet()
		v.Now = func() time.Time { return exampleTime.Add(c.off) }
		if c.target != "" {
			r = request("GET", c.target, exampleHost)
		}
		if _, err := v.Verify(r); !errors.Is(err, c.want) {
			t.Errorf("%v off, %.10q: Verify = %v, want %v", c.off, c.target, err, c.want)
		}
	}
	v := verifier(t)
	v.Region = "eu-west-1"
	if _, err := v.Verify(exampleGet()); err == nil || !strings.Contains(err.Error(), "eu-west-1") {
		t.Errorf("a signature for another region: %v", err)
	}
}

func TestPresignedIsRefused(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"longer life":      strings.Replace(examplePresigned, "Expires=86400", "Expires=86401", 1),
		"a week and more":  strings.Replace(examplePresigned, "Expires=86400", "Expires=604801", 1),
		"no life":          strings.Replace(examplePresigned, "Expires=86400", "Expires=0", 1),
		"a parameter more": examplePresigned + "&versionId=1",
		"date twice":       examplePresigned + "&X-Amz-Date=20130524T000000Z",
		"another key":      strings.Replace(examplePresigned, "/test.txt", "/test2.txt", 1),
		"bad escape":       strings.Replace(examplePresigned, "%2F", "%2", 1),
	} {
		r := request("GET", "/", exampleHost)
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
		if s, err := verifier(t).Verify(r); err == nil {
			t.Errorf("%s: Verify = %+v", name, s)
		}
	}
	both := request("GET", examplePresigned, exampleHost, "Authorization", "AWS4-HMAC-SHA256 x")
	if _, err := verifier(t).Verify(both); err == nil {
		t.Error("two ways of signing at once were accepted")
	}
}

// exampleChunked is the upload of 66560 "a" in chunks; with a trailer or without.
func exampleChunked(trailer bool) (*http.Request, string) {
	as := strings.Repeat("a", 65536)
	if !trailer {
		r := request("PUT", "/examplebucket/chunkObject.txt", "s3.amazonaws.com", "X-Amz-Date", "20130524T000000Z", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
			"X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content-Encoding", "aws-chunked", "X-Amz-Decoded-Content-Length", "66560", "Authorization",
			authorization("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
				"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"))
		r.ContentLength = 66824
		return r, "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + as +
			"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + as[:1024] +
			"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	}
	r := request("PUT", "/examplebucket/chunkObject.txt", "s3.amazonaws.com", "X-Amz-Date", "20130524T000000Z", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY",
		"X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "Content-Encoding", "aws-chunked", "X-Amz-Decoded-Content-Length", "66560",
		"X-Amz-Trailer", "x-amz-checksum-crc32c", "Authorization",
		authorization("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"))
	return r, "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + as +
		"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + as[:1024] +
		"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
}

// read reads a body by a signature that was right.
func read(t testing.TB, r *http.Request, raw io.Reader) (string, map[string]string, error) {
	t.Helper()
	s, err := verifier(t).Verify(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Body(r, raw)
	if err != nil {
		return "", nil, err
	}
	text, err := io.ReadAll(b)
	return string(text), b.Trailer(), err
}

func TestChunksOfTheReference(t *testing.T) {
	t.Parallel()
	for _, trailer := range []bool{false, true} {
		r, wire := exampleChunked(trailer)
		for name, raw := range map[string]io.Reader{"whole": strings.NewReader(wire), "byte by byte": iotest.OneByteReader(strings.NewReader(wire))} {
			text, late, err := read(t, r, raw)
			if err != nil || text != strings.Repeat("a", 66560) || trailer != (late["x-amz-checksum-crc32c"] == "sOO8/Q==") {
				t.Errorf("trailer %v, %s: %d bytes, %v, %v", trailer, name, len(text), late, err)
			}
		}
		// Whatever is changed of the wire, what was read is not taken for whole.
		for i := 0; i < len(wire); i += 1 + i%977 {
			spoilt := []byte(wire)
			spoilt[i] ^= 0x10
			if _, _, err := read(t, r, strings.NewReader(string(spoilt))); err == nil && !harmless(wire, i) {
				t.Errorf("trailer %v: byte %d (%q) was changed, and the body was taken", trailer, i, wire[max(0, i-10):min(i+10, len(wire))])
			}
			if _, _, err := read(t, r, strings.NewReader(wire[:i])); err == nil {
				t.Errorf("trailer %v: the first %d bytes were taken for the body", trailer, i)
			}
		}
	}
}

// harmless: a space before or behind a size or a name means nothing (0x10 makes
// "0" of " " and the other way).
func harmless(wire string, i int) bool { return wire[i] == '0' && (i == 0 || wire[i-1] == '\n') }

func unsignedTrailer(size int, names string) *http.Request {
	r := request("PUT", "/", "h", "X-Amz-Decoded-Content-Length", fmt.Sprint(size))
	if names != "" {
		r.Header.Set("X-Amz-Trailer", names)
	}
	return r
}

func TestUnsignedChunks(t *testing.T) {
	t.Parallel()
	const sum = "x-amz-checksum-crc32"
	for name, c := range map[string]struct {
		size        int
		names, wire string
		want        error
	}{
		"good":                     {5, sum, "3\r\nabc\r\n2\r\nde\r\n0\r\n" + sum + ":hYfYWg==\r\n\r\n", nil},
		"empty":                    {0, sum, "0\r\n" + sum + ":AAAAAA==\r\n\r\n", nil},
		"no trailer":               {3, "", "3\r\nabc\r\n0\r\n\r\n", nil},
		"an extension":             {3, "", "3;x=y\r\nabc\r\n0\r\n\r\n", nil},
		"more than announced":      {2, "", "3\r\nabc\r\n0\r\n\r\n", ErrChunkLarge},
		"less than announced":      {4, "", "3\r\nabc\r\n0\r\n\r\n", ErrChunkLarge},
		"a huge chunk":             {4, "", "3fffffffffffffff\r\nabc", ErrChunkLarge},
		"a larger number":          {4, "", "fffffffffffffffff\r\nabc", ErrChunk},
		"a negative chunk":         {4, "", "-1\r\nabc", ErrChunk},
		"no end of a line":         {4, "", strings.Repeat("0", lineBytesMax+1), ErrChunk},
		"bytes behind a chunk":     {3, "", "3\r\nabcd\r\n0\r\n\r\n", ErrChunk},
		"only a line feed":         {3, "", "3\nabc\r\n0\r\n\r\n", ErrChunk},
		"the trailer is missing":   {3, sum, "3\r\nabc\r\n0\r\n\r\n", ErrTrailer},
		"a trailer not announced":  {3, "", "3\r\nabc\r\n0\r\n" + sum + ":AAAAAA==\r\n\r\n", ErrTrailer},
		"the trailer twice":        {0, sum, "0\r\n" + sum + ":AAAAAA==\r\n" + sum + ":AAAAAA==\r\n\r\n", ErrTrailer},
		"cut in the trailer":       {3, sum, "3\r\nabc\r\n0\r\n" + sum + ":AAA", io.ErrUnexpectedEOF},
		"cut in a chunk":           {3, "", "3\r\na", io.ErrUnexpectedEOF},
		"too many announced names": {3, strings.Repeat("a,", 20), "3\r\nabc\r\n0\r\n\r\n", ErrTrailer},
	} {
		s := &Signed{Payload: UnsignedTrailer}
		r := unsignedTrailer(c.size, c.names)
		b, err := s.Body(r, strings.NewReader(c.wire))
		if err == nil {
			_, err = io.ReadAll(b)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestHashedBody(t *testing.T) {
	t.Parallel()
	s := &Signed{Payload: Hashed, sum: hash("body")}
	for text, want := range map[string]error{"body": nil, "bodx": ErrPayload, "bod": ErrPayload, "": ErrPayload} {
		b, err := s.Body(request("PUT", "/", "h"), strings.NewReader(text))
		if err == nil {
			_, err = io.ReadAll(b)
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestKeysOfAFile(t *testing.T) {
	t.Parallel()
	keys, err := Parse(strings.NewReader("# pairs\n\nAAA 0123456789abcdef\nBBB\t0123456789abcdeX read-only\n"))
	if err != nil || len(keys.pairs) != 2 || keys.pairs["AAA"].readOnly || !keys.pairs["BBB"].readOnly {
		t.Errorf("Parse = %v, %v", keys.pairs, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", keys, keys, keys, keys.LogValue()); strings.Contains(text, "0123") {
		t.Errorf("keys print as %s", text)
	}
	for _, file := range []string{"", "# nothing", "AAA", "AAA short", "AAA 0123456789abcdef write", "A/B 0123456789abcdef",
		"AAA 0123456789abcdef\nAAA 0123456789abcdef", "AAA 0123456789abcd\x01f", "AAA " + strings.Repeat("x", 200)} {
		if keys, err := Parse(strings.NewReader(file)); err == nil || strings.Contains(err.Error(), "0123") {
			t.Errorf("Parse(%.30q) = %v, %v", file, keys, err)
		}
	}
}
