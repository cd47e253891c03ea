package tofu_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/tofu"
)

const hex32 = "0123456789abcdef0123456789abcdef"

func grammar(t testing.TB, generation tofu.Generation) tofu.Grammar {
	t.Helper()
	cfg := images.Default()
	cfg.Presets = map[string]string{"thumb": "w:180,h:180,fit:crop,q:60,format:webp", "full": "whole"}
	names, err := cfg.Catalogue(nil)
	if err != nil {
		t.Fatal(err)
	}
	return tofu.Grammar{Generation: generation, Names: names}
}

func parse(t testing.TB, g tofu.Grammar, s string) (images.Request, error) {
	t.Helper()
	u, err := url.ParseRequestURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return g.Parse(u)
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name       string
		generation tofu.Generation
		url        string
		grammar    string
		original   string
		rendition  string
		canonical  string
	}{
		{"both sides, a mode and a quality are generation 2", tofu.Auto, "/recipes/1/480x360cq70/any.jpg", "tofu2", "recipes/1", "w:480,h:360,fit:crop,q:70,format:jpeg", "/recipes/1/480x360cq70/.jpg"},
		{"the name enters nothing", tofu.Auto, "/recipes/1/480x360cq70/nikujaga.v2.jpg", "tofu2", "recipes/1", "w:480,h:360,fit:crop,q:70,format:jpeg", "/recipes/1/480x360cq70/.jpg"},
		{"the extension chooses the format", tofu.Auto, "/recipes/1/480x360sq7/any.avif", "tofu2", "recipes/1", "w:480,h:360,fit:shrink,q:7,format:avif", "/recipes/1/480x360sq7/.avif"},
		{"quality of a format without one changes nothing", tofu.Auto, "/recipes/1/480x360sq7/any.png", "tofu2", "recipes/1", "w:480,h:360,fit:shrink,format:png", "/recipes/1/480x360sq7/.png"},
		{"jpeg is jpg", tofu.Auto, "/recipes/1/480x360cq70/any.jpeg", "tofu2", "recipes/1", "w:480,h:360,fit:crop,q:70,format:jpeg", "/recipes/1/480x360cq70/.jpg"},
		{"a width alone is generation 1", tofu.Auto, "/recipes/1/280/" + hex32, "tofu1", "recipes/1", "w:280", "/recipes/1/280/"},
		{"where no signature is needed the last part is anything", tofu.Auto, "/recipes/1/280/whatever", "tofu1", "recipes/1", "w:280", "/recipes/1/280/"},
		{"anything may have dots", tofu.Auto, "/recipes/1/280/photo.v2", "tofu1", "recipes/1", "w:280", "/recipes/1/280/"},
		{"anything may end in a format, in any case", tofu.Auto, "/recipes/1/280/IMG_1.JPG", "tofu1", "recipes/1", "w:280,format:jpeg", "/recipes/1/280/.jpg"},
		{"no quality is generation 1", tofu.Auto, "/recipes/1/280x487s/x", "tofu1", "recipes/1", "w:280,h:487,fit:shrink", "/recipes/1/280x487s/"},
		{"no mode is generation 1", tofu.Auto, "/recipes/1/280x487q50/x.webp", "tofu1", "recipes/1", "w:280,h:487,q:50,format:webp", "/recipes/1/280x487q50/.webp"},
		{"32 hex digits are generation 1", tofu.Auto, "/recipes/1/750x500cq60/" + hex32 + ".png", "tofu1", "recipes/1", "w:750,h:500,fit:crop,format:png", "/recipes/1/750x500cq60/.png"},
		{"generation 1 alone takes any name", tofu.First, "/recipes/1/750x500cq60/any.jpg", "tofu1", "recipes/1", "w:750,h:500,fit:crop,q:60,format:jpeg", "/recipes/1/750x500cq60/.jpg"},
		{"generation 2 alone takes hex digits as a name", tofu.Second, "/recipes/1/750x500cq60/" + hex32 + ".jpg", "tofu2", "recipes/1", "w:750,h:500,fit:crop,q:60,format:jpeg", "/recipes/1/750x500cq60/.jpg"},
		{"a preset is generation 1", tofu.Auto, "/users/7/thumb/x", "tofu1", "users/7", "w:180,h:180,fit:crop,q:60,format:webp", "/users/7/thumb/"},
		{"an extension goes before the preset's format", tofu.Auto, "/users/7/thumb/x.jpg", "tofu1", "users/7", "w:180,h:180,fit:crop,q:60,format:jpeg", "/users/7/thumb/.jpg"},
		{"a preset may be the whole picture", tofu.Auto, "/users/7/full/x", "tofu1", "users/7", "whole", "/users/7/full/"},
		{"owner and change are signed", tofu.Auto, "/recipes/1/280/x?u=9&p=1366300000", "tofu1", "recipes/1", "w:280", "/recipes/1/280/?u=9&p=1366300000"},
		{"parameters have an order in the canonical form", tofu.Auto, "/recipes/1/280/x?e=1800000000&p=2&u=1", "tofu1", "recipes/1", "w:280", "/recipes/1/280/?u=1&p=2&e=1800000000"},
		{"an empty parameter is none", tofu.Auto, "/recipes/1/280/x?u=&p=2", "tofu1", "recipes/1", "w:280", "/recipes/1/280/?p=2"},
		{"generation 2's signature is not part of what is signed", tofu.Auto, "/recipes/1/480x360cq70/any.jpg?s=" + hex32 + "&p=2", "tofu2", "recipes/1", "w:480,h:360,fit:crop,q:70,format:jpeg", "/recipes/1/480x360cq70/.jpg?p=2"},
		{"an id may be in any script", tofu.Auto, "/recipes/%E8%82%89/280/x", "tofu1", "recipes/肉", "w:280", "/recipes/%E8%82%89/280/"},
		{"an id may have an extension and reserved characters", tofu.Auto, "/a@b/c+d=1.jpg/280/x", "tofu1", "a@b/c+d=1.jpg", "w:280", "/a%40b/c%2Bd%3D1.jpg/280/"},
		{"the largest numbers", tofu.Auto, "/a/b/16383x16383cq100/x.gif", "tofu2", "a/b", "w:16383,h:16383,fit:crop,format:gif", "/a/b/16383x16383cq100/.gif"},
	} {
		req, err := parse(t, grammar(t, c.generation), c.url)
		if err != nil {
			t.Errorf("%s: Parse(%q): %v", c.name, c.url, err)
			continue
		}
		if req.Grammar != c.grammar || req.Original() != c.original || req.Rendition.String() != c.rendition || req.Canonical != c.canonical {
			t.Errorf("%s: Parse(%q) = %s, %s, %s, %s\nwant %s, %s, %s, %s", c.name, c.url, req.Grammar, req.Original(), req.Rendition, req.Canonical, c.grammar, c.original, c.rendition, c.canonical)
		}
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		name, url, part, right string // right: what the message says would be right
	}{
		{"a part is missing", "/recipes/1/280", "path", "4"},
		{"a part too many", "/recipes/1/2/280/x", "path", "4"},
		{"nothing", "/", "path", "4"},
		{"an empty kind", "//1/280/x", "kind", "empty"},
		{"an empty id", "/recipes//280/x", "id", "empty"},
		{"an empty name", "/recipes/1/280/", "name", "empty"},
		{"a way out", "/recipes/../280/x", "id", "dot"},
		{"an escaped way out", "/recipes/..%2Fsecret/280/x", "id", "dot"},
		{"an escaped slash", "/recipes/a%2Fb/280/x", "id", "character"},
		{"a backslash", "/recipes/a%5Cb/280/x", "id", "character"},
		{"a zero byte", "/recipes/a%00b/280/x", "id", "character"},
		{"a line break", "/recipes/a%0Ab/280/x", "id", "character"},
		{"a hidden file", "/recipes/.htaccess/280/x", "id", "dot"},
		{"bytes that are no text", "/recipes/%FF/280/x", "path", "UTF-8"},
		{"an escape in lower case", "/recipes/%e8%82%89/280/x", "path", "%E8"},
		{"an escape of a letter", "/recipes/%61/280/x", "path", "written a"},
		{"a kind too long", "/" + long + "/1/280/x", "kind", "64"},
		{"an id too long", "/recipes/" + long + "/280/x", "id", "255"},
		{"a name too long", "/recipes/1/280/" + long, "name", "255"},
		{"a width of nothing", "/recipes/1/0/x", "width", "between 1 and 16383"},
		{"a width beyond the bound", "/recipes/1/16384/x", "width", "between 1 and 16383"},
		{"a width beyond a word", "/recipes/1/99999999999999999999/x", "width", "between 1 and 16383"},
		{"a height of nothing", "/recipes/1/280x0c/x", "height", "between 1 and 16383"},
		{"a height that is missing", "/recipes/1/280x/x", "height", "missing"},
		{"a width that is missing", "/recipes/1/x280/x", "size", "preset"},
		{"a leading zero", "/recipes/1/0280x487s/x", "width", "280"},
		{"a leading zero of the quality", "/recipes/1/480x360cq070/any.jpg", "quality", "70"},
		{"no quality after q", "/recipes/1/480x360cq/any.jpg", "quality", "missing"},
		{"quality 0", "/recipes/1/480x360cq0/any.jpg", "quality", "between 1 and 100"},
		{"quality 101", "/recipes/1/480x360cq101/any.jpg", "quality", "between 1 and 100"},
		{"a mode that does not exist", "/recipes/1/480x360zq70/any.jpg", "size", "zq70"},
		{"two modes", "/recipes/1/480x360csq70/any.jpg", "size", "sq70"},
		{"a crop with one side", "/recipes/1/480c/any.jpg", "size", "180x180c"},
		{"a preset that does not exist", "/recipes/1/huge/any.jpg", "size", "preset"},
		{"a sign", "/recipes/1/-280/x", "width", "missing"},
		{"an extension that is no format", "/recipes/1/480x360cq70/any.exe", "extension", "jpg, png, webp, gif, avif"},
		{"an extension that can only be read", "/recipes/1/480x360cq70/any.heic", "extension", "jpg"},
		{"an extension in capitals", "/recipes/1/480x360cq70/any.JPG", "extension", "jpg"},
		{"no extension in generation 2", "/recipes/1/480x360cq70/any", "name", "any.jpg"},
		{"no name in generation 2", "/recipes/1/480x360cq70/.jpg", "name", "any.jpg"},
		{"a format that can only be read in generation 1", "/recipes/1/280/x.tiff", "extension", "jpg"},
		{"an unknown extension behind a signature", "/recipes/1/280/" + hex32 + ".exe", "extension", "jpg"},
		{"capitals behind a signature", "/recipes/1/280/" + hex32 + ".JPG", "extension", "jpg"},
		{"an unknown parameter", "/recipes/1/280/x?utm_source=a", "query", "utm_source"},
		{"a parameter twice", "/recipes/1/280/x?p=1&p=2", "query", "twice"},
		{"a signature parameter in generation 1", "/recipes/1/280/x?s=" + hex32, "query", "s"},
		{"an expiry that is no time", "/recipes/1/280/x?e=tomorrow", "e", "seconds"},
		{"an expiry with a leading zero", "/recipes/1/280/x?e=01", "e", "seconds"},
		{"a change too long", "/recipes/1/280/x?p=" + strings.Repeat("1", 129), "p", "128"},
		{"an owner too long", "/recipes/1/280/x?u=" + strings.Repeat("1", 129), "u", "128"},
		{"a parameter with a line break", "/recipes/1/280/x?p=%0A", "query", "p"},
	} {
		_, err := parse(t, grammar(t, tofu.Auto), c.url)
		var e *images.Error
		if !errors.As(err, &e) || e.Kind != images.Invalid || e.Part != c.part || !strings.Contains(e.Detail, c.right) {
			t.Errorf("%s: Parse(%.60q): %v, want an error about %q that says %q", c.name, c.url, err, c.part, c.right)
		}
	}
	if _, err := parse(t, grammar(t, tofu.Second), "/recipes/1/280/any.jpg"); images.KindOf(err) != images.Invalid {
		t.Errorf("generation 2 alone took a size without a quality: %v", err)
	}
}

