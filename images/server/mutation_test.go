package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/imgproxy"
	"github.com/kamado/kamado/images/server"
)

// mutations is how many changed URLs are tried: in the short form, and with
// KAMADO_TEST_ALL=1.
const (
	mutations    = 20_000
	mutationsAll = 1_000_000
)

// The keys that sign the valid URLs.
const (
	ownKey   = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	proxyKey = "943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881 520f986b998545b4785e0defbc4f3c1203f22de2374a3d53cb7a7fe9fea309c5"
)

// unsigned are requests in every grammar, as they are before they are signed.
var unsigned = []string{
	"/recipes/1/48x36cq70/x.jpg", "/recipes/1/40/x", "/recipes/1/thumb/x.png?u=bob&p=7", "/recipes/12/40x30s/x?e=4000000000",
	"/recipes/1/48x36cq70/soup.jpg?s=x", "/recipes/12/44x33sq60/a%20soup.jpeg?u=b%C3%BCcher&p=9&e=4000000000",
	"/i/-/w:47,h:35,fit:crop,q:70/recipes/1.jpg", "/i/-/preset:thumb,q:50/recipes/na%C3%AFve.jpg", "/i/-/w:40,blur:1,version:3,expires:4000000000/recipes/12.jpg",
	"/img/rs:fill:46:34/g:no/q:70/plain/local:///recipes/1.jpg@jpg", "/img/rs:fit:45:45/exp:4000000000/bG9jYWw6Ly8vcmVjaXBlcy8xMi5qcGc.png",
	"/img/fill/43/31/ce/0/bG9jYWw6/Ly8vcmVjaXBl/cy8xLmpwZw", "/img/w:42/fn:soup/plain/recipes/na%C3%AFve.jpg",
}

// guarded builds a room that takes signed URLs only, and signs the list above.
func guarded(t *testing.T) (s *server.Server, reg *prometheus.Registry, valid []string) {
	t.Helper()
	dir := tree(t, map[string][]byte{
		"recipes/1.jpg": photograph(t, 80, 60), "recipes/12.jpg": photograph(t, 64, 64), "recipes/naïve.jpg": photograph(t, 60, 80),
	})
	files := tree(t, map[string][]byte{"own": []byte(ownKey), "proxy": []byte(proxyKey)})
	reg = prometheus.NewPedanticRegistry()
	s = start(t, dir, func(o *server.Options, d *server.Deps) {
		o.Config.Signing.InsecureUnsigned, o.Config.Signing.KeyFile = false, filepath.Join(files, "own")
		o.Config.ImgProxy.Enabled, o.Config.ImgProxy.Prefix, o.Config.ImgProxy.KeyFile = true, "/img", filepath.Join(files, "proxy")
		o.Config.Presets = map[string]string{"thumb": "w:30,h:30,fit:crop,q:70"}
		d.Registerer = reg
	})
	proxy, err := imgproxy.ParseKeys(strings.NewReader(proxyKey), imgproxy.SizeMax)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range unsigned {
		if rest, ok := strings.CutPrefix(text, "/img"); ok {
			valid = append(valid, "/img/"+proxy.Sign(rest)+rest)
			continue
		}
		valid = append(valid, sign(t, s, text))
	}
	return s, reg, valid
}

// sign has the room sign a URL of its own grammars.
func sign(t *testing.T, s *server.Server, path string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"path": path})
	if err != nil {
		t.Fatal(err)
	}
	a := do(t, s, httptest.NewRequestWithContext(t.Context(), http.MethodPost, api.Prefix+"sign", bytes.NewReader(body)), "Authorization: Bearer operator")
	var signed api.SignAnswer
	if err := json.Unmarshal(a.body, &signed); err != nil || signed.Path == "" {
		t.Fatalf("%s: %s", path, a.body)
	}
	return signed.Path
}

// answers gives what the room says to a request target as it comes from the
// wire, and false where it is not HTTP.
func answers(s *server.Server, target string) (*httptest.ResponseRecorder, bool) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	if err != nil {
		return nil, false
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w, true
}

