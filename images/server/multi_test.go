package server_test

import (
	"bytes"
	"encoding/json"
	"image/jpeg"
	"io"
	"mime"
	"mime/multipart"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/imgproxy"
	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/images/traffic"
)

func multi(t *testing.T, s *server.Server, body string, headers ...string) answer {
	t.Helper()
	return do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+"multi", strings.NewReader(body)), headers...)
}

// TestMultiMakesPicturesAtOnce: several sizes in one request, as a list or as
// the pictures themselves; errors are those of their paths.
func TestMultiMakesPicturesAtOnce(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 800, 600)})
	s := start(t, dir, func(o *server.Options, _ *server.Deps) { o.Config.Signing.InsecureUnsigned = false })
	var paths []string
	for _, size := range []string{"400x300cq70", "200x150cq70"} {
		a := do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+"sign",
			strings.NewReader(`{"path": "/recipes/1/`+size+`/any.jpg"}`)), "Authorization: Bearer operator")
		var signed api.SignAnswer
		if err := json.Unmarshal(a.body, &signed); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		paths = append(paths, signed.Path)
	}
	paths = append(paths, "/recipes/1/100x100cq70/any.jpg") // unsigned
	body, _ := json.Marshal(api.MultiRequest{Paths: paths})
	var list api.MultiAnswer
	if a := multi(t, s, string(body)); a.StatusCode != 200 || json.Unmarshal(a.body, &list) != nil || len(list.Pictures) != 3 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	one, two, three := list.Pictures[0], list.Pictures[1], list.Pictures[2]
	if one.Status != 200 || one.Width != 400 || one.Height != 300 || one.Format != "jpeg" || two.Width != 200 || one.Cache != "rendered" {
		t.Errorf("made %+v, %+v", one, two)
	}
	if three.Status != 403 || three.Kind != "denied" || three.Bytes != 0 {
		t.Errorf("the unsigned one: %+v", three)
	}
	if a := get(t, s, paths[0]); a.Header.Get("Etag") != one.ETag || !strings.Contains(a.Header.Get("Server-Timing"), "desc=memory") {
		t.Errorf("afterwards: %s, %s", a.Header.Get("Etag"), a.Header.Get("Server-Timing"))
	}
	wantParts(t, multi(t, s, string(body), "Accept: multipart/mixed"), paths)
	for _, wrong := range []string{"", "{}", `{"paths":[]}`, `{"paths":["http://elsewhere/a"]}`, `{"paths":["` + strings.Repeat(`/a","`, 64) + `/a"]}`} {
		if a := multi(t, s, wrong); a.StatusCode != 400 {
			t.Errorf("%.40s: %d", wrong, a.StatusCode)
		}
	}
}

func wantParts(t *testing.T, a answer, paths []string) {
	t.Helper()
	_, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for i := range 3 {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(part)
		if err != nil || part.Header.Get("Content-Location") != paths[i] {
			t.Fatalf("part %d: %v, of %s", i, err, part.Header.Get("Content-Location"))
		}
		if i == 2 {
			if part.Header.Get("Status") != "403" || !json.Valid(data) {
				t.Errorf("the unsigned one: %v %s", part.Header, data)
			}
			continue
		}
		if c, err := jpeg.DecodeConfig(bytes.NewReader(data)); err != nil || c.Width != 400>>i {
			t.Errorf("part %d is %d wide, %v", i, c.Width, err)
		}
	}
}

func TestTrafficTellsWhatWasAsked(t *testing.T) {
	t.Parallel()
	s := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 80, 60)}), nil)
	for range 3 {
		get(t, s, "/recipes/1/40x30cq70/any.jpg")
	}
	get(t, s, "/recipes/1/big/any.jpg")
	var rep traffic.Report
	if a := get(t, s, api.Prefix+"traffic?top=5"); json.Unmarshal(a.body, &rep) != nil || len(rep.Minutes) == 0 || len(rep.Errors) != 1 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if len(rep.Top) != 1 || rep.Top[0].Original != "recipes/1" || rep.Top[0].Requests != 3 || len(rep.Slowest) != 3 {
		t.Errorf("top %+v, %d slowest", rep.Top, len(rep.Slowest))
	}
	if a := get(t, s, api.Prefix+"traffic?top=0"); a.StatusCode != 400 {
		t.Errorf("top=0: %d", a.StatusCode)
	}
}

// TestImgproxyURLs: the dialect beside the grammars of this service, with keys of
// its own.
func TestImgproxyURLs(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 800, 600)})
	keys := filepath.Join(t.TempDir(), "keys")
	const pair = "943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881 520f986b998545b4785e0defbc4f3c1203f22de2374a3d53cb7a7fe9fea309c5"
	if err := os.WriteFile(keys, []byte(pair), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := imgproxy.ParseKeys(strings.NewReader(pair), 32)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, func(o *server.Options, _ *server.Deps) {
		o.Config.Signing.InsecureUnsigned = false
		o.Config.ImgProxy.Enabled, o.Config.ImgProxy.Prefix, o.Config.ImgProxy.KeyFile = true, "/img", keys
	})
	path := func(signed string) string { return "/img/" + signer.Sign(signed) + signed }
	a := get(t, s, path("/rs:fill:300:200/q:70/fn:soup/att:1/plain/local:///recipes/1.jpg@jpg"))
	wantJPEG(t, a, 300, 200)
	if got := a.Header.Get("Content-Disposition"); got != `attachment; filename="soup.jpg"` {
		t.Errorf("Content-Disposition %s", got)
	}
	wantJPEG(t, get(t, s, path("/rs:fit:80:80/plain/recipes/1.jpg")), 80, 60)
	for url, status := range map[string]int{
		"/img/unsafe/rs:fit:80:80/plain/recipes/1.jpg":      403,
		path("/rs:fit:80:80/plain/recipes/9.jpg"):           404,
		path("/rs:fit:80:80/plain/https://example.com/a"):   400,
		path("/exp:1000000000/plain/recipes/1.jpg"):         403,
		"/recipes/1/80x60cq70/" + strings.Repeat("0", 32):   403,
		"/recipes/1/80x60cq70/any.jpg?s=" + signer.Sign(""): 403,
	} {
		if a := get(t, s, url); a.StatusCode != status {
			t.Errorf("%s: %d, want %d", url, a.StatusCode, status)
		}
	}
}
