package plaza_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/plaza"
)

// get asks a handler.
func get(h http.Handler, path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFiles(t *testing.T) {
	t.Parallel()
	h := plaza.New(plaza.Deps{Log: slog.New(slog.DiscardHandler), WhyNoPictures: "the pictures are off"}).Handler()
	page := get(h, "/plaza/")
	html := text(t, page)
	if page.StatusCode != http.StatusOK || page.Header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
		t.Errorf("the page: %d %v", page.StatusCode, page.Header)
	}
	policy := page.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self' ws: wss:"} {
		if !strings.Contains(policy, part+";") && !strings.HasSuffix(policy, part) {
			t.Errorf("the policy %q has no %q", policy, part)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	if r := get(h, "/plaza/", "If-None-Match", page.Header.Get("ETag")); r.StatusCode != http.StatusNotModified {
		t.Errorf("the same page again: %d", r.StatusCode)
	}

	script := regexp.MustCompile(`src="(assets/main\.[A-Z0-9]+\.js)"`).FindStringSubmatch(html)
	if script == nil {
		t.Fatalf("no script in %s", html)
	}
	plain := get(h, "/plaza/"+script[1])
	if cache := plain.Header.Get("Cache-Control"); cache != "public, max-age=31536000, immutable" {
		t.Errorf("a file with a hash is kept: %q", cache)
	}
	if kind := plain.Header.Get("Content-Type"); kind != "text/javascript; charset=utf-8" {
		t.Errorf("the script is %q", kind)
	}
	packed := get(h, "/plaza/"+script[1], "Accept-Encoding", "br, gzip;q=0.8")
	unpacked, err := gzip.NewReader(packed.Body)
	if err != nil || packed.Header.Get("Content-Encoding") != "gzip" || packed.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("packed: %v %v", err, packed.Header)
	}
	if b, err := io.ReadAll(unpacked); err != nil || string(b) != text(t, plain) {
		t.Errorf("what is packed is something else: %v", err)
	}
	if r := get(h, "/plaza/"+script[1], "Accept-Encoding", "gzip; q=0"); r.Header.Get("Content-Encoding") != "" {
		t.Error("packed for who does not want it")
	}
	for _, path := range []string{"/plaza/assets/main.AAAAAAAA.js", "/plaza/assets/", "/plaza/src/main.ts", "/plaza/index.html", "/plaza/../plaza.go"} {
		if r := get(h, path); r.StatusCode == http.StatusOK {
			t.Errorf("%s is there", path)
		}
	}
	client := get(h, "/plaza/client.js")
	if client.Header.Get("Cache-Control") != "no-cache" || client.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(text(t, client), "export{") {
		t.Errorf("the client library: %v", client.Header)
	}
	if c := text(t, get(h, "/plaza/config.json")); c != `{"images":{"upload":null,"url":null,"why":"the pictures are off"}}`+"\n" {
		t.Errorf("the configuration is %s", c)
	}
}

// teller says that every token of the form "user" is user 1001's.
type teller struct{}

func (teller) Authenticate(_ context.Context, token string) (game.Principal, error) {
	switch token {
	case "user":
		return user(1001), nil
	case "service":
		return game.Principal{Kind: game.ByService, Service: "x"}, nil
	}
	return game.Principal{}, game.Errorf(game.Unauthenticated, "the token does not count")
}

var png = append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 100)...)

func TestPictures(t *testing.T) {
	t.Parallel()
	kept := map[string][]byte{}
	var full error
	p := plaza.New(plaza.Deps{
		Identity: teller{}, Log: slog.New(slog.DiscardHandler),
		Pictures: &plaza.Pictures{
			Put: func(_ context.Context, key string, data []byte) error { kept[key] = data; return full },
			URL: func(key string, size int) (string, error) {
				return "http://pictures.example/" + key + "?" + strings.Repeat("x", size/512), nil
			},
			Sources: []string{"http://pictures.example"},
		},
	})
	h := p.Handler()
	send := func(token string, body []byte) (*http.Response, map[string]any) {
		r := httptest.NewRequest(http.MethodPost, "/plaza/picture", bytes.NewReader(body))
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var said map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
			t.Fatal(err)
		}
		return w.Result(), said
	}
	res, said := send("user", png)
	name, _ := said["picture"].(string)
	if res.StatusCode != http.StatusCreated || !regexp.MustCompile(`^[0-9a-f]{32}\.png$`).MatchString(name) || !bytes.Equal(kept["players/1001/"+name], png) {
		t.Fatalf("a picture: %d %v %d kept", res.StatusCode, said, len(kept))
	}
	for _, c := range []struct {
		token string
		body  []byte
		want  int
	}{
		{"", png, http.StatusUnauthorized}, {"stolen", png, http.StatusUnauthorized}, {"service", png, http.StatusForbidden},
		{"user", []byte("<svg onload=alert(1)>"), http.StatusUnsupportedMediaType}, {"user", append(png, make([]byte, plaza.PictureBytesMax)...), http.StatusRequestEntityTooLarge},
	} {
		if res, said := send(c.token, c.body); res.StatusCode != c.want {
			t.Errorf("with token %q and %d bytes: %d %v, want %d", c.token, len(c.body), res.StatusCode, said, c.want)
		}
	}
	full = errors.New("disk full at /secret/path")
	if res, said := send("user", png); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(said["detail"].(string), "secret") {
		t.Errorf("without space: %d %v", res.StatusCode, said)
	}
	shown := get(h, "/plaza/picture/1001/"+name+"/512")
	if shown.StatusCode != http.StatusFound || shown.Header.Get("Location") != "http://pictures.example/players/1001/"+name+"?x" {
		t.Errorf("shown: %d %v", shown.StatusCode, shown.Header)
	}
	for _, path := range []string{"/plaza/picture/1001/" + name + "/8", "/plaza/picture/1001/" + name + "/2048", "/plaza/picture/0/" + name + "/64", "/plaza/picture/1001/..%2fsecret.png/64", "/plaza/picture/x/" + name + "/64"} {
		if r := get(h, path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	if policy := get(h, "/plaza/").Header.Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self' blob: data: http://pictures.example;") {
		t.Errorf("the policy is %q", policy)
	}
	if c := text(t, get(h, "/plaza/config.json")); !strings.Contains(c, `"upload":"picture"`) {
		t.Errorf("the configuration is %s", c)
	}
}
