package images_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/native"
	"github.com/kamado/kamado/images/signature"
)

// cdn is nginx as a CDN: it keeps what it is told, no longer and no shorter, and says
// in X-Cache whether it had it. It does nothing by itself that answers do not allow: no
// proxy_cache_use_stale. Below /slices it fetches pictures in slices of 4 KiB.
func cdn(t *testing.T, origin *process) string {
	t.Helper()
	needsNginx(t)
	return nginx(t, fmt.Sprintf(`
proxy_cache_path DIR/cache levels=1:2 keys_zone=pictures:4m use_temp_path=off;
add_header X-Cache $upstream_cache_status always;
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_cache pictures;
upstream kamado { server %s max_fails=0; keepalive 8; }
server {
  listen LISTEN;
  location / {
    proxy_pass http://kamado;
    proxy_cache_revalidate on;
    proxy_cache_background_update on;
  }
  location /slices/ {
    slice 4k;
    proxy_pass http://kamado/;
    proxy_set_header Range $slice_range;
    proxy_cache_key $uri$slice_range;
  }
}`, origin.addr)).addr
}

// asks gives an answer through the CDN and what the cache said.
func asks(t *testing.T, addr, path string, headers ...string) (a answer, cache string) {
	t.Helper()
	a = get(t, "http://"+addr+path, headers...)
	return a, a.header.Get("X-Cache")
}

// until asks until the cache says one of some things, and gives that answer.
func until(t *testing.T, addr, path string, caches ...string) (a answer) {
	t.Helper()
	last := ""
	eventually(t, path+" is "+strings.Join(caches, " or ")+", not only "+last, func() bool {
		a, last = asks(t, addr, path)
		for _, want := range caches {
			if last == want {
				return true
			}
		}
		return false
	})
	return a
}

const picture = "/photos/1/300x200cq70/any.jpg"