// counted adds up a metric over its labels that are not left out.
func counted(t *testing.T, reg *prometheus.Registry, name string, without ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				for _, w := range without {
					if l.GetValue() == w {
						continue metrics
					}
				}
			}
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// TestMutatedURLsDecodeNothing: a signed URL that was changed is refused before
// anybody looks for its original, unless it still means what was signed: then it is
// that very picture, which is there already. So nobody without a key makes work.
func TestMutatedURLsDecodeNothing(t *testing.T) {
	t.Parallel()
	s, reg, valid := guarded(t)
	pictures := map[string][]byte{} // by ETag
	tags := make([]string, len(valid))
	for i, target := range valid {
		w, ok := answers(s, target)
		if !ok || w.Code != http.StatusOK {
			t.Fatalf("%s: %v", target, w)
		}
		tags[i] = w.Header().Get("Etag")
		pictures[tags[i]] = w.Body.Bytes()
	}
	const requests = "kamado_images_requests_total"
	rendered := counted(t, reg, requests, "error", "memory", "disk", "shared", "not_modified")
	if rendered == 0 {
		t.Fatal("nothing was made of the valid URLs")
	}
	count := mutations
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		count = mutationsAll
	}
	rnd := rand.New(rand.NewPCG(1, 1_000_000))
	statuses := map[int]int{}
	for n := 0; n < count; {
		i := rnd.IntN(len(valid))
		target := mutate(rnd, valid[i], valid[rnd.IntN(len(valid))])
		if target == valid[i] {
			continue
		}
		n++
		w, ok := answers(s, target)
		if !ok {
			statuses[0]++
			continue
		}
		statuses[w.Code]++
		switch w.Code {
		case http.StatusBadRequest, http.StatusForbidden:
		case http.StatusRequestEntityTooLarge:
			if !strings.Contains(w.Body.String(), "max_output_side") { // which the URL alone says
				t.Fatalf("%q, of %q, is too large in another way: %s", target, valid[i], w.Body)
			}
		case http.StatusOK:
			if want, ok := pictures[w.Header().Get("Etag")]; !ok || !bytes.Equal(w.Body.Bytes(), want) {
				t.Fatalf("%q, of %q, is another picture than any that was signed", target, valid[i])
			}
		default: // 404 and 410 among them, which are said after looking for the original
			t.Fatalf("%q, of %q, is answered with %d: %s", target, valid[i], w.Code, w.Body)
		}
	}
	if got := counted(t, reg, requests, "error", "memory", "disk", "shared", "not_modified"); got != rendered {
		t.Errorf("%v renditions were made of changed URLs", got-rendered)
	}
	if got, want := counted(t, reg, requests, "error"), len(valid)+statuses[http.StatusOK]; int(got) != want {
		t.Errorf("%v requests got a picture, want %d", got, want)
	}
	if statuses[http.StatusForbidden] < count/10 || statuses[http.StatusBadRequest] < count/10 {
		t.Errorf("answers by status: %v; want many 400 and many 403", statuses)
	}
	t.Logf("%d changed URLs by status (0: not HTTP): %v", count, statuses)
}

// strange are pieces that are put into URLs: escapes that are none or that are two,
// other forms of a slash and a dot, letters that look like others, and the
// words of the grammars.
var strange = []string{
	"%", "%2", "%zz", "%00", "%2F", "%2f", "%252F", "%5C", "\\", "%2e%2e", "..", "/../", "/./", "//", "%c0%ae", "%c3%a9", "\u00e9", "e\u0301", "\uff0f", "\u2024", "\u200b", "\u202e",
	"\u0430", "\u212a", "\ufffd", "\x00", "\x7f", "\xff", " ", "+", "%20", "%09", "\t", "?", "#", "&", ";", "=", "@", "@png", ":", ",", ".", ".jpg", ".png", "-", "_", "~", "0", "1", "00", "9999999999",
	"s=", "&s=", "?s=", "&e=1", "&e=4000000001", "&p=8", "&u=eve", "?x=1", "u=", "w:1", "w:1/", "q:1", ",q:1", "rs:fill:1:1/", "exp:1/", "plain/", "enc/", "preset:thumb,", "unsafe/", "insecure/", "-/", "x", "c", "s", "e",
}

// mutate changes a URL in one to three places, seldom into another valid one.
func mutate(rnd *rand.Rand, s, other string) string {
	for range 1 + rnd.IntN(3) {
		s = change(rnd, s, other)
	}
	if !strings.HasPrefix(s, "/") && rnd.IntN(4) > 0 {
		s = "/" + s
	}
	return s
}

func change(rnd *rand.Rand, s, other string) string {
	if s == "" {
		return "/"
	}
	at, b := rnd.IntN(len(s)), []byte(s)
	switch rnd.IntN(14) {
	case 0: // a bit
		b[at] ^= 1 << rnd.IntN(8)
		return string(b)
	case 1: // a byte
		b[at] = byte(rnd.IntN(256))
		return string(b)
	case 2: // two neighbours
		next := (at + 1) % len(b)
		b[at], b[next] = b[next], b[at]
		return string(b)
	case 3: // left out
		return s[:at] + s[at+1:]
	case 4: // twice
		return s[:at] + s[at:at+1] + s[at:]
	case 5:
		return s[:at] + strange[rnd.IntN(len(strange))] + s[at:]
	case 6: // the case of a letter
		if c := b[at] | 0x20; c >= 'a' && c <= 'z' {
			b[at] ^= 0x20
		}
		return string(b)
	case 7: // an escape of what needs none
		return fmt.Sprintf("%s%%%02X%s", s[:at], s[at], s[at+1:])
	case 8:
		return fmt.Sprintf("%s%%25%02x%s", s[:at], s[at], s[at+1:])
	case 9: // cut short
		return s[:at]
	case 10: // the beginning of one and the end of another
		return s[:at] + other[rnd.IntN(len(other)):]
	case 11:
		return s + other
	}
	parts := strings.Split(s, "/")
	i, j := rnd.IntN(len(parts)), rnd.IntN(len(parts))
	theirs := strings.Split(other, "/")
	if rnd.IntN(2) == 0 { // a part of another
		parts[i] = theirs[rnd.IntN(len(theirs))]
	} else {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, "/")
}