// fakeSign shows what was signed.
func fakeSign(signed *string) func(string) string {
	return func(canonical string) string { *signed = canonical; return hex32 }
}

func TestSign(t *testing.T) {
	later := time.Unix(1800000000, 0)
	for _, c := range []struct {
		name       string
		generation tofu.Generation
		path       string
		expires    time.Time
		want       string
		canonical  string
	}{
		{"generation 2 gets a parameter", tofu.Auto, "/recipes/1/480x360cq70/any.jpg", time.Time{}, "/recipes/1/480x360cq70/any.jpg?s=" + hex32, "/recipes/1/480x360cq70/.jpg"},
		{"a parameter that is there is replaced", tofu.Auto, "/recipes/1/480x360cq70/any.jpg?s=old&p=3", time.Time{}, "/recipes/1/480x360cq70/any.jpg?p=3&s=" + hex32, "/recipes/1/480x360cq70/.jpg?p=3"},
		{"generation 1 gets a last part", tofu.Auto, "/recipes/1/280x487s", time.Time{}, "/recipes/1/280x487s/" + hex32, "/recipes/1/280x487s/"},
		{"a slash at the end is no part", tofu.Auto, "/recipes/1/280x487s/?p=1", time.Time{}, "/recipes/1/280x487s/" + hex32 + "?p=1", "/recipes/1/280x487s/?p=1"},
		{"a placeholder is replaced", tofu.Auto, "/recipes/1/280/any", time.Time{}, "/recipes/1/280/" + hex32, "/recipes/1/280/"},
		{"a placeholder's extension stays", tofu.Auto, "/recipes/1/280/any.webp", time.Time{}, "/recipes/1/280/" + hex32 + ".webp", "/recipes/1/280/.webp"},
		{"a complete size without a last part is generation 1", tofu.Auto, "/recipes/1/480x360cq70", time.Time{}, "/recipes/1/480x360cq70/" + hex32, "/recipes/1/480x360cq70/"},
		{"generation 1 alone signs the last part", tofu.First, "/recipes/1/480x360cq70/any.jpg", time.Time{}, "/recipes/1/480x360cq70/" + hex32 + ".jpg", "/recipes/1/480x360cq70/.jpg"},
		{"a preset need not be known where URLs are signed", tofu.Auto, "/recipes/1/elsewhere/x", time.Time{}, "/recipes/1/elsewhere/" + hex32, "/recipes/1/elsewhere/"},
		{"an expiry is signed", tofu.Auto, "/recipes/1/280/x", later, "/recipes/1/280/" + hex32 + "?e=1800000000", "/recipes/1/280/?e=1800000000"},
		{"an id keeps its escapes", tofu.Auto, "/recipes/%E8%82%89/280", time.Time{}, "/recipes/%E8%82%89/280/" + hex32, "/recipes/%E8%82%89/280/"},
	} {
		u, err := url.ParseRequestURI(c.path)
		if err != nil {
			t.Fatal(err)
		}
		var canonical string
		got, err := grammar(t, c.generation).Sign(u, c.expires, fakeSign(&canonical))
		if err != nil || got != c.want || canonical != c.canonical {
			t.Errorf("%s: Sign(%q) = %q over %q, %v, want %q over %q", c.name, c.path, got, canonical, err, c.want, c.canonical)
			continue
		}
		if strings.Contains(got, "elsewhere") {
			continue
		}
		req, err := parse(t, grammar(t, c.generation), got)
		if err != nil || req.Canonical != canonical || req.Signature != hex32 {
			t.Errorf("%s: the signed URL %q reads as %q with signature %q, %v", c.name, got, req.Canonical, req.Signature, err)
		}
	}
}