func TestCDNRevalidates(t *testing.T) {
	t.Parallel()
	dir := originals(t)
	p := kamado(t, fmt.Sprintf("originals = %q\n[images.signing]\ninsecure_unsigned = true\n[images.caching]\nmax_age = \"1s\"\nerror_max_age = \"1s\"\n", dir))
	addr := cdn(t, p)

	first, cache := asks(t, addr, picture)
	if first.String() != "300x200 jpeg" || cache != "MISS" {
		t.Fatalf("first: %s %s", first, cache)
	}
	until(t, addr, picture, "HIT")
	again := until(t, addr, picture, "REVALIDATED")
	if !bytes.Equal(again.body, first.body) || again.header.Get("Etag") != first.header.Get("Etag") {
		t.Error("revalidated: another picture")
	}
	until(t, addr, picture, "HIT") // a 304 makes it fresh

	t.Run("a client's own conditions", func(t *testing.T) {
		for _, h := range []string{"If-None-Match: " + first.header.Get("Etag"), "If-None-Match: \"x\", W/" + first.header.Get("Etag"), "If-Modified-Since: " + first.header.Get("Last-Modified")} {
			if a, _ := asks(t, addr, picture, h); a.status != http.StatusNotModified || len(a.body) != 0 {
				t.Errorf("%s: %d with %d bytes", h, a.status, len(a.body))
			}
		}
		if a, _ := asks(t, addr, picture, `If-None-Match: "another"`); a.status != http.StatusOK {
			t.Errorf("another ETag: %d", a.status)
		}
	})
	t.Run("HEAD", func(t *testing.T) {
		for _, at := range []string{addr, p.addr} {
			a := ask(t, http.MethodHead, "http://"+at+picture)
			if a.status != http.StatusOK || len(a.body) != 0 || a.header.Get("Content-Length") != strconv.Itoa(len(first.body)) || a.header.Get("Etag") != first.header.Get("Etag") {
				t.Errorf("HEAD: %d %v", a.status, a.header)
			}
		}
	})
	t.Run("errors for a short time", func(t *testing.T) {
		const path = "/photos/later/30x20cq70/any.jpg"
		if a, cache := asks(t, addr, path); a.status != http.StatusNotFound || cache != "MISS" {
			t.Errorf("before: %s %s", a, cache)
		}
		until(t, addr, path, "HIT")
		if err := os.WriteFile(filepath.Join(dir, "photos/later.jpg"), photograph(t, 90, 60), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the picture that came later is there", func() bool {
			a, _ := asks(t, addr, path)
			return a.String() == "30x20 jpeg"
		})
		const wrong = "/photos/1/0x20cq70/any.jpg"
		if a, cache := asks(t, addr, wrong); a.status != http.StatusBadRequest || cache != "MISS" {
			t.Errorf("a wrong URL: %s %s", a, cache)
		}
		until(t, addr, wrong, "HIT")
		until(t, addr, wrong, "EXPIRED")
	})
	t.Run("a takedown", func(t *testing.T) {
		until(t, addr, picture, "HIT")
		cmd := exec.CommandContext(t.Context(), program, "images", "takedown", "photos/1", "--api", "http://"+p.addr, "--data", filepath.Join(p.dir, "data"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		eventually(t, "the picture is gone from the CDN", func() bool {
			a, _ := asks(t, addr, picture)
			return a.status == http.StatusGone
		})
		if a, _ := asks(t, addr, picture, "If-None-Match: "+first.header.Get("Etag")); a.status != http.StatusGone {
			t.Errorf("to a client that has it: %d", a.status)
		}
	})
}

// TestCDNShowsStalePictures: while a picture is asked for anew, and while Kamado is
// away, as long as it allowed.
func TestCDNShowsStalePictures(t *testing.T) {
	t.Parallel()
	p := kamado(t, fmt.Sprintf("originals = %q\n[images.signing]\ninsecure_unsigned = true\n[images.caching]\nmax_age = \"1s\"\nstale_while_revalidate = \"30s\"\nstale_if_error = \"4s\"\n", originals(t)))
	addr := cdn(t, p)
	first, _ := asks(t, addr, picture)
	if cc := first.header.Get("Cache-Control"); !strings.Contains(cc, "stale-while-revalidate=30") || !strings.Contains(cc, "stale-if-error=4") {
		t.Fatalf("Cache-Control: %s", cc)
	}
	stale := until(t, addr, picture, "STALE", "UPDATING")
	if !bytes.Equal(stale.body, first.body) {
		t.Error("stale: another picture")
	}
	until(t, addr, picture, "HIT") // it was made fresh beside that answer
	p.kill()
	stale = until(t, addr, picture, "STALE", "UPDATING")
	if stale.String() != "300x200 jpeg" {
		t.Errorf("while Kamado is away: %s", stale)
	}
}

func TestCDNShowsStalePicturesWhenKamadoFailsAndNoLongerThanAllowed(t *testing.T) {
	t.Parallel()
	p := kamado(t, fmt.Sprintf("originals = %q\n[images.signing]\ninsecure_unsigned = true\n[images.caching]\nmax_age = \"1s\"\nstale_if_error = \"3s\"\n", originals(t)))
	addr := cdn(t, p)
	if a, _ := asks(t, addr, picture); a.String() != "300x200 jpeg" {
		t.Fatal(a)
	}
	p.kill()
	if a := until(t, addr, picture, "STALE"); a.String() != "300x200 jpeg" {
		t.Errorf("while Kamado is away: %s", a)
	}
	eventually(t, "the picture is no longer shown", func() bool {
		a, _ := asks(t, addr, picture)
		return a.status == http.StatusBadGateway
	})
}

// TestCDNKeepsAPictureForEachFormat: Vary: Accept.
func TestCDNKeepsAPictureForEachFormat(t *testing.T) {
	t.Parallel()
	if codecMissing != "" {
		t.Skip("needs kamado-codec (./setup test installs it): " + codecMissing)
	}
	p := kamado(t, fmt.Sprintf("originals = %q\n[images.signing]\ninsecure_unsigned = true\n[images.negotiation]\nformats = [\"webp\"]\nbackground = []\n", originals(t)))
	addr := cdn(t, p)
	const path = "/i/-/w:90,format:auto/photos/1.jpg"
	bodies := map[string][]byte{}
	for _, round := range []string{"MISS", "HIT"} {
		for accept, want := range map[string]string{"image/webp,image/*": "90x68 webp", "image/jpeg": "90x68 jpeg"} {
			a, cache := asks(t, addr, path, "Accept: "+accept)
			if a.String() != want || cache != round || a.header.Get("Vary") != "Accept" {
				t.Errorf("%s: %s %s, Vary %s, want %s %s", accept, a, cache, a.header.Get("Vary"), want, round)
			}
			if kept := bodies[accept]; kept != nil && !bytes.Equal(kept, a.body) {
				t.Errorf("%s: another picture the second time", accept)
			}
			bodies[accept] = a.body
		}
	}
	// A URL that names its format is one entry, whatever is accepted.
	asks(t, addr, picture, "Accept: image/webp")
	if a, cache := asks(t, addr, picture, "Accept: image/jpeg"); cache != "HIT" || a.header.Get("Vary") != "" {
		t.Errorf("a format that is named: %s, Vary %s", cache, a.header.Get("Vary"))
	}
}

func TestCDNFetchesSlices(t *testing.T) {
	t.Parallel()
	p := kamado(t, fmt.Sprintf("originals = %q\n[images.signing]\ninsecure_unsigned = true\n", originals(t)))
	addr := cdn(t, p)
	const path = "/photos/1/800x600cq80/any.jpg"
	whole := get(t, "http://"+p.addr+path)
	size := len(whole.body)
	if size < 16<<10 {
		t.Fatalf("%d bytes are too few slices", size)
	}
	for _, r := range []struct{ from, to int }{{5000, 13_000}, {0, 0}, {size - 1, size - 1}, {4095, 4096}, {0, size - 1}} {
		a, _ := asks(t, addr, "/slices"+path, fmt.Sprintf("Range: bytes=%d-%d", r.from, r.to))
		if want := fmt.Sprintf("bytes %d-%d/%d", r.from, r.to, size); a.status != http.StatusPartialContent || a.header.Get("Content-Range") != want || !bytes.Equal(a.body, whole.body[r.from:r.to+1]) {
			t.Errorf("bytes %d-%d: %d, %s, %d bytes", r.from, r.to, a.status, a.header.Get("Content-Range"), len(a.body))
		}
	}
	if a, _ := asks(t, addr, "/slices"+path); a.status != http.StatusOK || !bytes.Equal(a.body, whole.body) {
		t.Errorf("all slices: %d, %d bytes of %d", a.status, len(a.body), size)
	}
	if a := get(t, "http://"+p.addr+path, fmt.Sprintf("Range: bytes=%d-", size)); a.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("behind the end: %d", a.status)
	}
	if a := get(t, "http://"+p.addr+path, "Range: bytes=0-9", `If-Range: "another"`); a.status != http.StatusOK || !bytes.Equal(a.body, whole.body) {
		t.Errorf("a range of another picture: %d", a.status)
	}
	if a := get(t, "http://"+p.addr+path, "Range: bytes=0-9", "If-Range: "+whole.header.Get("Etag")); a.status != http.StatusPartialContent {
		t.Errorf("a range of this picture: %d", a.status)
	}
}

