package grammar_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
)

// TestOneKeyForAHundredThousandSpellings (a fifth of them in the short form):
// whatever grammar a rendition is asked for in, under any name, with options in any
// order and with those that say what is so anyway, a cache has one key for it. The
// spellings of imgproxy's dialect among themselves are tested in its package.
func TestOneKeyForAHundredThousandSpellings(t *testing.T) {
	t.Parallel()
	g := build(t, func(c *images.Config) {
		c.Signing.InsecureUnsigned = true
		c.ImgProxy.Enabled, c.ImgProxy.Prefix = true, "/img"
		c.Presets = map[string]string{"card": "w:480,h:360,fit:crop,q:70", "wide": "w:900,blur:3,rotate:90"}
	})
	rnd := rand.New(rand.NewPCG(7, 13))
	ways := []func(*rand.Rand) string{spellFirst, spellSecond, spellNative, spellProxy}
	count := 20_000
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		count = 100_000
	}
	seen, keys, grammars := make(map[string]bool, count), map[string]string{}, map[string]int{}
	for len(seen) < count {
		text := ways[rnd.IntN(len(ways))](rnd)
		u, err := url.ParseRequestURI(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if strings.HasPrefix(text, "/i/") { // one spelling is right there: the signer writes it
			// The signer takes the options in any order, the URL only one.
			if text, err = g.Sign(u, time.Time{}, func(canonical string) string { return fmt.Sprintf("%032x", len(canonical)) }); err != nil {
				t.Fatalf("%s: %v", u, err)
			}
		}
		if seen[u.String()] {
			continue
		}
		seen[u.String()] = true
		req, err := parse(t, g, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		grammars[req.Grammar]++
		keys[req.Original()+" "+req.Rendition.String()] = text
	}
	if len(keys) != 1 {
		t.Errorf("%d spellings have %d keys, want 1: %v", count, len(keys), keys)
	}
	if len(grammars) != 4 {
		t.Errorf("spellings by grammar: %v, want all four", grammars)
	}
}

// escaped writes some letters as escapes, which only imgproxy's dialect takes where
// none are needed.
func escaped(rnd *rand.Rand, s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if rnd.IntN(3) == 0 {
			fmt.Fprintf(&b, []string{"%%%02X", "%%%02x"}[rnd.IntN(2)], c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func pick(rnd *rand.Rand, of ...string) string { return of[rnd.IntN(len(of))] }

// name is any name of a few letters.
func name(rnd *rand.Rand) string { return fmt.Sprintf("soup-%x", rnd.Uint32()) }

func spellFirst(rnd *rand.Rand) string {
	return "/recipes/1/" + pick(rnd, "480x360cq70", "card") + fmt.Sprintf("/%016x%016x.jpg", rnd.Uint64(), rnd.Uint64()) +
		pick(rnd, "", "?u=bob", "?u=eve", "?e=4000000000")
}

func spellSecond(rnd *rand.Rand) string {
	return "/recipes/1/480x360cq70/" + name(rnd) + pick(rnd, ".jpg", ".jpeg") +
		pick(rnd, "", "?s=00", "?u=bob&s=11", "?s=22&u=eve", "?e=4000000000&s=1")
}

// spellNative gives the options in any order, with some that say nothing.
func spellNative(rnd *rand.Rand) string {
	options := []string{"w:480", "h:360", "fit:crop", "q:70", "format:jpeg"}
	for _, idle := range []string{
		"dpr:1", "zoom:1", "enlarge:1", "trim:0", "cut:none", "rotate:0", "flip:none", "background:none", "blur:0", "sharpen:0", "pixelate:" + pick(rnd, "0", "1"),
		"brightness:0", "contrast:0", "saturation:0", "hue:0", "padding:none", "watermark:none", "text:none", "still:0", "metadata:strip", "profile:srgb", "max_bytes:0",
		"gravity:center", "region:none",
	} {
		if rnd.IntN(4) == 0 {
			options = append(options, idle)
		}
	}
	rnd.Shuffle(len(options), func(i, j int) { options[i], options[j] = options[j], options[i] })
	if rnd.IntN(3) == 0 { // a preset, of which what differs is undone
		return "/i/x/preset:" + pick(rnd, "card", "wide,w:480,h:360,fit:crop,q:70,blur:0,rotate:0") + ",format:jpeg/recipes/1"
	}
	return "/i/x/" + strings.Join(options, ",") + "/recipes/1"
}

func spellProxy(rnd *rand.Rand) string {
	options := []string{pick(rnd, "rs:fill:480:360:1", "s:480:360:t/rt:fill", "w:480/h:360/el:1/rt:fill"), pick(rnd, "q:70", "q:1/q:70", "fq:jpg:70")}
	for _, idle := range []string{"ar:1", "bl:0", "dpr:1", "cb:" + name(rnd), "g:ce", "sm:t", "rot:360", "fl:0:0"} {
		if !strings.HasPrefix(idle, "cb:") && rnd.IntN(2) == 0 {
			options = append(options, idle)
		}
	}
	rnd.Shuffle(len(options), func(i, j int) { options[i], options[j] = options[j], options[i] })
	return "/img/" + name(rnd) + "/" + strings.Join(options, "/") + "/plain/" + escaped(rnd, pick(rnd, "recipes/1", "local:///recipes/1")) + "@" + pick(rnd, "jpg", "jpeg")
}
