package imgproxy_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/imgproxy"
)

func grammar(t testing.TB) imgproxy.Grammar {
	t.Helper()
	cfg := images.Default()
	cfg.Presets = map[string]string{"thumb": "w:180,h:180,fit:crop,q:70", "soft": "blur:2"}
	cfg.Watermarks = map[string]images.WatermarkSource{"logo": {File: "x"}}
	names, err := cfg.Catalogue(map[string]string{"logo": "v"})
	if err != nil {
		t.Fatal(err)
	}
	return imgproxy.Grammar{Names: names, Buckets: map[string]string{"photos": "bucket"}, Web: "web", Watermark: "logo"}
}

func parse(t testing.TB, g imgproxy.Grammar, path string) (images.Request, error) {
	t.Helper()
	u, err := url.ParseRequestURI(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return g.Parse(u)
}

func TestOptionsMeanRenditions(t *testing.T) {
	t.Parallel()
	g := grammar(t)
	for options, want := range map[string]string{
		"rs:fit:300:200":                        "w:300,h:200,fit:shrink",
		"rs:fit:300:200:1":                      "w:300,h:200",
		"resize:fill:300:200":                   "w:300,h:200,fit:clip",
		"rs:fill:300:200:t/g:no":                "w:300,h:200,fit:crop,gravity:north",
		"rs:fill-down:300:200":                  "w:300,h:200,fit:crop,enlarge:0",
		"rs:force:300:200":                      "w:300,h:200,fit:stretch,enlarge:0",
		"rs:auto:300:200":                       "w:300,h:200,fit:auto",
		"rs:fit:300:200:0:1":                    "w:300,h:200,fit:pad,enlarge:0",
		"rs:fit:300:200:0:1:so:0:5":             "w:300,h:200,fit:pad,enlarge:0,gravity:south:0:5",
		"rs::300":                               "w:300,fit:shrink",
		"s:300:200/el:1":                        "w:300,h:200",
		"w:300/h:200/dpr:2":                     "w:300,h:200,dpr:2,fit:shrink",
		"w:300/w:200":                           "w:200,fit:shrink",
		"z:1.5/el:1":                            "zoom:1.5",
		"z:1.5":                                 "whole",
		"z:0.5":                                 "zoom:0.5",
		"rs:fill-down:300:200:1":                "w:300,h:200,fit:crop",
		"rs:fit:300:0:1:1":                      "w:300",
		"rs:fill:300:200:1:1":                   "w:300,h:200,fit:crop",
		"c:100:50/rot:90":                       "cut:50:100,rotate:90",
		"c:100:50:nowe/rot:90":                  "cut:50:100:southwest,rotate:90",
		"c:100:50:no/rot:-90":                   "cut:50:100:east,rotate:270",
		"c:100:50:noea/rot:180":                 "cut:100:50:southwest,rotate:180",
		"c:100:50:we/fl:1":                      "cut:100:50:east,flip:h",
		"c:100:50:fp:0.25:0/rot:90":             "cut:50:100:focal:0:0.75,rotate:90",
		"rs:fill:9:9/g:sm":                      "w:9,h:9,fit:clip,gravity:smart",
		"rs:fill:9:9/g:fp:0.25:0.75":            "w:9,h:9,fit:clip,gravity:focal:0.25:0.75",
		"rs:fill:9:9/g:soea:10:-5":              "w:9,h:9,fit:clip,gravity:southeast:10:-5",
		"c:0.5:100":                             "cut:0.5:100",
		"c:100:0:nowe":                          "cut:100:0:northwest",
		"c:100:100/g:we":                        "cut:100:100:west",
		"t:12.5":                                "trim:13",
		"trim:":                                 "trim:10",
		"pd:10:20":                              "padding:10:20:10:20",
		"pd:10":                                 "padding:10:10:10:10",
		"pd:1:2:3:4":                            "padding:1:2:3:4",
		"rot:-90":                               "rotate:270",
		"fl:1:1":                                "rotate:180",
		"bg:255:136:0":                          "background:ff8800",
		"bg:f80":                                "background:ff8800",
		"bg:FF8800/bg:":                         "whole",
		"bl:1.23456/sh:0.5":                     "blur:1.2346,sharpen:0.5",
		"pix:8":                                 "pixelate:8",
		"wm:0.5:soea:10:20:0.2":                 "watermark:logo:0.5:southeast:10:20:0.2:v",
		"wm:0":                                  "whole",
		"kcr:1/scp:0":                           "metadata:copyright,profile:keep",
		"q:70":                                  "q:70",
		"q:0":                                   "whole",
		"fq:webp:60:avif:40/f:avif":             "q:40,format:avif",
		"fq:webp:60/q:50/f:webp":                "q:50,format:webp",
		"mb:20000/f:jpg":                        "max_bytes:20000,format:jpeg",
		"pr:thumb":                              "w:180,h:180,fit:crop,q:70",
		"pr:thumb:soft":                         "w:180,h:180,fit:crop,blur:2,q:70",
		"pr:soft/rs:fill:10:10:1":               "w:10,h:10,fit:crop,blur:2",
		"da:1/f:webp":                           "still:1,format:webp",
		"rs:fit:300:200%3A1":                    "w:300,h:200",
		"ar:1/sm:1/eth:0/cb:abc/fn:name/att:1/": "whole",
	} {
		req, err := parse(t, g, "/unsafe/"+strings.TrimSuffix(options, "/")+"/plain/local:///recipes/1.jpg")
		if err != nil || req.Rendition.String() != want {
			t.Errorf("%s = %s, %v, want %s", options, req.Rendition, err, want)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	g := grammar(t)
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	long := b64("local:///a/rather/long/key/of/an/original.jpg")
	for source, want := range map[string]string{
		"plain/local:///recipes/1.jpg":                    ":recipes/1.jpg ",
		"plain/recipes/1.jpg":                             ":recipes/1.jpg ",
		"plain/local:///recipes/1.jpg@webp":               ":recipes/1.jpg webp",
		"plain/local:///a%20b%40c.jpg@png":                ":a b@c.jpg png",
		"plain/s3://photos/x/y.jpg":                       "bucket:x/y.jpg ",
		"plain/https://example.com/a.jpg%3Fv=1@avif":      "web:https://example.com/a.jpg?v=1 avif",
		b64("local:///recipes/1.jpg"):                     ":recipes/1.jpg ",
		b64("local:///recipes/1.jpg") + "=.webp":          ":recipes/1.jpg webp",
		long[:16] + "/" + long[16:32] + "/" + long[32:]:   ":a/rather/long/key/of/an/original.jpg ",
		"rs:fit:1:1/plain/https://example.com:8080/a.jpg": "web:https://example.com:8080/a.jpg ",
	} {
		req, err := parse(t, g, "/unsafe/"+source)
		format := ""
		if req.Rendition.Format != images.FormatUnknown {
			format = req.Rendition.Format.Extension()
		}
		if got := req.Origin + ":" + req.Key + " " + format; err != nil || got != want {
			t.Errorf("%s = %q, %v, want %q", source, got, err, want)
		}
	}
}

// TestTheFormWithoutNames: what clients of imgproxy 2 and before write.
func TestTheFormWithoutNames(t *testing.T) {
	t.Parallel()
	g := grammar(t)
	const source = "aHR0cDovL2ltZy5l/eGFtcGxlLmNvbS9w/cmV0dHkvaW1hZ2Uu/anBn" // of its README
	for path, want := range map[string]string{
		"/x/fill/300/300/ce/0/" + source:            "web w:300,h:300,fit:clip",
		"/x/fill/300/200/no/1/" + source + ".png":   "web w:300,h:200,fit:crop,gravity:north,format:png",
		"/x/fit/300/0/sm/0/plain/local:///a.jpg":    " w:300,fit:shrink",
		"/x/fill/30/20/fp:0.1:0.9/1/plain/a@webp":   " w:30,h:20,fit:crop,gravity:focal:0.1:0.9,format:webp",
		"/x/force/30/20/ce/true/plain/fit/1/1/ce/0": " w:30,h:20,fit:stretch",
	} {
		if req, err := parse(t, g, path); err != nil || req.Origin+" "+req.Rendition.String() != want {
			t.Errorf("%s = %s %s, %v, want %s", path, req.Origin, req.Rendition, err, want)
		}
	}
	for path, part := range map[string]string{
		"/x/fill/99999/300/ce/0/" + source: "width", "/x/fill/300/300/ce/maybe/" + source: "enlarge", "/x/cover/300/300/ce/0/" + source: "key",
		"/x/fill/300/300/fp:2:0/0/" + source: "gravity", "/x/fill/300/300/ce/0/": "source", "/x/fill/300/300/ce/0/rs:fit:1:1/plain/a": "source",
	} {
		if _, err := parse(t, g, path); errorPart(err) != part {
			t.Errorf("%s: %v, want an error about %s", path, err, part)
		}
	}
}

func TestWhatIsNotKnownIsRefusedByName(t *testing.T) {
	t.Parallel()
	g := grammar(t)
	for path, part := range map[string]string{
		"/": "path", "/unsafe": "path", "/unsafe/": "path", "/unsafe/rs:fit:1:1/!": "source", "/unsafe/enc/abc": "source",
		"/unsafe/plain/ftp://a/b": "source", "/unsafe/plain/s3://other/b": "source", "/unsafe/plain/../etc/passwd": "key", "/unsafe/plain/local:///.hidden": "key",
		"/unsafe/plain/": "key", "/unsafe/plain/a.jpg@exe": "format", "/unsafe/plain/a.jpg@tiff": "format",
	} {
		if _, err := parse(t, g, path); errorPart(err) != part {
			t.Errorf("%s: %v, want an error about %s", path, err, part)
		}
	}
	for options, part := range map[string]string{
		"rs:cover:1:1": "resizing_type", "w:-1": "width", "w:1.5": "width", "h:99999": "height", "dpr:0": "dpr", "z:2:3": "zoom", "g:up": "gravity", "g:fp:2:0": "gravity",
		"g:no:0.1:0": "gravity", "rs:fill:9:9:0:1": "extend", "rs:fill-down:9:9:0:1": "extend", "rs:force:9:9:0:1": "extend", "rs:fit:9:0:0:1": "extend", "t:10:ffffff": "trim", "pd:1:2:3:4:5": "padding", "rot:45": "rotate", "bg:1:2": "background",
		"wm:1:re": "watermark", "q:101": "quality", "f:best": "format", "mb:10": "max_bytes", "pr:none": "preset", "pr:": "preset", "exp:soon": "expires", "ar:0": "auto_rotate", "sm:0": "strip_metadata",
		"brightness:10": "brightness", "min-width:10": "min-width", "raw:1": "raw", "el:maybe": "enlarge", "fn:..": "filename", "rs:auto:1:1:1": "enlarge",
	} {
		if _, err := parse(t, g, "/unsafe/"+options+"/plain/a.jpg"); errorPart(err) != part || images.KindOf(err) != images.Invalid {
			t.Errorf("%s: %v, want an error about %s", options, err, part)
		}
	}
	if _, err := parse(t, g, "/unsafe"+strings.Repeat("/w:1", 65)+"/plain/a.jpg"); errorPart(err) != "options" {
		t.Errorf("65 options: %v", err)
	}
	if _, err := parse(t, imgproxy.Grammar{Prefix: "/old"}, "/unsafe/plain/a.jpg"); errorPart(err) != "path" {
		t.Errorf("without the prefix: %v", err)
	}
	if req, err := parse(t, imgproxy.Grammar{Prefix: "/old"}, "/old/unsafe/plain/a.jpg"); err != nil || req.Canonical != "/plain/a.jpg" {
		t.Errorf("with the prefix: %q, %v", req.Canonical, err)
	}
}

func errorPart(err error) string {
	var e *images.Error
	if err != nil && asError(err, &e) {
		return e.Part
	}
	return ""
}

// TestSignature: key and salt are those of imgproxy's documentation; the two
// signatures were made by other programs.
func TestSignature(t *testing.T) {
	t.Parallel()
	const file = "# example\n943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881 520f986b998545b4785e0defbc4f3c1203f22de2374a3d53cb7a7fe9fea309c5\n"
	keys, err := imgproxy.ParseKeys(strings.NewReader(file), 32)
	if err != nil {
		t.Fatal(err)
	}
	const signed = "/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png"
	const signature = "90UxdwGRAI2bpLSHKkZculJau5ahfxfS0h3fMuQAf40"
	const old = "/fill/300/300/ce/0/aHR0cDovL2ltZy5l/eGFtcGxlLmNvbS9w/cmV0dHkvaW1hZ2Uu/anBn"
	if got := keys.Sign(old); got != "6cy4IRuQ1nQW8qGVmNvPdynjmkuwUEx-XhGw_C_kQmA" {
		t.Errorf("signature of %s is %s", old, got)
	}
	if got := keys.Sign(signed); got != signature {
		t.Errorf("signature %s, want %s", got, signature)
	}
	g := grammar(t)
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		path string
		ok   bool
	}{
		{"/" + signature + signed, true},
		{"/" + signature + "=" + signed, true},
		{"/" + signature + signed + "?utm=1", true},
		{"/unsafe" + signed, false},
		{"/" + signature[1:] + signed, false},
		{"/" + signature + strings.Replace(signed, "300", "301", 1), false},
		{"/" + keys.Sign("/exp:1800000001/plain/a") + "/exp:1800000001/plain/a", true},
		{"/" + keys.Sign("/exp:1800000000/plain/a") + "/exp:1800000000/plain/a", false},
	} {
		req, err := parse(t, g, c.path)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if err := keys.Verify(&req, now); (err == nil) != c.ok || err != nil && images.KindOf(err) != images.Denied {
			t.Errorf("%s: %v, want valid: %v", c.path, err, c.ok)
		}
	}
	var none *imgproxy.Keys
	if req, _ := parse(t, g, "/unsafe/plain/a"); none.Verify(&req, now) != nil {
		t.Error("without keys a request is refused")
	}
	for _, bad := range []string{"", "zz zz", "aa", "aa bb cc", strings.Repeat("aa", 1025) + " bb"} {
		if _, err := imgproxy.ParseKeys(strings.NewReader(bad), 32); err == nil {
			t.Errorf("%.20q is a file of keys", bad)
		}
	}
}

// TestOneKeyForAHundredThousandSpellings (a fifth of them in the short form):
// options in any order, in short and long forms, said twice, with what is so anyway
// beside them, are one rendition.
func TestOneKeyForAHundredThousandSpellings(t *testing.T) {
	t.Parallel()
	g := grammar(t)
	rnd := rand.New(rand.NewPCG(7, 11))
	groups := [][]string{
		{"rs:fill:300:200:1", "resize:fill:300:200:true", "s:300:200:t/rt:fill", "w:300/h:200/el:1/resizing_type:fill"},
		{"g:no", "gravity:no", "gravity:no:0:0", "g:no:0"},
		{"q:70", "quality:70", "q:10/q:70"},
		{"f:webp", "format:webp", "ext:webp", "f:jpg/f:webp"},
		{"bg:ff8800", "bg:255:136:0", "background:FF8800", "bg:f80"},
		{"rot:90", "rotate:-270", "rot:450"},
		{"bl:1.5", "blur:1.50000", "bl:1.5"},
		{"dpr:2", "dpr:2.0"},
		{"ar:1", "auto_rotate:true", "sm:1", "enforce_thumbnail:0", "eth:false", "scp:1"},
	}
	sources := []string{"plain/local:///recipes/1.jpg", "plain/recipes/1.jpg", "plain/%6Cocal:///recipes/1.jpg", base64.RawURLEncoding.EncodeToString([]byte("local:///recipes/1.jpg"))}
	seen := map[string]bool{}
	keys := map[string]bool{}
	count := 20_000
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		count = 100_000
	}
	for len(seen) < count {
		var parts []string
		for _, i := range rnd.Perm(len(groups)) {
			parts = append(parts, groups[i][rnd.IntN(len(groups[i]))])
		}
		path := "/unsafe/" + strings.Join(parts, "/") + "/" + sources[rnd.IntN(len(sources))]
		if seen[path] {
			continue
		}
		seen[path] = true
		req, err := parse(t, g, path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		keys[fmt.Sprint(req.Origin, req.Key, req.Rendition)] = true
	}
	if len(keys) != 1 {
		t.Errorf("%d spellings have %d keys, want 1: %v", len(seen), len(keys), keys)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("/unsafe/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png")
	f.Add("/x/pr:thumb/wm:0.5:soea:1:2:0.1/c:0.5:10:fp:0.1:0.2/t:10/pd:1:2/fn:YQ:1/plain/s3://photos/a%20b@webp")
	f.Add("/x/fill/300/300/fp:0.1:0.9/1/aHR0cDovL2ltZy5l/eGFtcGxlLmNvbS9w.png")
	f.Add("/x/bg:1:2:3/mb:300/fq:webp:1/exp:1/plain/http://a/b")
	g := grammar(f)
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		req, err := g.Parse(u)
		if err != nil {
			if images.KindOf(err) != images.Invalid {
				t.Errorf("%q: %v is not the URL's fault", path, err)
			}
			return
		}
		if r := req.Rendition; r != r.Normal() || r.Validate() != nil {
			t.Errorf("%q gives %s, which is not normal", path, r)
		}
		if req.Origin != "web" && images.CheckKey(req.Key) != nil {
			t.Errorf("%q gives the key %q", path, req.Key)
		}
	})
}

func asError(err error, to **images.Error) bool { return errors.As(err, to) }
