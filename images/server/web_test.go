package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/server"
)

// TestAnOriginOnTheWeb: pictures of a web server, which on this machine has to be
// allowed by name; else nothing connects to it.
func TestAnOriginOnTheWeb(t *testing.T) {
	t.Parallel()
	photo := photograph(t, 400, 300)
	var asked atomic.Int32
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/photos/recipes/1.jpg" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"1"`)
		_, _ = w.Write(photo)
	}))
	defer site.Close()
	u, _ := url.Parse(site.URL)
	with := func(networks ...string) func(*server.Options, *server.Deps) {
		return func(o *server.Options, _ *server.Deps) {
			o.Config.Originals = ""
			o.Config.Origins = map[string]images.Origin{"default": {Web: images.Web{
				Bases: []string{site.URL + "/photos/"}, URLs: true, AllowHosts: []string{u.Host}, AllowNetworks: networks,
			}}}
			o.Config.ImgProxy.Enabled, o.Config.ImgProxy.Web, o.Config.ImgProxy.Prefix = true, "default", "/img"
		}
	}
	s := start(t, "", with("127.0.0.0/8"))
	wantJPEG(t, get(t, s, "/recipes/1/40x30cq70/any.jpg"), 40, 30)
	wantJPEG(t, get(t, s, "/i/-/w:80/recipes/1.jpg"), 80, 60)
	wantJPEG(t, get(t, s, "/img/unsafe/w:20/plain/"+site.URL+"/photos/recipes/1.jpg"), 20, 15)
	for path, status := range map[string]int{
		"/i/-/w:80/recipes/9.jpg":                                 404,
		"/img/unsafe/w:20/plain/http://169.254.169.254/latest":    400,
		"/img/unsafe/w:20/plain/https://elsewhere.example/a.jpg":  400,
		"/img/unsafe/w:20/plain/http://user@" + u.Host + "/a.jpg": 400,
	} {
		if a := get(t, s, path); a.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", path, a.StatusCode, a.body, status)
		}
	}
	before := asked.Load()
	guarded := start(t, "", with())
	if a := get(t, guarded, "/recipes/1/40x30cq70/any.jpg"); a.StatusCode != 502 || strings.Contains(string(a.body), "127.0.0.1") {
		t.Errorf("a server inside: %d %s, want 502 and no address", a.StatusCode, a.body)
	}
	if n := asked.Load() - before; n != 0 {
		t.Errorf("a server inside was asked %d times", n)
	}
}

func TestInfoTellsWhatItIsAskedFor(t *testing.T) {
	t.Parallel()
	s := start(t, tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 400, 300)}), nil)
	var info api.Info
	a := get(t, s, api.Prefix+"info/recipes/1?palette=3&blurhash=4x3&thumbhash=1&dominant=1&attention=1")
	if err := json.Unmarshal(a.body, &info); a.StatusCode != 200 || err != nil {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if info.Width != 400 || len(info.Palette) == 0 || len(info.Palette) > 3 || len(info.BlurHash) != 6+2*(4*3-1) || len(info.ThumbHash) < 5 || len(info.Dominant) != 6 || info.Attention == nil {
		t.Errorf("info %s", a.body)
	}
	if a := get(t, s, api.Prefix+"info/recipes/1"); a.StatusCode != 200 || strings.Contains(string(a.body), "palette") {
		t.Errorf("what was not asked for is told: %s", a.body)
	}
	for _, wrong := range []string{"palette=17", "palette=x", "blurhash=10x1", "blurhash=4", "thumbhash=yes"} {
		if a := get(t, s, api.Prefix+"info/recipes/1?"+wrong); a.StatusCode != 400 {
			t.Errorf("%s: %d", wrong, a.StatusCode)
		}
	}
}
