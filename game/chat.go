package game

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ChatBytesMax bounds one thing that is said.
const ChatBytesMax = 1000

// CheckChat judges what somebody says, and gives it without blanks around it.
func CheckChat(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", Errorf(Invalid, "nothing is said")
	case len(text) > ChatBytesMax:
		return "", Errorf(Invalid, "a text of %d bytes: at most %d", len(text), ChatBytesMax)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, hidden):
		return "", Errorf(Invalid, "the text has bytes that are no letters")
	}
	return text, nil
}

// hidden are letters that nobody sees but that change how a text is shown or compared. Zero-width joiners belong to emoji and stay.
func hidden(r rune) bool {
	return unicode.IsControl(r) && r != '\n' || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// CheckAvatarName judges how somebody wants to be called.
func CheckAvatarName(name string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if n := utf8.RuneCountInString(name); n == 0 || n > AvatarNameRunesMax || len(name) > 4*AvatarNameRunesMax {
		return "", Errorf(Invalid, "a name of %d letters: want 1 to %d", n, AvatarNameRunesMax)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, hidden) {
		return "", Errorf(Invalid, "the name has bytes that are no letters")
	}
	return name, nil
}

// WordFilter hides words that nobody should say.
type WordFilter struct{ words [][]rune }

// NewWordFilter makes a filter of words, each of at least two letters.
func NewWordFilter(words []string) WordFilter {
	var f WordFilter
	for _, w := range words {
		if folded := fold([]rune(w)); len(folded) > 1 {
			f.words = append(f.words, folded)
		}
	}
	return f
}

// fold makes letters that look alike alike: case, and full-width forms.
func fold(text []rune) []rune {
	out := make([]rune, len(text))
	for i, r := range text {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		out[i] = unicode.ToLower(r)
	}
	return out
}

// Hide puts a star for each letter of a filtered word. A word in Latin letters is only hidden when it stands alone, so that
// "class" keeps its letters; in other scripts, which have no blanks, it is hidden wherever it stands.
func (f WordFilter) Hide(text string) string {
	if len(f.words) == 0 {
		return text
	}
	runes := []rune(text)
	folded := fold(runes)
	changed := false
	for _, w := range f.words {
		for i := 0; i+len(w) <= len(folded); i++ {
			if !startsWith(folded[i:], w) || partOfWord(folded, i, len(w)) {
				continue
			}
			for k := range w {
				runes[i+k] = '*'
			}
			changed = true
			i += len(w) - 1
		}
	}
	if !changed {
		return text
	}
	return string(runes)
}

func startsWith(text, word []rune) bool {
	for i, r := range word {
		if text[i] != r {
			return false
		}
	}
	return true
}

// partOfWord says whether the letters from at on are only a part of a longer word in Latin letters.
func partOfWord(text []rune, at, n int) bool {
	latin := func(i int) bool {
		return i >= 0 && i < len(text) && (text[i] < 0x250 && (unicode.IsLetter(text[i]) || unicode.IsDigit(text[i])))
	}
	return latin(at) && latin(at-1) || latin(at+n-1) && latin(at+n)
}
