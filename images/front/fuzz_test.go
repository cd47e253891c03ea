package front_test

import (
	"strings"
	"testing"
	"time"
)

// FuzzAnswer sends the same bytes to a server with a front and to one without.
func FuzzAnswer(f *testing.F) {
	with := newHouse(f, settings{})
	without := newHouse(f, settings{plain: true, dir: with.dir})
	target := with.sign(f, "/recipes/1/40x30cq70/any.jpg", time.Time{})
	etag := with.warm(f, target).Header.Get("Etag")
	without.warm(f, target)
	for i, raw := range corpus([]string{"/T"}, `"E"`) {
		if i%7 == 0 {
			f.Add([]byte(raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text := strings.NewReplacer("/T", target, `"E"`, etag).Replace(string(raw))
		if len(text) > 32<<10 {
			return
		}
		got, ended := with.exchangeToEnd(t, text)
		want, wantEnded := without.exchangeToEnd(t, text)
		if ended && wantEnded && got != want {
			t.Errorf("%q: %s", clip(text), difference(got, want))
		}
	})
}
