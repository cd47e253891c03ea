package delivery_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/internal/blob/fs"
)

func (b *bench) many(t *testing.T, accept string, paths ...string) []delivery.One {
	t.Helper()
	var urls []*url.URL
	for _, p := range paths {
		u, err := url.Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, u)
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/-/many", strings.NewReader("{}"))
	r.Header.Set("Accept", accept)
	return b.Handler.(*delivery.Handler).Many(r, urls)
}

func TestManyOfOneOriginalAreMadeFromOneRead(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals)
	before := body(t, b.do(t, "GET", "/recipes/1/5x5")) // in the cache already
	b.double.sets.Store(0)
	got := b.many(t, "", "/recipes/1/5x5", "/recipes/1/6x6", "/recipes/1/7x7", "/recipes/1/7x7", "/recipes/2/7x7", "/recipes/9/7x7", "/recipes/1/big", "/recipes/bad/4x4")
	if sets := b.double.sets.Load(); sets != 3 { // one of 1, one of 2, one of bad
		t.Errorf("%d reads, want 3", sets)
	}
	var status []int
	for _, one := range got {
		status = append(status, one.Status)
	}
	if want := []int{200, 200, 200, 200, 200, 404, 400, 422}; !slices.Equal(status, want) {
		t.Fatalf("statuses %v, want %v", status, want)
	}
	if got[0].Outcome != delivery.OutcomeMemory || string(got[0].Data) != before {
		t.Errorf("the one that was there: %v, %q", got[0].Outcome, got[0].Data)
	}
	if got[5].Kind != "not found" || got[6].Part != "size" || got[1].Path != "/recipes/1/6x6" {
		t.Errorf("errors %+v, %+v", got[5], got[6])
	}
	r := b.do(t, "GET", "/recipes/1/6x6")
	if r.Header.Get("Etag") != got[1].ETag || body(t, r) != string(got[1].Data) || !strings.Contains(r.Header.Get("Server-Timing"), "desc=memory") {
		t.Error("what many made is not what a request finds in memory")
	}
	if len(b.events) != 8+2 {
		t.Errorf("%d events, want one for each picture", len(b.events))
	}
}

func negotiated(c *delivery.Config, _ *delivery.Deps) {
	c.Background, c.BackgroundShare = []images.Format{images.AVIF}, 0.5
}

// TestAnExpensiveFormatIsThereTheNextTime: WebP at once and for a short time,
// AVIF when it is made.
func TestAnExpensiveFormatIsThereTheNextTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, negotiated)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Handler.(*delivery.Handler).Run(ctx) }()
		const all = "Accept: image/avif,image/webp,*/*"
		first := b.do(t, "GET", "/recipes/1/4x3.auto", all)
		if got := first.Header.Get("Content-Type"); got != "image/webp" || first.Header.Get("Cache-Control") != "public, max-age=60" || first.Header.Get("Vary") != "Accept" {
			t.Errorf("at once: %s, %s, Vary %s", got, first.Header.Get("Cache-Control"), first.Header.Get("Vary"))
		}
		if got := b.do(t, "GET", "/recipes/2/4x3.auto", "Accept: image/avif").Header.Get("Content-Type"); got != "image/jpeg" {
			t.Errorf("a client that takes AVIF alone gets %s at once", got)
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		next := b.do(t, "GET", "/recipes/1/4x3.auto", all)
		if got := next.Header.Get("Content-Type"); got != "image/avif" || next.Header.Get("Cache-Control") != "public, max-age=2592000" {
			t.Errorf("the next time: %s, %s", got, next.Header.Get("Cache-Control"))
		}
		if r := b.do(t, "GET", "/recipes/1/4x3.auto", all, "If-None-Match: "+first.Header.Get("Etag")); r.StatusCode != 200 {
			t.Errorf("who has the first one is told %d, want the better one", r.StatusCode)
		}
		if r := b.do(t, "GET", "/recipes/1/4x3.auto", "Accept: image/webp"); r.Header.Get("Content-Type") != "image/webp" || r.Header.Get("Cache-Control") != "public, max-age=2592000" {
			t.Errorf("a client without AVIF: %s, %s", r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"))
		}
		if st := b.Handler.(*delivery.Handler).Upgrades(); st.Made != 2 || st.Pending != 0 || st.Failed != 0 {
			t.Errorf("upgrades %+v, want 2 made", st)
		}
		stop()
		<-done
	})
}

