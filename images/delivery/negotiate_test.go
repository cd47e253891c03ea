package delivery

import (
	"strings"
	"testing"
)

func TestWantsPicture(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"":    false,
		"*/*": false,
		"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8":                                 true,
		"image/png,image/*;q=0.8,*/*;q=0.5":                                                                true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8": false,
		"application/json":                        false,
		"application/json;q=0.5, image/png;q=0.9": true,
		"image/png;q=0":                           false,
	} {
		if got := wantsPicture([]string{accept}); got != want {
			t.Errorf("wantsPicture(%q) = %v, want %v", accept, got, want)
		}
	}
}

func FuzzEachAccept(f *testing.F) {
	f.Add("image/avif;q=0.5, */*")
	f.Add(";;,=;q=")
	f.Add("a;q=NaN,b;q=-1e999")
	f.Fuzz(func(t *testing.T, accept string) {
		n := 0
		eachAccept([]string{accept}, func(name string, _ float64) {
			n++
			if strings.ContainsAny(name, ",;") || name != strings.ToLower(name) {
				t.Errorf("media range %q of %q", name, accept)
			}
		})
		if want := strings.Count(accept, ",") + 1; n != want {
			t.Errorf("%d media ranges in %q, want %d", n, accept, want)
		}
		wantsPicture([]string{accept})
	})
}
