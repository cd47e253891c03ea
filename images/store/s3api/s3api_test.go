package s3api

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/store/parts"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/images/store/sigv4"
	"github.com/kamado/kamado/internal/blob"
)

// TestEveryErrorHasARow: each sentinel of the parts below, and each kind of the
// room, is an S3 error with a text, and nothing that is not known gets out.
func TestEveryErrorHasARow(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		blob.ErrNotFound, blob.ErrInvalidKey, blob.ErrRange, blob.ErrDenied, blob.ErrUnavailable, blob.ErrShort,
		shelf.ErrTooLarge, shelf.ErrChecksum, shelf.ErrIncomplete, shelf.ErrStalled, shelf.ErrPrecondition, shelf.ErrConflict, shelf.ErrFull, shelf.ErrBusy, shelf.ErrMeta,
		parts.ErrNoUpload, parts.ErrPart, parts.ErrOrder, parts.ErrSmall, parts.ErrNumber, parts.ErrManyUploads, parts.ErrManyBytes,
		sigv4.ErrSignature, sigv4.ErrChunk, context.Canceled, errNoBucket,
	} {
		f, known := faultOf(fmt.Errorf("doing: %w", err))
		if !known || f.code == "" || f.detail == "" || f.status < 400 {
			t.Errorf("%v is %+v, %v", err, f, known)
		}
	}
	for _, k := range images.Kinds() {
		f, known := faultOf(images.Wrap(k, "op", "detail", errors.New("inside")))
		if f.code == "" || f.status < 400 || known != (k != images.Internal) || strings.Contains(f.detail, "inside") {
			t.Errorf("%v is %+v, %v", k, f, known)
		}
	}
	if f, known := faultOf(errors.New("/var/lib/secret")); known || f.code != "InternalError" || strings.Contains(f.detail, "secret") {
		t.Errorf("an unknown error is %+v, %v", f, known)
	}
}

func ask(method, target string, headers ...string) *call {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	c := &call{h: &Handler{}, r: r}
	c.split()
	return c
}

// TestRoutes: what is asked is found, and what would be taken for something else is
// refused.
func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, target, header, want string }{
		{"GET", "/", "", "ListBuckets"}, {"HEAD", "/b", "", "HeadBucket"}, {"GET", "/b/", "", "ListObjects"}, {"GET", "/b?list-type=2", "", "ListObjectsV2"},
		{"GET", "/b?uploads", "", "ListMultipartUploads"}, {"POST", "/b?delete", "", "DeleteObjects"}, {"PUT", "/b", "", "CreateBucket"},
		{"PUT", "/b/k", "", "PutObject"}, {"PUT", "/b/k", "X-Amz-Copy-Source", "CopyObject"}, {"PUT", "/b/k?uploadId=x&partNumber=1", "", "UploadPart"},
		{"PUT", "/b/k?uploadId=x&partNumber=1", "X-Amz-Copy-Source", "UploadPartCopy"}, {"POST", "/b/k?uploads", "", "CreateMultipartUpload"},
		{"POST", "/b/k?uploadId=x", "", "CompleteMultipartUpload"}, {"DELETE", "/b/k?uploadId=x", "", "AbortMultipartUpload"}, {"DELETE", "/b/k", "", "DeleteObject"},
		{"GET", "/b/k?uploadId=x", "", "ListParts"}, {"GET", "/b/k?response-content-type=x", "", "GetObject"}, {"HEAD", "/b/k", "", "HeadObject"},
		{"GET", "/b/k?versionId=null", "", "GetObject"}, {"GET", "/b/k?partNumber=1", "", "GetObject"},
		{"PUT", "/b/k?acl", "", "NotImplemented"}, {"PUT", "/b/k?tagging", "", "NotImplemented"}, {"PUT", "/b?policy", "", "NotImplemented"}, {"DELETE", "/b?lifecycle", "", "NotImplemented"},
		{"GET", "/b?versions", "", "NotImplemented"}, {"GET", "/b/k?attributes", "", "NotImplemented"}, {"GET", "/b/k?versionId=1", "", "NotImplemented"},
		{"POST", "/b/k?select&select-type=2", "", "MethodNotAllowed"}, {"POST", "/b", "", "MethodNotAllowed"}, {"DELETE", "/b/k?tagging", "", "NotImplemented"},
		{"PATCH", "/b/k", "", "MethodNotAllowed"}, {"PUT", "/b/k?partNumber=1", "", "PutObject"}, {"PUT", "/b/k?partNumber=2", "", "NotImplemented"},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{c.header, "/b/k2"}
		}
		got := ""
		op, err := ask(c.method, c.target, headers...).route()
		if err != nil {
			f, _ := faultOf(err)
			got = f.code
		} else {
			got = op.name
		}
		if got != c.want {
			t.Errorf("%s %s %s is %s, want %s", c.method, c.target, c.header, got, c.want)
		}
	}
	for _, op := range operations {
		if op.write != (op.method != http.MethodGet && op.method != http.MethodHead) {
			t.Errorf("%s: write is %v", op.name, op.write)
		}
	}
}

