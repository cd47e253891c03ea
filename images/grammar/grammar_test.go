package grammar_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/grammar"
	"github.com/kamado/kamado/images/signature"
)

func build(t *testing.T, change func(*images.Config)) *grammar.Grammar {
	t.Helper()
	cfg := images.Default()
	cfg.Presets = map[string]string{"thumb": "w:180,h:180,fit:crop", "wide": "w:900"}
	cfg.Originals = "pictures"
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	names, err := cfg.Catalogue(nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := grammar.New(cfg, names)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func parse(t *testing.T, g *grammar.Grammar, s string) (images.Request, error) {
	t.Helper()
	u, err := url.ParseRequestURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return g.Parse(u, "localhost")
}

func TestThePathChoosesTheGrammar(t *testing.T) {
	native := build(t, nil)
	tofuOnly := build(t, func(c *images.Config) { c.Native = false })
	for _, c := range []struct {
		name    string
		grammar *grammar.Grammar
		url     string
		want    string
	}{
		{"/i/ is native", native, "/i/-/w:480/recipes/1.jpg", "native"},
		{"/i/ is native even where TOFU could read it", native, "/i/-/w:480/x", "native"},
		{"another kind is TOFU", native, "/icons/1/480/x", "tofu1"},
		{"i is a kind where native is off", tofuOnly, "/i/1/480/x", "tofu1"},
	} {
		req, err := parse(t, c.grammar, c.url)
		if err != nil || req.Grammar != c.want {
			t.Errorf("%s: %s is %s, %v, want %s", c.name, c.url, req.Grammar, err, c.want)
		}
	}
}

func TestPresetsOnly(t *testing.T) {
	only := build(t, func(c *images.Config) { c.OnlyPresets = true })
	perKind := build(t, func(c *images.Config) { c.Kinds = map[string]images.Source{"users": {Presets: []string{"thumb"}}} })
	for _, c := range []struct {
		name    string
		grammar *grammar.Grammar
		url     string
		allowed bool
	}{
		{"a preset", only, "/recipes/1/thumb/x", true},
		{"a preset in another format", only, "/recipes/1/thumb/x.webp", true},
		{"a size", only, "/recipes/1/180/x", false},
		{"a native preset", only, "/i/-/preset:thumb/recipes/1", true},
		{"a native preset that is changed", only, "/i/-/preset:thumb,w:181/recipes/1", false},
		{"native options", only, "/i/-/w:180/recipes/1", false},
		{"the kind's preset", perKind, "/users/1/thumb/x", true},
		{"a preset that is not the kind's", perKind, "/users/1/wide/x", false},
		{"a size of a kind with presets", perKind, "/users/1/180/x", false},
		{"a size of another kind", perKind, "/recipes/1/180/x", true},
	} {
		if _, err := parse(t, c.grammar, c.url); (err == nil) != c.allowed || err != nil && images.KindOf(err) != images.Invalid {
			t.Errorf("%s: %s: %v, want allowed = %v", c.name, c.url, err, c.allowed)
		}
	}
}

func TestABoxOverTheLimitIsRefusedBeforeTheOriginalIsRead(t *testing.T) {
	g := build(t, func(c *images.Config) { c.Limits.MaxOutputSide = 1000 })
	if _, err := parse(t, g, "/recipes/1/1000x1000cq70/any.jpg"); err != nil {
		t.Errorf("a box at the limit: %v", err)
	}
	if _, err := parse(t, g, "/i/-/w:501,dpr:2/a"); images.KindOf(err) != images.TooLarge {
		t.Errorf("a box over the limit: %v, want too large", err)
	}
}

// TestOneKeyPerRendition: URLs that differ have the same original and
// rendition only when they show the same picture, here grouped by hand.
func TestOneKeyPerRendition(t *testing.T) {
	groups := [][]string{
		{"/recipes/1/480x360cq70/any.jpg", "/recipes/1/480x360cq70/other.jpeg", "/recipes/1/480x360cq70/0123456789abcdef0123456789abcdef.jpg"},
		{"/recipes/1/480x360cq70/any.webp"},
		{"/recipes/1/480x360sq70/any.jpg"},
		{"/recipes/1/480x360q70/any.jpg"},
		{"/recipes/1/480x360cq71/any.jpg"},
		{"/recipes/1/360x480cq70/any.jpg"},
		{"/recipes/11/480x360cq70/any.jpg"},
		{"/recipes/1/180x180c/x", "/recipes/1/thumb/x"},
		{"/recipes/1/180/x", "/i/-/w:180/recipes/1"},
		{"/recipes/1/180s/x", "/i/-/w:180,fit:shrink/recipes/1"},
		{"/i/-/w:180,blur:1/recipes/1"},
		{"/i/-/w:180,blur:1/recipes/1.jpg"},
		{"/i/-/h:180/recipes/1"},
	}
	g := build(t, nil)
	owner := map[string]int{}
	for i, group := range groups {
		keys := map[string]bool{}
		for _, s := range group {
			req, err := parse(t, g, s)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			key := req.Original() + " " + req.Rendition.String()
			keys[key] = true
			if j, taken := owner[key]; taken && j != i {
				t.Errorf("%s has the key %q of group %v", s, key, groups[j])
			}
			owner[key] = i
		}
		if len(keys) != 1 {
			t.Errorf("%v have %d keys, want one", group, len(keys))
		}
	}
}

// TestNothingUnsignedChangesTheAnswer changes each part of a signed URL.
func TestNothingUnsignedChangesTheAnswer(t *testing.T) {
	keys, err := signature.Parse(strings.NewReader("00112233445566778899aabbccddeeff"))
	if err != nil {
		t.Fatal(err)
	}
	g := build(t, nil)
	now := time.Unix(1_700_000_000, 0)
	verify := func(s string) error {
		req, err := parse(t, g, s)
		if err != nil {
			return err
		}
		return keys.Verify(&req, now)
	}
	for path, changes := range map[string][]string{
		"/recipes/1/480x360cq70/any.jpg?u=3&p=7": {"recipes", "users", "/1/", "/2/", "480", "481", "360", "361", "c", "s", "q70", "q71", ".jpg", ".webp", "p=7", "p=8", "u=3", "u=4", "&s=", "&e=1800000000&s="},
		"/recipes/1/280x487s":                    {"280", "281", "487s", "487", "/1/", "/2/"},
		"/recipes/1/thumb/x.webp":                {"thumb", "wide", ".webp", ".png"},
		"/i/-/w:480,q:70/recipes/1.jpg":          {"480", "481", "q:70", "q:71", "1.jpg", "2.jpg", "recipes/", "recipes/recipes/"},
	} {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := g.Sign(u, time.Time{}, keys.Sign)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(signed); err != nil {
			t.Errorf("%s signed is %s: %v", path, signed, err)
		}
		for i := 0; i < len(changes); i += 2 {
			changed := strings.Replace(signed, changes[i], changes[i+1], 1)
			if changed == signed {
				t.Fatalf("%s has no %q", signed, changes[i])
			}
			if err := verify(changed); images.KindOf(err) != images.Denied {
				t.Errorf("%s, changed to %s: %v, want denied", signed, changed, err)
			}
		}
	}
}

func TestURLIsInTheShortestGrammarThatCanSayIt(t *testing.T) {
	g := build(t, nil)
	for spelling, want := range map[string]string{
		"w:480,h:360,fit:crop,q:70,format:jpeg": "/recipes/1/480x360cq70/nice.jpg",
		"w:480,blur:1":                          "/i/-/w:480,blur:1/recipes/1",
		"h:100":                                 "/i/-/h:100/recipes/1",
	} {
		r, err := images.ParseRendition(spelling)
		if err != nil {
			t.Fatal(err)
		}
		req := images.Request{Kind: "recipes", ID: "1", Rendition: r}
		got, err := g.URL(grammar.Shortest, req, "nice", nil)
		if err != nil || got != want {
			t.Errorf("URL of %s = %q, %v, want %q", spelling, got, err, want)
		}
		if read, err := parse(t, g, got); err != nil || read.Rendition != r || read.Original() != "recipes/1" {
			t.Errorf("URL of %s = %q reads as %s of %s, %v", spelling, got, read.Rendition, read.Original(), err)
		}
	}
	r, _ := images.ParseRendition("w:480,blur:1")
	var e *images.Error
	if _, err := g.URL(grammar.TOFU, images.Request{Kind: "recipes", ID: "1", Rendition: r}, "", nil); !errors.As(err, &e) || !strings.Contains(e.Detail, "w:480,blur:1") {
		t.Errorf("URL in a grammar that cannot say it: %v, want an error that names what", err)
	}
}
