package console

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"
)

// templateAction is what a template computes; what is left is written by hand.
var templateAction = regexp.MustCompile(`(?s)\{\{.*?\}\}`)

// spoken are the attributes that a person reads or hears.
var spoken = map[string]bool{"alt": true, "title": true, "placeholder": true, "aria-label": true, "aria-description": true, "value": false}

func sources(t *testing.T, files fs.FS, pattern string) map[string]string {
	t.Helper()
	names, err := fs.Glob(files, pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	out := map[string]string{}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	return out
}

// TestNoTextStandsInATemplate: what a person reads is in the catalogue.
func TestNoTextStandsInATemplate(t *testing.T) {
	hasLetter := func(s string) bool { return strings.ContainsFunc(s, unicode.IsLetter) }
	for name, source := range sources(t, templateFiles, "templates/*.html") {
		tokens := html.NewTokenizer(strings.NewReader(templateAction.ReplaceAllString(source, "")))
		for {
			kind := tokens.Next()
			if kind == html.ErrorToken {
				break
			}
			token := tokens.Token()
			if kind == html.TextToken && hasLetter(token.Data) {
				t.Errorf("%s has the text %q", name, strings.TrimSpace(token.Data))
			}
			for _, a := range token.Attr {
				if spoken[a.Key] && hasLetter(a.Val) {
					t.Errorf("%s has the text %s=%q", name, a.Key, a.Val)
				}
			}
		}
	}
}

// TestEveryTextIsUsed finds texts that no template, script or handler names;
// texts that are named and missing are found when the pages are rendered.
func TestEveryTextIsUsed(t *testing.T) {
	texts, err := loadCatalogue("en")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, set := range []map[string]string{sources(t, templateFiles, "templates/*.html"), sources(t, staticFiles, "static/*.js"), sources(t, os.DirFS("."), "*.go")} {
		for _, source := range set {
			all.WriteString(source)
		}
	}
	used := all.String()
	for key := range texts {
		section, name, _ := strings.Cut(key, ".")
		switch section {
		case "trouble", "service":
			continue // named by handlers and by the configuration
		case "play":
			if !strings.Contains(used, `"`+name+`"`) && !strings.Contains(used, "texts."+name) && !serverTiming[name] {
				t.Errorf("nothing says play.%s", name)
			}
			continue
		}
		// Families of texts are named by their beginning: print "playground.fit_" .
		family := strings.LastIndexByte(name, '_')
		if !strings.Contains(used, `"`+key+`"`) && (family < 0 || !strings.Contains(used, `"`+section+"."+name[:family+1])) &&
			!(section == "chart" && strings.Contains(used, `"`+strings.TrimSuffix(name, "_unit")+`"`)) && !strings.Contains(used, "texts."+name) {
			t.Errorf("nothing says %s", key)
		}
	}
}

// serverTiming are words of the services' Server-Timing header.
var serverTiming = map[string]bool{"rendered": true, "memory": true, "disk": true, "shared": true, "not_modified": true, "origin": true, "queue": true}

func TestCataloguesHaveTheSameKeys(t *testing.T) {
	english, err := loadCatalogue("en")
	if err != nil {
		t.Fatal(err)
	}
	for name := range sources(t, textFiles, "text/*.toml") {
		language := strings.TrimSuffix(strings.TrimPrefix(name, "text/"), ".toml")
		texts, err := loadCatalogue(language)
		if err != nil {
			t.Fatal(err)
		}
		for key, s := range english {
			if other, ok := texts[key]; !ok || strings.Count(other, "{") != strings.Count(s, "{") {
				t.Errorf("%s: the text %s is missing or has other places for values", name, key)
			}
		}
		for key := range texts {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: the text %s is not in English", name, key)
			}
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 12_861: "12.9 kB", 914_024: "914 kB", 999_999: "1.0 MB", 5_242_880: "5.2 MB", 3e12: "3.0 TB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1\u2009000", 1234567: "1\u2009234\u2009567"} {
		if got := humanNumber(n); got != want {
			t.Errorf("humanNumber(%d) = %q, want %q", n, got, want)
		}
	}
}