// FuzzParse: what parses can be signed, and the signed URL is the same
// request; equal canonical forms are equal renditions of one original.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/recipes/1/480x360cq70/any.jpg", "/recipes/1/280/" + hex32 + ".webp?u=1&p=2", "/a/b/thumb/x.png?e=1800000000",
		"/%E8%82%89/b%40/1x1sq1/a%2Fb.gif?s=1", "/recipes/1/280x487s/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.ParseRequestURI(s)
		if err != nil {
			return
		}
		for _, generation := range []tofu.Generation{tofu.Auto, tofu.First, tofu.Second} {
			g := grammar(t, generation)
			req, err := g.Parse(u)
			if err != nil {
				if images.KindOf(err) != images.Invalid {
					t.Fatalf("Parse(%q): %v is of kind %v", s, err, images.KindOf(err))
				}
				continue
			}
			signed, err := g.Sign(u, time.Time{}, func(string) string { return hex32 })
			if err != nil {
				t.Fatalf("%q parses and cannot be signed: %v", s, err)
			}
			again, err := parse(t, g, signed)
			if err != nil {
				t.Fatalf("%q signed is %q, which does not parse: %v", s, signed, err)
			}
			if again.Canonical != req.Canonical || again.Original() != req.Original() || again.Rendition != req.Rendition || again.Version != req.Version {
				t.Fatalf("%q signed is another request:\n%+v\n%+v", s, req, again)
			}
		}
	})
}