// TestUpgradesTakeNoPlaceFromRequests: while all places are taken nothing is
// upgraded, and a fault of one is none of the next.
func TestUpgradesTakeNoPlaceFromRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, negotiated, onePlace)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Handler.(*delivery.Handler).Run(ctx) }()
		h := b.Handler.(*delivery.Handler)
		b.do(t, "GET", "/recipes/panic/4x3.auto", "Accept: image/avif")
		time.Sleep(time.Minute)
		if st := h.Upgrades(); st.Failed != 1 {
			t.Errorf("upgrades %+v, want one failed", st)
		}
		b.double.hold = make(chan struct{})
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			b.do(t, "GET", "/recipes/1/4x3.auto", "Accept: image/avif")
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		if st := h.Upgrades(); st.Made != 0 {
			t.Errorf("upgrades %+v while the place is taken", st)
		}
		close(b.double.hold)
		<-asked
		time.Sleep(time.Minute)
		if st := h.Upgrades(); st.Made != 1 {
			t.Errorf("upgrades %+v, want one made", st)
		}
		stop()
		<-done
	})
}

func TestHintsAreBroughtToAFewValues(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals, func(c *delivery.Config, _ *delivery.Deps) { c.Hints, c.SaveDataQuality = true, 50 })
	plain := newBench(t, originals)
	for _, c := range []struct {
		url, want string
		headers   []string
	}{
		{"/recipes/1/40x30.auto", "w:40,h:30,dpr:2 of", []string{"Sec-CH-DPR: 1.7"}},
		{"/recipes/1/40x30.auto", "w:40,h:30,dpr:3 of", []string{"DPR: 9"}},
		{"/recipes/1/40x30.auto", "w:40,h:30 of", []string{"DPR: 1"}},
		{"/recipes/1/40x30.auto", "w:40,h:30 of", []string{"DPR: many"}},
		{"/recipes/1/0x0.auto", "w:640,fit:shrink of", []string{"Sec-CH-Width: 481"}},
		{"/recipes/1/0x0.auto", "w:2560,fit:shrink of", []string{"Width: 99999"}},
		{"/recipes/1/40x30.auto", "w:40,h:30,q:50 of", []string{"Save-Data: on"}},
		{"/recipes/1/40x30", "w:40,h:30 of", []string{"Save-Data: on", "DPR: 2"}},
	} {
		r := b.do(t, "GET", c.url, c.headers...)
		if got := body(t, r); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s with %v is %q, want %q", c.url, c.headers, got, c.want)
		}
		varies := strings.HasSuffix(c.url, "auto")
		if got := r.Header.Get("Vary"); strings.Contains(got, "Save-Data") != varies || r.Header.Get("Accept-CH") != "" != varies {
			t.Errorf("%s: Vary %q, Accept-CH %q", c.url, got, r.Header.Get("Accept-CH"))
		}
		if got := body(t, plain.do(t, "GET", c.url, c.headers...)); strings.Contains(got, "dpr") || strings.Contains(got, "q:50") {
			t.Errorf("hints that are off change %s to %q", c.url, got)
		}
	}
}