// TestCDNKeepsNoRefusal: neither "too busy" nor "not signed" is kept.
func TestCDNKeepsNoRefusal(t *testing.T) {
	t.Parallel()
	const clients = 24
	all := map[string][]byte{} // sizes of one original that wait together count as one
	for n := range clients {
		all[fmt.Sprintf("photos/%d.jpg", n)] = photograph(t, 1200, 900)
	}
	p := kamado(t, fmt.Sprintf("originals = %q\n[images.signing]\ninsecure_unsigned = true\n[images.limits]\nconcurrency = 1\nqueue = 1\n", tree(t, all)))
	addr := cdn(t, p)
	paths := make(chan string, clients)
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			path := fmt.Sprintf("/i/-/w:1500,blur:20/photos/%d.jpg", n)
			a, _ := asks(t, addr, path)
			if a.status == http.StatusServiceUnavailable {
				if a.header.Get("Retry-After") == "" || a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("503 with Retry-After %q and Cache-Control %q", a.header.Get("Retry-After"), a.header.Get("Cache-Control"))
				}
				paths <- path
			}
		})
	}
	wg.Wait()
	if len(paths) == 0 {
		t.Fatal("nobody was turned away")
	}
	path := <-paths
	if a, cache := asks(t, addr, path); a.status != http.StatusOK || cache != "MISS" {
		t.Errorf("afterwards: %s %s", a, cache)
	}
}

// TestCDNKeepsNoURLThatHasExpired: whatever else answers may say about stale ones.
func TestCDNKeepsNoURLThatHasExpired(t *testing.T) {
	t.Parallel()
	p := kamado(t, fmt.Sprintf("originals = %q\n[images.caching]\nmax_age = \"2s\"\nstale_while_revalidate = \"1h\"\nstale_if_error = \"1h\"\n", originals(t)))
	addr := cdn(t, p)
	keys, err := signature.Load(filepath.Join(p.dir, "data/signing.keys"))
	if err != nil {
		t.Fatal(err)
	}
	rendition, err := images.ParseRendition("w:40")
	if err != nil {
		t.Fatal(err)
	}
	path, err := native.Grammar{}.URL(images.Request{Key: "photos/1.jpg", Rendition: rendition, Expires: time.Now().Add(4 * time.Second)}, keys.Sign)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MISS", "HIT"} {
		if a, cache := asks(t, addr, path); a.String() != "40x30 jpeg" || cache != want {
			t.Errorf("%s %s, want %s; %s", a, cache, want, a.header.Get("Cache-Control"))
		}
	}
	began := time.Now()
	eventually(t, "the URL has expired", func() bool {
		a, _ := asks(t, addr, path)
		return a.status == http.StatusForbidden
	})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the CDN showed it for %v, want 4 s or so", took)
	}
	for range 2 {
		if a, cache := asks(t, addr, path); a.status != http.StatusForbidden || cache == "HIT" {
			t.Errorf("afterwards: %s %s", a, cache)
		}
	}
}
