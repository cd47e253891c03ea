package front_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// corpus is some hundred connections' worth of bytes, each of which the server
// ends. etag is that of the first target.
func corpus(targets []string, etag string) []string {
	var all []string
	add := func(lines ...string) { all = append(all, strings.Join(lines, "\r\n")+"\r\n\r\n") }
	const host, end = "Host: pictures", "Connection: close"
	heads := [][]string{
		nil,
		{"X-Request-Id: abc-1"},
		{"X-Request-Id: a", "X-Request-Id: b"},
		{"X-Request-Id: not usable"},
		{"Accept: image/webp,*/*"},
		{"accept:image/webp"},
		{"Accept: image/*"},
		{"Accept: image/webp;q=0, image/jpeg"},
		{"Accept: image/webp", "Accept: image/avif"},
		{"If-None-Match: " + etag},
		{"If-None-Match: " + etag, "If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT"},
		{"If-None-Match: W/" + etag + `, "other"`},
		{`If-None-Match: "other"`},
		{"If-None-Match: " + etag, `If-None-Match: "other"`},
		{"If-None-Match:"},
		{"If-Modified-Since: Sat, 01 Jan 2999 00:00:00 GMT"},
		{"If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT"},
		{"If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT"},
		{"If-Match: " + etag}, {`If-Match: "other"`},
		{"Range: bytes=0-9"}, {"Range: bytes=10-", "If-Range: " + etag}, {"Range: bytes=99999999-"},
		{"Cookie: a=b", "User-Agent: test", "Accept-Encoding: gzip, br", "Cache-Control: no-cache"},
		{"X-Odd: \xc3\xa4"},
		{"Expect: 100-continue"}, {"Content-Length: 0"}, {"Te: trailers"}, {"Trailer: x"},
		{"X-Padding: " + strings.Repeat("x", 9000)},
		{"X-Tab:\tvalue\t"}, {"X-Empty:"},
	}
	for _, target := range targets {
		for _, method := range []string{"GET", "HEAD"} {
			for _, more := range heads {
				add(append([]string{method + " " + target + " HTTP/1.1", host, end}, more...)...)
			}
			add(method+" "+target+" HTTP/1.0", host)
			add(method + " " + target + " HTTP/1.0")
			add(method+" "+target+" HTTP/1.0", host, "Connection: close")
		}
		first := "GET " + target + " HTTP/1.1"
		ask := first + "\r\n" + host + "\r\n\r\n"
		keep := "GET " + target + " HTTP/1.0\r\n" + host + "\r\nConnection: keep-alive\r\n\r\n"
		add(keep+first, host, end)
		add(ask+ask+"HEAD "+target+" HTTP/1.1\r\n"+host+"\r\n\r\n"+ask+first, host, end)
		add(strings.Repeat(ask, 20)+first, host, end)
		add(ask+"GET /nothing/here/1x1cq9/x.jpg HTTP/1.1\r\n"+host+"\r\n\r\n"+ask+"GET /healthz HTTP/1.1\r\n"+host+"\r\n\r\n"+ask+first, host, end)
		add(first, "Host: a", "Host: b", end)
		add(first, "Host: a b", end)
		add(first, "Host: Pictures", end)
		add(first, "Host: pictures:80", end)
		add(first, "hOsT:    pictures   ", end)
		// Behind what the front answered comes what net/http has to judge.
		add(ask+"POST "+target+" HTTP/1.1\r\n"+host+"\r\nContent-Length: 4\r\n\r\nGET "+ask+first, host, end)
		add(ask+"POST "+target+" HTTP/1.1\r\n"+host+"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n"+ask+first, host, end)
		add(ask+first+"\r\n"+host+"\r\nContent-Length: 5\r\n\r\n\r\n\r\nX"+first, host, end)
		add(ask+first+"\r\n"+host+"\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"+ask+first, host, end)
		add(ask+first+"\r\n"+host+"\r\nContent-Length : 5\r\n\r\n"+ask+first, host, end)
		add(ask+first+"\r\n"+host+"\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+first, host, end)
		add(ask+first+"\r\n"+host+"\r\n\tHost: other\r\n\r\n"+ask+first, host, end)
		add(ask+first+"\r\n"+host+"\r\n\r\n\r\n"+ask+first, host, end)
		add(ask+first+"\n"+host+"\n\n"+ask+first, host, end)
		add(ask+"HEAD "+target+" HTTP/1.1\r\n"+host+"\r\nRange: bytes=0-1\r\n\r\n"+ask+"HEAD "+target+" HTTP/1.1\r\n"+host+"\r\nIf-None-Match: "+etag+"\r\n\r\n"+first, host, end)
		add("GET "+strings.Replace(target, "recipes", "%72ecipes", 1)+" HTTP/1.1", host, end)
		add("GET "+strings.Replace(target, "/recipes", "/./recipes", 1)+" HTTP/1.1", host, end)
		add("GET "+target+"%00 HTTP/1.1", host, end)
		add("GET "+target+"%zz HTTP/1.1", host, end)
		add("GET "+target+"\x80 HTTP/1.1", host, end)
		add(first, "Host: pictures.", end)
		add(first, "Host:", end)
		add(first, "Host: [::1]:80", end)
		add(first, "Host: pictures, other", end)
		add(first, host, end, "If-None-Match: *")
		add(first, host, end, "If-None-Match: "+strings.Trim(etag, `"`))
		add(first, host, end, "Accept:")
		add(first, host, end, "Accept: image/webp\t")
		add(first, host, end, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
		add(first, host, "Connection: close, Upgrade", "Upgrade: websocket")
		add(first, host, "Connection: CLOSE")
		add(first, host, "Connection: close, x")
		add(first, host, "Connection: x", end)
		add(first, end)
		add(first, host, end, "Bad Name: x")
		add(first, host, end, "Folded: a", " b")
		add(first, host, end, "X: a\x01b")
		add("GET http://pictures"+target+" HTTP/1.1", host, end)
		add("GET /"+target+" HTTP/1.1", host, end)
		add("GET "+target+"#x HTTP/1.1", host, end)
		add("GET "+target+" HTTP/1.2", host, end)
		add("GET "+target+" HTTP/2.0", host, end)
		add("get "+target+" HTTP/1.1", host, end)
		add("GET  "+target+" HTTP/1.1", host, end)
		add("POST "+target+" HTTP/1.1", host, end, "Content-Length: 0")
		add("POST "+target+" HTTP/1.1", host, end, "Transfer-Encoding: chunked", "", "0")
		add("OPTIONS * HTTP/1.1", host, end)
		all = append(all, first+"\n"+host+"\n"+end+"\n\n")
		all = append(all, "\r\n"+first+"\r\n"+host+"\r\n"+end+"\r\n\r\n")
	}
	return all
}

func TestTheFrontAnswersAsNetHTTPDoes(t *testing.T) {
	t.Parallel()
	with := newHouse(t, settings{})
	without := newHouse(t, settings{plain: true, dir: with.dir})
	later := time.Now().Add(365 * 24 * time.Hour)
	targets := []string{
		with.sign(t, "/recipes/1/40x30cq70/any.jpg", time.Time{}),
		with.sign(t, "/recipes/2/40x30cq70/any.webp", later),
		with.sign(t, "/i/_/w:40,format:auto/recipes/1.jpg", time.Time{}),
		with.sign(t, "/recipes/1/40x30?p=7&u=me", time.Time{}),
	}
	var etag string
	for i, target := range targets {
		for _, h := range []*house{with, without} {
			r := h.warm(t, target, "Accept: image/webp,*/*")
			if r.StatusCode != 200 {
				t.Fatalf("%s: status %d: %s", target, r.StatusCode, said(r))
			}
			if i == 0 {
				etag = r.Header.Get("Etag")
			}
			h.warm(t, target)
		}
	}
	requests := corpus(targets, etag)
	before := with.answered(t)
	for range 2 { // at first what was not ready becomes it
		var wg sync.WaitGroup
		places := make(chan struct{}, 16)
		for _, raw := range requests {
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				got, want := with.exchange(t, raw), without.exchange(t, raw)
				if got != want {
					t.Errorf("%s\n%s", clip(raw), difference(got, want))
				}
			})
		}
		wg.Wait()
	}
	answered, of := with.answered(t)-before, 2*len(requests)
	t.Logf("%d connections, %v requests answered by the front", of, answered)
	if answered < float64(of)/3 {
		t.Errorf("the front answered %v requests of %d connections", answered, of)
	}
}

func clip(s string) string {
	if len(s) > 800 {
		return fmt.Sprintf("%s… (%d bytes)", s[:800], len(s))
	}
	return s
}

// difference shows where two answers part.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(i-100, 0)
	return fmt.Sprintf("differs at byte %d: %q, want %q", i, got[from:min(i+200, len(got))], want[from:min(i+200, len(want))])
}
