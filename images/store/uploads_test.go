package store_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/store/upload"
)

const bearer = "Bearer " + operatorToken

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestAnOriginalGoesInAndComesBack(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	data, url := photo(t, 1, 1000), w.Uploads.URL+upload.Prefix+"cat/1.jpg"
	got := fetch(t, "PUT", url, data, "Authorization", bearer)
	var stored upload.Stored
	if err := json.Unmarshal([]byte(got.body), &stored); err != nil || got.status != 200 {
		t.Fatalf("PUT = %d %s", got.status, got.body)
	}
	in, err := w.Origin.Stat(t.Context(), "cat/1.jpg")
	must(t, err)
	want := upload.Stored{Key: "cat/1.jpg", ETag: in.ETag, Bytes: int64(len(data)), MD5: fmt.Sprintf("%x", md5.Sum(data)), Format: "jpeg", Width: 64, Height: 48}
	if stored != want || !bytes.Equal(w.onDisk(t, "cat/1.jpg"), data) {
		t.Errorf("PUT = %+v, want %+v", stored, want)
	}
	got = fetch(t, "GET", url, nil, "Authorization", bearer)
	if got.status != 200 || got.body != string(data) || got.header.Get("Content-Type") != "image/jpeg" || got.header.Get("ETag") != `"`+in.ETag+`"` {
		t.Errorf("GET = %d, %d bytes, %v", got.status, len(got.body), got.header)
	}
	if got = fetch(t, "HEAD", url, nil, "Authorization", bearer); got.status != 200 || got.body != "" || got.header.Get("Content-Length") != fmt.Sprint(len(data)) {
		t.Errorf("HEAD = %d %q %v", got.status, got.body, got.header)
	}
	if got = fetch(t, "GET", url, nil, "Authorization", bearer, "Range", "bytes=-5"); got.status != 206 || got.body != string(data[len(data)-5:]) {
		t.Errorf("GET of a range = %d, %d bytes", got.status, len(got.body))
	}
	if got = fetch(t, "GET", url, nil, "Authorization", bearer, "If-None-Match", `"`+in.ETag+`"`); got.status != 304 {
		t.Errorf("GET of what is known = %d", got.status)
	}
	got = fetch(t, "GET", w.Uploads.URL+upload.Prefix+"?prefix=cat/&limit=1", nil, "Authorization", bearer)
	var page upload.Page
	if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page.Originals) != 1 || page.Originals[0].ETag != in.ETag || page.Next != "cat/1.jpg" {
		t.Errorf("list = %d %s", got.status, got.body)
	}
	for range 2 { // the second one as if the first one's answer was lost
		if got = fetch(t, "DELETE", url, nil, "Authorization", bearer); got.status != 204 {
			t.Errorf("DELETE = %d %s", got.status, got.body)
		}
	}
	if got = fetch(t, "GET", url, nil, "Authorization", bearer); got.status != 404 {
		t.Errorf("GET of what was deleted = %d", got.status)
	}
	if told := strings.Join(w.told("cat/1.jpg"), " "); told != "created deleted deleted" {
		t.Errorf("told: %s", told)
	}
}

