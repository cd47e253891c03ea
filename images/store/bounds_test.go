package store_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

// TestABucketEndsAtItsPrefix: nothing outside of a bucket's prefix can be read,
// listed, copied, replaced or removed by way of it, however it is spelled.
func TestABucketEndsAtItsPrefix(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := w.dial(t, access, secret)
	outside, inside := photo(t, 1, 0), photo(t, 2, 0)
	put(t, c, "photos", "private/a.jpg", outside, minio.PutObjectOptions{})
	put(t, c, "shop", "b.jpg", inside, minio.PutObjectOptions{})
	for _, key := range []string{"../private/a.jpg", "%2e%2e/private/a.jpg", "..%2Fprivate%2Fa.jpg", "x/../../private/a.jpg", "./../private/a.jpg", "/../private/a.jpg", "..%00/private/a.jpg"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			got := w.raw(t, method, "/shop/"+key, inside)
			if got.status/100 == 2 && method != "DELETE" || strings.Contains(got.body, string(outside[20:200])) {
				t.Errorf("%s %s = %d", method, key, got.status)
			}
		}
		if got := w.signed(t, "PUT", "/shop/copy.jpg", nil, "X-Amz-Copy-Source", "/shop/"+key); got.status/100 == 2 {
			t.Errorf("copy of %s = %d %s", key, got.status, got.body)
		}
		plain, err := url.PathUnescape(key)
		must(t, err)
		w.signed(t, "POST", "/shop?delete", []byte("<Delete><Object><Key>"+strings.ReplaceAll(plain, "\x00", "")+"</Key></Object></Delete>"))
	}
	for _, query := range []string{"prefix=../", "prefix=..%2Fprivate", "prefix=/", "marker=..%2F", "marker=%00", "delimiter=/&prefix=..", "list-type=2&start-after=../o", "prefix=.", "uploads&prefix=.."} {
		if got := w.signed(t, "GET", "/shop?"+query, nil); strings.Contains(got.body, "private/") || strings.Contains(got.body, "a.jpg") {
			t.Errorf("list %s = %d %s", query, got.status, got.body)
		}
	}
	if w.onDisk(t, "private/a.jpg") == nil || string(w.onDisk(t, "private/a.jpg")) != string(outside) {
		t.Error("what lies outside was changed")
	}
}

// raw makes a signed request whose path is sent as it is written.
func (w *world) raw(t *testing.T, method, target string, body []byte) answer {
	t.Helper()
	u, err := url.Parse(w.S3.URL)
	must(t, err)
	plain, err := url.PathUnescape(target)
	must(t, err)
	u.Path, u.RawPath = plain, target
	return w.signed(t, method, strings.TrimPrefix(u.String(), w.S3.URL), body)
}

// TestPresignedURLsShowNoTakedown: what was taken down is there for who holds a pair
// and for no one with a URL.
func TestPresignedURLsShowNoTakedown(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	c := w.dial(t, access, secret)
	data := photo(t, 1, 0)
	put(t, c, "shop", "a.jpg", data, minio.PutObjectOptions{})
	u, err := c.PresignedGetObject(t.Context(), "shop", "a.jpg", time.Hour, nil)
	must(t, err)
	for _, hidden := range []bool{false, true} {
		w.mu.Lock()
		if w.hidden = ""; hidden {
			w.hidden = "shop/a.jpg"
		}
		w.mu.Unlock()
		if got := fetch(t, "GET", u.String(), nil); (got.status == http.StatusOK) == hidden {
			t.Errorf("hidden %v: by a URL %d %s", hidden, got.status, got.body)
		}
		if got := w.signed(t, "GET", "/shop/a.jpg", nil); got.body != string(data) {
			t.Errorf("hidden %v: for who holds a pair %d", hidden, got.status)
		}
		if got := w.signed(t, "PUT", "/shop/a.jpg", data); (got.header.Get("X-Kamado-Taken-Down") != "") != hidden {
			t.Errorf("hidden %v: written, %d %v", hidden, got.status, got.header)
		}
	}
}
