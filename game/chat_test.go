package game_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kamado/kamado/game"
)

func TestWordsAreHidden(t *testing.T) {
	t.Parallel()
	f := game.NewWordFilter([]string{"darn", "ばか", "x", ""})
	for text, want := range map[string]string{
		"darn it": "**** it", "DaRn!": "****!", "darned": "darned", "well,darn": "well,****", "ｄａｒｎ": "****", "mandarn": "mandarn", "a darn darn": "a **** ****",
		"このばかもの": "この**もの", "ばかばか": "****", "x": "x", "": "", "nothing": "nothing",
	} {
		if got := f.Hide(text); got != want {
			t.Errorf("Hide(%q) = %q, want %q", text, got, want)
		}
	}
	if got := game.NewWordFilter(nil).Hide("darn"); got != "darn" {
		t.Errorf("without words: %q", got)
	}
}

func TestWhatMayBeSaid(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"hello": "hello", "  hello\n": "hello", "two\nlines": "two\nlines", "👩‍👩‍👧": "👩‍👩‍👧", "": "", "   ": "", "bell\a": "", "turned \u202e round": "",
		"bad \xff bytes": "", strings.Repeat("a", game.ChatBytesMax): strings.Repeat("a", game.ChatBytesMax), strings.Repeat("a", game.ChatBytesMax+1): "",
	} {
		got, err := game.CheckChat(text)
		if got != want || (err != nil) != (want == "") || err != nil && game.KindOf(err) != game.Invalid {
			t.Errorf("CheckChat(%.20q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"Ann": "Ann", "  Ann   of  Kamado ": "Ann of Kamado", "竈の番人": "竈の番人", "": "", " ": "", "a\x00b": "", "\u2066Ann": "", strings.Repeat("竈", 24): strings.Repeat("竈", 24), strings.Repeat("竈", 25): "",
	} {
		got, err := game.CheckAvatarName(name)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("CheckAvatarName(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
}

// FuzzHide: hiding keeps the number of letters, and hides once and for all.
func FuzzHide(f *testing.F) {
	f.Add("darn it", "darn")
	f.Add("このばか", "ばか")
	f.Add("ＤＡＲＮ", "darn")
	f.Fuzz(func(t *testing.T, text, word string) {
		if !utf8.ValidString(text) || len(text) > game.ChatBytesMax {
			return
		}
		filter := game.NewWordFilter([]string{word})
		hidden := filter.Hide(text)
		if utf8.RuneCountInString(hidden) != utf8.RuneCountInString(text) {
			t.Errorf("%q became %q", text, hidden)
		}
		if !strings.Contains(word, "*") && filter.Hide(hidden) != hidden {
			t.Errorf("%q becomes %q, and then %q", text, hidden, filter.Hide(hidden))
		}
	})
}
