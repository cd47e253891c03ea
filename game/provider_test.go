package game_test

import (
	"strings"
	"testing"

	"github.com/kamado/kamado/game"
)

func TestNormalEmail(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ann@example.org":                        "ann@example.org",
		" Ann@EXAMPLE.org\n":                     "ann@example.org",
		"a.n.n+game@mail.example.org":            "a.n.n+game@mail.example.org",
		"o'hara@xn--r8jz45g.jp":                  "o'hara@xn--r8jz45g.jp",
		"":                                       "",
		"ann":                                    "",
		"ann@":                                   "",
		"@example.org":                           "",
		"ann@localhost":                          "",
		"ann@@example.org":                       "",
		"ann@example..org":                       "",
		"ann@-example.org":                       "",
		"ann@example.org.":                       "",
		"a..n@example.org":                       "",
		".ann@example.org":                       "",
		"a nn@example.org":                       "",
		"\"a nn\"@example.org":                   "",
		"ann@[192.0.2.1]":                        "",
		"änn@example.org":                        "",
		"ann@exämple.org":                        "",
		"ann\x00@example.org":                    "",
		strings.Repeat("a", 65) + "@example.org": "",
		"a@" + strings.Repeat(strings.Repeat("b", 60)+".", 5): "",
	} {
		got, err := game.NormalEmail(text)
		if got != want || (err != nil) != (want == "") || err != nil && game.KindOf(err) != game.Invalid {
			t.Errorf("NormalEmail(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzNormalEmail(f *testing.F) {
	for _, s := range []string{"ann@example.org", " A@B.C ", "a@b@c.d", "İ@example.org", "K@example.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := game.NormalEmail(text)
		if err != nil {
			return
		}
		if twice, err := game.NormalEmail(once); err != nil || twice != once {
			t.Errorf("NormalEmail(%q) = %q, and of that %q, %v", text, once, twice, err)
		}
		if err := (game.Pair{Provider: game.ProviderPassword, Subject: once}).Check(); err != nil {
			t.Errorf("%q is no subject: %v", once, err)
		}
	})
}

func TestPairCheck(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", game.SubjectBytesMax)
	for _, c := range []struct {
		p    game.Pair
		want bool
	}{
		{game.Pair{Provider: "google", Subject: "1"}, true},
		{game.Pair{Provider: "g-2", Subject: long}, true},
		{game.Pair{Provider: "google", Subject: long + "x"}, false},
		{game.Pair{Provider: "google"}, false},
		{game.Pair{Subject: "1"}, false},
		{game.Pair{Provider: "Google", Subject: "1"}, false},
		{game.Pair{Provider: "2g", Subject: "1"}, false},
		{game.Pair{Provider: game.Provider(strings.Repeat("g", 33)), Subject: "1"}, false},
		{game.Pair{Provider: "google", Subject: "a\x00"}, false},
		{game.Pair{Provider: "google", Subject: "a\xff"}, false},
		{game.Pair{Provider: "google", Subject: "日本"}, true},
	} {
		if err := c.p.Check(); (err == nil) != c.want {
			t.Errorf("%+v: Check = %v", c.p, err)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]bool{
		"12345678": true, "1234567": false, "ひらがなひらがな": true, "ひらがな": false, strings.Repeat("x", 256): true, strings.Repeat("x", 257): false, "1234567\xff": false,
	} {
		if err := game.CheckPassword(password); (err == nil) != want {
			t.Errorf("CheckPassword of %d bytes = %v", len(password), err)
		}
	}
}