func TestCachesHearOfStalenessAndTags(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals, func(c *delivery.Config, d *delivery.Deps) {
		c.Caching.StaleWhileRevalidate, c.Caching.StaleIfError = time.Minute, time.Hour
		d.Tags = func(source, key, kind, owner string) []string { return []string{source + "/" + key, "kind/" + kind} }
	})
	r := b.do(t, "GET", "/recipes/1/4x3")
	if got := r.Header.Get("Cache-Control"); got != "public, max-age=2592000, stale-while-revalidate=60, stale-if-error=3600" {
		t.Errorf("Cache-Control %q", got)
	}
	if got := r.Header.Get("Surrogate-Key"); got != "default/recipes/1.jpg kind/recipes" {
		t.Errorf("Surrogate-Key %q", got)
	}
	if got := b.do(t, "GET", "/recipes/1/4x3", "If-None-Match: "+r.Header.Get("Etag")).Header.Get("Surrogate-Key"); got == "" {
		t.Error("304 without Surrogate-Key")
	}
	if got := b.do(t, "GET", "/recipes/9/4x3").Header.Get("Surrogate-Key"); got != "" {
		t.Errorf("404 with Surrogate-Key %q", got)
	}
}

// TestOtherBytesHaveOtherTags: what was made from a decode for several has a tag that names its bytes. A client that has it has
// the picture, whichever server it asks, and whatever else the tag says is kept.
func TestOtherBytesHaveOtherTags(t *testing.T) {
	t.Parallel()
	store, err := fs.Open(newBench(t, originals).dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	same := func(_ *delivery.Config, d *delivery.Deps) {
		d.Originals = finder(t, origin.Source{Name: "default", Store: store})
	}
	tags := map[string]string{} // body by tag
	for _, size := range []string{"", "/recipes/1/8x8", "/recipes/1/9x9"} {
		for _, path := range []string{"/recipes/1/7x7", "/recipes/cut/7x7", "/recipes/1/7x7?p=3"} {
			b := newBench(t, nil, same)
			b.double.shared = true
			paths := []string{path}
			if size != "" {
				paths = append(paths, strings.Replace(size, "/1/", "/"+strings.Split(path, "/")[2]+"/", 1))
			}
			if size == "/recipes/1/9x9" {
				paths = append(paths, "/recipes/"+strings.Split(path, "/")[2]+"/3x3"+strings.TrimPrefix(path, strings.Split(path, "?")[0]))
			}
			one := b.many(t, "", paths...)[0]
			if one.Status != 200 {
				t.Fatalf("%v: %+v", paths, one)
			}
			if before, ok := tags[one.ETag]; ok && before != string(one.Data) {
				t.Errorf("%s has the tag %s twice, for %q and %q", path, one.ETag, before, one.Data)
			}
			tags[one.ETag] = string(one.Data)
			r := b.do(t, "GET", path)
			if r.Header.Get("Etag") != one.ETag || body(t, r) != string(one.Data) {
				t.Errorf("%s: %s and %s", path, r.Header.Get("Etag"), one.ETag)
			}
			other := newBench(t, nil, same) // a server that has not made it, or alone
			if path == "/recipes/cut/7x7" {
				other.do(t, "GET", path)
			}
			later := other.do(t, "GET", path, `If-None-Match: "x", `+one.ETag)
			if later.StatusCode != 304 || later.Header.Get("Etag") != one.ETag || later.Header.Get("Cache-Control") != r.Header.Get("Cache-Control") {
				t.Errorf("%s with %s: %d, %v", path, one.ETag, later.StatusCode, later.Header)
			}
			for _, bad := range []string{strings.Replace(one.ETag, "-", "-x", 1), one.ETag[:len(one.ETag)-2] + `"`, strings.TrimSuffix(one.ETag, `"`) + `a"`, strings.TrimSuffix(one.ETag, `"`)} {
				if bad != one.ETag && other.do(t, "GET", path, "If-None-Match: "+bad).StatusCode != 200 {
					t.Errorf("%s is believed", bad)
				}
			}
		}
	}
	if len(tags) != 9 {
		t.Errorf("%d tags for three pictures, each alone and in two sets: %v", len(tags), tags)
	}
}
