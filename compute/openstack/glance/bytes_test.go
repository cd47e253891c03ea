package glance_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/disk/disktest"
)

// TestSlowClientsAreWaitedFor: an upload and a download take longer than the
// server allows other requests.
func TestSlowClientsAreWaitedFor(t *testing.T) {
	s := start(t)
	const bound = 100 * time.Millisecond
	slow := httptest.NewUnstartedServer(s.Config.Handler)
	slow.Config.ReadTimeout, slow.Config.WriteTimeout = bound, bound
	slow.Start()
	t.Cleanup(slow.Close)
	image := s.make("alice", fields{"disk_format": "raw", "container_format": "bare"})
	pr, pw := io.Pipe()
	go func() {
		for range 4 {
			<-time.After(bound) // what is tested is that time passes
			_, _ = pw.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
		pw.Close()
	}()
	send := func(method string, body io.Reader) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, slow.URL+"/image"+image+"/file", body)
		must(t, err)
		req.Header.Set("X-Auth-Token", "alice")
		req.Header.Set("Content-Type", "application/octet-stream")
		resp, err := slow.Client().Do(req)
		must(t, err)
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	if resp := send("PUT", pr); resp.StatusCode != 204 {
		t.Fatalf("a slow upload = %s", resp.Status)
	}
	resp := send("GET", nil)
	<-time.After(3 * bound)
	if n, err := io.Copy(io.Discard, resp.Body); n != 4<<20 || err != nil {
		t.Errorf("a slow download = %d bytes, %v", n, err)
	}
}

// TestHostileUploads sends hostile images over HTTP, mutated by one byte each.
func TestHostileUploads(t *testing.T) {
	s := start(t)
	image := s.make("alice", fields{"disk_format": "qcow2", "container_format": "bare"})
	sent := 0
	for i, h := range disktest.Hostiles(t, "/etc/hostname") {
		if h.Declared != "qcow2" || i%2 == 1 || len(h.Bytes) == 0 {
			continue
		}
		b := bytes.Clone(h.Bytes)
		if len(b) > 4 {
			b[len(b)-1-i%min(len(b)-4, 1000)] ^= 0xff // behind what the header says
		}
		a := s.do("alice", "PUT", image+"/file", string(b), "Content-Type", "application/octet-stream")
		if a.status != 400 || !bytes.Contains(a.body, []byte("not taken as an image of format qcow2")) {
			t.Errorf("%s = %d %s", h.Name, a.status, a.body)
		}
		sent++
	}
	if got := s.want(200, "alice", "GET", image, nil).text("status"); got != "queued" {
		t.Errorf("after %d refused uploads the image is %s", sent, got)
	}
	s.fill("alice", image, string(disktest.GoodQcow2()))
}

// FuzzRequests sends anything to every route: no answer is a failure of the
// server, and a foreign image stays untouched.
func FuzzRequests(f *testing.F) {
	s := start(f)
	foreign := s.make("bob", fields{"name": "bob's", "visibility": "private"})
	own := s.make("alice", fields{"name": "x", "disk_format": "raw", "container_format": "bare", "p": "1"})
	for _, seed := range [][4]string{
		{"GET", "?sort=name:asc&limit=2&created_at=gt:2026-01-01", "", ""},
		{"GET", "?name=in:%22a,b%22,c&tag=x&marker=x&size_min=1", "", ""},
		{"POST", "", `{"name":"x","tags":["a"],"min_ram":1,"visibility":"private","id":"00000000-0000-4000-8000-000000000001"}`, "application/json"},
		{"PATCH", "/OWN", `[{"op":"replace","path":"/name","value":"y"},{"op":"add","path":"/a~1b","value":"1"}]`, "application/openstack-images-v2.1-json-patch"},
		{"PATCH", "/FOREIGN", `[{"replace":"/name","value":"z"}]`, "application/openstack-images-v2.0-json-patch"},
		{"PUT", "/OWN/file", "QFI\xfb\x00\x00\x00\x03", "application/octet-stream"},
		{"PUT", "/OWN/stage", "bytes", "application/octet-stream"},
		{"POST", "/OWN/import", `{"method":{"name":"glance-direct"}}`, "application/json"},
		{"POST", "/OWN/members", `{"member":"p2"}`, "application/json"},
		{"PUT", "/OWN/members/p2", `{"status":"accepted"}`, "application/json"},
		{"PUT", "/OWN/tags/%e7%ab%88", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, path, body, kind string) {
		path = strings.NewReplacer("OWN", own[11:], "FOREIGN", foreign[11:]).Replace(path)
		req, err := http.NewRequestWithContext(t.Context(), method, "http://x/image/v2/images"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("X-Auth-Token", "alice")
		req.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%s %q with %q = %d %s", method, path, body, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "bob's") {
			t.Errorf("%s %q tells of a foreign image: %s", method, path, w.Body)
		}
		in := *s
		in.t = t
		if w := in.want(200, "bob", "GET", foreign, nil); w.text("name") != "bob's" {
			t.Errorf("%s %q with %q changed a foreign image", method, path, body)
		}
	})
}

// BenchmarkUpload is an upload of 64 MiB and its removal; the two hashes bound it.
func BenchmarkUpload(b *testing.B) {
	s := start(b)
	data := strings.Repeat("kamado.. ", 64<<20/9)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		image := s.make("alice", fields{"disk_format": "raw", "container_format": "bare"})
		s.fill("alice", image, data)
		s.want(204, "alice", "DELETE", image, nil)
	}
}