func TestWhatIsNotStored(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.MaxBytes = 100_000
	w := start(t, cfg)
	data := photo(t, 1, 0)
	sum, crc := sha256.Sum256(data), crc32.ChecksumIEEE(data)
	md := md5.Sum(data)
	for name, c := range map[string]struct {
		key     string
		body    []byte
		status  int
		headers []string
	}{
		"no credential":       {"a.jpg", data, 401, nil},
		"another credential":  {"a.jpg", data, 401, []string{"Authorization", "Bearer x"}},
		"no picture":          {"a.jpg", []byte("text"), 422, []string{"Authorization", bearer}},
		"nothing":             {"a.jpg", nil, 422, []string{"Authorization", bearer}},
		"too many pixels":     {"a.png", bomb(t), 413, []string{"Authorization", bearer}},
		"too many bytes":      {"a.jpg", photo(t, 1, 100_000), 413, []string{"Authorization", bearer}},
		"another md5":         {"a.jpg", data, 400, []string{"Authorization", bearer, "Content-MD5", b64(md[1:]) + "AA"}},
		"another md5 2":       {"a.jpg", data, 400, []string{"Authorization", bearer, "Content-MD5", b64(make([]byte, 16))}},
		"another sha256":      {"a.jpg", data, 400, []string{"Authorization", bearer, "X-Amz-Checksum-Sha256", b64(make([]byte, 32))}},
		"another sha1":        {"a.jpg", data, 400, []string{"Authorization", bearer, "X-Amz-Checksum-Sha1", b64(make([]byte, 20))}},
		"another crc32":       {"a.jpg", data, 400, []string{"Authorization", bearer, "X-Amz-Checksum-Crc32", b64([]byte{1, 2, 3, 4})}},
		"another crc32c":      {"a.jpg", data, 400, []string{"Authorization", bearer, "X-Amz-Checksum-Crc32c", b64([]byte{1, 2, 3, 4})}},
		"another crc64nvme":   {"a.jpg", data, 400, []string{"Authorization", bearer, "X-Amz-Checksum-Crc64nvme", b64(make([]byte, 8))}},
		"replaces nothing":    {"a.jpg", data, 412, []string{"Authorization", bearer, "If-Match", `"x"`}},
		"a key with dots":     {"a/../b.jpg", data, 400, []string{"Authorization", bearer}},
		"a hidden key":        {".kamado-put/b.jpg", data, 400, []string{"Authorization", bearer}},
		"a slash in a part":   {"a%2Fb.jpg", data, 400, []string{"Authorization", bearer}},
		"a second spelling":   {"%61.jpg", data, 400, []string{"Authorization", bearer}},
		"an unknown question": {"a.jpg?x=1", data, 400, []string{"Authorization", bearer}},
	} {
		// The path as it is: a client library would tidy it up.
		req, err := http.NewRequestWithContext(t.Context(), "PUT", w.Uploads.URL, bytes.NewReader(c.body))
		must(t, err)
		req.URL.Opaque = "//" + req.URL.Host + upload.Prefix + c.key
		for i := 0; i < len(c.headers); i += 2 {
			req.Header.Set(c.headers[i], c.headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, text, c.status)
		}
	}
	if list, err := w.Origin.List(t.Context(), "", "", 0); err != nil || len(list) > 0 || len(w.files(t)) > 0 {
		t.Errorf("stored: %v %v; staged: %v", list, err, w.files(t))
	}
	good := []string{"Authorization", bearer, "Content-MD5", b64(md[:]), "X-Amz-Checksum-Sha256", b64(sum[:]), "X-Amz-Checksum-Crc32",
		b64([]byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}), "If-None-Match", "*"}
	if got := fetch(t, "PUT", w.Uploads.URL+upload.Prefix+"a.jpg", data, good...); got.status != 200 {
		t.Errorf("with good checksums: %d %s", got.status, got.body)
	}
	if got := fetch(t, "PUT", w.Uploads.URL+upload.Prefix+"a.jpg", data, good...); got.status != 412 {
		t.Errorf("If-None-Match: * of what is there: %d %s", got.status, got.body)
	}
}

// TestCutBody: whatever part of a body arrives, with a length or in chunks of
// HTTP, nothing is stored and nothing stays staged.
func TestCutBody(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	data := photo(t, 1, 50_000)
	for _, head := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n", len(data)), "Transfer-Encoding: chunked\r\n\r\nffff\r\n"} {
		for _, n := range []int{0, 1, 3000, len(data) - 1} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.Uploads.URL, "http://"))
			must(t, err)
			_, err = fmt.Fprintf(conn, "PUT %scut.jpg HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\n%s%s", upload.Prefix, bearer, head, data[:n])
			must(t, err)
			must(t, conn.(*net.TCPConn).CloseWrite())
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	}
	if got := w.onDisk(t, "cut.jpg"); got != nil || len(w.told("cut.jpg")) > 0 {
		t.Errorf("a cut body was stored: %d bytes", len(got))
	}
	if left := w.files(t); len(left) > 0 {
		t.Errorf("staged: %v", left)
	}
}

func TestTooLargeIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.MaxBytes = 1 << 20
	w := start(t, cfg)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.Uploads.URL, "http://"))
	must(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PUT %sx.jpg HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n", upload.Prefix, bearer)
	must(t, err)
	answer := make([]byte, 32)
	_, err = io.ReadFull(conn, answer)
	if must(t, err); !strings.HasPrefix(string(answer), "HTTP/1.1 413") {
		t.Errorf("the answer begins %q", answer)
	}
	// Without a length it is cut off when it passes the bound.
	endless := io.MultiReader(bytes.NewReader(photo(t, 1, 0)), io.LimitReader(zeros{}, 64<<20))
	req, err := http.NewRequestWithContext(t.Context(), "PUT", w.Uploads.URL+upload.Prefix+"x.jpg", endless)
	must(t, err)
	req.Header.Set("Authorization", bearer)
	if resp, err := http.DefaultClient.Do(req); err == nil { // or the connection is closed under the client
		resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Errorf("an endless body: %d", resp.StatusCode)
		}
	}
	if w.onDisk(t, "x.jpg") != nil {
		t.Error("something was stored")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUploadURL(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	data := photo(t, 1, 0)
	sign := func(g upload.Grant) string {
		t.Helper()
		u, err := g.Sign(w.Keys)
		must(t, err)
		return w.Uploads.URL + u
	}
	grant := upload.Grant{Method: "PUT", Key: "up/a b.jpg", MaxBytes: int64(len(data)), Type: "image/jpeg", New: true, Expires: later}
	url := sign(grant)
	if got := fetch(t, "PUT", url, data, "Content-Type", "image/png"); got.status != 403 {
		t.Errorf("another type: %d %s", got.status, got.body)
	}
	if got := fetch(t, "PUT", url, append(data, 0), "Content-Type", "image/jpeg"); got.status != 413 {
		t.Errorf("one byte more: %d %s", got.status, got.body)
	}
	got := fetch(t, "PUT", url, data, "Content-Type", "image/jpeg", "Origin", "https://app.example.com")
	if got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !bytes.Equal(w.onDisk(t, "up/a b.jpg"), data) {
		t.Errorf("PUT by URL = %d %s %v", got.status, got.body, got.header)
	}
	if got := fetch(t, "PUT", url, data, "Content-Type", "image/jpeg"); got.status != 412 {
		t.Errorf("new=1 of a key that is taken: %d", got.status)
	}
	for name, c := range map[string]struct{ method, url string }{
		"another method":     {"DELETE", url},
		"another key":        {"PUT", strings.Replace(url, "a%20b", "b", 1)},
		"more bytes":         {"PUT", strings.Replace(url, "max_bytes=", "max_bytes=1", 1)},
		"without the type":   {"PUT", strings.Replace(url, "type=image%2Fjpeg&", "", 1)},
		"without new":        {"PUT", strings.Replace(url, "new=1&", "", 1)},
		"longer":             {"PUT", strings.Replace(url, "expires=", "expires=1", 1)},
		"another signature":  {"PUT", strings.Replace(url, "&s=", "&s=0", 1)},
		"no signature":       {"PUT", url[:strings.Index(url, "&s=")+3]},
		"a parameter more":   {"PUT", url + "&x=1"},
		"a parameter twice":  {"PUT", url + "&new=1"},
		"too long a life":    {"PUT", sign(upload.Grant{Method: "PUT", Key: "x", MaxBytes: 1, Expires: later.Add(upload.LifeMax)})},
		"over":               {"PUT", sign(upload.Grant{Method: "PUT", Key: "x", MaxBytes: 1, Expires: time.Unix(1000, 0)})},
		"a rendition's sign": {"PUT", strings.Replace(url, url[strings.Index(url, "&s="):], "&s="+w.Keys.Sign("/up/a%20b.jpg"), 1)},
	} {
		if got := fetch(t, c.method, c.url, data, "Content-Type", "image/jpeg"); got.status != 403 && got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := fetch(t, "GET", sign(upload.Grant{Method: "GET", Key: grant.Key, Expires: later}), nil); got.status != 200 || got.body != string(data) {
		t.Errorf("GET by URL = %d", got.status)
	}
	for _, g := range []upload.Grant{{Method: "POST", Key: "x", MaxBytes: 1, Expires: later}, {Method: "PUT", Key: "x", Expires: later},
		{Method: "PUT", Key: "../x", MaxBytes: 1, Expires: later}, {Method: "GET", Key: "x", New: true, Expires: later}, {Method: "PUT", Key: "x", MaxBytes: 1}} {
		if u, err := g.Sign(w.Keys); err == nil {
			t.Errorf("%+v was signed: %s", g, u)
		}
	}
}

func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	w := start(t, config(t))
	ask := func(origin string) answer {
		return fetch(t, "OPTIONS", w.Uploads.URL+upload.Prefix+"a.jpg", nil, "Origin", origin, "Access-Control-Request-Method", "PUT")
	}
	if got := ask("https://app.example.com"); got.status != 204 || !strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "PUT") ||
		strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "authorization") {
		t.Errorf("preflight = %d %v", got.status, got.header)
	}
	if got := ask("https://evil.example.com"); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of another page = %v", got.header)
	}
}
