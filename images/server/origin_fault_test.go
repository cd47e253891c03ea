package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/faultproxy"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/blob/s3test"
)

// bucketRoom is the whole room over a real S3 server behind a proxy that spoils
// answers, cold for every request: no cache is on, and every width is asked for
// once.
type bucketRoom struct {
	*server.Server
	proxy *faultproxy.Proxy
	width int
}

func startOverBucket(t *testing.T, timeout time.Duration) *bucketRoom {
	t.Helper()
	s3server := s3test.Start(t)
	bucket := s3server.Config(t)
	store, err := s3.Open(bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	picture := photograph(t, 900, 600)
	if _, err := store.Put(t.Context(), "recipes/1.jpg", bytes.NewReader(picture), int64(len(picture)), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.Start(t, s3server.URL)
	env := map[string]string{"AWS_ACCESS_KEY_ID": bucket.AccessKey, "AWS_SECRET_ACCESS_KEY": string(bucket.SecretKey)}
	s := start(t, "", func(o *server.Options, d *server.Deps) {
		o.Config.Originals = ""
		o.Config.Origins = map[string]images.Origin{images.DefaultOrigin: {
			S3: images.S3{Endpoint: proxy.URL, Region: bucket.Region, Bucket: bucket.Bucket, PathStyle: true}, Timeout: timeout,
		}}
		o.Config.ResultCache.Memory, o.Config.ResultCache.Disk = 0, 0
		o.Config.OriginalCache.Memory, o.Config.OriginalCache.Disk = 0, 0
		d.Getenv = func(name string) string { return env[name] }
	})
	return &bucketRoom{Server: s, proxy: proxy, width: 100}
}

// ask asks for the picture at a width of its own.
func (b *bucketRoom) ask(t *testing.T) answer {
	t.Helper()
	b.width++
	return get(t, b.Server, fmt.Sprintf("/recipes/1/%d/any.jpg", b.width))
}

// wantFailure wants an answer that says what is wrong, and that no cache keeps
// for long.
func wantFailure(t *testing.T, a answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("status %d, want %d: %.300s", a.StatusCode, status, a.body)
	}
	var problem struct {
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(a.body, &problem); err != nil || problem.Status != a.StatusCode || problem.Detail == "" {
		t.Errorf("body %.300s, %v, want a problem with status and detail", a.body, err)
	}
}

// recovers wants pictures again, by itself.
func (b *bucketRoom) recovers(t *testing.T) {
	t.Helper()
	b.proxy.Heal()
	eventually(t, "a picture after the origin has recovered", func() bool { return b.ask(t).StatusCode == http.StatusOK })
	if a := b.ask(t); a.StatusCode != http.StatusOK {
		t.Errorf("the next picture: status %d: %.300s", a.StatusCode, a.body)
	}
}

func TestOriginThatFails(t *testing.T) {
	b := startOverBucket(t, 5*time.Second)
	b.recovers(t) // works at all
	for _, c := range []struct {
		name  string
		fault faultproxy.Fault
	}{
		{"500", faultproxy.Status(500)},
		{"503", faultproxy.Status(503)},
		{"reset before the head", faultproxy.Reset(-1)},
		{"refused signature", faultproxy.Status(403)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.proxy.Inject(faultproxy.Forever, c.fault)
			wantFailure(t, b.ask(t), http.StatusBadGateway)
			b.recovers(t)
		})
	}
	t.Run("500 once", func(t *testing.T) {
		b.proxy.InjectOn(http.MethodGet, 1, faultproxy.Status(500))
		if a := b.ask(t); a.StatusCode != http.StatusOK {
			t.Errorf("status %d, want the second attempt to succeed: %.300s", a.StatusCode, a.body)
		}
	})
}

// TestOriginThatSpoilsBodies wants that no picture is ever made of half an
// original: it would be kept for long, and look like the original.
func TestOriginThatSpoilsBodies(t *testing.T) {
	b := startOverBucket(t, 5*time.Second)
	for _, c := range []struct {
		name  string
		fault faultproxy.Fault
	}{
		{"cut after the head", faultproxy.Truncate(0)},
		{"cut in the middle", faultproxy.Truncate(5000)},
		{"announced longer", faultproxy.Length(10)},
		{"announced shorter", faultproxy.Length(-1000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.proxy.InjectOn(http.MethodGet, faultproxy.Forever, c.fault)
			wantFailure(t, b.ask(t), http.StatusBadGateway)
			b.recovers(t)
			b.proxy.InjectOn(http.MethodGet, 1, c.fault)
			if a := b.ask(t); a.StatusCode != http.StatusOK {
				t.Errorf("cut once: status %d, want the second read to succeed: %.300s", a.StatusCode, a.body)
			}
		})
	}
}

func TestOriginThatIsSlow(t *testing.T) {
	const limit = 300 * time.Millisecond
	b := startOverBucket(t, limit)
	b.recovers(t)
	for _, c := range []struct {
		name  string
		fault faultproxy.Fault
	}{{"silent", b.proxy.Silent()}, {"stalls in the body", b.proxy.Stall(2000)}} {
		t.Run(c.name, func(t *testing.T) {
			b.proxy.Inject(faultproxy.Forever, c.fault)
			began := time.Now()
			wantFailure(t, b.ask(t), http.StatusGatewayTimeout)
			if took := time.Since(began); took > 100*limit { // without the timeout there is no end
				t.Errorf("the answer took %v, with a timeout of %v", took, limit)
			}
			b.recovers(t)
		})
	}
}