// FuzzSize: what parses prints, and prints to what was parsed.
func FuzzSize(f *testing.F) {
	f.Add("480x360cq70")
	f.Add("280")
	f.Add("thumb")
	f.Fuzz(func(t *testing.T, s string) {
		size, err := tofu.ParseSize(s)
		if err == nil && size.String() != s {
			t.Fatalf("ParseSize(%q) prints %q: a size has one spelling", s, size.String())
		}
	})
}

func TestURLIsReadBack(t *testing.T) {
	g := grammar(t, tofu.Auto)
	for spelling, want := range map[string]string{
		"w:480,h:360,fit:crop,q:70,format:jpeg": "/recipes/1/480x360cq70/any.jpg",
		"w:480,h:360,fit:crop,q:70":             "/recipes/1/480x360cq70/00000000000000000000000000000000",
		"w:480":                                 "/recipes/1/480/any",
		"w:480,fit:shrink,format:webp":          "/recipes/1/480s/any.webp",
	} {
		r, err := images.ParseRendition(spelling)
		if err != nil {
			t.Fatal(err)
		}
		got, err := g.URL(images.Request{Kind: "recipes", ID: "1", Rendition: r}, "", nil)
		if err != nil || got != want {
			t.Errorf("URL of %s = %q, %v, want %q", spelling, got, err, want)
			continue
		}
		if req, err := parse(t, g, got); err != nil || req.Rendition != r {
			t.Errorf("URL of %s = %q, which reads as %s, %v", spelling, got, req.Rendition, err)
		}
	}
	for _, spelling := range []string{"h:360", "w:480,blur:1", "w:480,h:360,fit:pad", "whole", "w:480,format:auto", "w:480,dpr:2"} {
		r, err := images.ParseRendition(spelling)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.URL(images.Request{Kind: "recipes", ID: "1", Rendition: r}, "", nil); err == nil {
			t.Errorf("URL of %s = %q, want an error: TOFU cannot say it", spelling, got)
		}
	}
}