func TestCopySource(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"/b/k": "p/k", "b/a%20b/c": "p/a b/c", "/b/a+b": "p/a+b", "b/k?versionId=null": "p/k", "b": "", "": "", "/b/": "", "/other/k": "", "b/%zz": "", "b/k?versionId=1": "",
	} {
		c := ask("PUT", "/b/x", "X-Amz-Copy-Source", text)
		c.h.cfg.Buckets = map[string]Bucket{"b": {Origin: "o", Prefix: "p/"}}
		if ref, err := c.copySource(); (err == nil) != (want != "") || ref.Key != want {
			t.Errorf("copySource(%q) = %+v, %v, want %q", text, ref, err, want)
		}
	}
}

// FuzzXML: bodies of the two requests that have one are read or refused, and what
// is read can be written again.
func FuzzXML(f *testing.F) {
	f.Add([]byte(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet><Object><Key>a&amp;b</Key></Object></Delete>`))
	f.Add([]byte(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"x"</ETag></Part></CompleteMultipartUpload>`))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`))
	f.Add([]byte(strings.Repeat("<a>", 10_000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		var del deleteRequest
		if err := parseXML(text, &del); err == nil {
			total := 0
			for _, o := range del.Objects {
				total += len(o.Key)
			}
			if total > 4*len(text) { // no entity makes much of little
				t.Fatalf("%d bytes of XML became %d bytes of keys", len(text), total)
			}
			if _, err := xml.Marshal(del); err != nil {
				t.Fatal(err)
			}
		}
		var done completeRequest
		if err := parseXML(text, &done); err == nil && len(done.Parts) > len(text) {
			t.Fatalf("%d parts of %d bytes", len(done.Parts), len(text))
		}
	})
}

// FuzzRoute: whatever is asked, it is one operation or an error; and a write is
// never taken for a read.
func FuzzRoute(f *testing.F) {
	f.Add("GET", "b/k", "list-type=2", "")
	f.Add("PUT", "b", "uploadId=1&acl", "/b/k")
	f.Add("POST", "", "delete", "")
	f.Fuzz(func(t *testing.T, method, path, query, source string) {
		c := &call{h: &Handler{cfg: Config{Domain: "s3.test", Buckets: map[string]Bucket{"b": {}}}}, r: &http.Request{
			Method: method, Host: "b.s3.test", URL: &url.URL{Path: "/" + path, RawQuery: query}, Header: http.Header{"X-Amz-Copy-Source": {source}},
		}}
		c.split()
		op, err := c.route()
		if err == nil && method != "GET" && method != "HEAD" && !op.write {
			t.Fatalf("%s %q?%q is %s, which is no write", method, path, query, op.name)
		}
		_, _ = c.copySource()
		if a, err := c.asked(); err == nil && (a.max < 0 || a.max > keysMax) {
			t.Fatalf("max-keys is %d", a.max)
		}
		if off, n, err := parseCopyRange(source); err == nil && (off < 0 || n < 1) {
			t.Fatalf("copy range %q is %d, %d", source, off, n)
		}
	})
}
